//! One lane's instructions, with results worked out from the manual.

mod common;

use common::Bench;

/// Runs `opcode` on constants loaded from memory. `kinds` names the operands, destination first: `r` for 32 bits,
/// `h` for 16, `d` for 64.
fn evaluate(opcode: &str, kinds: &str, inputs: &[u64]) -> u64 {
    let mut body = String::new();
    let mut names = Vec::new();
    for (i, (kind, _)) in kinds.chars().skip(1).zip(inputs).enumerate() {
        let (register, ty) = match kind {
            'r' => (format!("%r{}", i + 1), "u32"),
            'h' => (format!("%h{}", i + 1), "u16"),
            _ => (format!("%rd{}", i + 11), "u64"),
        };
        body += &format!("ld.global.{ty} {register}, [%rd1+{}];\n", 8 * i);
        names.push(register);
    }
    let (d, store) = match kinds.as_bytes()[0] {
        b'r' => ("%r9", "st.global.u32 [%rd0], %r9;"),
        b'h' => ("%h9", "st.global.u16 [%rd0], %h9;"),
        _ => ("%rd19", "st.global.u64 [%rd0], %rd19;"),
    };
    body += &format!("{opcode} {d}, {};\n{store}", names.join(", "));
    let words: Vec<u32> = inputs
        .iter()
        .flat_map(|&x| [x as u32, (x >> 32) as u32])
        .collect();
    let mut bench = Bench::new("", &body).words(0, &[0, 0]).words(1, &words);
    bench.succeed();
    let found = bench.read(0, 2);
    u64::from(found[0]) | u64::from(found[1]) << 32
}

#[track_caller]
fn check(opcode: &str, kinds: &str, inputs: &[u64], want: u64) {
    let found = evaluate(opcode, kinds, inputs);
    assert_eq!(
        found, want,
        "{opcode} {inputs:#x?}: {found:#x}, expected {want:#x}"
    );
}

/// The low 32 bits of a negative number.
fn n(x: i64) -> u64 {
    u64::from(x as u32)
}

fn f(x: f32) -> u64 {
    x.to_bits().into()
}

const NAN: u64 = 0x7fff_ffff;

#[test]
fn integers() {
    check("add.s32", "rrr", &[n(-1), 1], 0);
    check("add.s64", "ddd", &[u64::MAX, 3], 2);
    check("add.u16", "hhh", &[0xffff, 2], 1);
    check("add.sat.s32", "rrr", &[0x7fff_ffff, 5], 0x7fff_ffff);
    check("sub.s32", "rrr", &[3, 5], n(-2));
    check("sub.sat.s32", "rrr", &[0x8000_0000, 5], 0x8000_0000);
    check("min.s32", "rrr", &[n(-4), 3], n(-4));
    check("min.u32", "rrr", &[n(-4), 3], 3);
    check("max.s64", "ddd", &[u64::MAX, 3], 3);
    check("max.u64", "ddd", &[u64::MAX, 3], u64::MAX);
    check("max.s16", "hhh", &[0xffff, 3], 3);
    check("abs.s32", "rr", &[n(-7)], 7);
    check("neg.s32", "rr", &[7], n(-7));
    check("neg.s64", "dd", &[1], u64::MAX);
    check("sad.u32", "rrrr", &[3, 10, 100], 107);
    check("sad.s32", "rrrr", &[n(-3), 3, 100], 106);
}

#[test]
fn products_and_quotients() {
    check("mul.lo.s32", "rrr", &[0x10001, 0x10001], 0x20001);
    check("mul.hi.s32", "rrr", &[n(-2), 3], n(-1));
    check("mul.hi.u32", "rrr", &[n(-2), 3], 2);
    check("mul.hi.u64", "ddd", &[u64::MAX, 16], 15);
    check("mul.hi.s64", "ddd", &[u64::MAX, 16], u64::MAX);
    check("mul.wide.s32", "drr", &[n(-2), 3], (-6i64) as u64);
    check("mul.wide.u32", "drr", &[n(-1), 2], 0x1_ffff_fffe);
    check("mul.wide.s16", "rhh", &[0xffff, 5], n(-5));
    check("mul.wide.u16", "rhh", &[0xffff, 5], 0x4_fffb);
    check("mul.lo.u16", "hhh", &[0x1234, 0x10], 0x2340);
    check("mul.hi.u16", "hhh", &[0x1234, 0x100], 0x12);
    check("mul24.lo.s32", "rrr", &[0xff_ffff, 5], n(-5));
    check("mad.lo.s32", "rrrr", &[7, n(-3), 30], 9);
    check("mad.wide.u32", "drrd", &[1 << 31, 2, 5], 0x1_0000_0005);
    check("mad.wide.s32", "drrd", &[n(-1), 2, 1], u64::MAX);
    check("mad.lo.s64", "dddd", &[1 << 40, 2, 1], (1 << 41) + 1);
    check("mad.hi.u32", "rrrr", &[1 << 31, 4, 1], 3);
    check("div.s32", "rrr", &[n(-7), 2], n(-3));
    check("div.u32", "rrr", &[n(-7), 2], 0x7fff_fffc);
    check("div.s32", "rrr", &[0x8000_0000, n(-1)], 0x8000_0000);
    check("rem.s32", "rrr", &[n(-7), 2], n(-1));
    check("rem.u32", "rrr", &[7, 4], 3);
    check("rem.u64", "ddd", &[1 << 40, 1000], (1 << 40) % 1000);
    check("div.s64", "ddd", &[(-9i64) as u64, 2], (-4i64) as u64);
    check("div.u16", "hhh", &[100, 7], 14);
    check(
        "dp4a.s32.s32",
        "rrrr",
        &[0x0102_03ff, 0x0203_0405, 10],
        10 + 2 + 6 + 12 - 5,
    );
    check(
        "dp4a.u32.u32",
        "rrrr",
        &[0x0102_03ff, 0x0203_0405, 10],
        10 + 2 + 6 + 12 + 1275,
    );
    check("dp4a.u32.s32", "rrrr", &[0xff, 0xff, 0], n(-255));
    check(
        "dp2a.lo.s32.s32",
        "rrrr",
        &[0x0002_ffff, 0x0908_0403, 1],
        1 + 8 - 3,
    );
    check(
        "dp2a.hi.s32.s32",
        "rrrr",
        &[0x0002_ffff, 0x0908_0403, 1],
        1 + 18 - 8,
    );
}

#[test]
fn logic_and_shifts() {
    check("and.b32", "rrr", &[0b1100, 0b1010], 0b1000);
    check("or.b64", "ddd", &[1 << 40, 1], 1 << 40 | 1);
    check("xor.b16", "hhh", &[0xff00, 0x0ff0], 0xf0f0);
    check("not.b32", "rr", &[0], n(-1));
    check("not.b16", "hh", &[0xff00], 0xff);
    check("cnot.b32", "rr", &[0], 1);
    check("shl.b32", "rrr", &[1, 31], 1 << 31);
    check("shl.b32", "rrr", &[1, 32], 0);
    check("shl.b64", "ddr", &[1, 63], 1 << 63);
    check("shr.u32", "rrr", &[n(-1), 28], 15);
    check("shr.s32", "rrr", &[n(-16), 2], n(-4));
    check("shr.s32", "rrr", &[n(-16), 99], n(-1));
    check("shr.s64", "ddr", &[(-16i64) as u64, 2], (-4i64) as u64);
    check(
        "shf.l.wrap.b32",
        "rrrr",
        &[0x1234_5678, 0x9abc_def0, 8],
        0xbcde_f012,
    );
    check(
        "shf.r.wrap.b32",
        "rrrr",
        &[0x1234_5678, 0x9abc_def0, 8],
        0xf012_3456,
    );
    check(
        "shf.r.wrap.b32",
        "rrrr",
        &[0x1234_5678, 0x9abc_def0, 40],
        0xf012_3456,
    );
    check(
        "shf.r.clamp.b32",
        "rrrr",
        &[0x1234_5678, 0x9abc_def0, 40],
        0x9abc_def0,
    );
    check(
        "shf.l.clamp.b32",
        "rrrr",
        &[0x1234_5678, 0x9abc_def0, 40],
        0x1234_5678,
    );
    // 0xca is (a and b) or (not a and c): a selects between b and c.
    let body = "lop3.b32 %r9, 0xff00, 0x1234, 0x5678, 0xca;";
    assert_eq!(common::lanes("", body, &[0])[0], 0x1278);
}

#[test]
fn bit_fields_and_counts() {
    check("bfe.u32", "rrrr", &[0xabcd_1234, 8, 12], 0xd12);
    check("bfe.s32", "rrrr", &[0xf00, 8, 4], n(-1));
    check("bfe.s32", "rrrr", &[0x8000_0000, 28, 16], n(-8));
    check("bfe.u32", "rrrr", &[0xabcd_1234, 8, 0], 0);
    check("bfe.u64", "ddrr", &[0xabcd_1234_0000_0000, 40, 12], 0xd12);
    check("bfi.b32", "rrrrr", &[0xff, 0, 4, 4], 0xf0);
    check("bfi.b32", "rrrrr", &[0, n(-1), 28, 9], 0x0fff_ffff);
    check("bfi.b64", "dddrr", &[1, 0, 63, 1], 1 << 63);
    check("bmsk.clamp.b32", "rrr", &[4, 8], 0xff0);
    check("popc.b32", "rr", &[0xf0f0], 8);
    check("popc.b64", "rd", &[u64::MAX], 64);
    check("clz.b32", "rr", &[1], 31);
    check("clz.b64", "rd", &[0], 64);
    check("brev.b32", "rr", &[1], 1 << 31);
    check("bfind.u32", "rr", &[0x1000], 12);
    check("bfind.u32", "rr", &[0], n(-1));
    check("bfind.s32", "rr", &[n(-5)], 2);
    check("bfind.shiftamt.u32", "rr", &[0x1000], 19);
    check("bfind.u64", "rd", &[1 << 40], 40);
    check("fns.b32", "rrrr", &[0b1011_0100, 3, 1], 4);
    check("fns.b32", "rrrr", &[0b1011_0100, 3, n(-1)], 2);
    check("fns.b32", "rrrr", &[0b1011_0100, 4, 0], 4);
    check("fns.b32", "rrrr", &[0b1011_0100, 3, 0], n(-1));
}

#[test]
fn bytes_are_permuted() {
    check(
        "prmt.b32",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 0x7531],
        0x7755_3311,
    );
    check(
        "prmt.b32",
        "rrrr",
        &[0x3322_1180, 0x7766_5544, 0x8888],
        0xffff_ffff,
    );
    check(
        "prmt.b32",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 0x9910],
        0x0000_1100,
    );
    check(
        "prmt.b32.f4e",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 1],
        0x4433_2211,
    );
    check(
        "prmt.b32.b4e",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 1],
        0x6677_0011,
    );
    check(
        "prmt.b32.rc8",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 2],
        0x2222_2222,
    );
    check(
        "prmt.b32.ecl",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 2],
        0x3322_2222,
    );
    check(
        "prmt.b32.ecr",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 2],
        0x2222_1100,
    );
    check(
        "prmt.b32.rc16",
        "rrrr",
        &[0x3322_1100, 0x7766_5544, 1],
        0x3322_3322,
    );
}

#[test]
fn floats_round_once_to_nearest_even() {
    check("add.f32", "rrr", &[f(1.0), f(2.0f32.powi(-24))], f(1.0));
    check(
        "add.rn.f32",
        "rrr",
        &[f(1.0), f(3.0 * 2.0f32.powi(-24))],
        f(1.0 + 2.0f32.powi(-22)),
    );
    check("sub.rn.f32", "rrr", &[f(1.5), f(2.25)], f(-0.75));
    check("mul.rn.f32", "rrr", &[f(1e-30), f(1e-10)], f(1e-40));
    // (1 + 2^-12)^2 - 1 keeps the square's last bit only if it is not rounded in between.
    let x = 1.0 + 2.0f32.powi(-12);
    let exact = 2.0f32.powi(-11) + 2.0f32.powi(-24);
    check("fma.rn.f32", "rrrr", &[f(x), f(x), f(-1.0)], f(exact));
    check("div.rn.f32", "rrr", &[f(1.0), f(3.0)], 0x3eaa_aaab);
    check("rcp.rn.f32", "rr", &[f(3.0)], 0x3eaa_aaab);
    check("sqrt.rn.f32", "rr", &[f(2.0)], 0x3fb5_04f3);
    check("sqrt.rn.f32", "rr", &[f(-1.0)], NAN);
    check("min.f32", "rrr", &[f(-0.0), f(0.0)], f(-0.0));
    check("max.f32", "rrr", &[f(-0.0), f(0.0)], f(0.0));
    check("min.f32", "rrr", &[NAN, f(2.0)], f(2.0));
    check("max.f32", "rrr", &[f(2.0), NAN], f(2.0));
    check("max.NaN.f32", "rrr", &[f(2.0), NAN], NAN);
    check("min.f32", "rrr", &[0xffff_ffff, 0xffff_ffff], NAN);
    check("neg.f32", "rr", &[f(0.0)], f(-0.0));
    check("abs.f32", "rr", &[f(-3.0)], f(3.0));
    check("copysign.f32", "rrr", &[f(-1.0), f(3.0)], f(-3.0));
    check("add.sat.f32", "rrr", &[f(0.75), f(0.75)], f(1.0));
    check(
        "add.f32",
        "rrr",
        &[f(f32::INFINITY), f(f32::NEG_INFINITY)],
        NAN,
    );
    check(
        "fma.rn.f64",
        "dddd",
        &[3.0f64.to_bits(), 0.5f64.to_bits(), 1.0f64.to_bits()],
        2.5f64.to_bits(),
    );
    check(
        "div.rn.f64",
        "ddd",
        &[1.0f64.to_bits(), 3.0f64.to_bits()],
        (1.0f64 / 3.0).to_bits(),
    );
}

#[test]
fn halves() {
    let (one, ulp) = (0x3c00, 0x3c01);
    check("add.f16", "hhh", &[one, one], 0x4000);
    check("mul.rn.f16", "hhh", &[ulp, ulp], 0x3c02);
    // (1 + 2^-10)^2 - (1 + 2^-9) is 2^-20, lost if the square is rounded.
    check("fma.rn.f16", "hhhh", &[ulp, ulp, 0xbc02], 0x0010);
    check(
        "add.rn.f16x2",
        "rrr",
        &[0x3c00_4000, 0x3c00_4000],
        0x4000_4400,
    );
    check(
        "fma.rn.f16x2",
        "rrrr",
        &[0x3c00_4000, 0x3c00_4000, 0xbc00_0000],
        0x0000_4400,
    );
    check("neg.f16x2", "rr", &[0x3c00_bc00], 0xbc00_3c00);
    check("max.f16x2", "rrr", &[0x3c00_bc00, 0x0000_0000], 0x3c00_0000);
    check("cvt.rn.f16x2.f32", "rrr", &[f(1.0), f(2.0)], 0x3c00_4000);
}

#[test]
fn conversions_between_integers() {
    check("cvt.s64.s32", "dr", &[n(-5)], (-5i64) as u64);
    check("cvt.u64.u32", "dr", &[n(-5)], 0xffff_fffb);
    check("cvt.u32.u64", "rd", &[0x1_2345_6789], 0x2345_6789);
    check("cvt.u16.u32", "hr", &[0x1_2345], 0x2345);
    check("cvt.s32.s8", "rr", &[0x1ff], n(-1));
    check("cvt.u32.u8", "rr", &[0x1ff], 0xff);
    check("cvt.s32.s16", "rh", &[0x8000], n(-0x8000));
    check("cvt.sat.s8.s32", "rr", &[300], 127);
    check("cvt.sat.s8.s32", "rr", &[n(-300)], n(-128));
    check("cvt.sat.u8.s32", "rr", &[n(-3)], 0);
    check("cvt.sat.u8.s32", "rr", &[300], 255);
    check("cvt.s8.s32", "rr", &[200], n(-56));
    check("cvt.u8.u32", "hr", &[0x1ff], 0xff);
    check("cvt.sat.u32.s64", "rd", &[(-1i64) as u64], 0);
}

#[test]
fn conversions_from_integers_to_floats() {
    check("cvt.rn.f32.s32", "rr", &[16_777_217], f(16_777_216.0));
    check("cvt.rn.f32.u32", "rr", &[n(-1)], f(4_294_967_296.0));
    check(
        "cvt.rn.f32.u64",
        "rd",
        &[u64::MAX],
        f(18_446_744_073_709_551_616.0),
    );
    check("cvt.rn.f32.s64", "rd", &[u64::MAX], f(-1.0));
    check("cvt.rn.f32.s8", "rr", &[0xff], f(-1.0));
    check("cvt.rn.f32.u8", "rh", &[0xff], f(255.0));
    check("cvt.rn.f32.u16", "rh", &[0xffff], f(65535.0));
    check(
        "cvt.rn.f64.u64",
        "dd",
        &[1 << 63],
        9_223_372_036_854_775_808.0f64.to_bits(),
    );
    check("cvt.rn.f16.s32", "hr", &[2049], 0x6800);
}

#[test]
fn conversions_from_floats_to_integers() {
    for (rounding, positive, negative) in [
        ("rni", 2, -2),
        ("rzi", 2, -2),
        ("rmi", 2, -3),
        ("rpi", 3, -2),
    ] {
        check(
            &format!("cvt.{rounding}.s32.f32"),
            "rr",
            &[f(2.5)],
            n(positive),
        );
        check(
            &format!("cvt.{rounding}.s32.f32"),
            "rr",
            &[f(-2.5)],
            n(negative),
        );
        check(
            &format!("cvt.{rounding}.f32.f32"),
            "rr",
            &[f(-2.5)],
            f(negative as f32),
        );
    }
    check("cvt.rni.s32.f32", "rr", &[f(3.5)], 4);
    check("cvt.rzi.s32.f32", "rr", &[f(1e20)], 0x7fff_ffff);
    check("cvt.rzi.s32.f32", "rr", &[f(-1e20)], 0x8000_0000);
    check("cvt.rzi.u32.f32", "rr", &[f(-1.0)], 0);
    check("cvt.rzi.s32.f32", "rr", &[NAN], 0);
    check("cvt.rni.sat.s8.f32", "rr", &[f(200.0)], 127);
    check(
        "cvt.rzi.s64.f32",
        "dr",
        &[f(-1e10)],
        (-10_000_000_000i64) as u64,
    );
    check(
        "cvt.rzi.u64.f64",
        "dd",
        &[1e19f64.to_bits()],
        10_000_000_000_000_000_000,
    );
}

#[test]
fn conversions_between_floats() {
    check("cvt.f32.f16", "rh", &[0x3c01], f(1.0 + 2.0f32.powi(-10)));
    check("cvt.f32.f16", "rh", &[0x0001], f(2.0f32.powi(-24)));
    check("cvt.rn.f16.f32", "hr", &[f(65519.0)], 0x7bff);
    check("cvt.rn.f16.f32", "hr", &[f(65520.0)], 0x7c00);
    check("cvt.rz.f16.f32", "hr", &[f(65520.0)], 0x7bff);
    check("cvt.rz.f16.f32", "hr", &[f(-1.9999)], 0xbfff);
    check("cvt.rn.f16.f32", "hr", &[f(1.0 + 2.0f32.powi(-11))], 0x3c00);
    check(
        "cvt.rn.f16.f32",
        "hr",
        &[f(1.0 + 3.0 * 2.0f32.powi(-11))],
        0x3c02,
    );
    check("cvt.rn.f16.f32", "hr", &[NAN], 0x7fff);
    check("cvt.sat.f32.f32", "rr", &[f(-2.0)], f(0.0));
    check("cvt.f64.f32", "dr", &[f(0.1)], f64::from(0.1f32).to_bits());
    check("cvt.rn.f32.f64", "rd", &[0.1f64.to_bits()], f(0.1));
}

#[test]
fn comparisons() {
    let holds = |operator: &str, a: u64, b: u64| {
        let body = format!(
            "ld.global.u32 %r1, [%rd1]; ld.global.u32 %r2, [%rd1+4];\n\
             setp.{operator} %p1, %r1, %r2; selp.b32 %r9, 1, 0, %p1;"
        );
        common::lanes("", &body, &[a as u32, b as u32])[7] == 1
    };
    let cases = [
        ("lt.s32", n(-1), 0, true),
        ("lt.u32", n(-1), 0, false),
        ("lo.u32", 0, n(-1), true),
        ("hs.u32", 4, 4, true),
        ("ge.s32", n(-3), n(-3), true),
        ("eq.b32", 5, 5, true),
        ("ne.s32", 5, 5, false),
        ("lt.f32", f(-0.0), f(0.0), false),
        ("eq.f32", f(-0.0), f(0.0), true),
        ("ne.f32", NAN, f(1.0), false),
        ("neu.f32", NAN, f(1.0), true),
        ("equ.f32", NAN, f(1.0), true),
        ("ltu.f32", NAN, f(1.0), true),
        ("gtu.f32", f(0.0), f(1.0), false),
        ("leu.f32", f(2.0), f(1.0), false),
        ("geu.f32", f(2.0), NAN, true),
        ("gt.f32", f(2.0), NAN, false),
        ("num.f32", f(2.0), NAN, false),
        ("nan.f32", f(2.0), NAN, true),
    ];
    for (operator, a, b, want) in cases {
        assert_eq!(holds(operator, a, b), want, "{operator} {a:#x} {b:#x}");
    }
}

#[test]
fn predicates_combine() {
    // Lanes below 16 and odd lanes; then both results of a comparison with a third predicate.
    let body = "and.b32 %r1, %r0, 1;\nsetp.eq.s32 %p1, %r1, 1;\n\
                setp.lt.and.u32 %p2|%p3, %r0, 16, %p1;\n\
                setp.lt.or.u32 %p4, %r0, 4, !%p1;\n\
                not.pred %p5, %p4;\nxor.pred %p6, %p2, %p5;\nmov.pred %p7, %p6;\n\
                selp.b32 %r2, 1, 0, %p2;\nselp.b32 %r3, 2, 0, %p3;\nselp.b32 %r4, 4, 0, %p4;\n\
                selp.b32 %r5, 8, 0, %p7;\n@!%p1 mov.u32 %r5, 0;\n\
                or.b32 %r9, %r2, %r3;\nor.b32 %r9, %r9, %r4;\nor.b32 %r9, %r9, %r5;";
    let found = common::lanes("", body, &[0]);
    for lane in 0..32u32 {
        let odd = lane % 2 == 1;
        let (p2, p3, p4) = (lane < 16 && odd, lane >= 16 && odd, lane < 4 || !odd);
        let p7 = (p2 ^ !p4) && odd;
        let want = u32::from(p2) | u32::from(p3) << 1 | u32::from(p4) << 2 | u32::from(p7) << 3;
        assert_eq!(found[lane as usize], want, "lane {lane}");
    }
    let set =
        "setp.ge.u32 %p1, %r0, 8;\nset.lt.u32.u32 %r9, %r0, 4;\n@%p1 set.lt.f32.u32 %r9, %r0, 9;";
    let found = common::lanes("", set, &[0]);
    assert_eq!(
        [found[3], found[5], found[8], found[9]],
        [u32::MAX, 0, 0x3f80_0000, 0]
    );
}

#[test]
fn values_are_packed_and_unpacked() {
    let body = "mov.b32 %r1, 0x11223344;\nmov.b32 {%h1, %h2}, %r1;\nmov.b32 %r2, {%h2, %h1};\n\
                mov.b64 %rd10, {%r1, %r2};\nmov.b64 {%h3, %h4, %h5, %h6}, %rd10;\n\
                mov.b64 {_, %r3}, %rd10;\ncvt.u32.u16 %r4, %h6;\nadd.s32 %r9, %r3, %r4;";
    assert_eq!(common::lanes("", body, &[0])[31], 0x3344_1122 + 0x3344);
}

#[test]
fn what_is_approximate_or_unknown_is_refused_by_line() {
    use mergevit_emulator::Module;
    let refused = [
        "ex2.approx.f32 %f1, %f2;",
        "rcp.approx.ftz.f32 %f1, %f2;",
        "add.ftz.f32 %f1, %f1, %f2;",
        "div.full.f32 %f1, %f1, %f2;",
        "add.rz.f32 %f1, %f1, %f2;",
        "frobnicate.b32 %r1, %r2;",
        "add.s32 %r1, %r2;",
        "add.s32 %r1, %rd2, %r3;",
        "mov.u32 %r1, %clock;",
        "ld.global.L3::64B.u32 %r1, [%rd1];",
        "prefetch.shared.L2 [%r1];",
        "cp.async.cg.shared.global [%r1], [%rd1], 8;",
        "mma.sync.aligned.m16n8k32.row.row.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r1,%r2,%r3,%r4}, {%r1,%r2}, {%r1,%r2,%r3,%r4};",
        "bra nowhere;",
        "cvt.rn.s32.f32 %r1, %f1;",
        "add.s32 %r77, %r1, %r1;",
        ".pragma \"unheard of\";",
    ];
    for statement in refused {
        let text = common::text("", &format!("{statement}\n"));
        let error = Module::parse(&text).expect_err(statement);
        let line = text.lines().position(|line| line == statement).unwrap() + 1;
        assert_eq!(error.line as usize, line, "{error}");
    }
}
