use bumpalo::Bump;

use super::version::{OVERHEAD_BYTES, size};
use super::*;

fn object(namespace: &str, name: &str, spec: &str) -> Object {
    let json = format!(r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":"{spec}"}}"#);
    Object::parse(&json).unwrap()
}

/// Takes events and gives what they told.
fn take(writer: &mut Writer, events: impl IntoIterator<Item = Event<Object>>) -> Vec<(String, What)> {
    let mut told = Vec::new();
    for event in events {
        writer.take(event, |key, what| told.push((key.to_owned(), what))).unwrap();
    }
    told
}

fn list(objects: impl IntoIterator<Item = Object>) -> Vec<Event<Object>> {
    let mut events = vec![Event::Init];
    events.extend(objects.into_iter().map(Event::InitApply));
    events.push(Event::InitDone);
    events
}

/// Keys in force, or why there are none.
fn keys(store: &Store) -> Result<Vec<String>, NotReady> {
    match &**store.state() {
        State::Ready(version) => Ok(version.objects.keys().map(|k| k.to_string()).collect()),
        State::NotReady(why) => Err(*why),
    }
}

fn updated() -> What {
    What::Updated { labels: false }
}

#[test]
fn nothing_is_said_before_the_first_list_is_complete() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    let mut events = list([object("a", "x", "1"), object("b", "y", "1")]);
    let done = events.pop();
    assert_eq!(take(&mut writer, events), []);
    assert_eq!(keys(&store), Err(NotReady::Listing));
    assert_eq!(take(&mut writer, done), [(String::new(), What::All)]);
    assert_eq!(keys(&store), Ok(vec!["a/x".to_owned(), "b/y".to_owned()]));
}

#[test]
fn a_version_answers_for_an_object_a_namespace_and_all_and_does_not_change_under_its_reader() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    let objects = [("a", "x"), ("a-b", "x"), ("a", "y"), ("", "x"), ("ab", "z")].map(|(s, n)| object(s, n, "1"));
    take(&mut writer, list(objects));
    let arena = Bump::new();
    let state = store.state();
    let State::Ready(version) = &**state else { panic!("ready") };
    take(&mut writer, [Event::Delete(object("a", "x", "1")), Event::Apply(object("c", "z", "1"))]);

    let text = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap();
    let json = |namespace, name| text(object(namespace, name, "1").into_text().json());
    let listed = |namespace| version.list(namespace, &arena).map(text).collect::<Vec<_>>();
    assert_eq!(version.get("a", "x", &arena).map(text), Some(json("a", "x")));
    assert_eq!(version.get("", "x", &arena).map(text), Some(json("", "x")));
    assert_eq!(version.get("a", "z", &arena), None);
    assert_eq!(version.get("a/x", "", &arena), None);
    assert_eq!(listed("a"), [json("a", "x"), json("a", "y")]);
    assert_eq!(listed("a/x"), [] as [String; 0]);
    assert_eq!(listed(""), [json("", "x"), json("a-b", "x"), json("a", "x"), json("a", "y"), json("ab", "z")]);
    assert_eq!(keys(&store), Ok(["/x", "a-b/x", "a/y", "ab/z", "c/z"].map(str::to_owned).to_vec()));
}

#[test]
fn events_are_told_as_what_they_changed() {
    let (_store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    take(&mut writer, list([object("a", "x", "1")]));
    let labelled = Object::parse(r#"{"metadata":{"name":"x","namespace":"a","labels":{"l":"1"}}}"#).unwrap();
    let events = [
        Event::Apply(object("a", "x", "2")),
        Event::Apply(labelled),
        Event::Apply(object("b", "y", "1")),
        Event::Delete(object("b", "y", "1")),
        Event::Delete(object("b", "never", "1")),
    ];
    let told = take(&mut writer, events);
    let told: Vec<_> = told.iter().map(|(key, what)| (key.as_str(), *what)).collect();
    assert_eq!(
        told,
        [("a/x", updated()), ("a/x", What::Updated { labels: true }), ("b/y", What::Created), ("b/y", What::Deleted)]
    );
}

#[test]
fn a_new_list_replaces_the_old_one_when_it_is_complete_and_tells_the_difference() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    take(&mut writer, list([object("a", "gone", "1"), object("a", "same", "1"), object("a", "other", "1")]));
    let mut events = list([object("a", "same", "1"), object("a", "other", "2"), object("a", "new", "1")]);
    let done = events.pop();
    take(&mut writer, events);
    assert_eq!(keys(&store), Ok(["a/gone", "a/other", "a/same"].map(str::to_owned).to_vec()));
    let told = take(&mut writer, done);
    let told: Vec<_> = told.iter().map(|(key, what)| (key.as_str(), *what)).collect();
    assert_eq!(told, [("a/gone", What::Deleted), ("a/new", What::Created), ("a/other", updated())]);
    assert_eq!(keys(&store), Ok(["a/new", "a/other", "a/same"].map(str::to_owned).to_vec()));
}

#[test]
fn a_list_that_was_interrupted_begins_anew() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    take(&mut writer, [Event::Init, Event::InitApply(object("a", "gone", "1"))]);
    take(&mut writer, list([object("a", "x", "1")]));
    assert_eq!(keys(&store), Ok(vec!["a/x".to_owned()]));
}

#[test]
fn what_passes_a_bound_is_not_ready_and_never_part_of_an_answer() {
    let bounds = [(2, 1 << 20), (9, 2 * OVERHEAD_BYTES + 150)];
    for (namespace, many_namespaces) in [("a", false), ("", true)] {
        for (objects, bytes) in bounds {
            let (store, mut writer) = Store::new(Limits { objects, bytes, many_namespaces });
            let objects = ["x", "y", "z"].map(|name| object(namespace, name, "1"));
            let too_many = objects.clone().into_iter().map(Event::InitApply).map(|e| writer.take(e, |_, _| {}));
            assert_eq!(too_many.collect::<Vec<_>>(), [Ok(vec![]), Ok(vec![]), Err(NotReady::TooMany)]);
            assert_eq!(keys(&store), Err(NotReady::TooMany));

            let [x, y, z] = objects;
            take(&mut writer, list([x, y]));
            assert_eq!(writer.take(Event::Apply(z), |_, _| {}), Err(NotReady::TooMany));
            assert_eq!(keys(&store), Err(NotReady::TooMany));
        }
    }
}

/// What can be said of namespaces, and of all: whether each answer is whole.
fn whole<const N: usize>(store: &Store, namespaces: [&str; N]) -> [bool; N] {
    match &**store.state() {
        State::Ready(version) => namespaces.map(|namespace| version.is_whole(namespace)),
        State::NotReady(why) => panic!("{why}"),
    }
}

#[test]
fn where_a_bound_is_passed_only_the_namespaces_that_take_most_are_not_ready() {
    let heavy = "x".repeat(1_000);
    for limits in [
        Limits { objects: 8, bytes: 1 << 20, many_namespaces: true },
        Limits { objects: 99, bytes: 8_000, many_namespaces: true },
    ] {
        let (store, mut writer) = Store::new(limits);
        let greedy = |n: usize| object("greedy", &format!("g{n}"), &heavy);
        let mut events = list((0..20).map(greedy).chain([object("shop", "s", "1"), object("bank", "b", "1")]));
        let told: Vec<_> = events.drain(..).flat_map(|e| writer.take(e, |_, _| {}).unwrap()).collect();
        assert_eq!(told, ["greedy".into()]);
        assert_eq!(keys(&store), Ok(vec!["bank/b".to_owned(), "shop/s".to_owned()]));
        assert_eq!(whole(&store, ["greedy", "shop", "bank", "empty", ""]), [false, true, true, true, false]);

        // What happens there is nobody's business until the next list, and then all may have changed.
        assert_eq!(take(&mut writer, [Event::Apply(greedy(1)), Event::Delete(greedy(1))]), []);
        let told = take(&mut writer, list([greedy(1), object("shop", "s", "1")]));
        assert_eq!(told, [(String::new(), What::All)]);
        assert_eq!(whole(&store, ["greedy", "shop", ""]), [true, true, true]);

        // The same when one object after the other comes.
        let told = take(&mut writer, (2..20).map(|n| Event::Apply(greedy(n))));
        assert_eq!(told.last(), Some(&(String::new(), What::All)));
        assert_eq!(whole(&store, ["greedy", "shop", ""]), [false, true, false]);
        assert_eq!(keys(&store), Ok(vec!["shop/s".to_owned()]));
    }
}

#[test]
fn where_too_many_namespaces_take_too_much_nothing_is_said() {
    let (store, mut writer) = Store::new(Limits { objects: 4, bytes: 1 << 20, many_namespaces: true });
    let taken: Result<Vec<_>, NotReady> =
        (0..9_000).map(|n| writer.take(Event::InitApply(object(&format!("n{n}"), "x", "1")), |_, _| {})).collect();
    assert_eq!(taken.map(|cut| cut.len()), Err(NotReady::TooMany));
    assert_eq!(keys(&store), Err(NotReady::TooMany));
}

#[test]
fn bytes_follow_what_is_kept() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    take(&mut writer, list([object("a", "x", "1"), object("a", "y", "1")]));
    let bytes = |store: &Store| match &**store.state() {
        State::Ready(version) => (version.len(), version.size().bytes),
        State::NotReady(_) => (0, 0),
    };
    let one = size(object("a", "x", "1").text());
    assert_eq!(bytes(&store), (2, 2 * one));
    take(&mut writer, [Event::Apply(object("a", "x", "22")), Event::Delete(object("a", "y", "1"))]);
    assert_eq!(bytes(&store), (1, one + 1));
}

#[tokio::test]
async fn a_wait_ends_when_its_condition_holds() {
    let (store, mut writer) = Store::new(Limits::MANY_NAMESPACES);
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.wait_until(|v| v.len() == 2).await }
    });
    take(&mut writer, list([object("a", "x", "1")]));
    take(&mut writer, [Event::Apply(object("a", "y", "1"))]);
    waiting.await.unwrap();
}
