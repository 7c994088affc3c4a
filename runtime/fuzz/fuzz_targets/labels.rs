//! Any bytes are the labels of so many classes, or are refused; labels are valid, and the same when they are written
//! as JSON and read again. The first byte is the number of classes.

#![no_main]

use mergevit_runtime::labels::parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&classes, text)) = bytes.split_first() else {
        return;
    };
    let classes = usize::from(classes);
    let Ok(labels) = parse(text, classes) else {
        return;
    };
    assert_eq!(labels.len(), classes);
    for label in &labels {
        assert!(!label.trim().is_empty() && !label.contains(char::is_control));
    }
    if classes > 0 {
        let json = serde_json::to_vec(&labels).expect("strings are JSON");
        let again = parse(&json, classes).expect("what was accepted is accepted as JSON");
        assert_eq!(again, labels);
    }
});
