#![allow(missing_docs)]
use mergevit_emulator::{Emulated, Options};
use mergevit_kernels::cuda::gemm::*;
use mergevit_kernels::cuda::params::*;
use mergevit_kernels::cuda::*;
fn run(f: impl FnOnce(&mut Emulated) -> Launch) -> (u64, u64) {
    let mut d = Emulated::new(Target::ORIN_NANO, Options::default());
    let l = d.ledger();
    let launch = f(&mut d);
    d.launch(&launch).unwrap();
    let r = l.records();
    let r = r.values().next().unwrap();
    (
        r.counts.instructions.total().warps,
        r.counts.blocks * u64::from(launch.threads / 32),
    )
}
fn gemm_count(tile: usize, splits: u32, k: u32, m: u32, n: u32, e: usize) -> (u64, u64) {
    run(|d| {
        let mut a = |b: usize| d.allocate(b).unwrap();
        let shape = Shape {
            rows: m,
            outputs: n,
            inputs: k,
        };
        let t = Tiling {
            tile: TILES[tile],
            splits,
        };
        let o = Operands {
            input: a((m * k) as usize),
            weights: a((n * k) as usize),
            scale: a(4 * n as usize),
            bias: a(4 * n as usize),
            output: a((4 * (m + 8) * n) as usize),
            partial: a(t.partial_bytes(&shape).max(4)),
            arrived: a(4 * t.tiles(&shape) as usize),
        };
        let ep = [
            Epilogue::Requantize,
            Epilogue::Gelu {
                inverse_scale: 1.0,
                zero_point: 0.0,
            },
            Epilogue::Residual,
            Epilogue::Embed {
                position: a((4 * (m + 1) * n) as usize),
                sizes: a(4 * (m + 1) as usize),
                batch: 1,
                class_token: true,
            },
        ][e];
        linear(&shape, &t, &o, &ep)
    })
}
fn main() {
    for tile in 0..4 {
        let (r, c) = (TILES[tile].rows, TILES[tile].columns);
        for e in 0..4 {
            let (i1, w) = gemm_count(tile, 1, 768, r, c, e);
            let (i2, _) = gemm_count(tile, 1, 1536, r, c, e);
            let (ih, _) = gemm_count(tile, 1, 768, r / 2, c, e);
            let (s2, w2) = gemm_count(tile, 2, 768, r, c, e);
            let (s4, w4) = gemm_count(tile, 4, 768, r, c, e);
            let step = (i2 - i1) as f64 / w as f64 / 12.0;
            println!(
                "{r}x{c} e{e}: per warp step {step:.1}, rest {:.0} (per output row-warp {:.1}); half rows {:.1} of {:.1}; split2 {:.0}/{} split4 {:.0}/{}",
                i1 as f64 / w as f64 - 12.0 * step,
                (i1 as f64 - 12.0 * step * w as f64) / (r * c / 32) as f64,
                ih as f64 / w as f64,
                i1 as f64 / w as f64,
                s2 as f64 / w2 as f64,
                w2,
                s4 as f64 / w4 as f64,
                w4
            );
        }
    }
    for width in [128u32, 192, 256, 384, 512, 768, 1024, 2048] {
        let (i, _) = run(|d| {
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            layer_norm(&LayerNormParams {
                input: a(64 * width * 2),
                gain: a(4 * width),
                bias: a(4 * width),
                output: a(64 * width),
                rows: 64,
                width,
                epsilon: 1e-6,
                padding: 0,
            })
        });
        println!("layer_norm {width}: {:.1} a row", i as f64 / 64.0);
    }
    for tokens in [33u32, 65, 101, 149, 197, 257, 577] {
        for s in [false, true] {
            let (i, _) = run(|d| {
                let mut a = |b: u32| d.allocate(b as usize).unwrap();
                let sizes = if s { a(4 * tokens) } else { Address::NULL };
                attention(
                    1,
                    &AttentionParams {
                        qkv: a(tokens * 192),
                        sizes,
                        log2_size: a(4 * 1026),
                        score_scale: a(4),
                        context_scale: a(4),
                        context: a(tokens * 64),
                        tokens,
                        heads: 1,
                    },
                )
            });
            let g = tokens.div_ceil(16);
            let p = tokens.next_multiple_of(32);
            println!(
                "attention {tokens} sizes {s}: {i}, per (group x 32 tokens) {:.1}",
                i as f64 / f64::from(g * p / 32)
            );
        }
    }
    for (tokens, width) in [
        (65u32, 128u32),
        (197, 128),
        (197, 768),
        (101, 768),
        (257, 384),
        (577, 768),
    ] {
        let (i, _) = run(|d| {
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            merge::match_tokens(
                1,
                &MergeMatchParams {
                    qkv: a(tokens * 3 * width),
                    similarity: a(4 * tokens),
                    partner: a(4 * tokens), arrived: a(4),
                    tokens,
                    width,
                    class_token: 1,
                    merged: 8,
                },
            )
        });
        let blocks = tokens.div_ceil(2).div_ceil(16);
        let rows = (tokens / 2).next_multiple_of(32) + 16;
        println!(
            "match {tokens} {width}: {i}, per block {:.0}, rows {rows}",
            i as f64 / f64::from(blocks)
        );
        for r in [8u32, 16] {
            let (i, _) = run(|d| {
                let mut a = |b: u32| d.allocate(b as usize).unwrap();
                let sizes = a(4 * tokens);
                d.write(sizes, &1u32.to_le_bytes().repeat(tokens as usize))
                    .unwrap();
                let part = d.allocate(4 * tokens as usize).unwrap(); let n = tokens.div_ceil(2); let v: Vec<u8> = (0..n).flat_map(|i| (if i > 0 && i <= r { i } else { u32::MAX }).to_le_bytes()).collect(); d.write(part, &v).unwrap();
let mut a = |b: u32| d.allocate(b as usize).unwrap();
                merge::merge_norm(
                    1,
                    &MergeNormParams {
                        
                        partner: part,
                        residual: a(2 * tokens * width),
                        sizes,
                        merged_residual: a(2 * tokens * width),
                        merged_sizes: a(4 * tokens),
                        gain: a(4 * width),
                        bias: a(4 * width),
                        normed: a(tokens * width),
                        tokens,
                        width,
                        merged: r,
                        epsilon: 1e-6,
                    },
                )
            });
            println!(
                "merge_norm {tokens} {width} r{r}: {i}, per row {:.0}",
                i as f64 / f64::from(tokens - r)
            );
        }
    }
    for (classes, inputs) in [(10u32, 128u32), (1000, 768), (1000, 384)] {
        let (i, w) = run(|d| {
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            head::head(&HeadParams {
                high: a(inputs),
                low: a(inputs),
                weights: a(classes * inputs),
                scale: a(4 * classes),
                bias: a(4 * classes),
                logits: a(4 * classes),
                batch: 1,
                classes,
                inputs,
                padding: 0,
            })
        });
        println!(
            "head {classes} {inputs}: {i}, per warp {:.1}",
            i as f64 / w as f64
        );
    }
    for (s, p) in [(112u32, 8u32), (224, 16), (224, 14)] {
        let row = (3 * p * p).next_multiple_of(64);
        let (i, w) = run(|d| {
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            head::patchify(
                1,
                &PatchifyParams {
                    pixels: a(3 * s * s),
                    patches: a((s / p) * (s / p) * row),
                    image_size: s,
                    patch_size: p,
                    row,
                    padding: 0,
                },
            )
        });
        println!(
            "patchify {s} {p}: {i}, per warp {:.1}, per word {:.2}",
            i as f64 / w as f64,
            i as f64 * 32.0 / f64::from((s / p) * (s / p) * row / 4)
        );
    }
    for (tokens, width, mean) in [(197u32, 768u32, 0), (197, 768, 1), (50, 128, 1)] {
        let (i, _) = run(|d| {
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            let sizes = a(4 * tokens);
            d.write(sizes, &1u32.to_le_bytes().repeat(tokens as usize))
                .unwrap();
            let mut a = |b: u32| d.allocate(b as usize).unwrap();
            head::pool_norm(
                1,
                &PoolNormParams {
                    residual: a(2 * tokens * width),
                    sizes,
                    gain: a(4 * width),
                    bias: a(4 * width),
                    pooled: a(2 * width),
                    high: a(width),
                    low: a(width),
                    tokens,
                    width,
                    class_token: 1,
                    mean,
                    epsilon: 1e-6,
                    padding: 0,
                },
            )
        });
        println!("pool_norm {tokens} {width} {mean}: {i}");
    }
}
