//! A device that computes nothing, but checks every launch: that what it reads and writes lies in memory that
//! was allocated, and that nothing it writes overlaps anything else it touches. Launches do not allocate.

use bytemuck::pod_read_unaligned as params;
use mergevit_kernels::cuda::params::{
    AttentionParams, GemmParams, HeadParams, LayerNormParams, MergeMatchParams, MergeNormParams,
    PatchifyParams, PoolNormParams, ResampleColumnsParams, ResampleRowsParams, TopParams,
};
use mergevit_kernels::cuda::{Address, Device, DeviceError, Graph, Launch, Shared, Target};
use mergevit_kernels::ops::MAX_TOKENS;
use mergevit_runtime::aligned::AlignedBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What a recorder has been asked for, for the test that gave it away.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Launches outside graphs.
    pub(crate) launches: AtomicUsize,
    /// Graphs recorded.
    pub(crate) records: AtomicUsize,
    /// Launches of the graph recorded last.
    pub(crate) recorded: AtomicUsize,
    /// Graphs replayed.
    pub(crate) replays: AtomicUsize,
    /// Bytes of device memory.
    pub(crate) bytes: AtomicUsize,
}

/// The device.
pub(crate) struct Recorder {
    counts: Arc<Counts>,
    /// First byte and length of every allocation; shared ones have bytes.
    allocations: Vec<(u64, usize)>,
    shared: Vec<(u64, AlignedBytes)>,
    graphs: usize,
    /// How long it says that a launch takes.
    pub(crate) clock: fn(&Launch) -> Duration,
    /// Allocations fail beyond this many bytes.
    limit: usize,
}

/// What a launch does with a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Update,
}
use Access::{Read, Update, Write};

/// A launch's accesses; those of no bytes or at null count for nothing.
type Accesses = [(Access, Address, usize); 10];
const NONE: (Access, Address, usize) = (Read, Address::NULL, 0);

impl Recorder {
    /// With memory for `limit` bytes.
    pub(crate) fn new(limit: usize) -> (Self, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let recorder = Self {
            counts: counts.clone(),
            allocations: Vec::new(),
            shared: Vec::new(),
            graphs: 0,
            clock: |_| Duration::from_micros(1),
            limit,
        };
        (recorder, counts)
    }

    fn reserve(&mut self, bytes: usize) -> Result<u64, DeviceError> {
        let used = self.counts.bytes.fetch_add(bytes, Relaxed) + bytes;
        if used > self.limit {
            return Err(DeviceError {
                device: "recorder".into(),
                action: format!("allocate {bytes} bytes"),
                reason: "out of memory".into(),
            });
        }
        // Far apart, so that running over the end of one never ends in another.
        let base = (self.allocations.len() as u64 + 1) << 40;
        self.allocations.push((base, bytes));
        Ok(base)
    }

    fn check(&self, launch: &Launch) {
        let accesses = accesses(launch);
        let real =
            |&(_, address, len): &(Access, Address, usize)| len > 0 && address != Address::NULL;
        for (index, &(access, address, len)) in accesses.iter().enumerate() {
            if !real(&accesses[index]) {
                continue;
            }
            let end = address.0 + len as u64;
            let inside =
                |&(base, size): &(u64, usize)| base <= address.0 && end <= base + size as u64;
            assert!(
                self.allocations.iter().any(inside),
                "{launch:?}: {access:?} of {len} bytes at {address:?}"
            );
            for &(other, start, other_len) in accesses[..index].iter().filter(|a| real(a)) {
                let apart = end <= start.0 || start.0 + other_len as u64 <= address.0;
                assert!(
                    apart || (access, other) == (Read, Read),
                    "{launch:?}: {access:?} at {address:?}, {other:?} at {start:?}"
                );
            }
        }
        assert!(launch.grid.iter().all(|&blocks| blocks > 0));
        assert!((1..=1024).contains(&launch.threads));
        assert!(launch.shared_bytes <= self.target().shared_bytes);
    }
}

/// Works out what a launch touches from its parameters and grid alone.
fn accesses(launch: &Launch) -> Accesses {
    let bytes = launch.params();
    let mut all = [NONE; 10];
    let mut put = |list: &[(Access, Address, usize)]| all[..list.len()].copy_from_slice(list);
    match launch.kernel.name {
        "patchify" => {
            let p: PatchifyParams = params(bytes);
            let (side, batch) = (p.image_size as usize, launch.grid[1] as usize);
            let patches = (side / p.patch_size as usize).pow(2);
            put(&[
                (Read, p.pixels, batch * 3 * side * side),
                (Write, p.patches, batch * patches * p.row as usize),
            ]);
        }
        "layer_norm" => {
            let p: LayerNormParams = params(bytes);
            let (rows, width) = (p.rows as usize, p.width as usize);
            put(&[
                (Read, p.input, 2 * rows * width),
                (Read, p.gain, 4 * width),
                (Read, p.bias, 4 * width),
                (Write, p.output, rows * width),
            ]);
        }
        "attention" => {
            let p: AttentionParams = params(bytes);
            let (batch, tokens, heads) =
                (launch.grid[2] as usize, p.tokens as usize, p.heads as usize);
            let width = 64 * heads;
            put(&[
                (Read, p.qkv, batch * tokens * 3 * width),
                (Read, p.sizes, 4 * batch * tokens),
                (Read, p.log2_size, 4 * (MAX_TOKENS + 1)),
                (Read, p.score_scale, 4 * heads),
                (Read, p.context_scale, 4 * heads),
                (Write, p.context, batch * tokens * width),
            ]);
        }
        "merge_match" => {
            let p: MergeMatchParams = params(bytes);
            let (batch, tokens, width) =
                (launch.grid[1] as usize, p.tokens as usize, p.width as usize);
            put(&[
                (Read, p.qkv, batch * tokens * 3 * width),
                (Write, p.similarity, 4 * batch * tokens.div_ceil(2)),
                (Write, p.partner, 4 * batch * tokens.div_ceil(2)),
                (Update, p.arrived, 4 * batch),
            ]);
        }
        "merge_norm" => {
            let p: MergeNormParams = params(bytes);
            let (batch, tokens, width) =
                (launch.grid[1] as usize, p.tokens as usize, p.width as usize);
            let left = tokens - p.merged as usize;
            put(&[
                (Read, p.partner, 4 * batch * tokens.div_ceil(2)),
                (Read, p.residual, 2 * batch * tokens * width),
                (Read, p.sizes, 4 * batch * tokens),
                (Write, p.merged_residual, 2 * batch * left * width),
                (Write, p.merged_sizes, 4 * batch * left),
                (Read, p.gain, 4 * width),
                (Read, p.bias, 4 * width),
                (Write, p.normed, batch * left * width),
            ]);
        }
        "pool_norm" => {
            let p: PoolNormParams = params(bytes);
            let (batch, tokens, width) =
                (launch.grid[0] as usize, p.tokens as usize, p.width as usize);
            put(&[
                (Read, p.residual, 2 * batch * tokens * width),
                (Read, p.sizes, 4 * batch * tokens),
                (Read, p.gain, 4 * width),
                (Read, p.bias, 4 * width),
                (Write, p.pooled, 2 * batch * width),
                (Write, p.high, batch * width),
                (Write, p.low, batch * width),
            ]);
        }
        "head" => {
            let p: HeadParams = params(bytes);
            let (batch, classes, inputs) =
                (p.batch as usize, p.classes as usize, p.inputs as usize);
            put(&[
                (Read, p.high, batch * inputs),
                (Read, p.low, batch * inputs),
                (Read, p.weights, classes * inputs),
                (Read, p.scale, 4 * classes),
                (Read, p.bias, 4 * classes),
                (Write, p.logits, 4 * batch * classes),
            ]);
        }
        "top_classes" => {
            let p: TopParams = params(bytes);
            let batch = launch.grid[0] as usize;
            let (classes, tokens) = (p.classes as usize, p.tokens as usize);
            put(&[
                (Read, p.logits, 4 * batch * classes),
                (Read, p.sizes, 4 * batch * tokens),
                (Write, p.top, 8 * batch * p.count as usize),
                (Write, p.host_logits, 4 * batch * classes),
                (Write, p.host_sizes, 4 * batch * tokens),
            ]);
        }
        "resample_columns" => return columns_accesses(launch),
        "resample_rows" => {
            let p: ResampleRowsParams = params(bytes);
            let (columns, kept, taps) = (p.columns as usize, p.kept as usize, p.taps as usize);
            let side = launch.grid[0] as usize;
            let out = match p.patch_size as usize {
                0 => 3 * side * p.width as usize,
                patch => (side / patch).pow(2) * p.row_bytes as usize,
            };
            put(&[
                (Read, p.rows, 3 * columns * taps),
                (Read, p.windows, 8 * kept),
                (Read, p.coefficients, 4 * kept * taps),
                (Write, p.out, out),
            ]);
        }
        name if name.starts_with("gemm_") => return gemm_accesses(launch),
        name => panic!("{name}: no such kernel"),
    }
    all
}

fn columns_accesses(launch: &Launch) -> Accesses {
    let p: ResampleColumnsParams = params(launch.params());
    let (rows, columns) = (p.rows, p.columns as usize);
    let last = p.first_row + rows;
    let chroma = p.frame.offset(p.chroma as usize);
    let chroma_rows = (last.div_ceil(2) * p.chroma_stride) as usize;
    let second = chroma.offset(p.second_chroma as usize);
    let coefficients = 12 * columns.next_multiple_of(32) * p.groups as usize;
    let planar = |len| if p.format == 7 { len } else { 0 };
    let mut all = [NONE; 10];
    all[..6].copy_from_slice(&[
        (Read, p.frame, (last * p.stride) as usize),
        (Read, chroma, chroma_rows),
        (Read, second, planar(chroma_rows)),
        (Read, p.starts, 4 * columns),
        (Read, p.coefficients, coefficients),
        (Write, p.out, 3 * rows as usize * columns),
    ]);
    all
}

fn gemm_accesses(launch: &Launch) -> Accesses {
    let p: GemmParams = params(launch.params());
    let (rows, outputs, inputs) = (p.rows as usize, p.outputs as usize, p.inputs as usize);
    let batch = p.batch as usize;
    let tokens = (p.patches + p.class_token) as usize;
    let name = launch.kernel.name;
    let output = match name.rsplit('_').next() {
        Some("requantize" | "gelu") => (Write, p.output, rows * outputs),
        Some("residual") => (Update, p.output, 2 * rows * outputs),
        _ => (Write, p.output, 2 * batch * tokens * outputs),
    };
    let (tile_rows, tile_columns) = name["gemm_".len()..]
        .split('_')
        .next()
        .and_then(|tile| tile.split_once('x'))
        .expect("gemm_ROWSxCOLUMNS_epilogue");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let tiles = (launch.grid[0] * launch.grid[1]) as usize;
    let splits = launch.grid[2] as usize;
    let parts = 4 * tiles * splits * number(tile_rows) * number(tile_columns);
    let split = |bytes| if splits > 1 { bytes } else { 0 };
    [
        (Read, p.input, rows * inputs),
        (Read, p.weights, outputs * inputs),
        (Read, p.scale, 4 * outputs),
        (Read, p.bias, 4 * outputs),
        output,
        (Read, p.position, 4 * tokens * outputs),
        (Write, p.sizes, 4 * batch * tokens),
        (Update, p.partial, split(parts)),
        (Update, p.arrived, split(4 * tiles)),
        NONE,
    ]
}

impl Device for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn target(&self) -> Target {
        Target::ORIN_NANO
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.reserve(bytes).map(Address)
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        let base = self.reserve(bytes)?;
        self.shared.push((base, AlignedBytes::zeroed(bytes)));
        Ok(Shared(self.shared.len() - 1))
    }

    fn shared_address(&self, shared: Shared) -> Address {
        Address(self.shared[shared.0].0)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        Ok(&mut self.shared[shared.0].1)
    }

    fn write(&mut self, _: Address, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read(&mut self, _: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.fill(0);
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.check(launch);
        self.counts.launches.fetch_add(1, Relaxed);
        Ok(())
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        launches.iter().for_each(|launch| self.check(launch));
        self.counts.records.fetch_add(1, Relaxed);
        self.counts.recorded.store(launches.len(), Relaxed);
        self.graphs += 1;
        Ok(Graph(self.graphs - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        assert!(graph.0 < self.graphs);
        self.counts.replays.fetch_add(1, Relaxed);
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn time(&mut self, launches: &[Launch], _: u32) -> Result<Duration, DeviceError> {
        launches.iter().for_each(|launch| self.check(launch));
        Ok(launches.iter().map(self.clock).sum())
    }
}
