//! Frames within the reservation allocate nothing, however their size and format change.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mergevit_kernels::frame::{Frame, Geometry, Interpolation, PixelFormat, Preprocessor, Resize};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; `realloc` and `alloc_zeroed` come here by default.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn frames_within_the_reservation_do_not_allocate() {
    const MAX: (usize, usize) = (130, 90);
    let data = vec![200; 4 * MAX.0 * MAX.1];
    let rules = [
        (Resize::ShortestSide(1), (5, 5)),
        (Resize::ShortestSide(2), (40, 40)),
        (Resize::ShortestSide(17), (16, 12)),
        (Resize::ShortestSide(64), (200, 64)),
        (Resize::ShortestSide(300), (224, 224)),
        (
            Resize::Exact {
                width: 1,
                height: 1,
            },
            (1, 1),
        ),
        (
            Resize::Exact {
                width: 90,
                height: 7,
            },
            (64, 64),
        ),
        (
            Resize::Exact {
                width: 224,
                height: 224,
            },
            (224, 224),
        ),
    ];
    for (resize, crop) in rules {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let geometry = Geometry::new(resize, crop, interpolation).unwrap();
            let mut out = vec![0; geometry.output_len()];
            let mut preprocessor = Preprocessor::new(geometry, MAX.0, MAX.1);
            let before = allocations();
            for width in (1..=MAX.0).step_by(3) {
                for height in (1..=MAX.1).rev().step_by(7) {
                    let format = PixelFormat::ALL[(width + height) % PixelFormat::ALL.len()];
                    let frame = Frame::packed(format, width, height, &data).unwrap();
                    preprocessor.preprocess(&frame, &mut out).unwrap();
                    assert_eq!(
                        allocations(),
                        before,
                        "{resize:?} {crop:?} {width}x{height}"
                    );
                }
            }
            let frame = Frame::packed(PixelFormat::Grey, 4 * MAX.0, MAX.1, &data).unwrap();
            preprocessor.preprocess(&frame, &mut out).unwrap();
            assert!(
                allocations() > before,
                "a larger frame grows the reservation"
            );
        }
    }
}
