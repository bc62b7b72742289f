use bumpalo::Bump;
use http::{Request, Response};
use kube::client::Body;
use kube::runtime::watcher::Event;
use stockade_cel::Symbols;
use stockade_policy::compiled::{ParamRef, ParamSource, ParameterNotFoundAction};
use stockade_policy::selector::{Operator, Requirement};

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

fn all(number: usize) -> Read {
    Read::all(kind(number))
}

/// Puts objects in the place of what watches would have brought: of each scope, whether they are known.
fn known(facts: &LiveFacts, kind: ParamKind, scopes: Vec<(Scope, Option<Vec<String>>)>) {
    let watch = |(scope, objects): (Scope, Option<Vec<String>>)| {
        let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
        if let Some(objects) = objects {
            let objects = objects.iter().map(|json| Event::InitApply(Object::parse(json).unwrap()));
            for event in std::iter::once(Event::Init).chain(objects).chain(std::iter::once(Event::InitDone)) {
                writer.take(event, |_, _| {}).unwrap();
            }
        }
        let task = AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
        Arc::new(Watch { scope, store, _task: task })
    };
    let metrics = facts.shared.metrics.of_kind(&kind);
    let held = Held { kind: Arc::new(kind), metrics, watches: scopes.into_iter().map(watch).collect() };
    facts.shared.held.store(Arc::new(vec![Arc::new(held)]));
}

fn object(namespace: &str, name: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","labels":{{"team":"{name}"}}}}}}"#)
}

fn params(namespace: &str, source: ParamSource) -> Scope {
    let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
    Scope::of_params(&ParamRef { source, namespace, not_found: ParameterNotFoundAction::Deny })
}

fn named(namespace: &str, name: &str) -> Scope {
    params(namespace, ParamSource::Name(name.to_owned()))
}

fn team(name: &str) -> LabelSelector {
    let (key, values) = ("team".to_owned(), vec![name.to_owned()]);
    LabelSelector { requirements: vec![Requirement { key, operator: Operator::In, values }] }
}

/// Names, or that they are not known.
fn names(listed: Fact<&[Value<'_>]>) -> Option<Vec<String>> {
    let name = |object: &Value<'_>| object.path(&["metadata", "name"]).and_then(Value::as_str).unwrap().to_owned();
    match listed {
        Fact::Known(list) => Some(list.iter().map(name).collect()),
        Fact::NotReady => None,
    }
}

#[tokio::test]
async fn kinds_beyond_the_bound_are_not_held_and_namespaces_always_are() {
    let facts = facts();
    let kinds: Vec<_> = (0..=MAX_KINDS).map(all).collect();
    facts.hold(&kinds);
    let why = |read: &Read| facts.not_ready(read);
    assert_eq!(why(&all(MAX_KINDS - 2)), Some(NotReady::Listing));
    assert_eq!(why(&all(MAX_KINDS - 1)), Some(NotReady::NotHeld));
    assert_eq!(why(&Read::all(namespaces())), Some(NotReady::Listing));
    assert_eq!(facts.shared.held.load().len(), MAX_KINDS);
    facts.hold(&[]);
    assert_eq!(why(&all(0)), Some(NotReady::NotHeld));
    let reads = BTreeSet::from([all(0), Read::all(namespaces())]);
    assert_eq!(facts.synced(&reads, Duration::ZERO).await, reads);
}

#[tokio::test]
async fn what_stays_held_is_not_begun_anew_and_what_is_let_go_of_ends() {
    let facts = facts();
    let read = |scope: Scope| Read { kind: Arc::new(kind(0)), scope };
    let (one, two) = (read(named("shop", "a")), read(named("shop", "b")));
    let watches = || -> Vec<(Scope, *const Store)> {
        let held = facts.shared.held.load();
        let held = find(&held, ("example.com/v1", "Kind000")).unwrap();
        held.watches.iter().map(|w| (w.scope.clone(), Arc::as_ptr(&w.store))).collect()
    };
    facts.hold([&one]);
    let before = watches();
    facts.hold([&one, &two]);
    assert_eq!((watches()[0].clone(), watches().len()), (before[0].clone(), 2));
    assert_eq!(facts.not_ready(&two), Some(NotReady::Listing));
    facts.hold([&two]);
    assert_eq!(watches().iter().map(|w| w.0.clone()).collect::<Vec<_>>(), [two.scope]);
    assert_eq!(facts.not_ready(&one), Some(NotReady::NotHeld));
}

#[tokio::test]
async fn an_answer_about_what_nobody_watches_is_not_ready_and_never_absent() {
    let facts = facts();
    let scopes = vec![
        (named("shop", "limits"), Some(vec![object("shop", "limits")])),
        (named("", "own"), Some(vec![object("bank", "own")])),
        (params("team", ParamSource::Selector(team("a"))), Some(vec![object("team", "a")])),
        (named("late", "limits"), None),
    ];
    known(&facts, kind(0), scopes);
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let into = Into { arena: &arena, symbols: &symbols };
    let kind = Kind { api_version: "example.com/v1", kind: "Kind000" };
    let get = |namespace, name| match facts.get(kind, namespace, name, into) {
        Fact::Known(found) => {
            if found.is_some() {
                "there"
            } else {
                "absent"
            }
        }
        Fact::NotReady => "not ready",
    };
    assert_eq!([get("shop", "limits"), get("bank", "own"), get("shop", "own")], ["there", "there", "absent"]);
    let unknown =
        [get("shop", "other"), get("bank", "limits"), get("team", "a"), get("late", "limits"), get("", "limits")];
    assert_eq!(unknown, ["not ready"; 5]);
    assert_eq!(names(facts.select(kind, "team", &team("a"), into)), Some(vec!["a".to_owned()]));
    let unknown = [
        facts.select(kind, "team", &team("b"), into),
        facts.select(kind, "shop", &team("a"), into),
        facts.list(kind, "team", into),
        facts.list(kind, "shop", into),
        facts.list(kind, "", into),
    ];
    assert_eq!(unknown.map(names), [const { None }; 5]);
}

#[tokio::test]
async fn while_a_wider_watch_is_not_ready_the_narrower_one_still_answers() {
    let facts = facts();
    let narrow = (named("shop", "limits"), Some(vec![object("shop", "limits")]));
    known(&facts, kind(0), vec![(Scope::ALL, None), narrow]);
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let kind_read = Kind { api_version: "example.com/v1", kind: "Kind000" };
    let found = facts.get(kind_read, "shop", "limits", Into { arena: &arena, symbols: &symbols });
    assert!(matches!(found, Fact::Known(Some(_))));
    let narrow = Read { kind: Arc::new(kind(0)), scope: named("shop", "limits") };
    assert_eq!(facts.synced([&narrow, &all(0)], Duration::ZERO).await, [all(0)].into());
    assert_eq!((facts.not_ready(&narrow), facts.not_ready(&all(0))), (None, Some(NotReady::Listing)));
}

#[tokio::test]
async fn a_list_is_cut_only_where_its_length_is_an_error_for_who_reads_it() {
    let facts = facts();
    let object = |n| object(if n < 3 { "few" } else { "many" }, &format!("n{n}"));
    known(&facts, kind(0), vec![(Scope::ALL, Some((0..MAX_LISTED + 10).map(object).collect()))]);
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let listed = |namespace| {
        let kind = Kind { api_version: "example.com/v1", kind: "Kind000" };
        names(facts.list(kind, namespace, Into { arena: &arena, symbols: &symbols })).map(|names| names.len())
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
    let deep = format!(r#"{{"metadata":{{"name":"deep"}},"spec":{deep}}}"#);
    known(&facts, kind(0), vec![(Scope::ALL, Some(vec![deep]))]);
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let into = Into { arena: &arena, symbols: &symbols };
    let kind = Kind { api_version: "example.com/v1", kind: "Kind000" };
    assert!(matches!(facts.get(kind, "", "deep", into), Fact::Known(Some(Value::Null))));
}
