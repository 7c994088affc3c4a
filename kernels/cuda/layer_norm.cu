// Norms of rows: (M, L) f16 to (M, L) i8, or f16 where the residual stream, or another norm, follows. One warp a row.
//
// Bytes: 3 or 4 M L, rows beyond 2048 elements are read twice more, from L2. Operations: about 30 a element in f32, no
// products on Tensor Cores. Orin Nano Super, ViT-B/16 at batch 1 (197 x 768): 454 kB, from L2; two passes over
// registers, 24 shuffles a row: about 3 us, of which 2 are the launch. Gain and bias come by way of shared memory.
#include "norm.cuh"
#include "prefetch.cuh"

struct LayerNormParams {
    const u16 *input; // (M, L) f16
    void *output;     // (M, L) i8 or f16
    NormParams norm;
    Prefetch next;
    u32 rows; // M
    u32 padding;
};

constexpr u32 THREADS = 128;

// Rows of at most STEPS times 256 elements, or if they are WIDE ones, of any number.
template <u32 STEPS, typename Out, typename Element>
DEVICE void normalize_rows(const LayerNormParams &p) {
    u32 row = blockIdx.x * (THREADS / WARP) + warp_id();
    bool idle = row >= p.rows;
    u64 at = (u64)(idle ? p.rows - 1 : row) * p.norm.width;
    Out out{(Element *)p.output + at};
    if (STEPS == WIDE && !Row<STEPS>::fits(p.norm)) {
        prefetch(p.next);
        if (!idle) normalize_in_memory(p.input + at, p.norm, out);
        return;
    }
    __shared__ Affine<STEPS> affine;
    affine.start(p.norm);
    Row<STEPS> registers;
    registers.load(p.input + at, p.norm.width);
    prefetch(p.next);
    Measured<STEPS> measured(registers, p.norm);
    affine.finish();
    if (!idle) measured.write(p.norm, affine, out);
}

#define LAYER_NORM(NAME, STEPS, OUT, ELEMENT)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(PARAMS(LayerNormParams) p) {                          \
        normalize_rows<STEPS, OUT, ELEMENT>(p);                                                                      \
    }
LAYER_NORM(layer_norm_narrow, NARROW, Bytes, i8)
LAYER_NORM(layer_norm_wide, WIDE, Bytes, i8)
LAYER_NORM(layer_norm_half_narrow, NARROW, Halves, u16)
LAYER_NORM(layer_norm_half_wide, WIDE, Halves, u16)
