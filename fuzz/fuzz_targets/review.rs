//! Any bytes as the body of a request: an answer, or a named fault; never an allow that no policy gave.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use stockade_engine::{Engine, FolderFacts};
use stockade_policy::compile::{Options, compile};
use stockade_policy::sources::load_paths;
use stockade_webhook::{Outcome, Verb, review};

static PACKS: LazyLock<(Engine, FolderFacts)> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let sources = load_paths(&[folder]);
    let compiled = compile(&sources, Options::default()).expect("the packs compile");
    let facts = FolderFacts::new(sources.objects.into_iter().map(|o| o.value)).expect("params have names");
    (Engine::new(Arc::new(compiled.set)), facts)
});

fuzz_target!(|body: &[u8]| {
    let (engine, facts) = &*PACKS;
    for verb in [Verb::Validate, Verb::Mutate] {
        let deadline = Instant::now() + Duration::from_secs(10);
        match review::judge(engine, facts, verb, body, deadline, |_, _, _| {}) {
            Err(bad) => assert!(!bad.message.is_empty()),
            Ok(review::Judged { reviewed, .. }) => {
                let answer: serde_json::Value = serde_json::from_slice(&reviewed.body).expect("the answer is JSON");
                let allowed = answer["response"]["allowed"].as_bool().expect("the answer says so");
                assert_eq!(allowed, matches!(reviewed.outcome, Outcome::Allowed | Outcome::Mutated));
            }
        }
    }
});
