//! Any text as a policy file: it compiles, or every fault has a place that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

fuzz_target!(|text: &str| {
    let mut sources = PolicySources::default();
    sources.add("fuzz.yaml", text, true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: true, ..Options::default() };
    if let Err(diagnostics) = compile(&sources, options) {
        let lines = text.lines().count() as u32 + 1;
        for d in &diagnostics {
            assert!(d.line <= lines && !d.message.is_empty() && !d.to_string().is_empty());
        }
    }
});
