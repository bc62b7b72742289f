//! What the tests of whole decisions share: policies from text, requests from objects, the conformance suites.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::document::from_json;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::{DecideOptions, Decision, Engine, FolderFacts, Request, RequestBuilder};
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

/// Compiles policies and bindings; a policy without a binding is in force everywhere with Deny.
pub(crate) fn try_engine(text: &str) -> Result<Engine, String> {
    let mut sources = PolicySources::default();
    sources.add("policies.yaml", text, true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..Options::default() };
    let compiled = compile(&sources, options).map_err(|d| format!("{d:?}"))?;
    Ok(Engine::new(Arc::new(compiled.set)))
}

pub(crate) fn engine(text: &str) -> Engine {
    try_engine(text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Facts of a cluster in which these objects exist.
pub(crate) fn facts(objects: impl IntoIterator<Item = Json>) -> FolderFacts {
    FolderFacts::new(objects).unwrap()
}

pub(crate) fn decide_review(
    engine: &Engine,
    review: &Json,
    facts: &dyn ClusterFacts,
    options: &DecideOptions,
) -> Decision {
    let arena = Bump::new();
    let review = from_json(review, &arena, engine.symbols()).unwrap();
    let request = Request::from_review(review).unwrap();
    // The lifetime of the decision's borrows ends here; the decision itself owns what it holds.
    engine.decide(&request, facts, &arena, options)
}

pub(crate) fn decide(engine: &Engine, request: RequestBuilder, facts: &dyn ClusterFacts) -> Decision {
    decide_review(engine, &request.review().unwrap(), facts, &DecideOptions::default())
}
