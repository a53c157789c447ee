//! Every example in `examples/` is a configuration that holds.

use std::path::Path;

#[test]
fn every_example_resolves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the examples are there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).expect("the example can be read");
            assert!(text.starts_with("# "), "{path:?} does not say what it is for");
            if let Err(problems) = plimsoll_config::load(&path) {
                panic!("{problems}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} examples found");
}
