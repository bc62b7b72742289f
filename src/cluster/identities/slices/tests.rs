use std::net::IpAddr;

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wanted(identities: &[(&str, &[&str])]) -> Content {
    let features = |app: &str| Features { labels: [("app".to_owned(), app.to_owned())].into(), ports: Vec::new() };
    let addresses = |all: &[&str]| all.iter().map(|text| address(text)).collect();
    identities.iter().map(|(app, all)| (Arc::new(features(app)), addresses(all))).collect()
}

/// A slice as it is stored.
fn stored(name: &str, namespace: &str, version: u64, content: &Content) -> IdentitySlice {
    let mut slice = new(name, spec(namespace, content));
    slice.metadata.resource_version = Some(version.to_string());
    slice
}

fn slices(all: impl IntoIterator<Item = IdentitySlice>) -> Slices {
    let mut slices = Slices::default();
    slices.take(Event::Init, |_| {});
    all.into_iter().for_each(|slice| slices.take(Event::InitApply(slice), |_| {}));
    slices.take(Event::InitDone, |_| {});
    slices
}

/// `what name@version addresses`
fn told(changes: &[Change]) -> Vec<String> {
    let told = |change: &Change| {
        let (what, slice) = change.parts();
        let addresses: Vec<_> = slice.spec.identities.iter().map(|i| i.addresses.join(",")).collect();
        let version = slice.resource_version().map(|version| format!("@{version}")).unwrap_or_default();
        format!("{what} {}{version} {}", slice.name_any(), addresses.join(" "))
    };
    changes.iter().map(told).collect()
}

#[test]
fn what_is_as_it_should_be_is_not_written() {
    let content = wanted(&[("a", &["10.0.0.1", "10.0.0.2"]), ("b", &["fd00::1"])]);
    let all = slices([stored("web.0", "web", 7, &content)]);
    assert!(all.is_synced() && all.len() == 1);
    assert_eq!(all.changes("web", &content), []);
    let slice = new("db.0", spec("db", &content));
    assert_eq!(all.changes("db", &content), [Change::Create(slice.clone())]);
    assert_eq!(slice.labels()["app.kubernetes.io/managed-by"], "stockade");
    let more = wanted(&[("a", &["10.0.0.1", "10.0.0.2", "10.0.0.3"])]);
    assert_eq!(told(&all.changes("web", &more)), ["replace web.0@7 10.0.0.1,10.0.0.2,10.0.0.3"]);
    assert_eq!(told(&all.changes("web", &Content::new())), ["delete web.0@7 10.0.0.1,10.0.0.2 fd00::1"]);
}

#[test]
fn what_is_written_otherwise_or_under_a_foreign_name_is_put_right() {
    let content = wanted(&[("a", &["10.0.0.1"])]);
    let mut odd = stored("web.0", "elsewhere", 7, &content);
    odd.spec.identities[0].addresses = vec!["10.0.0.1".to_owned(), "nonsense".to_owned()];
    let all = slices([odd, stored("web.01", "web", 8, &content), stored("x", "web", 9, &content)]);
    assert_eq!(told(&all.changes("web", &content)), ["replace web.0@7 10.0.0.1"]);
    assert_eq!(told(&all.changes("", &Content::new())), ["delete web.01@8 10.0.0.1", "delete x@9 10.0.0.1"]);
    assert_eq!(all.namespaces().collect::<Vec<_>>(), ["", "web"]);
}

#[test]
fn what_is_added_is_written_before_what_is_taken_away() {
    let range = |from: u8, to: u8| (from..to).map(|n| IpAddr::from([10, 0, 0, n])).collect::<BTreeSet<_>>();
    let one = Arc::clone(wanted(&[("a", &[])]).keys().next().unwrap());
    let half = |range| Content::from([(Arc::clone(&one), range)]);
    let all = slices([stored("w.0", "w", 1, &half(range(0, 60))), stored("w.1", "w", 2, &half(range(100, 160)))]);
    // The smaller one is joined with the other.
    let changes = all.changes("w", &half(range(0, 20).into_iter().chain(range(100, 150)).collect()));
    let order: Vec<_> = changes.iter().map(|change| (change.parts().0, change.parts().1.name_any())).collect();
    assert_eq!(order, [("replace", "w.1".to_owned()), ("delete", "w.0".to_owned())]);
}

#[test]
fn what_the_watch_tells_late_changes_nothing() {
    let (before, after) = (wanted(&[("a", &["10.0.0.1"])]), wanted(&[("a", &["10.0.0.2"])]));
    let mut all = slices([stored("web.0", "web", 7, &before)]);
    all.put(stored("web.0", "web", 9, &after), |_| {});
    let mut changed = Vec::new();
    let old = stored("web.0", "web", 8, &before);
    all.take(Event::Apply(old.clone()), |namespace| changed.push(namespace.to_owned()));
    all.take(Event::Delete(old), |namespace| changed.push(namespace.to_owned()));
    assert_eq!((changed, all.changes("web", &after)), (vec![], vec![]));
    let mut changed = Vec::new();
    all.take(Event::Delete(stored("web.0", "web", 10, &after)), |namespace| changed.push(namespace.to_owned()));
    assert_eq!((changed, all.len()), (vec!["web".to_owned()], 0));
}
