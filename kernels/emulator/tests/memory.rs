//! Loads, stores, atomic operations, asynchronous copies.

mod common;

use common::{Bench, lanes};
use mergevit_emulator::{Class, Launch, Memory, Module, Options, Rule, run};

#[test]
fn elements_of_every_size_are_extended() {
    let body = "ld.global.u8 %r1, [%rd1];\nld.global.s8 %r2, [%rd1];\nld.global.u16 %r3, [%rd1];\n\
                ld.global.s16 %r4, [%rd1];\nld.global.s32 %rd10, [%rd1];\nld.global.b8 %h1, [%rd1+1];\n\
                ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%r5, %r6}, [%rd1];\n\
                st.global.v4.u32 [%rd0], {%r1, %r2, %r3, %r4};\nst.global.u64 [%rd0+16], %rd10;\n\
                st.global.u16 [%rd0+24], %h1;\nst.global.u8 [%rd0+26], %r6;\nst.global.u8 [%rd0+27], %r5;";
    let mut bench = Bench::new("", body)
        .threads(1)
        .room(0, 7)
        .words(1, &[0x8081_8283, 0x1122_3344]);
    bench.succeed();
    let want = [
        0x83,
        0xffff_ff83,
        0x8283,
        0xffff_8283,
        0x8081_8283,
        0xffff_ffff,
        0x8344_0082,
    ];
    assert_eq!(bench.read(0, 7), want);
}

#[test]
fn what_16_bit_registers_hold_is_cut() {
    // Sign-extended to 16 bits, then taken as unsigned.
    let body = "ld.global.s8 %h1, [%rd1];\nmul.wide.u16 %r9, %h1, 1;";
    assert_eq!(lanes("", body, &[0x83])[0], 0xff83);
    let body = "ld.global.u32 %r1, [%rd1];\ncvt.s8.s32 %h1, %r1;\nshr.u16 %h2, %h1, 4;\ncvt.u32.u16 %r9, %h2;";
    assert_eq!(lanes("", body, &[0x83])[0], 0xff8);
}

#[test]
fn every_space_is_reached_directly_and_generically() {
    let variables = ".const .align 4 .b32 table[3] = {7, 8, 9};\n.global .align 8 .u64 pointer = table;\n\
                     .shared .align 8 .b8 first[24];\n.extern .shared .align 16 .b8 rest[];";
    let body = ".local .align 8 .b8 depot[16];\n\
                ld.const.u32 %r1, [table+8];\nld.global.u64 %rd10, [pointer];\nld.u32 %r2, [%rd10+4];\n\
                mov.u64 %rd11, depot;\ncvta.local.u64 %rd12, %rd11;\nst.u32 [%rd12+4], %r1;\n\
                ld.local.u32 %r3, [%rd11+4];\n\
                mov.u32 %r4, rest;\nst.shared.u32 [%r4], %r2;\nmov.u64 %rd13, rest;\n\
                cvta.shared.u64 %rd14, %rd13;\nld.u32 %r5, [%rd14];\ncvta.to.shared.u64 %rd15, %rd14;\n\
                ld.shared.u32 %r6, [%rd15];\n\
                mov.b64 %rd16, p1;\ncvta.param.u64 %rd17, %rd16;\nld.u64 %rd18, [%rd17];\nsub.s64 %rd19, %rd18, %rd1;\n\
                cvta.to.global.u64 %rd20, %rd0;\ncvta.global.u64 %rd20, %rd20;\n\
                st.v4.u32 [%rd20], {%r3, %r5, %r6, %r4};\nst.u64 [%rd20+16], %rd19;";
    let mut bench = Bench::new(variables, body)
        .threads(1)
        .shared(16)
        .room(0, 6)
        .words(1, &[0]);
    bench.succeed();
    assert_eq!(bench.read(0, 6), [9, 8, 8, 32, 0, 0]);
}

#[test]
fn parameters_may_be_structures_and_scalars() {
    let text = ".version 8.5\n.target sm_80\n.address_size 64\n\
                .visible .entry test(\n.param .align 8 .b8 test_param_0[24],\n.param .u32 n\n)\n.maxntid 64, 1, 1\n{\n\
                .reg .b32 %r<9>;\n.reg .b64 %rd<2>;\nld.param.u64 %rd1, [test_param_0+8];\n\
                .pragma \"used_bytes_mask 15\";\nld.param.v2.u32 {%r1, %r2}, [test_param_0+16];\n\
                ld.param.u32 %r3, [n];\nadd.s32 %r1, %r1, %r3;\nst.global.u32 [%rd1], %r1;\nret;\n}";
    let module = Module::parse(text).unwrap();
    let mut memory = Memory::new();
    let to = memory.allocate(4);
    let mut params = [0; 28];
    params[8..16].copy_from_slice(&to.to_le_bytes());
    params[16] = 5;
    params[24] = 6;
    let mut launch = Launch {
        kernel: "test",
        grid: [1; 3],
        block: [1; 3],
        shared_bytes: 0,
        params: &params,
    };
    run(&module, &launch, &mut memory, &Options::default()).unwrap();
    assert_eq!(memory.read(to, 4).unwrap(), [11, 0, 0, 0]);
    let mut refuse = |launch: &Launch<'_>, why: &str| {
        let fault = run(&module, launch, &mut memory, &Options::default()).unwrap_err();
        assert!(fault.to_string().contains(why), "{fault}");
    };
    launch.block = [65, 1, 1];
    refuse(&launch, "at most 64");
    launch.block = [0, 1, 1];
    refuse(&launch, "threads");
    launch.block = [1; 3];
    launch.grid = [1, 0, 1];
    refuse(&launch, "grid");
    launch.grid = [1; 3];
    launch.shared_bytes = 1 << 20;
    refuse(&launch, "shared memory");
    launch.shared_bytes = 0;
    launch.params = &params[..27];
    refuse(&launch, "27 bytes");
    launch.kernel = "other";
    refuse(&launch, "no such kernel");
}

#[test]
fn atomic_operations_follow_each_other() {
    // Every lane does each operation once; the memory afterwards, and what lane 31 got back.
    let cases = [
        ("add.u32", 5u32, "%r0", 5 + 496, 5 + 465),
        ("inc.u32", 0, "9", 2, 1),
        ("dec.u32", 3, "9", 1, 2),
        ("min.s32", 7, "%r0", 0, 0),
        ("max.s32", (-7i32).cast_unsigned(), "%r0", 31, 30),
        (
            "max.u32",
            (-7i32).cast_unsigned(),
            "%r0",
            (-7i32).cast_unsigned(),
            (-7i32).cast_unsigned(),
        ),
        ("and.b32", 0xff, "0xf0", 0xf0, 0xf0),
        ("or.b32", 0x100, "%r0", 0x11f, 0x11f),
        ("xor.b32", 1, "%r0", 1, 30),
        ("exch.b32", 99, "%r0", 31, 30),
        (
            "add.f32",
            1.5f32.to_bits(),
            "0f3F800000",
            33.5f32.to_bits(),
            32.5f32.to_bits(),
        ),
    ];
    for (operation, start, operand, after, last) in cases {
        let body = format!("atom.global.{operation} %r9, [%rd1], {operand};");
        let store = "setp.eq.u32 %p1, %r0, 31;\n@%p1 st.global.u32 [%rd0], %r9;";
        let mut bench = Bench::new("", &format!("{body}\n{store}"))
            .room(0, 1)
            .words(1, &[start]);
        let counts = bench.succeed();
        assert_eq!(counts.global_atomics, 32);
        assert_eq!(
            (bench.read(1, 1)[0], bench.read(0, 1)[0]),
            (after, last),
            "{operation}"
        );
        let body = format!(
            "mov.u32 %r1, cell;\nsetp.eq.u32 %p1, %r0, 31;\n@%p1 st.shared.u32 [%r1], {start};\n\
             red.shared.{operation} [%r1], {operand};\n@%p1 ld.shared.u32 %r2, [%r1];\n\
             @%p1 st.global.u32 [%rd0], %r2;"
        );
        let mut bench = Bench::new(".shared .align 4 .b32 cell;", &body).room(0, 1);
        assert_eq!(bench.succeed().shared_atomics, 32);
        assert_eq!(bench.read(0, 1)[0], after, "{operation} in shared memory");
    }
    let swap = "atom.global.cas.b32 %r9, [%rd1], %r0, 100;";
    assert_eq!(lanes("", swap, &[4])[3..6], [4, 4, 100]);
    let wide = "mov.u64 %rd10, 0x100000000;\natom.global.add.u64 %rd11, [%rd1], %rd10;\nshr.u64 %rd11, %rd11, 32;\n\
                cvt.u32.u64 %r9, %rd11;";
    assert_eq!(lanes("", wide, &[0, 0])[31], 31);
}

const COPY: &str = "mov.u32 %r1, room;\nshl.b32 %r2, %r0, 4;\nadd.s32 %r3, %r1, %r2;\ncvt.u64.u32 %rd10, %r2;\n\
                    add.s64 %rd11, %rd1, %rd10;\n";
const ROOM: &str = ".shared .align 16 .b8 room[1024];";

#[test]
fn asynchronous_copies_fill_up_with_zeros() {
    let body = format!(
        "{COPY}mov.u32 %r4, 16;\nsetp.eq.u32 %p1, %r0, 3;\nselp.b32 %r4, 5, %r4, %p1;\n\
         setp.ge.u32 %p2, %r0, 30;\nselp.b32 %r4, 0, %r4, %p2;\nselp.b64 %rd11, %rd1, %rd11, %p2;\n\
         cp.async.cg.shared.global [%r3], [%rd11], 16, %r4;\n\
         cp.async.ca.shared.global.L2::128B [%r3+512], [%rd11], 4;\ncp.async.commit_group;\n\
         cp.async.wait_group 0;\nld.shared.v4.u32 {{%r5, %r6, %r7, %r8}}, [%r3];\nld.shared.u32 %r9, [%r3+512];\n\
         @%p2 mov.u32 %r9, %r5;\n\
         add.s64 %rd12, %rd0, %rd10;\nst.global.v4.u32 [%rd12], {{%r9, %r6, %r7, %r8}};"
    );
    let input: Vec<u32> = (0..120).map(|i| 0x0101_0101 * (i + 1)).collect();
    let mut bench = Bench::new(ROOM, &body).room(0, 128).words(1, &input);
    let counts = bench.succeed();
    let mut want = input;
    want.extend([0; 8]);
    // Lane 3 reads five bytes.
    (want[13], want[14], want[15]) = (want[13] & 0xff, 0, 0);
    assert_eq!(bench.read(0, 128), want);
    assert_eq!(counts.global.read.bytes, 29 * 16 + 5 + 32 * 4);
    assert_eq!(counts.instructions[Class::AsyncCopy].warps, 4);
}

#[test]
fn groups_end_in_order() {
    // Three groups of one copy each; with one left under way the first two are there.
    let body = format!(
        "{COPY}cp.async.ca.shared.global [%r3], [%rd11], 4;\ncp.async.commit_group;\n\
         cp.async.ca.shared.global [%r3+4], [%rd11+4], 4;\ncp.async.commit_group;\n\
         cp.async.ca.shared.global [%r3+8], [%rd11+8], 4;\ncp.async.commit_group;\n\
         cp.async.wait_group 1;\nld.shared.v2.u32 {{%r4, %r5}}, [%r3];\ncp.async.wait_all;\n\
         ld.shared.u32 %r6, [%r3+8];\nadd.s32 %r9, %r4, %r5;\nadd.s32 %r9, %r9, %r6;"
    );
    let input: Vec<u32> = (0..128).collect();
    let found = lanes(ROOM, &body, &input);
    assert_eq!(found, (0..32).map(|lane| 12 * lane + 3).collect::<Vec<_>>());
}

#[test]
fn traffic_is_counted() {
    let body = format!(
        "{COPY}ld.global.v4.u32 {{%r4, %r5, %r6, %r7}}, [%rd11];\n\
                        st.shared.v4.u32 [%r3], {{%r4, %r5, %r6, %r7}};\n\
                        mov.u32 %r1, room;\nshl.b32 %r2, %r0, 3;\nadd.s32 %r3, %r1, %r2;\nld.shared.u32 %r8, [%r3];\n\
                        st.global.u32 [%rd0], 1;"
    );
    let mut bench = Bench::new(ROOM, &body).room(0, 1).words(1, &[1; 128]);
    let counts = bench.succeed();
    assert_eq!(
        (counts.global.read.bytes, counts.global.read.sectors),
        (512, 16)
    );
    assert_eq!(
        (counts.global.write.bytes, counts.global.write.sectors),
        (128, 1)
    );
    assert_eq!(
        (counts.shared.write.bytes, counts.shared.read.bytes),
        (512, 128)
    );
    assert_eq!(
        counts.bank_conflicts, 1,
        "a stride of two words takes two passes"
    );
    assert_eq!(counts.instructions[Class::Load].lanes, 32 * 6);
    assert_eq!(counts.blocks, 1);
    let mut twice = counts;
    twice += counts;
    assert_eq!(twice.global.read.accesses, 2);
}

#[test]
fn what_a_used_bytes_pragma_leaves_out_may_be_unwritten() {
    let body = "st.global.u32 [%rd0], 5;\n.pragma \"used_bytes_mask 0xf\";\nld.global.v2.u32 {%r1, %r2}, [%rd0];";
    Bench::new("", body).room(0, 2).succeed();
}

#[test]
fn a_prefetch_reads_nothing_and_stays_in_bounds() {
    let mut bench = Bench::new("", "prefetch.global.L2 [%rd1];\nst.global.u32 [%rd0], %r9;")
        .threads(1)
        .room(0, 1)
        .words(1, &[7]);
    let counts = bench.succeed();
    assert_eq!(counts.global.read.bytes, 0);
    assert_eq!(counts.instructions[Class::Other].warps, 1);
    let mut bench = Bench::new("", "prefetch.global.L2 [%rd1+4096];")
        .threads(1)
        .words(1, &[7]);
    let rule = bench.fault().rule;
    assert!(matches!(rule, Rule::OutOfBounds { .. }), "{rule}");
}
