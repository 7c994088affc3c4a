//! The CUDA kernels as an implementation of [`Kernels`]: every operation uploads its operands, launches, and
//! downloads the results. Slow, but all that the equality checks need.

use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::gemm::{self, Operands, Shape, Tile, Tiling};
use mergevit_kernels::cuda::{
    self, Address, AttentionOperands, AttentionShape, ClassAttention, Device, HeadParams,
    HeadWidth, Launch, LayerNormParams, MergeMatchOperands, MergeNormOperands, MergePositions,
    NormParams, PatchifyParams, PoolNormParams, Prefetch, RotaryParams,
};
use mergevit_kernels::math::log2_table;
use mergevit_kernels::ops::{
    Attention, Epilogue, LayerNorm, LinearWeights, Merge, MergeInput, MergeOutput, NormKind,
    Patchify, Pool, Pooling, Positions, Rotary,
};
use mergevit_kernels::reference;

/// Operations on a device. Linear layers take the given tiling, or the nearest that fits.
pub(crate) struct OnDevice {
    pub(crate) device: Box<dyn Device>,
    pub(crate) tiling: Tiling,
    /// Everything launched so far; the operands stay in the device's memory, so it can be launched again.
    pub(crate) launches: Vec<Launch>,
}

impl OnDevice {
    pub(crate) fn new(device: Box<dyn Device>, tiling: Tiling) -> Self {
        Self {
            device,
            tiling,
            launches: Vec::new(),
        }
    }

    fn upload<T: bytemuck::Pod>(&mut self, data: &[T]) -> Address {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let address = self.device.allocate(bytes.len()).unwrap();
        self.device.write(address, bytes).unwrap();
        address
    }

    fn download<T: bytemuck::Pod>(&mut self, address: Address, out: &mut [T]) {
        let bytes = bytemuck::cast_slice_mut(out);
        self.device.read(address, bytes).unwrap();
    }

    fn launch(&mut self, launch: &Launch) {
        self.device.launch(launch).unwrap();
        self.launches.push(*launch);
    }

    /// Memory for as many elements as `like` has.
    fn room<T>(&mut self, like: &[T]) -> Address {
        self.device.allocate(size_of_val(like)).unwrap()
    }

    fn tiling(&self, shape: &Shape) -> Tiling {
        let wish = Tiling {
            splits: self.tiling.splits.min(shape.inputs / 64),
            ..self.tiling
        };
        if wish.fits(shape) {
            return wish;
        }
        let tile = Tile::T32x64;
        Tiling { tile, ..wish }
    }

    /// Launches what `linear` makes of an output of `width` columns and an epilogue, and downloads the output.
    fn finish(
        &mut self,
        linear: impl Fn(Address, gemm::Epilogue) -> Launch,
        epilogue: Epilogue<'_>,
        width: usize,
    ) {
        let linear = &linear;
        match epilogue {
            Epilogue::Requantize { output } => {
                self.make(output, |at| linear(at, gemm::Epilogue::Requantize));
            }
            Epilogue::Rotate { rotation, output } => {
                let rotate = gemm::Epilogue::Rotate {
                    table: self.upload(rotation.table),
                    heads: rotation.heads as u32,
                    head_width: rotation.head_width as u32,
                    shared: rotation.shared,
                };
                self.make(output, |at| linear(at, rotate));
            }
            Epilogue::Activate {
                activation,
                steps,
                output,
            } => {
                let activate = gemm::Epilogue::Activate {
                    activation: *activation,
                    steps: self.upload(&[steps.inverse, steps.zero_point].concat()),
                };
                self.make(output, |at| linear(at, activate));
            }
            Epilogue::Gate { activation, output } => {
                let activation = *activation;
                self.make(output, |at| linear(at, gemm::Epilogue::Gate { activation }));
            }
            Epilogue::GateHalf { activation, output } => {
                let activation = *activation;
                let gate = gemm::Epilogue::GateHalf { activation };
                self.make(output, |at| linear(at, gate));
            }
            Epilogue::Half { output } => {
                self.make(output, |at| linear(at, gemm::Epilogue::Half));
            }
            Epilogue::ResidualAdd { residual } => {
                let at = self.upload(residual);
                self.launch(&linear(at, gemm::Epilogue::Residual));
                self.download(at, residual);
            }
            Epilogue::Embed(embed) => {
                let mut sizes = vec![7u32; embed.residual.len() / width];
                let sizes_at = self.upload(&sizes);
                let start = gemm::Epilogue::Embed {
                    position: self.upload(embed.position),
                    sizes: sizes_at,
                    batch: embed.batch as u32,
                    prefix: embed.prefix as u32,
                };
                self.make(embed.residual, |at| linear(at, start));
                self.download(sizes_at, &mut sizes);
                assert!(sizes.iter().all(|&size| size == 1), "sizes start at 1");
            }
        }
    }

    /// Launches what writes an output, and downloads that.
    fn make<T: bytemuck::Pod>(&mut self, output: &mut [T], launch: impl FnOnce(Address) -> Launch) {
        let at = self.room(output);
        self.launch(&launch(at));
        self.download(at, output);
    }

    /// What a launch may ask for in advance: not a whole number of cache lines.
    fn next(&mut self) -> Prefetch {
        let weights = [0u8; 1000];
        Prefetch::new(self.upload(&weights), weights.len() as u32)
    }

    /// A norm, from an upload of its gain and bias.
    fn norm(&mut self, norm: &LayerNorm<'_>) -> NormParams {
        NormParams {
            gain: self.upload(norm.gain),
            bias: self.upload(norm.bias),
            width: norm.gain.len() as u32,
            count: norm.count as u32,
            epsilon: norm.epsilon,
            ..NormParams::default()
        }
        .with_kind(norm.kind)
    }

    fn rows(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: Address) -> LayerNormParams {
        LayerNormParams {
            input: self.upload(input),
            output,
            norm: self.norm(norm),
            next: self.next(),
            rows: (input.len() / norm.gain.len()) as u32,
            padding: 0,
        }
    }

    /// Rows as images of one token each, which pooling leaves unchanged.
    fn images(&mut self, norm: &LayerNorm<'_>, input: &[f16]) -> (u32, PoolNormParams) {
        let width = norm.gain.len();
        let rows = input.len() / width;
        let params = PoolNormParams {
            residual: self.upload(input),
            sizes: self.upload(&vec![1u32; rows]),
            pooled: self.room(input),
            norm: self.norm(norm),
            ..PoolNormParams::default()
        };
        let shape = Pool {
            batch: rows,
            tokens: 1,
            width,
            pooling: Pooling::First(1),
        };
        (rows as u32, params.with_shape(&shape))
    }

    fn attention_operands(
        &mut self,
        shape: &Attention<'_>,
        sizes: Option<&[u32]>,
        context: &[i8],
    ) -> AttentionOperands {
        AttentionOperands {
            sizes: sizes.map_or(Address::NULL, |sizes| self.upload(sizes)),
            log2_size: self.upload(&log2_table()),
            score_scale: self.upload(shape.score_scale),
            context_scale: self.upload(shape.context_scale),
            context: self.room(context),
            next: self.next(),
        }
    }

    fn merge_positions(&mut self, before: Positions<'_>, after: Option<&[f32]>) -> MergePositions {
        match (before, after) {
            (Positions::None, _) | (_, None) => MergePositions::None,
            (Positions::Grid { side }, Some(after)) => MergePositions::Grid {
                side: side as u32,
                merged: self.room(after),
            },
            (Positions::At(all), Some(after)) => MergePositions::At {
                positions: self.upload(all),
                merged: self.room(after),
            },
        }
    }
}

fn attention_shape(shape: &Attention<'_>) -> AttentionShape {
    AttentionShape {
        batch: shape.batch as u32,
        tokens: shape.tokens as u32,
        queries: shape.queries as u32,
        heads: shape.heads as u32,
        head_width: HeadWidth::of(shape.head_width).unwrap(),
    }
}

impl Kernels for OnDevice {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn threads(&self) -> usize {
        1
    }

    fn patchify(&mut self, shape: &Patchify, pixels: &[u8], patches: &mut [i8]) {
        let params = PatchifyParams {
            pixels: self.upload(pixels),
            patches: self.room(patches),
            image_size: shape.image_size as u32,
            patch_size: shape.patch_size as u32,
            row: shape.row() as u32,
            padding: 0,
        };
        self.launch(&cuda::patchify(shape.batch as u32, &params));
        self.download(params.patches, patches);
    }

    fn linear(
        &mut self,
        rows: usize,
        input: &[i8],
        weights: &LinearWeights<'_>,
        epilogue: Epilogue<'_>,
    ) {
        let shape = Shape {
            rows: rows as u32,
            outputs: weights.outputs as u32,
            inputs: weights.inputs as u32,
        };
        let tiling = self.tiling(&shape);
        let counters = vec![0u32; tiling.counters(&shape).max(1)];
        let operands = Operands {
            input: self.upload(input),
            weights: self.upload(&gemm::arrange(weights.data, weights.inputs)),
            scale: self.upload(weights.scale),
            bias: self.upload(weights.bias),
            output: Address::NULL,
            partial: self
                .device
                .allocate(tiling.partial_bytes(&shape).max(1))
                .unwrap(),
            arrived: self.upload(&counters),
        };
        let linear = |output, epilogue| {
            let operands = Operands { output, ..operands };
            gemm::linear(&shape, &tiling, &operands, &epilogue)
        };
        self.finish(linear, epilogue, weights.outputs);
        let mut after = counters.clone();
        self.download(operands.arrived, &mut after);
        assert_eq!(after, counters, "counters are left as they were");
    }

    fn layer_norm(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]) {
        let params = self.rows(norm, input, Address::NULL);
        self.make(output, |output| {
            cuda::layer_norm(&LayerNormParams { output, ..params })
        });
    }

    fn layer_norm_half(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f16]) {
        let params = self.rows(norm, input, Address::NULL);
        self.make(output, |output| {
            cuda::layer_norm_half(&LayerNormParams { output, ..params })
        });
    }

    fn layer_norm_real(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f32]) {
        let (rows, params) = self.images(norm, input);
        self.make(output, |real| {
            cuda::pool_norm(rows, &PoolNormParams { real, ..params })
        });
    }

    fn layer_norm_wide(
        &mut self,
        norm: &LayerNorm<'_>,
        input: &[f16],
        high: &mut [i8],
        low: &mut [i8],
    ) {
        let (rows, params) = self.images(norm, input);
        let at = self.room(low);
        self.make(high, |high| {
            cuda::pool_norm(
                rows,
                &PoolNormParams {
                    high,
                    low: at,
                    ..params
                },
            )
        });
        self.download(at, low);
    }

    fn attention(
        &mut self,
        shape: &Attention<'_>,
        qkv: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        let operands = self.attention_operands(shape, sizes, context);
        let qkv = self.upload(qkv);
        self.launch(&cuda::attention(
            &attention_shape(shape),
            &self.device.target(),
            qkv,
            &operands,
        ));
        self.download(operands.context, context);
    }

    fn pool_attention(
        &mut self,
        shape: &Attention<'_>,
        query: &[i8],
        key_value: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        let operands = self.attention_operands(shape, sizes, context);
        let (query, key_value) = (self.upload(query), self.upload(key_value));
        let launch = cuda::pool_attention(
            &attention_shape(shape),
            &self.device.target(),
            query,
            key_value,
            &operands,
        );
        self.launch(&launch);
        self.download(operands.context, context);
    }

    fn rotary(&mut self, shape: &Rotary<'_>, positions: Positions<'_>, table: &mut [f32]) {
        let (at, side) = match positions {
            Positions::None => unreachable!("angles come from positions"),
            Positions::Grid { side } => (Address::NULL, side),
            Positions::At(all) => (self.upload(all), 0),
        };
        let params = RotaryParams {
            positions: at,
            frequencies: self.upload(shape.frequencies),
            table: Address::NULL,
            tokens: shape.tokens as u32,
            pairs: (shape.frequencies.len() / 3) as u32,
            prefix: shape.prefix as u32,
            side: side as u32,
        };
        self.make(table, |table| {
            cuda::rotary(shape.batch as u32, &RotaryParams { table, ..params })
        });
    }

    fn merge(&mut self, shape: &Merge, tokens: MergeInput<'_>, output: MergeOutput<'_>) {
        let sources = shape.batch * shape.tokens.div_ceil(2);
        let matching = MergeMatchOperands {
            qkv: self.upload(tokens.qkv),
            similarity: self.upload(&vec![0f32; sources]),
            partner: self.upload(&vec![0u32; sources]),
            arrived: self.upload(&vec![0u32; shape.batch]),
            class_attention: tokens.score_scale.map(|score_scale| ClassAttention {
                sizes: self.upload(tokens.sizes),
                score_scale: self.upload(score_scale),
                scores: self.upload(&vec![0f32; shape.batch * shape.heads * shape.tokens]),
            }),
        };
        self.launch(&cuda::merge_match(shape, &matching));
        // Every kind of norm, also of rows with padding, follows some shape.
        let norm = LayerNorm {
            kind: [NormKind::Layer, NormKind::Rms, NormKind::None][shape.merged % 3],
            count: shape.width - shape.tokens % 2,
            gain: &vec![30.0; shape.width],
            bias: &vec![-3.0; shape.width],
            epsilon: 1e-6,
        };
        let mut normed = vec![0i8; output.residual.len()];
        let operands = MergeNormOperands {
            partner: matching.partner,
            residual: self.upload(tokens.residual),
            sizes: self.upload(tokens.sizes),
            positions: self.merge_positions(tokens.positions, output.positions.as_deref()),
            merged_residual: self.room(output.residual),
            merged_sizes: self.room(output.sizes),
            normed: self.room(&normed),
            norm: self.norm(&norm),
            next: self.next(),
        };
        self.launch(&cuda::merge_norm(shape, &operands));
        self.download(operands.merged_residual, output.residual);
        self.download(operands.merged_sizes, output.sizes);
        if let (
            MergePositions::Grid { merged, .. } | MergePositions::At { merged, .. },
            Some(positions),
        ) = (operands.positions, output.positions)
        {
            self.download(merged, positions);
        }
        self.download(operands.normed, &mut normed);
        let mut want = normed.clone();
        reference::layer_norm(&norm, output.residual, &mut want);
        assert!(normed == want, "the norm after merging, {shape:?}");
    }

    fn pool(&mut self, shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]) {
        let (width, real) = (shape.pooled_width(), vec![0f32; pooled.len()]);
        let norm = LayerNorm {
            kind: NormKind::Rms,
            count: shape.width,
            gain: &vec![1.0; shape.width],
            bias: &vec![0.5; shape.width],
            epsilon: 1e-6,
        };
        // The image's rows, each normalized by itself, or the pooled vector as one row, as it is.
        for norm in [
            norm,
            LayerNorm {
                kind: NormKind::None,
                count: width,
                gain: &vec![3.0; width],
                bias: &vec![-1.0; width],
                ..norm
            },
        ] {
            let params = PoolNormParams {
                residual: self.upload(residual),
                sizes: self.upload(sizes),
                pooled: self.room(pooled),
                real: self.room(&real),
                norm: self.norm(&norm),
                ..PoolNormParams::default()
            }
            .with_shape(shape);
            self.launch(&cuda::pool_norm(shape.batch as u32, &params));
            self.download(params.pooled, pooled);
            let (mut found, mut want) = (real.clone(), real.clone());
            self.download(params.real, &mut found);
            reference::layer_norm_real(&norm, pooled, &mut want);
            assert!(found == want, "{:?} after pooling, {shape:?}", norm.kind);
        }
        let params = PoolNormParams {
            residual: self.upload(residual),
            sizes: self.upload(sizes),
            ..PoolNormParams::default()
        };
        let want = pooled.to_vec();
        self.make(pooled, |pooled| {
            let alone = PoolNormParams { pooled, ..params };
            cuda::pool_norm(shape.batch as u32, &alone.with_shape(shape))
        });
        assert!(pooled == want, "without a norm, {shape:?}");
    }

    fn head(&mut self, high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]) {
        let params = HeadParams {
            high: self.upload(high),
            low: self.upload(low),
            weights: self.upload(weights.data),
            scale: self.upload(weights.scale),
            bias: self.upload(weights.bias),
            logits: self.room(logits),
            batch: (high.len() / weights.inputs) as u32,
            classes: weights.outputs as u32,
            inputs: weights.inputs as u32,
            padding: 0,
        };
        self.launch(&cuda::head(&params));
        self.download(params.logits, logits);
    }
}
