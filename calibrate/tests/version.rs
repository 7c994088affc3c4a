//! `--version` names the source that the program was built from. `board/tests/version.rs` tests how it is found.

use std::process::Command;

#[test]
fn the_version_is_short_or_names_commit_features_and_target() {
    let printed = |flag| {
        let output = Command::new(env!("CARGO_BIN_EXE_mergevit-calibrate"))
            .arg(flag)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let short = concat!("mergevit-calibrate ", env!("CARGO_PKG_VERSION"));
    assert_eq!(printed("-V"), format!("{short}\n"));
    let long = printed("--version");
    assert_eq!(
        long,
        format!("mergevit-calibrate {}\n", env!("MERGEVIT_LONG_VERSION"))
    );
    assert!(long.starts_with(&format!("{short} (")), "{long}");
    assert!(long.contains("; features: none; "), "{long}");
    assert!(long.contains(std::env::consts::ARCH), "{long}");
}
