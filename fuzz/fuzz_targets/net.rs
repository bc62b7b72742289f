//! Any text as manifests: they are judged, or every fault has a place that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_netpol::compile::Compiled;
use stockade_netpol::read::ManifestReader;

fuzz_target!(|text: &str| {
    let mut reader = ManifestReader::new("default");
    reader.add("fuzz.yaml", text);
    let read = reader.finish();
    let lines = text.lines().count() as u32 + 1;
    for d in &read.diagnostics {
        assert!(d.line <= lines && !d.message.is_empty() && !d.to_string().is_empty());
    }
    if read.diagnostics.has_errors() {
        return;
    }
    let Ok(compiled) = Compiled::new(read.policies, read.state) else { return };
    if let Ok(connectivity) = compiled.connectivity() {
        assert!(connectivity.diff(&connectivity).is_ok_and(|changes| changes.is_empty()));
    }
    let _ = compiled.lint();
});
