//! The shipped images parse.

use mergevit_emulator::Module;

#[test]
fn every_image_parses() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../images");
    let mut kernels = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ptx") {
            let text = std::fs::read_to_string(&path).unwrap();
            let module =
                Module::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            kernels += module.kernels().count();
        }
    }
    assert!(kernels > 0);
}
