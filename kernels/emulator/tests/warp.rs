//! Divergence, shuffles, votes, barriers.

mod common;

use common::{Bench, LOAD, lanes};
use proptest::prelude::*;

#[test]
fn branches_diverge_and_meet_again() {
    // Each lane loops as often as its number says; all 32 are together again for the vote behind the loop.
    let body = "mov.u32 %r1, 0;\nmov.u32 %r2, 0;\n\
                LOOP:\nsetp.ge.u32 %p1, %r1, %r0;\n@%p1 bra DONE;\n\
                add.s32 %r2, %r2, %r1;\nadd.s32 %r1, %r1, 1;\nbra LOOP;\n\
                DONE:\nvote.sync.ballot.b32 %r3, %p1, 0xffffffff;\n\
                add.s32 %r9, %r2, %r3;";
    let found = lanes("", body, &[0]);
    for lane in 0..32u32 {
        assert_eq!(
            found[lane as usize],
            (lane * lane.wrapping_sub(1) / 2).wrapping_sub(1)
        );
    }
}

#[test]
fn a_detour_behind_the_meeting_point_is_waited_for() {
    // Odd lanes leave for code that lies behind the shuffle and come back to it.
    let body = "and.b32 %r1, %r0, 1;\nsetp.eq.u32 %p1, %r1, 1;\nmov.u32 %r2, %r0;\n@%p1 bra AWAY;\n\
                HERE:\nshfl.sync.bfly.b32 %r9, %r2, 1, 31, -1;\nbra END;\n\
                AWAY:\nadd.s32 %r2, %r2, 100;\nbra HERE;\nEND:";
    let found = lanes("", body, &[0]);
    assert_eq!(found[..4], [101, 0, 103, 2]);
}

#[test]
fn lanes_may_exit_early_and_branch_by_index() {
    let body = "setp.ge.u32 %p1, %r0, 24;\nmov.u32 %r9, 7;\nand.b32 %r1, %r0, 3;\n\
                table: .branchtargets A, B, C, D;\n@!%p1 brx.idx %r1, table;\nbra END;\n\
                A: mov.u32 %r9, 10;\nbra END;\nB: mov.u32 %r9, 11;\nbra.uni END;\n\
                C: mov.u32 %r9, 12;\nbra END;\nD: mov.u32 %r9, 13;\nEND:";
    let found = lanes("", body, &[0]);
    for (lane, &value) in found.iter().enumerate() {
        assert_eq!(value as usize, if lane < 24 { 10 + lane % 4 } else { 7 });
    }
    let mut bench = Bench::new(
        "",
        "setp.ge.u32 %p1, %r0, 4;\n@%p1 exit;\nst.global.u32 [%rd0], %r0;\n",
    );
    bench = bench.room(0, 1).threads(1);
    assert_eq!(bench.succeed().instructions.total().warps, 9);
}

#[test]
fn scopes_hide_names() {
    let body = "mov.u32 %r9, 1;\n{\n.reg .b32 %r9, t;\n.reg .pred p;\nmov.u32 t, 5;\nmov.u32 %r9, t;\n\
                setp.eq.u32 p, %r9, 5;\n@p bra SKIP;\ntrap;\nSKIP:\n}\n{\n.reg .b32 t;\nmov.u32 t, 2;\n\
                bra SKIP;\nSKIP:\nadd.s32 %r9, %r9, t;\n}";
    assert_eq!(lanes("", body, &[0]), [3; 32]);
}

/// The manual's pseudo-code of `shfl.sync`, in signed arithmetic.
fn shuffled(mode: &str, lane: i32, b: i32, c: i32) -> i32 {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let most = (lane & segment) | (clamp & !segment);
    let (j, inside) = match mode {
        "up" => (lane - b, lane - b >= most),
        "down" => (lane + b, lane + b <= most),
        "bfly" => (lane ^ b, (lane ^ b) <= most),
        _ => {
            let j = (lane & segment) | (b & !segment);
            (j, j <= most)
        }
    };
    if inside { j } else { lane | 64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shuffles_follow_the_manual(mode in 0..4usize, b in 0..32i32, width in 0..6u32) {
        let mode = ["up", "down", "bfly", "idx"][mode];
        let segment = 32 - (1 << width);
        let c = segment << 8 | if mode == "up" { 0 } else { 31 };
        let body = format!(
            "shfl.sync.{mode}.b32 %r1|%p1, %r0, {b}, {c}, 0xffffffff;\n\
             selp.b32 %r2, 0, 64, %p1;\nor.b32 %r9, %r1, %r2;"
        );
        for (lane, &found) in lanes("", &body, &[0]).iter().enumerate() {
            prop_assert_eq!(found as i32, shuffled(mode, lane as i32, b, c));
        }
    }

    #[test]
    fn votes_count_every_lane(input in any::<u32>()) {
        let body = "ld.global.u32 %r1, [%rd1];\nshr.u32 %r1, %r1, %r0;\nand.b32 %r1, %r1, 1;\n\
                    setp.ne.u32 %p1, %r1, 0;\nvote.sync.ballot.b32 %r2, %p1, -1;\n\
                    vote.sync.all.pred %p2, %p1, -1;\nvote.sync.any.pred %p3, !%p1, -1;\n\
                    vote.sync.uni.pred %p4, %p1, -1;\nxor.b32 %r9, %r2, 0;\n\
                    @%p2 xor.b32 %r9, %r9, 1;\n@%p3 xor.b32 %r9, %r9, 2;\n@%p4 xor.b32 %r9, %r9, 4;";
        let flags = u32::from(input == u32::MAX)
            | u32::from(input != u32::MAX) << 1
            | u32::from(input == u32::MAX || input == 0) << 2;
        prop_assert_eq!(lanes("", body, &[input]), vec![input ^ flags; 32]);
    }
}

#[test]
fn half_warps_exchange_by_themselves() {
    let body = "setp.lt.u32 %p1, %r0, 16;\nselp.b32 %r1, 0x0000ffff, 0xffff0000, %p1;\n\
                redux.sync.add.s32 %r9, %r0, %r1;";
    let found = lanes("", body, &[0]);
    assert_eq!((found[0], found[31]), (120, 376));
    // The same with the halves at different instructions.
    let body = "setp.lt.u32 %p1, %r0, 16;\n@%p1 bra LOW;\nredux.sync.max.u32 %r9, %r0, 0xffff0000;\nbra END;\n\
                LOW:\nredux.sync.max.u32 %r9, %r0, 0xffff;\nEND:";
    let found = lanes("", body, &[0]);
    assert_eq!((found[0], found[31]), (15, 31));
}

#[test]
fn lanes_match_and_reduce() {
    let inputs: Vec<u32> = (0..32).map(|lane| lane % 3).collect();
    let third = (0..32)
        .filter(|lane| lane % 3 == 1)
        .fold(0u32, |mask, lane| mask | 1 << lane);
    let found = lanes(
        "",
        &format!("{LOAD}\nmatch.any.sync.b32 %r9, %r1, -1;"),
        &inputs,
    );
    assert_eq!(found[4], third);
    let body = format!("{LOAD}\nmatch.all.sync.b32 %r9|%p1, %r1, -1;\n@%p1 mov.u32 %r9, 5;");
    assert_eq!(lanes("", &body, &inputs), [0; 32]);
    assert_eq!(lanes("", &body, &[9; 32]), [5; 32]);
    for (operation, want) in [
        ("min.s32", (-3i32).cast_unsigned()),
        ("max.u32", u32::MAX - 2),
    ] {
        let mut inputs = [8u32; 32];
        inputs[17] = (-3i32).cast_unsigned();
        let body = format!("{LOAD}\nredux.sync.{operation} %r9, %r1, -1;");
        assert_eq!(lanes("", &body, &inputs), [want; 32], "{operation}");
    }
    for (operation, want) in [("and", 0), ("or", u32::MAX), ("xor", u32::MAX)] {
        let inputs: Vec<u32> = (0..32).map(|lane| 1 << lane).collect();
        let body = format!("{LOAD}\nredux.sync.{operation}.b32 %r9, %r1, -1;");
        assert_eq!(lanes("", &body, &inputs), [want; 32], "{operation}");
    }
    assert_eq!(
        lanes(
            "",
            "setp.lt.u32 %p1, %r0, 4;\nmov.u32 %r9, 0;\n@%p1 activemask.b32 %r9;",
            &[0]
        )[3],
        15
    );
}

#[test]
fn special_registers_describe_the_thread() {
    let body = "mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\nmov.u32 %r3, %tid.z;\nmov.u32 %r4, %ntid.x;\n\
                mov.u32 %r5, %ntid.y;\nmad.lo.s32 %r6, %r3, %r5, %r2;\nmad.lo.s32 %r6, %r6, %r4, %r1;\n\
                mov.u32 %r7, %laneid;\nmov.u32 %r8, %warpid;\nmad.lo.s32 %r7, %r8, 32, %r7;\n\
                sub.s32 %r7, %r7, %r6;\nmov.u32 %r10, %ctaid.y;\nmov.u32 %r11, %nctaid.x;\n\
                mov.u32 %r12, %ctaid.x;\nmad.lo.s32 %r10, %r10, %r11, %r12;\nmad.lo.s32 %r10, %r10, 60, %r6;\n\
                mul.wide.u32 %rd10, %r10, 4;\nadd.s64 %rd10, %rd0, %rd10;\n\
                mov.u32 %r13, %lanemask_lt;\nmov.u32 %r14, %lanemask_ge;\nnot.b32 %r14, %r14;\n\
                sub.s32 %r13, %r13, %r14;\nor.b32 %r7, %r7, %r13;\nst.global.u32 [%rd10], %r7;";
    let mut bench = Bench::new("", body).room(0, 6 * 60);
    bench.block = [3, 4, 5];
    bench.grid = [2, 3, 1];
    bench.succeed();
    assert_eq!(bench.read(0, 6 * 60), [0; 360]);
}

#[test]
fn barriers_separate_and_reduce() {
    // Thread t passes a value to thread 127 - t; the barrier counts, in passing, the even threads.
    let variables = ".shared .align 4 .b8 room[512];";
    let body = "mov.u32 %r1, room;\nshl.b32 %r2, %r0, 2;\nadd.s32 %r3, %r1, %r2;\nst.shared.u32 [%r3], %r0;\n\
                and.b32 %r4, %r0, 1;\nsetp.eq.u32 %p1, %r4, 0;\nbar.red.popc.u32 %r5, 0, %p1;\n\
                bar.red.and.pred %p2, 0, %p1;\nbar.red.or.pred %p3, 0, %p1;\n\
                mov.u32 %r6, 508;\nsub.s32 %r6, %r6, %r2;\nadd.s32 %r6, %r6, %r1;\nld.shared.u32 %r7, [%r6];\n\
                mad.lo.s32 %r7, %r5, 1000, %r7;\n@%p2 add.s32 %r7, %r7, 500000;\n@!%p3 add.s32 %r7, %r7, 500000;\n\
                cvt.u64.u32 %rd10, %r2;\nadd.s64 %rd10, %rd0, %rd10;\nst.global.u32 [%rd10], %r7;";
    for seed in 0..8 {
        let mut bench = Bench::new(variables, body).room(0, 128).threads(128);
        bench.options.warp_seed = seed;
        assert_eq!(bench.succeed().barriers, 3);
        let want: Vec<u32> = (0..128).map(|t| 64_000 + 127 - t).collect();
        assert_eq!(bench.read(0, 128), want);
    }
}

#[test]
fn named_barriers_hand_over_between_warps() {
    // Warp 0 produces and arrives at barrier 1, warp 1 waits there; warps 2 and 3 have nothing to do with it.
    let variables = ".shared .align 4 .b8 room[128];";
    let body = "shr.u32 %r1, %r0, 5;\nand.b32 %r2, %r0, 31;\nshl.b32 %r2, %r2, 2;\nmov.u32 %r3, room;\n\
                add.s32 %r3, %r3, %r2;\nsetp.eq.u32 %p1, %r1, 0;\nsetp.eq.u32 %p2, %r1, 1;\n\
                @%p1 st.shared.u32 [%r3], %r0;\n@%p1 bar.arrive 1, 64;\n@!%p2 bra END;\nbar.sync 1, 64;\n\
                ld.shared.u32 %r4, [%r3];\ncvt.u64.u32 %rd10, %r2;\nadd.s64 %rd10, %rd0, %rd10;\n\
                st.global.u32 [%rd10], %r4;\nEND:";
    for seed in 0..8 {
        let mut bench = Bench::new(variables, body).room(0, 32).threads(128);
        bench.options.warp_seed = seed;
        bench.succeed();
        assert_eq!(bench.read(0, 32), (0..32).collect::<Vec<_>>());
    }
}
