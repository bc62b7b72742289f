//! One image policy at the door, asked as a webhook asks it: decided, looked at, decided again.

use bumpalo::Bump;
use stockade_cel::document;
use stockade_engine::images::WithImages;
use stockade_engine::{DecideOptions, Decision, Engine, FolderFacts, Request, RequestBuilder, Verb};
use stockade_policy::compile::{Options, compile};
use stockade_policy::sources::PolicySources;

use super::*;

/// An engine of one policy, by its `spec`.
pub(super) fn engine(spec: &Value) -> Engine {
    let policy = json!({"apiVersion": "stockade.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": "signed"},
        "spec": spec});
    let mut sources = PolicySources::default();
    sources.add("signed.yaml", &policy.to_string(), true);
    Engine::new(Arc::new(compile(&sources, Options::default()).unwrap().set))
}

/// A Pod that runs an image.
pub(super) fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// What both webhooks together decide of a Pod that is created, or changed from an old one.
pub(super) async fn decided(engine: &Engine, images: &Images, pod: &Value, old: Option<&Value>) -> Decision {
    asked(engine, images, Verb::Both, pod, old).await
}

/// What one of them decides.
pub(super) async fn asked(engine: &Engine, images: &Images, verb: Verb, pod: &Value, old: Option<&Value>) -> Decision {
    let mut request = RequestBuilder::new().object(pod.clone());
    if let Some(old) = old {
        request = request.old_object(old.clone());
    }
    let review = request.review().unwrap();
    // What is pinned is wanted by its digest too.
    for _ in 0..4 {
        let decision = {
            let arena = Bump::new();
            let value = document::from_json(&review, &arena, engine.symbols()).unwrap();
            let facts = FolderFacts::default();
            let facts = WithImages { facts: &facts, images };
            let options = DecideOptions { verb, ..DecideOptions::default() };
            engine.decide(&Request::from_review(value).unwrap(), &facts, &arena, &options)
        };
        if decision.wanted.is_empty() {
            return decision;
        }
        images.gather(decision.wanted, Instant::now() + Duration::from_secs(30)).await;
    }
    panic!("what was looked at is wanted again")
}
