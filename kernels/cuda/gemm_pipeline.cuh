// How a linear layer's operands come to Tensor Cores: steps of 64 bytes of K, which `cp.async` brings into a ring of stages
// in shared memory, and from there to registers, half a step ahead of the products.
//
// The ring does not end with an item: the last steps of one copy the first ones of the next, which arrive while the
// epilogue runs. Otherwise every tile would wait for memory, and memory for the epilogues of blocks that started together.
#pragma once
#include "gemm_tile.cuh"

// Where a thread's copies come from and go to.
template <typename T>
struct Loader {
    static constexpr u32 ROW_CHUNKS = STEP / CHUNK;
    static constexpr u32 LOAD_ROWS = T::THREADS / ROW_CHUNKS;                  // rows that all threads load together
    static constexpr u32 PANEL_WARPS = T::THREADS / WARP * PANEL / T::COLUMNS; // warps that load a panel together
    static_assert(T::ROWS % LOAD_ROWS == 0 && LOAD_ROWS % 8 == 0 && PANEL_WARPS > 0, "whole loads");
    static_assert(PANEL_BYTES % (PANEL_WARPS * WARP * CHUNK) == 0, "whole loads");

    u32 row, chunk, panel, within; // its first row of a stage, and its part of that; its panel of weights, and likewise
    u32 a_shared, b_shared;
    const i8 *a, *b;                 // the item's rows and this thread's first weights, at the next step of K
    u32 a_from[T::ROWS / LOAD_ROWS]; // where this thread's chunks lie from there

    DEVICE Loader(u32 shared, u32 thread) {
        u32 warp = thread / WARP;
        row = thread / ROW_CHUNKS, chunk = thread % ROW_CHUNKS, panel = warp / PANEL_WARPS;
        within = warp % PANEL_WARPS * (PANEL_BYTES / PANEL_WARPS) + thread % WARP * CHUNK;
        a_shared = shared + place(row, chunk);
        b_shared = shared + T::ROWS * STEP + panel * PANEL_BYTES + within;
    }

    // Turns to an item, of which `step` steps have been copied.
    DEVICE void start(const GemmParams &p, const Item<T> &item, u32 step) {
        step += item.first;
        a = p.input + (u64)item.m0 * p.inputs + step * STEP;
        b = p.weights + (u64)(item.n0 + panel * PANEL) * p.inputs + step * PANEL_BYTES + within;
        // Beyond the last row, the last one again: nobody looks at what becomes of it.
#pragma unroll
        for (u32 i = 0; i < T::ROWS / LOAD_ROWS; i++)
            a_from[i] = min(i * LOAD_ROWS + row, p.rows - 1 - item.m0) * p.inputs + chunk * CHUNK;
    }

    // Copies a step to a stage, if that is wanted, and moves on to the next.
    DEVICE void load(u32 stage, bool wanted) {
#pragma unroll
        for (u32 i = 0; i < T::ROWS / LOAD_ROWS; i++)
            copy_async_16_if(wanted, a_shared + stage + i * LOAD_ROWS * STEP, a + a_from[i]);
#pragma unroll
        for (u32 i = 0; i < PANEL_BYTES / PANEL_WARPS; i += WARP * CHUNK)
            copy_async_16_if(wanted, b_shared + stage + i, b + i);
        a += STEP;
        b += PANEL_BYTES;
    }
};

// A warp's operands for 32 bytes of K.
template <typename T>
struct Fragments {
    u32 a[T::MI][4], b[2 * T::NI][4];

    // From the lane's first addresses.
    DEVICE void load(u32 a_shared, u32 b_shared, u32 live) {
#pragma unroll
        for (u32 i = 0; i < 2 * T::NI; i++) load_shared(b[i], b_shared + i / 2 * PANEL_BYTES + i % 2 * WARP * CHUNK);
#pragma unroll
        for (u32 mi = 0; mi < T::MI; mi++)
            if (T::is_live(mi, live)) load_matrices(a[mi], a_shared + mi * 16 * STEP);
    }

    DEVICE void multiply(typename T::Sums &sums, u32 live) const {
#pragma unroll
        for (u32 mi = 0; mi < T::MI; mi++) {
            if (!T::is_live(mi, live)) break;
#pragma unroll
            for (u32 i = 0; i < 4 * T::NI; i++)
                multiply_s8(sums[mi][i / 4][i % 4], a[mi], b[i / 2][i % 2 * 2], b[i / 2][i % 2 * 2 + 1]);
        }
    }
};

// Which item a block computes next, where there are fewer blocks than items: one whose items were light takes more. A
// launch draws as many times as it has items, each block in vain once, and so leaves the counter zero, as it was.
struct Queue {
    u32 items, drawn;
    bool shared; // whether items are drawn at all
    u32 *next;   // a word of shared memory, for what one thread has drawn

    DEVICE Queue(u32 items, u32 *next) : items(items), drawn(0), shared(gridDim.x < items), next(next) {}

    // One thread asks, which is answered some hundred clocks later.
    DEVICE void draw(u32 *counter) {
        if (shared && threadIdx.x == 0) drawn = atomicInc(counter, items - 1);
    }

    // Waits for the answer. A barrier has to follow before anybody may know.
    DEVICE void publish() {
        if (shared && threadIdx.x == 0) *next = gridDim.x + drawn;
    }

    // The next item's number; `items` or more if there is none.
    DEVICE u32 taken() const { return shared ? *next : items; }
};

// The ring of stages.
template <typename T>
struct Pipeline {
    u32 shared, write; // where it lies, and where the next copy goes
    bool filled;       // whether copies of the next item's first steps are under way

    DEVICE Pipeline(u32 shared) : shared(shared), write(0), filled(false) {}

    static DEVICE u32 after(u32 stage) {
        return stage + T::STAGE_BYTES == T::RING_BYTES ? 0 : stage + T::STAGE_BYTES;
    }

    // Copies an item's first steps, where the item before has not, and waits for the first.
    DEVICE void fill(Loader<T> &loader, u32 steps) {
        if (filled) return;
        __syncthreads(); // all have read what lies there
#pragma unroll 1
        for (u32 step = 0; step < T::STAGES - 1; step++) {
            loader.load(write, step < steps);
            copy_async_commit();
            write = after(write);
        }
        copy_async_wait<T::STAGES - 2>();
        __syncthreads();
    }

    // Multiplies an item, and copies the first steps of the next one meanwhile, whose number it returns.
    DEVICE u32 multiply(const GemmParams &p, const Item<T> &item, Queue &queue, typename T::Sums &sums) {
        constexpr u32 NONE = ~0u;
        queue.draw(p.arrived);
        // As far as the compiler knows, another one for each item: what follows from it would take registers from the
        // epilogue.
        u32 thread = kept(threadIdx.x), lane = thread % WARP;
        Loader<T> loader(shared, thread);
        loader.start(p, item, filled ? T::STAGES - 1 : 0);
        fill(loader, item.steps);
        u32 wm = T::warp_row(thread), wn = T::warp_column(thread);
        // A: matrices are rows 0..8 and 8..16 of the first chunk, then of the second.
        u32 a_row = wm * T::WARP_ROWS + lane % 16;
        u32 a = kept(shared + place(a_row, lane / 16)), a_odd = kept(a ^ (2 * CHUNK));
        u32 b = shared + T::ROWS * STEP + wn * T::NI * PANEL_BYTES + lane * CHUNK, b_odd = b + PANEL_BYTES / 2;
        u32 groups = ceil_div(p.rows - item.m0, 16), skipped = wm * T::MI;
        u32 live = groups > skipped ? min(groups - skipped, T::MI) : 0;
        u32 read = after(write), next = queue.items;
        Fragments<T> even, odd;
        even.load(a + read, b + read, live);
        // Items shorter than the ring would have the next one's steps in other stages: those fill it anew.
        filled = item.steps >= T::STAGES;
        // The step after which nothing comes; none as long as there are steps to copy, of this item or the next.
        u32 last = filled ? NONE : item.steps - 1;
        u32 step = 0, until = filled ? item.steps - T::STAGES : 0;
        // One loop in three parts: until the next item has to be known, a step whose barrier tells it, the steps that copy
        // its first ones.
#pragma unroll 1
        for (u32 part = 0; part < 3; part++) {
            if (part == 1) {
                queue.publish();
                until++;
            }
            if (part == 2) {
                next = queue.taken();
                until = item.steps;
                if (filled && next < queue.items)
                    loader.start(p, Item<T>(p, next), 0);
                else
                    last = item.steps - 1;
            }
#pragma unroll 1
            for (; step < until; step++) {
                odd.load(a_odd + read, b_odd + read, live);
                loader.load(write, last == NONE);
                copy_async_commit();
                even.multiply(sums, live);
                copy_async_wait<T::STAGES - 2>();
                // All have read this stage and see the next one.
                __syncthreads();
                write = read;
                // After the last step of all there is no next one: it reads what it had again.
                if (step != last) read = after(read);
                even.load(a + read, b + read, live);
                odd.multiply(sums, live);
            }
        }
        return next;
    }
};
