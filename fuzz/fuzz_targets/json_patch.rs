//! Any document and patch: it applies or says why not, and the difference of two documents leads from one to the
//! other.
#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use stockade_cel::{Symbols, Value, document};
use stockade_schema::json_patch::{Operation, apply, diff};

fn operation(value: Value<'_>) -> Operation<'_> {
    let text = |key| value.get(key).and_then(Value::as_str);
    Operation {
        op: text("op").unwrap_or_default(),
        path: text("path").unwrap_or_default(),
        from: text("from"),
        value: value.get("value"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let Ok(Value::List([before, patch])) = document::decode(bytes, &arena, &symbols) else { return };
    let operations: Vec<Operation<'_>> = patch.as_list().unwrap_or_default().iter().map(|v| operation(*v)).collect();
    let Ok(after) = apply(*before, &operations, &arena, &symbols) else { return };
    let difference = diff(*before, after, &arena);
    let again = apply(*before, &difference, &arena, &symbols).expect("a difference applies");
    assert_eq!(serde_json::to_value(again).ok(), serde_json::to_value(after).ok());
});
