use bumpalo::Bump;
use http::{Request, Response};
use kube::client::Body;
use kube::runtime::watcher::Event;
use stockade_cel::Symbols;

use super::*;
use crate::object::Object;

/// Facts of an API server that never answers.
fn facts() -> LiveFacts {
    let service =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, std::io::Error>>());
    let client = kube::Client::new(service, "default");
    let access = Access { client, namespace: "stockade-system".to_owned(), identity: "one".to_owned() };
    LiveFacts::new(&access, &mut Registry::default())
}

fn kind(number: usize) -> ParamKind {
    ParamKind { api_version: "example.com/v1".to_owned(), kind: format!("Kind{number:03}") }
}

/// Puts objects in the place of what a watch would have brought.
fn known(facts: &LiveFacts, kind: ParamKind, objects: impl Iterator<Item = String>) {
    let (store, mut writer) = Store::new();
    let objects = objects.map(|json| Event::InitApply(Object::parse(&json).unwrap()));
    for event in std::iter::once(Event::Init).chain(objects).chain(std::iter::once(Event::InitDone)) {
        writer.take(event, |_, _| {}).unwrap();
    }
    let watch = AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
    facts.shared.held.store(Arc::new(vec![Arc::new(Held { kind: Arc::new(kind), store, _watch: watch })]));
}

#[tokio::test]
async fn kinds_beyond_the_bound_are_not_held_and_namespaces_always_are() {
    let facts = facts();
    let kinds: Vec<_> = (0..=MAX_KINDS).map(kind).collect();
    facts.hold(&kinds);
    let why = |kind: &ParamKind| facts.not_ready(kind);
    assert_eq!(why(&kind(MAX_KINDS - 2)), Some(NotReady::Listing));
    assert_eq!(why(&kind(MAX_KINDS - 1)), Some(NotReady::NotHeld));
    assert_eq!(why(&namespaces()), Some(NotReady::Listing));
    assert_eq!(facts.shared.held.load().len(), MAX_KINDS);
    facts.hold(&[]);
    assert_eq!(why(&kind(0)), Some(NotReady::NotHeld));
    assert_eq!(facts.synced(&[kind(0), namespaces()], Duration::ZERO).await, [kind(0), namespaces()]);
}

#[tokio::test]
async fn a_list_is_cut_only_where_its_length_is_an_error_for_who_reads_it() {
    let facts = facts();
    let object =
        |n| format!(r#"{{"metadata":{{"name":"n{n}","namespace":"{}"}}}}"#, if n < 3 { "few" } else { "many" });
    known(&facts, kind(0), (0..MAX_LISTED + 10).map(object));
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let listed = |namespace| {
        let kind = Kind { api_version: "example.com/v1", kind: "Kind000" };
        match facts.list(kind, namespace, Into { arena: &arena, symbols: &symbols }) {
            Fact::Known(list) => Some(list.len()),
            Fact::NotReady => None,
        }
    };
    assert_eq!(listed("few"), Some(3));
    assert_eq!(listed("many"), Some(MAX_LISTED + 1));
    assert_eq!(listed(""), Some(MAX_LISTED + 1));
    assert_eq!(listed("none"), Some(0));
}

#[tokio::test]
async fn an_object_that_is_too_deep_to_decode_is_there_and_says_nothing() {
    let facts = facts();
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    known(&facts, kind(0), std::iter::once(format!(r#"{{"metadata":{{"name":"deep"}},"spec":{deep}}}"#)));
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let into = Into { arena: &arena, symbols: &symbols };
    let kind = Kind { api_version: "example.com/v1", kind: "Kind000" };
    assert!(matches!(facts.get(kind, "", "deep", into), Fact::Known(Some(Value::Null))));
}
