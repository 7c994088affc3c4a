//! A device whose kernels are the scalar reference: what launches mean, on memory that is the host's. It also
//! checks them, as the recorder does.

use super::recorder::Recorder;
use super::resample;
use bytemuck::{Pod, cast_slice as view, cast_slice_mut as view_mut, pod_read_unaligned as params};
use half::f16;
use mergevit_kernels::cuda::gemm::{EpilogueKind, GemmParams};
use mergevit_kernels::cuda::preprocess::{ResampleColumnsParams, ResampleRowsParams};
use mergevit_kernels::cuda::{
    Address, AttentionParams, Best, Device, DeviceError, Graph, HeadParams, Kernel, Launch,
    LayerNormParams, MergeMatchParams, MergeNormParams, PatchifyParams, PoolNormParams, Shared,
    Target, TopClassesParams,
};
use mergevit_kernels::ops::{
    Attention, Embed, Epilogue, Kernels, LayerNorm, LinearWeights, Merge, MergeInput, MergeOutput,
    Patchify, Pool, Pooling, row_sums,
};
use mergevit_kernels::reference::Reference;
use mergevit_runtime::aligned::AlignedBytes;

/// The device.
pub(crate) struct Interpreter {
    /// Whether it claims to share the processor's memory.
    integrated: bool,
    checks: Recorder,
    kernels: Reference,
    /// First address and bytes of every allocation.
    memory: Vec<(Address, AlignedBytes)>,
    /// Which allocations are shared.
    shared: Vec<usize>,
    graphs: Vec<Vec<Launch>>,
    /// What the last match was about: its shape up to r, and the queries, keys and values it read.
    matched: Option<(MergeMatchParams, Vec<i8>)>,
}

impl Interpreter {
    pub(crate) fn new(integrated: bool) -> Self {
        Self {
            integrated,
            checks: Recorder::new(usize::MAX).0,
            kernels: Reference::new(),
            memory: Vec::new(),
            shared: Vec::new(),
            graphs: Vec::new(),
            matched: None,
        }
    }

    fn keep(&mut self, address: Address, bytes: usize) {
        self.memory.push((address, AlignedBytes::zeroed(bytes)));
    }

    fn bytes(&mut self, address: Address, len: usize) -> &mut [u8] {
        let inside = |memory: &&mut (Address, AlignedBytes)| {
            (memory.0.0..=memory.0.0 + memory.1.len() as u64).contains(&address.0)
        };
        let (base, bytes) = self.memory.iter_mut().find(inside).expect("an allocation");
        &mut bytes[(address.0 - base.0) as usize..][..len]
    }

    fn get<T: Pod>(&mut self, address: Address, count: usize) -> Vec<T> {
        view(self.bytes(address, count * size_of::<T>())).to_vec()
    }

    fn put<T: Pod>(&mut self, address: Address, values: &[T]) {
        self.bytes(address, size_of_val(values))
            .copy_from_slice(view(values));
    }

    fn run(&mut self, launch: &Launch) {
        let bytes = launch.params();
        let [x, y, z] = launch.grid.map(|blocks| blocks as usize);
        match launch.kernel {
            Kernel::Patchify => self.patchify(&params(bytes), y),
            Kernel::LayerNorm => self.layer_norm(&params(bytes)),
            Kernel::Attention => self.attention(&params(bytes), z),
            Kernel::MergeMatch => {
                let p: MergeMatchParams = params(bytes);
                let qkv = self.get(p.qkv, y * p.tokens as usize * 3 * p.width as usize);
                self.matched = Some((p, qkv));
            }
            Kernel::MergeNorm => self.merge_norm(&params(bytes), y),
            Kernel::PoolNorm => self.pool_norm(&params(bytes), x),
            Kernel::Head => self.head(&params(bytes)),
            Kernel::TopClasses => self.top_classes(&params(bytes), x),
            Kernel::ResampleColumns => self.resample_columns(&params(bytes)),
            Kernel::ResampleRows => self.resample_rows(&params(bytes), x),
            Kernel::Gemm { epilogue, .. } => self.gemm(&params(bytes), epilogue),
        }
    }

    fn patchify(&mut self, p: &PatchifyParams, batch: usize) {
        let shape = Patchify {
            batch,
            image_size: p.image_size as usize,
            patch_size: p.patch_size as usize,
        };
        let pixels = self.get::<u8>(p.pixels, 3 * batch * shape.image_size.pow(2));
        let mut patches = vec![0; batch * shape.patches() * shape.row()];
        self.kernels.patchify(&shape, &pixels, &mut patches);
        self.put(p.patches, &patches);
    }

    fn normalize(
        &mut self,
        affine: [Address; 2],
        epsilon: f32,
        input: &[f16],
        width: usize,
    ) -> Vec<i8> {
        let [gain, bias] = affine.map(|address| self.get(address, width));
        let norm = LayerNorm {
            gain: &gain,
            bias: &bias,
            epsilon,
        };
        let mut output = vec![0; input.len()];
        self.kernels.layer_norm(&norm, input, &mut output);
        output
    }

    fn layer_norm(&mut self, p: &LayerNormParams) {
        let width = p.width as usize;
        let input = self.get(p.input, p.rows as usize * width);
        let output = self.normalize([p.gain, p.bias], p.epsilon, &input, width);
        self.put(p.output, &output);
    }

    fn attention(&mut self, p: &AttentionParams, batch: usize) {
        let (tokens, heads) = (p.tokens as usize, p.heads as usize);
        let values = batch * tokens * heads * 64;
        let qkv = self.get(p.qkv, 3 * values);
        let sizes = (p.sizes != Address::NULL).then(|| self.get(p.sizes, batch * tokens));
        let [score_scale, context_scale] =
            [p.score_scale, p.context_scale].map(|scale| self.get(scale, heads));
        let shape = Attention {
            batch,
            tokens,
            heads,
            score_scale: &score_scale,
            context_scale: &context_scale,
        };
        let mut context = vec![0; values];
        self.kernels
            .attention(&shape, &qkv, sizes.as_deref(), &mut context);
        self.put(p.context, &context);
    }

    fn merge_norm(&mut self, p: &MergeNormParams, batch: usize) {
        let (matched, qkv) = self.matched.take().expect("a match before a merge");
        assert_eq!((matched.tokens, matched.width), (p.tokens, p.width));
        assert_eq!((matched.merged, matched.partner), (p.merged, p.partner));
        let (tokens, width, merged) = (p.tokens as usize, p.width as usize, p.merged as usize);
        let shape = Merge {
            batch,
            tokens,
            width,
            merged,
            class_token: matched.class_token == 1,
        };
        let (residual, sizes) = (
            self.get::<f16>(p.residual, batch * tokens * width),
            self.get::<u32>(p.sizes, batch * tokens),
        );
        let left = batch * (tokens - merged);
        let (mut merged_residual, mut merged_sizes) =
            (vec![f16::ZERO; left * width], vec![0; left]);
        let input = MergeInput {
            qkv: &qkv,
            residual: &residual,
            sizes: &sizes,
        };
        let output = MergeOutput {
            residual: &mut merged_residual,
            sizes: &mut merged_sizes,
        };
        self.kernels.merge(&shape, input, output);
        let normed = self.normalize([p.gain, p.bias], p.epsilon, &merged_residual, width);
        self.put(p.merged_residual, &merged_residual);
        self.put(p.merged_sizes, &merged_sizes);
        self.put(p.normed, &normed);
    }

    fn pool_norm(&mut self, p: &PoolNormParams, batch: usize) {
        let (tokens, width) = (p.tokens as usize, p.width as usize);
        let shape = Pool {
            batch,
            tokens,
            width,
            class_token: p.class_token == 1,
            pooling: match p.mean {
                0 => Pooling::ClassToken,
                _ => Pooling::Mean,
            },
        };
        let residual = self.get(p.residual, batch * tokens * width);
        let sizes = self.get(p.sizes, batch * tokens);
        let mut pooled = vec![f16::ZERO; batch * width];
        self.kernels.pool(&shape, &residual, &sizes, &mut pooled);
        let [gain, bias] = [p.gain, p.bias].map(|address| self.get(address, width));
        let norm = LayerNorm {
            gain: &gain,
            bias: &bias,
            epsilon: p.epsilon,
        };
        let (mut high, mut low) = (vec![0; batch * width], vec![0; batch * width]);
        self.kernels
            .layer_norm_wide(&norm, &pooled, &mut high, &mut low);
        self.put(p.pooled, &pooled);
        self.put(p.high, &high);
        self.put(p.low, &low);
    }

    fn head(&mut self, p: &HeadParams) {
        let (batch, classes, inputs) = (p.batch as usize, p.classes as usize, p.inputs as usize);
        let [high, low] = [p.high, p.low].map(|address| self.get(address, batch * inputs));
        let data = self.get(p.weights, classes * inputs);
        let [scale, bias] = [p.scale, p.bias].map(|address| self.get(address, classes));
        let sums: Vec<i32> = row_sums(&data, inputs).collect();
        let weights = LinearWeights {
            outputs: classes,
            inputs,
            data: &data,
            scale: &scale,
            bias: &bias,
            sums: &sums,
        };
        let mut logits = vec![0.0; batch * classes];
        self.kernels.head(&high, &low, &weights, &mut logits);
        self.put(p.logits, &logits);
    }

    fn top_classes(&mut self, p: &TopClassesParams, batch: usize) {
        let (classes, count) = (p.classes as usize, p.count as usize);
        let logits = self.get::<f32>(p.logits, batch * classes);
        let sizes = self.get::<u32>(p.sizes, batch * p.tokens as usize);
        for (image, logits) in logits.chunks_exact(classes).enumerate() {
            let mut order: Vec<usize> = (0..classes).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let none = Best {
                class: u32::MAX,
                logit: 0.0,
            };
            let mut best = vec![none; count];
            for (best, class) in best.iter_mut().zip(order) {
                *best = Best {
                    class: class as u32,
                    logit: logits[class],
                };
            }
            self.put(p.top.offset(image * count * size_of::<Best>()), &best);
        }
        self.put(p.host_logits, &logits);
        self.put(p.host_sizes, &sizes);
    }

    fn resample_columns(&mut self, p: &ResampleColumnsParams) {
        let (columns, groups) = (p.columns as usize, p.groups as usize);
        let frame = |device: &mut Self, at: u32, len: usize| {
            device.get::<u8>(p.frame.offset(at as usize), len)
        };
        let starts = self.get::<u32>(p.starts, columns);
        let parts = self.get::<[i8; 4]>(p.coefficients, columns.div_ceil(32) * groups * 3 * 32);
        let coefficients = resample::join(&parts, columns, groups);
        // Of the last four pixels some may be beyond the frame.
        let width = resample::width(p);
        for row in 0..p.rows as usize {
            let y = p.first_row + row as u32;
            let luma = frame(self, y * p.stride, p.stride as usize);
            let at = p.chroma + y / 2 * p.chroma_stride;
            let chroma = frame(self, at, p.chroma_stride as usize);
            let second = match p.format {
                7 => frame(self, at + p.second_chroma, p.chroma_stride as usize),
                _ => Vec::new(),
            };
            let line = (0..p.pixels).map(|x| (p.first_column + x) as usize);
            let line: Vec<[u8; 3]> = line
                .map(|x| match x < width {
                    true => resample::pixel(p, x, &luma, &chroma, &second),
                    false => [0; 3],
                })
                .collect();
            let out = (0..3 * columns).map(|i| {
                let from = (starts[i / 3] - p.first_column) as usize;
                let samples = line[from..].iter().map(|rgb| rgb[i % 3]);
                resample::weigh(samples, &coefficients[i / 3 * 4 * groups..][..4 * groups])
            });
            let out: Vec<u8> = out.collect();
            self.put(p.out.offset(row * 3 * columns), &out);
        }
    }

    fn resample_rows(&mut self, p: &ResampleRowsParams, lines: usize) {
        let (columns, kept, taps) = (p.columns as usize, p.kept as usize, p.taps as usize);
        let (width, patch) = (p.width as usize, p.patch_size as usize);
        let windows = self.get::<[u32; 2]>(p.windows, kept);
        let coefficients = self.get::<i32>(p.coefficients, kept * taps);
        let sources = windows.iter().map(|[start, len]| start + len - p.first_row);
        let sources = sources.max().unwrap_or(0) as usize;
        let rows = self.get::<u8>(p.rows, 3 * columns * sources);
        let sample = |y: usize, i: usize| {
            let (row, column) = (
                y.wrapping_sub(p.top as usize),
                (i / 3).wrapping_sub(p.left as usize),
            );
            if row >= kept || column >= columns {
                return 0;
            }
            let [start, len] = windows[row];
            let first = ((start - p.first_row) as usize * columns + column) * 3 + i % 3;
            let samples = rows[first..].iter().step_by(3 * columns).copied();
            resample::weigh(samples.take(len as usize), &coefficients[row * taps..])
        };
        let line = 3 * patch;
        let mut out = vec![0; (width / patch).pow(2) * p.row_bytes as usize];
        for (y, i) in (0..lines).flat_map(|y| (0..3 * width).map(move |i| (y, i))) {
            let index = y / patch * (width / patch) + i / line;
            let at = index * p.row_bytes as usize + y % patch * line + i % line;
            out[at] = sample(y, i) ^ 0x80;
        }
        self.put(p.out, &out);
    }

    fn gemm(&mut self, p: &GemmParams, epilogue: EpilogueKind) {
        let (rows, outputs, inputs) = (p.rows as usize, p.outputs as usize, p.inputs as usize);
        let input = self.get(p.input, rows * inputs);
        let data = self.get(p.weights, outputs * inputs);
        let [scale, bias] = [p.scale, p.bias].map(|address| self.get(address, outputs));
        let sums: Vec<i32> = row_sums(&data, inputs).collect();
        let weights = LinearWeights {
            outputs,
            inputs,
            data: &data,
            scale: &scale,
            bias: &bias,
            sums: &sums,
        };
        let batch = p.batch as usize;
        let tokens = (p.patches + p.class_token) as usize;
        let len = match epilogue {
            EpilogueKind::Requantize | EpilogueKind::Gelu => rows * outputs,
            EpilogueKind::Residual => 2 * rows * outputs,
            EpilogueKind::Embed => 2 * batch * tokens * outputs,
        };
        // 64-byte aligned, as f16 needs it.
        let mut output = AlignedBytes::copy_of(self.bytes(p.output, len));
        let position = match batch {
            0 => Vec::new(),
            _ => self.get(p.position, tokens * outputs),
        };
        let epilogue = match epilogue {
            EpilogueKind::Requantize => Epilogue::Requantize {
                output: view_mut(&mut output),
            },
            EpilogueKind::Gelu => Epilogue::GeluRequantize {
                inverse_scale: p.inverse_scale,
                zero_point: p.zero_point,
                output: view_mut(&mut output),
            },
            EpilogueKind::Residual => Epilogue::ResidualAdd {
                residual: view_mut(&mut output),
            },
            EpilogueKind::Embed => Epilogue::Embed(Embed {
                batch,
                class_token: p.class_token == 1,
                position: &position,
                residual: view_mut(&mut output),
            }),
        };
        self.kernels.linear(rows, &input, &weights, epilogue);
        self.put(p.output, &output);
        if batch > 0 {
            self.put(p.sizes, &vec![1u32; batch * tokens]);
        }
    }
}

impl Device for Interpreter {
    fn name(&self) -> &str {
        "interpreter"
    }

    fn target(&self) -> Target {
        self.checks.target()
    }

    fn integrated(&self) -> bool {
        self.integrated
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        let address = self.checks.allocate(bytes)?;
        self.keep(address, bytes);
        Ok(address)
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        let shared = self.checks.allocate_shared(bytes)?;
        self.shared.push(self.memory.len());
        self.keep(self.checks.shared_address(shared), bytes);
        Ok(shared)
    }

    fn shared_address(&self, shared: Shared) -> Address {
        self.checks.shared_address(shared)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        Ok(&mut self.memory[self.shared[shared.0]].1)
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        self.put(to, bytes);
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.copy_from_slice(self.bytes(from, bytes.len()));
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.checks.launch(launch)?;
        self.run(launch);
        Ok(())
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        self.graphs.push(launches.to_vec());
        self.checks.record(launches)
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.checks.replay(graph)?;
        let launches = std::mem::take(&mut self.graphs[graph.0]);
        launches.iter().for_each(|launch| self.run(launch));
        self.graphs[graph.0] = launches;
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }
}
