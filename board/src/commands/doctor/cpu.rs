//! The processor.

use serde::Serialize;
use std::fs;
use std::num::NonZero;

#[derive(Serialize)]
pub(super) struct Cpu {
    pub(super) model: String,
    pub(super) architecture: &'static str,
    /// Threads that this process may use.
    pub(super) threads: usize,
    /// Those that backends use, as far as the processor has them and the operating system allows them.
    pub(super) instruction_sets: Vec<&'static str>,
}

pub(super) fn probe() -> Cpu {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Cpu {
        model: model(&info).unwrap_or_else(|| "unknown".into()),
        architecture: std::env::consts::ARCH,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        instruction_sets: instruction_sets(&info),
    }
}

/// The name on x86, the identification registers on Arm, which has no names.
fn model(info: &str) -> Option<String> {
    let field = |name: &str| {
        info.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    if let Some(name) = field("model name") {
        return Some(name.into());
    }
    let (implementer, part) = (field("CPU implementer")?, field("CPU part")?);
    Some(match (implementer, part) {
        ("0x41", "0xd42") => "Arm Cortex-A78AE".into(),
        ("0x41", "0xd0b") => "Arm Cortex-A76".into(),
        ("0x41", "0xd08") => "Arm Cortex-A72".into(),
        _ => format!("implementer {implementer}, part {part}"),
    })
}

/// Whether the kernel lists a flag: for instruction sets that the standard library does not detect.
#[cfg(target_arch = "x86_64")]
fn has_flag(info: &str, flag: &str) -> bool {
    let flags = info.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split_whitespace().any(|found| found == flag))
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets(info: &str) -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let sets = [
        ("avx2", has!("avx2")),
        ("fma", has!("fma")),
        ("f16c", has!("f16c")),
        ("avx-vnni", has!("avxvnni")),
        ("avx512f", has!("avx512f")),
        ("avx512bw", has!("avx512bw")),
        ("avx512vl", has!("avx512vl")),
        ("avx512-vnni", has!("avx512vnni")),
        ("amx-int8", has_flag(info, "amx_int8")),
    ];
    present(&sets)
}

#[cfg(target_arch = "aarch64")]
fn instruction_sets(_info: &str) -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    let sets = [
        ("neon", has!("neon")),
        ("fp16", has!("fp16")),
        ("dotprod", has!("dotprod")),
        ("i8mm", has!("i8mm")),
        ("sve", has!("sve")),
    ];
    present(&sets)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction_sets(_info: &str) -> Vec<&'static str> {
    present(&[])
}

fn present(sets: &[(&'static str, bool)]) -> Vec<&'static str> {
    let present = sets.iter().filter(|(_, present)| *present);
    present.map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn models_of_both_architectures() {
        let x86 = "processor\t: 0\nmodel name\t: A Fast One\nflags\t\t: fpu\n";
        assert_eq!(model(x86).as_deref(), Some("A Fast One"));
        let orin = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n";
        assert_eq!(model(orin).as_deref(), Some("Arm Cortex-A78AE"));
        let other = "CPU implementer\t: 0x61\nCPU part\t: 0x022\n";
        assert_eq!(
            model(other).as_deref(),
            Some("implementer 0x61, part 0x022")
        );
        assert_eq!(model(""), None);
    }
}
