//! Kernels with one mistake each, and beside them the same without it.

mod common;

use common::{Bench, UNCHECKED, breaks};
use mergevit_emulator::{BlockOrder, Fault, Rule};

/// Runs under several schedules; each must report a fault of this kind.
#[track_caller]
fn caught(kind: &str, make: impl Fn() -> Bench) -> Fault {
    let mut last = None;
    for seed in 0..6 {
        for order in [
            BlockOrder::Ascending,
            BlockOrder::Descending,
            BlockOrder::Shuffled(seed),
        ] {
            let mut bench = make();
            (bench.options.warp_seed, bench.options.order) = (seed, order);
            let fault = bench.fault();
            assert!(breaks(&fault, kind), "expected {kind}, found: {fault}");
            last = Some(fault);
        }
    }
    last.unwrap()
}

/// Runs under several schedules without a fault.
#[track_caller]
fn clean(make: impl Fn() -> Bench) {
    for seed in 0..6 {
        for order in [
            BlockOrder::Ascending,
            BlockOrder::Descending,
            BlockOrder::Shuffled(seed),
        ] {
            let mut bench = make();
            (bench.options.warp_seed, bench.options.order) = (seed, order);
            bench.succeed();
        }
    }
}

/// `%r1`: the thread's own word of `room`; `%r2`: that of the thread half a block away.
const ROOM: &str = ".shared .align 16 .b8 room[512];";
const OWN: &str = "mov.u32 %r3, room;\nshl.b32 %r4, %r0, 2;\nadd.s32 %r1, %r3, %r4;\n\
                   xor.b32 %r2, %r4, 256;\nadd.s32 %r2, %r3, %r2;\n";

/// Every thread writes its word, meets the others, reads another's, and writes again after `between`.
fn exchange(before: &str, between: &str) -> Bench {
    let body = format!(
        "{OWN}st.shared.u32 [%r1], %r0;\n{before}\nld.shared.u32 %r5, [%r2];\n{between}\nst.shared.u32 [%r1], %r5;"
    );
    Bench::new(ROOM, &body).threads(128)
}

#[test]
fn a_missing_barrier() {
    clean(|| exchange("bar.sync 0;", "bar.sync 0;"));
    let fault = caught("shared race", || exchange("bar.sync 0;", ""));
    assert!(matches!(fault.rule, Rule::SharedRace { .. }));
    let text = fault.to_string();
    for part in [
        "kernel test",
        "PTX line",
        "block (0, 0, 0)",
        "thread",
        ".shared.u32",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Without the first barrier a thread reads what may not be there yet, or races.
    for seed in 0..6 {
        let mut bench = exchange("", "bar.sync 0;");
        bench.options.warp_seed = seed;
        let fault = bench.fault();
        assert!(
            breaks(&fault, "shared race") || breaks(&fault, "uninitialised"),
            "{fault}"
        );
    }
    // A barrier of the warp is none of the block.
    caught("shared race", || {
        exchange("bar.sync 0;", "bar.warp.sync -1;\nmembar.cta;")
    });
}

#[test]
fn a_missing_barrier_changes_results_under_some_schedule() {
    let body = format!(
        "{OWN}st.shared.u32 [%r1], 7;\nbar.sync 0;\nst.shared.u32 [%r1], %r0;\nld.shared.u32 %r5, [%r2];\n\
         cvt.u64.u32 %rd10, %r4;\nadd.s64 %rd10, %rd0, %rd10;\nst.global.u32 [%rd10], %r5;"
    );
    let results = (0..16).map(|seed| {
        let mut bench = Bench::new(ROOM, &body).threads(128).room(0, 128);
        bench.options.warp_seed = seed;
        bench.options.checks = UNCHECKED;
        bench.succeed();
        bench.read(0, 128)
    });
    let mut results: Vec<_> = results.collect();
    results.dedup();
    assert!(results.len() > 1);
}

#[test]
fn strong_accesses_race_with_plain_ones_only() {
    let with = |store: &str, load: &str| {
        let body = format!(
            "{OWN}st.shared.u32 [%r1], 0;\nbar.sync 0;\n{store}.u32 [%r3], 1;\n{load}.u32 %r9, [%r3];"
        );
        move || Bench::new(ROOM, &body).threads(64)
    };
    clean(with("st.volatile.shared", "ld.volatile.shared"));
    clean(with("st.relaxed.cta.shared", "ld.acquire.cta.shared"));
    caught("shared race", with("st.shared", "ld.volatile.shared"));
    caught("shared race", with("st.volatile.shared", "ld.shared"));
}

#[test]
fn lanes_that_disagree() {
    let store = |value: &str| {
        let body = format!("mov.u32 %r1, room;\nmov.u32 %r9, 5;\nst.shared.u32 [%r1], {value};");
        move || Bench::new(ROOM, &body)
    };
    clean(store("%r9"));
    caught("conflicting lanes", store("%r0"));
    caught("conflicting lanes", || {
        Bench::new("", "st.global.u32 [%rd0], %r0;").room(0, 1)
    });
}

#[test]
fn out_of_bounds() {
    let at = |access: &str| {
        let body = format!("mov.u32 %r3, room;\nadd.s64 %rd10, %rd1, 64;\n{access}");
        Bench::new(ROOM, &body)
            .threads(1)
            .shared(32)
            .room(0, 4)
            .words(1, &[1; 16])
    };
    clean(|| at("ld.global.u32 %r9, [%rd10+-4];"));
    let cases = [
        "ld.global.u32 %r9, [%rd10];",
        "ld.global.u32 %r9, [%rd1+-4];",
        "st.global.u32 [%rd10+4000], %r0;",
        "ld.global.u32 %r9, [16];",
        "st.shared.u32 [%r3+544], %r0;",
        "ld.shared.u32 %r9, [%r3+-4];",
        "ld.param.u32 %r9, [p3+8];",
        "atom.global.add.u32 %r9, [%rd10], 1;",
        "cp.async.ca.shared.global [%r3], [%rd10], 4;",
        "cp.async.ca.shared.global [%r3+544], [%rd1], 4;",
        "ld.local.u32 %r9, [0];",
    ];
    for access in cases {
        let fault = caught("out of bounds", || at(access));
        assert_eq!(&*fault.instruction, access);
        assert_eq!(*fault.threads, [0]);
    }
    let text = caught("out of bounds", || at(cases[0])).to_string();
    assert!(
        text.contains("64 bytes from the start of 64 bytes"),
        "{text}"
    );
}

#[test]
fn misaligned() {
    let at = |access: &str| {
        let body = format!(
            "mov.u32 %r3, room;\nshl.b32 %r4, %r0, 4;\nadd.s32 %r4, %r3, %r4;\nst.shared.v4.u32 [%r4], {{0, 0, 0, 0}};\n\
             {access}"
        );
        Bench::new(ROOM, &body).room(0, 4).words(1, &[1; 16])
    };
    clean(|| at("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r4];"));
    for access in [
        "ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1+8];",
        "ld.global.v2.u32 {%r5, %r6}, [%rd1+4];",
        "ld.global.u32 %r5, [%rd1+2];",
        "ld.shared.u64 %rd10, [%r3+4];",
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r4+8];",
        "cp.async.cg.shared.global [%r3+8], [%rd1], 16;",
        "cp.async.cg.shared.global [%r3], [%rd1+8], 16;",
        "atom.shared.add.u32 %r9, [%r3+2], 1;",
        "red.global.add.u64 [%rd1+4], 1;",
    ] {
        let fault = caught("misaligned", || at(access));
        assert_eq!(&*fault.instruction, access);
    }
}

#[test]
fn divergent_barriers() {
    let body = |condition: &str| {
        let body = format!("setp.{condition};\n@%p1 bar.sync 0;");
        move || Bench::new("", &body).threads(128)
    };
    clean(body("lt.u32 %p1, %r0, 128"));
    caught("divergent barrier", body("lt.u32 %p1, %r0, 127"));
    caught("divergent barrier", body("ge.u32 %p1, %r0, 16"));
    caught("divergent barrier", body("lt.u32 %p1, %r0, 96"));
    let exited = "setp.eq.u32 %p1, %r0, 40;\n@%p1 ret;\nbar.sync 0;";
    caught("divergent barrier", || Bench::new("", exited).threads(64));
    let two = "setp.lt.u32 %p1, %r0, 32;\n@%p1 bar.sync 1;\n@!%p1 bar.sync 2;";
    caught("divergent barrier", || Bench::new("", two).threads(64));
    let count = "setp.lt.u32 %p1, %r0, 32;\n@%p1 bar.sync 1, 64;\n@!%p1 bar.sync 1, 96;";
    caught("undefined", || Bench::new("", count).threads(64));
}

#[test]
fn reads_of_what_nothing_wrote() {
    let own = |rest: &str| {
        let body = format!("{OWN}{rest}");
        move || {
            Bench::new(ROOM, &body)
                .threads(64)
                .room(0, 1)
                .words(1, &[1])
        }
    };
    clean(own("st.shared.u32 [%r1], 0;\nld.shared.u32 %r9, [%r1];"));
    for access in [
        "ld.shared.u32 %r9, [%r1];",
        "st.shared.u8 [%r1], 0;\nld.shared.u16 %r9, [%r1];",
        "ld.global.u32 %r9, [%rd0];",
        "atom.global.add.u32 %r9, [%rd0], 1;",
        "red.shared.add.u32 [%r1], 1;",
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r3];",
        ".local .align 4 .b8 depot[8];\nld.local.u32 %r9, [depot+4];",
        "st.global.u32 [%rd1], 1;\ncp.async.ca.shared.global [%r1], [%rd0], 4;",
    ] {
        let fault = caught("uninitialised", own(access));
        assert!(access.ends_with(&*fault.instruction));
    }
    // What an earlier block left in shared memory is gone.
    let body = format!(
        "{OWN}mov.u32 %r5, %ctaid.x;\nsetp.eq.u32 %p1, %r5, 0;\n@%p1 st.shared.u32 [%r1], 1;\nld.shared.u32 %r9, [%r1];"
    );
    caught("uninitialised", || Bench::new(ROOM, &body).blocks(2));
}

/// Copies a word per thread to its place; then `wait`, then each thread reads the word at `%r1` or `%r2`.
fn copy(wait: &str, read: &str) -> Bench {
    let body = format!(
        "{OWN}cvt.u64.u32 %rd10, %r4;\nadd.s64 %rd10, %rd1, %rd10;\n\
         cp.async.ca.shared.global [%r1], [%rd10], 4;\ncp.async.commit_group;\n{wait}\n{read}\ncp.async.wait_all;"
    );
    Bench::new(ROOM, &body).threads(128).words(1, &[3; 128])
}

#[test]
fn unwaited_copies() {
    let read = "ld.shared.u32 %r9, [%r1];";
    clean(|| copy("cp.async.wait_group 0;", read));
    clean(|| {
        copy(
            "cp.async.wait_all;\nbar.sync 0;",
            "ld.shared.u32 %r9, [%r2];",
        )
    });
    caught("unwaited cp.async", || copy("", read));
    caught("unwaited cp.async", || copy("bar.sync 0;", read));
    caught("unwaited cp.async", || {
        copy("cp.async.wait_group 1;\nbar.sync 0;", read)
    });
    caught("unwaited cp.async", || copy("", "st.shared.u32 [%r1], 0;"));
    caught("unwaited cp.async", || {
        copy("", "cp.async.ca.shared.global [%r1], [%rd10], 4;")
    });
    let fault = caught("unwaited cp.async", || {
        copy("bar.sync 0;", "ld.shared.u32 %r9, [%r2];")
    });
    assert!(matches!(fault.rule, Rule::UnwaitedCopy { .. }));
    // Waited for by its thread, but no barrier tells the others.
    for seed in 0..6 {
        let mut bench = copy("cp.async.wait_all;", "ld.shared.u32 %r9, [%r2];");
        bench.options.warp_seed = seed;
        let fault = bench.fault();
        let kinds = ["shared race", "unwaited cp.async", "uninitialised"];
        assert!(kinds.iter().any(|kind| breaks(&fault, kind)), "{fault}");
    }
    // A copy into what others may still be reading.
    let reuse = |barrier: &str| {
        let read = format!(
            "ld.shared.u32 %r9, [%r2];\n{barrier}\ncp.async.ca.shared.global [%r1], [%rd10], 4;"
        );
        copy("cp.async.wait_all;\nbar.sync 0;", &read)
    };
    clean(|| reuse("bar.sync 0;"));
    caught("shared race", || reuse(""));
}

#[test]
fn member_masks() {
    let with = |body: &str| {
        let body = body.to_owned();
        move || Bench::new("", &body)
    };
    clean(with("shfl.sync.bfly.b32 %r9, %r0, 1, 31, 0xffffffff;"));
    for body in [
        "shfl.sync.bfly.b32 %r9, %r0, 1, 31, 0x7fffffff;",
        "setp.lt.u32 %p1, %r0, 16;\n@%p1 shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1;",
        "setp.eq.u32 %p1, %r0, 9;\n@%p1 exit;\nvote.sync.ballot.b32 %r9, %p1, -1;",
        "setp.lt.u32 %p1, %r0, 16;\n@%p1 bra LOW;\nbar.warp.sync -1;\nbra END;\nLOW:\nbar.warp.sync -1;\nEND:",
        "setp.lt.u32 %p1, %r0, 31;\n@%p1 mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1, %r2, %r3, %r4}, \
         {%r1, %r2, %r3, %r4}, {%r1, %r2}, {%r1, %r2, %r3, %r4};",
        "setp.eq.u32 %p1, %r0, 0;\n@%p1 ret;\nmov.u32 %r1, 0;\nldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r1];",
    ] {
        let fault = caught("member mask", with(body));
        assert!(matches!(fault.rule, Rule::MemberMask(_)));
    }
    let half = "setp.lt.u32 %p1, %r0, 16;\n@%p1 shfl.sync.idx.b32 %r9, %r0, 20, 31, 0xffff;";
    caught("inactive source", with(half));
    clean(with(&half.replace("20, 31", "10, 31")));
    // A block that does not fill its warp has no 32 lanes to shuffle.
    caught("member mask", || {
        Bench::new("", "shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1;").threads(48)
    });
}

/// Every thread of two warps writes its word of global memory, then reads the other warp's.
#[test]
fn races_between_the_warps_of_a_block_in_global_memory() {
    let exchange = |before: &str, between: &str| {
        let body = format!(
            "mul.wide.u32 %rd10, %r0, 4;\nadd.s64 %rd10, %rd0, %rd10;\nxor.b32 %r1, %r0, 32;\n\
             mul.wide.u32 %rd11, %r1, 4;\nadd.s64 %rd11, %rd0, %rd11;\nst.global.u32 [%rd10], %r0;\n{before}\n\
             ld.global.u32 %r5, [%rd11];\n{between}\nst.global.u32 [%rd10], %r5;"
        );
        Bench::new("", &body).threads(64).words(0, &[0; 64])
    };
    clean(|| exchange("bar.sync 0;", "bar.sync 0;"));
    caught("global race", || exchange("", "bar.sync 0;"));
    caught("global race", || exchange("membar.gl;", "bar.sync 0;"));
    let fault = caught("global race", || exchange("bar.sync 0;", ""));
    assert!(fault.to_string().contains("by its warp"), "{fault}");
    // Several warps have read what one overwrites.
    let shared = |between: &str| {
        let body = format!(
            "ld.global.u32 %r5, [%rd0];\n{between}\nsetp.eq.u32 %p1, %r0, 0;\n@%p1 st.global.u32 [%rd0], 1;"
        );
        Bench::new("", &body).threads(96).words(0, &[0])
    };
    clean(|| shared("bar.sync 0;"));
    caught("global race", || shared(""));
}

#[test]
fn races_between_blocks() {
    let own = "mov.u32 %r1, %ctaid.x;\nmul.wide.u32 %rd10, %r1, 4;\nadd.s64 %rd10, %rd0, %rd10;\n";
    let with = |body: &str| {
        let body = format!("{own}{body}");
        move || Bench::new("", &body).threads(1).blocks(3).words(0, &[0; 4])
    };
    clean(with(
        "st.global.u32 [%rd10], %r1;\nld.global.u32 %r9, [%rd10];",
    ));
    clean(with("red.global.add.u32 [%rd0], 1;"));
    clean(with("ld.global.u32 %r9, [%rd0+4];"));
    caught("global race", with("st.global.u32 [%rd0], %r1;"));
    caught(
        "global race",
        with("ld.global.u32 %r9, [%rd10+4];\nst.global.u32 [%rd10], %r1;"),
    );
    caught(
        "global race",
        with("ld.global.u32 %r9, [%rd0];\nst.global.u32 [%rd10], %r1;"),
    );
    caught(
        "global race",
        with("st.global.u32 [%rd10], %r1;\nld.global.cg.u32 %r9, [%rd0+4];"),
    );
    clean(with("ld.global.nc.u32 %r9, [%rd0+12];"));
    caught(
        "not constant",
        with("st.global.u32 [%rd10], 1;\nld.global.nc.u32 %r9, [%rd10];"),
    );
    // The next launch sees what the last one wrote.
    let mut bench = with("ld.global.u32 %r9, [%rd10];\nst.global.u32 [%rd10], %r1;")();
    bench.succeed();
    bench.succeed();
}

/// Each block's threads leave a word; the last block to arrive adds them all up.
fn last_block_adds_up(release: &str, acquire: &str) -> Bench {
    last_block_meeting(&format!("{release}\nbar.sync 0;"), "bar.sync 0;", acquire)
}

/// The same, with what comes before the atomic operation and after it.
fn last_block_meeting(release: &str, known: &str, acquire: &str) -> Bench {
    let body = format!(
        "mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmad.lo.s32 %r3, %r1, %r2, %r0;\nmul.wide.u32 %rd10, %r3, 4;\n\
         add.s64 %rd10, %rd0, %rd10;\nst.global.u32 [%rd10], %r3;\n{release}\nsetp.eq.u32 %p1, %r0, 0;\n\
         mov.u32 %r4, %nctaid.x;\nadd.s32 %r5, %r4, -1;\nmov.u32 %r6, flag;\n\
         @%p1 atom.global.inc.u32 %r7, [%rd1], %r5;\n@%p1 st.shared.u32 [%r6], %r7;\n{known}\n\
         ld.shared.u32 %r7, [%r6];\nsetp.ne.s32 %p2, %r7, %r5;\n@%p2 ret;\n{acquire}\nmov.u32 %r8, 0;\nmov.u32 %r9, 0;\n\
         LOOP:\nmad.lo.s32 %r3, %r8, %r2, %r0;\nmul.wide.u32 %rd10, %r3, 4;\nadd.s64 %rd10, %rd0, %rd10;\n\
         ld.global.cg.u32 %r10, [%rd10];\nadd.s32 %r9, %r9, %r10;\nadd.s32 %r8, %r8, 1;\nsetp.lt.u32 %p3, %r8, %r4;\n\
         @%p3 bra LOOP;\nmul.wide.u32 %rd10, %r0, 4;\nadd.s64 %rd10, %rd2, %rd10;\nst.global.u32 [%rd10], %r9;"
    );
    let bench = Bench::new(".shared .align 4 .b32 flag;", &body)
        .threads(64)
        .blocks(5);
    bench.room(0, 320).words(1, &[0]).room(2, 64)
}

#[test]
fn a_handshake_between_blocks_needs_its_fences() {
    clean(|| last_block_adds_up("membar.gl;", "membar.gl;"));
    clean(|| last_block_adds_up("fence.acq_rel.gpu;", "fence.sc.sys;"));
    // A fence of one thread after the barrier covers what it knows of.
    clean(|| last_block_adds_up("bar.sync 0;\nmembar.gl;", "membar.gl;"));
    caught("global race", || last_block_adds_up("", "membar.gl;"));
    caught("global race", || {
        last_block_adds_up("membar.cta;", "membar.gl;")
    });
    caught("global race", || last_block_adds_up("membar.gl;", ""));
    let mut bench = last_block_adds_up("membar.gl;", "membar.gl;");
    bench.succeed();
    let want: Vec<u32> = (0..64).map(|thread| 5 * thread + 64 * 10).collect();
    assert_eq!(bench.read(2, 64), want);
    assert_eq!(bench.read(1, 1), [0], "the counter wraps to zero");
}

#[test]
fn a_handshake_between_blocks_needs_its_barriers() {
    // The counter may tell of what another warp has not stored yet, or not fenced, or fenced without telling.
    caught("global race", || {
        last_block_meeting("membar.gl;", "bar.sync 0;", "membar.gl;")
    });
    for seed in 0..6 {
        let mut bench = last_block_meeting("membar.gl;\nbar.sync 0;", "", "membar.gl;");
        bench.options.warp_seed = seed;
        let fault = bench.fault();
        assert!(
            breaks(&fault, "shared race") || breaks(&fault, "uninitialised"),
            "{fault}"
        );
    }
}

#[test]
fn endless_loops_traps_and_read_only_variables() {
    let mut bench = Bench::new("", "LOOP:\nbra LOOP;");
    bench.options.instruction_limit = 10_000;
    assert_eq!(bench.fault().rule, Rule::InstructionLimit(10_000));
    let fault = caught("trap", || {
        Bench::new("", "setp.eq.u32 %p1, %r0, 7;\n@%p1 trap;")
    });
    assert_eq!(*fault.threads, [7]);
    let variables = ".global .align 4 .u32 constant = 3;";
    caught("read-only", || {
        Bench::new(variables, "st.global.u32 [constant], 1;")
    });
    caught("undefined", || {
        Bench::new(
            "",
            "table: .branchtargets A, A;\nadd.s32 %r1, %r0, 1;\nbrx.idx %r1, table;\nA:",
        )
    });
}
