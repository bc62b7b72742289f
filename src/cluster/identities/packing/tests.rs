use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Slices = BTreeMap<String, Content>;

fn features(label: &str) -> Arc<Features> {
    Arc::new(Features { labels: [("app".to_owned(), label.to_owned())].into(), ports: Vec::new() })
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn content(pods: impl IntoIterator<Item = (u32, String)>) -> Content {
    let mut content = Content::new();
    for (number, label) in pods {
        content.entry(features(&label)).or_default().insert(address(number));
    }
    content
}

fn packed(stored: &Slices, wanted: &Content) -> Slices {
    pack(stored, wanted, |is_taken| (0..).map(|n| format!("ns.{n}")).find(|name| !is_taken(name)).unwrap())
}

/// `created, replaced, deleted`
fn writes(before: &Slices, after: &Slices) -> (usize, usize, usize) {
    let created = after.keys().filter(|name| !before.contains_key(*name)).count();
    let replaced = before.iter().filter(|(name, old)| after.get(*name).is_some_and(|new| new != *old)).count();
    (created, replaced, before.keys().filter(|name| !after.contains_key(*name)).count())
}

fn count(content: &Content) -> usize {
    content.values().map(BTreeSet::len).sum()
}

/// So many Pods of so many identities.
fn pods(count: u32, identities: u32) -> Content {
    content((0..count).map(|n| (n, format!("app-{}", n % identities))))
}

#[test]
fn a_change_of_one_pod_is_a_write_of_one_slice() {
    let wanted = pods(950, 90);
    let stored = packed(&Slices::new(), &wanted);
    assert_eq!(stored.values().map(count).collect::<Vec<_>>(), [100, 100, 100, 100, 100, 100, 100, 100, 100, 50]);
    assert_eq!(packed(&stored, &wanted), stored, "a new leader finds nothing to do");
    let mut started = wanted.clone();
    started.entry(features("new")).or_default().insert(address(5_000));
    assert_eq!(writes(&stored, &packed(&stored, &started)), (0, 1, 0));
    let mut ended = wanted.clone();
    ended.get_mut(&features("app-3")).unwrap().remove(&address(3));
    assert_eq!(writes(&stored, &packed(&stored, &ended)), (0, 1, 0));
    // What an address is said to be is replaced where it was said.
    ended.entry(features("other")).or_default().insert(address(3));
    assert_eq!(writes(&stored, &packed(&stored, &ended)), (0, 1, 0));
    let mut scaled = wanted;
    scaled.entry(features("app-3")).or_default().extend((6_000..6_060).map(address));
    assert_eq!(writes(&stored, &packed(&stored, &scaled)), (1, 0, 0), "what fits into none as a whole has a new one");
}

#[test]
fn slices_that_have_become_small_are_joined_and_the_next_pod_does_not_part_them() {
    let stored = packed(&Slices::new(), &pods(200, 1));
    let fewer = |each: u32| content((0..200).filter(|n| n % 100 < each).map(|n| (n, "app-0".to_owned())));
    let apart = packed(&stored, &fewer(40));
    assert_eq!(apart.values().map(count).collect::<Vec<_>>(), [40, 40]);
    let joined = packed(&apart, &fewer(37));
    assert_eq!((joined.values().map(count).collect::<Vec<_>>(), writes(&apart, &joined)), (vec![74], (0, 1, 1)));
    assert_eq!(packed(&joined, &fewer(50)).values().map(count).collect::<Vec<_>>(), [100]);
}

#[test]
fn what_is_large_has_a_slice_of_its_own_and_keeps_nobody_out() {
    let bomb = "x".repeat(MAX_SLICE_BYTES * 2);
    let mut wanted = pods(10, 2);
    wanted.insert(features(&bomb), (1_000..1_150).map(address).collect());
    let stored = packed(&Slices::new(), &wanted);
    let mut told: Vec<_> =
        stored.values().map(|content| (content.contains_key(&features(&bomb)), count(content))).collect();
    told.sort_unstable();
    assert_eq!(told, [(false, 10), (true, 50), (true, 100)]);
    assert_eq!(packed(&stored, &wanted), stored);
}

#[test]
fn what_others_made_of_slices_is_put_right() {
    let wanted = pods(120, 3);
    let twice: Slices = [("ns.0".to_owned(), pods(80, 3)), ("ns.1".to_owned(), wanted.clone())].into();
    let after = packed(&twice, &wanted);
    assert_eq!(after.values().map(count).collect::<Vec<_>>(), [80, 40]);
    assert_eq!(packed(&after, &Content::new()), Slices::new());
}

/// What a namespace's Pods do: a number becomes of an identity, or goes.
fn steps() -> impl Strategy<Value = Vec<Vec<(u32, Option<u8>)>>> {
    let step = (0_u32..260, proptest::option::weighted(0.7, 0_u8..12));
    vec(vec(step, 0..80), 1..12)
}

proptest! {
    #[test]
    fn each_address_is_in_one_slice_as_its_identity_and_nothing_is_written_twice(steps in steps()) {
        let (mut state, mut stored) = (BTreeMap::new(), Slices::new());
        for step in steps {
            let changes = step.iter().map(|(number, _)| number).collect::<BTreeSet<_>>().len();
            for (number, identity) in step {
                match identity {
                    Some(identity) => _ = state.insert(number, identity.to_string()),
                    None => _ = state.remove(&number),
                }
            }
            let wanted = content(state.clone());
            let after = packed(&stored, &wanted);
            let mut union = Content::new();
            for slice in after.values() {
                prop_assert!((1..=MAX_SLICE_ADDRESSES).contains(&count(slice)));
                slice.iter().for_each(|(f, a)| union.entry(Arc::clone(f)).or_default().extend(a));
            }
            prop_assert_eq!(&union, &wanted);
            prop_assert_eq!(after.values().map(count).sum::<usize>(), count(&wanted), "no address twice");
            prop_assert_eq!(&packed(&after, &wanted), &after);
            let (created, replaced, deleted) = writes(&stored, &after);
            // Each change touches a slice, and may let it be joined with another.
            prop_assert!(created + replaced + deleted <= 3 * changes, "{:?}", (created, replaced, deleted, changes));
            // Never many small ones: any two come to more than one may have that is joined.
            prop_assert!(after.len() <= 2 * count(&wanted) / MAX_JOINED + 1, "{} {}", after.len(), count(&wanted));
            stored = after;
        }
    }
}
