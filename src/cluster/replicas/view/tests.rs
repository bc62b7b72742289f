use k8s_openapi::api::coordination::v1::LeaseSpec;
use kube::api::ObjectMeta;

use super::*;
use crate::policies::SourceKind;

fn lease(identity: &str, version: u32, ready: bool, observed: &str) -> Lease {
    let annotations =
        [(READY_ANNOTATION, ready.to_string()), (OBSERVED_ANNOTATION, format!("AdmissionPolicy={observed}"))];
    Lease {
        metadata: ObjectMeta {
            name: Some(format!("{PREFIX}{identity}")),
            resource_version: Some(version.to_string()),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec { lease_duration_seconds: Some(15), ..LeaseSpec::default() }),
    }
}

fn replica(identity: &str, ready: bool, observed: u64) -> Replica {
    let observed = [(SourceKind::AdmissionPolicy, observed)].into_iter().collect();
    Replica { identity: identity.to_owned(), ready, observed }
}

/// A view of two at the instant given.
fn two(now: Instant) -> View {
    let mut view = View::default();
    view.event(Event::Init, now);
    view.event(Event::InitApply(lease("b", 2, false, "no number")), now);
    view.event(Event::InitApply(lease("a", 1, true, "41")), now);
    view.event(Event::InitDone, now);
    view
}

const TERM: Duration = Duration::from_secs(15);

#[test]
fn replicas_are_sorted_and_say_what_their_leases_say() {
    let view = two(Instant::now());
    assert_eq!(*view.live(), [replica("a", true, 41), replica("b", false, 0)]);
}

#[test]
fn who_is_silent_for_its_term_is_given_up_until_it_speaks_again() {
    let began = Instant::now();
    let mut view = two(began);
    view.event(Event::Apply(lease("a", 3, true, "42")), began + TERM / 2);
    assert_eq!(view.first_end(), Some(began + TERM));
    view.applied(&lease("b", 2, false, "0"), began + TERM);
    view.expire(began + TERM);
    assert_eq!(*view.live(), [replica("a", true, 42)]);
    // A list that shows the old Lease again does not bring it back; a renewal does.
    view.event(Event::Init, began + TERM);
    view.event(Event::InitApply(lease("a", 3, true, "42")), began + TERM);
    view.event(Event::InitApply(lease("b", 2, false, "0")), began + TERM);
    view.event(Event::InitDone, began + TERM);
    assert_eq!(*view.live(), [replica("a", true, 42)]);
    view.event(Event::Apply(lease("b", 4, true, "43")), began + TERM);
    assert_eq!(*view.live(), [replica("a", true, 42), replica("b", true, 43)]);
}

#[test]
fn while_nobody_can_be_heard_nobody_is_given_up() {
    let began = Instant::now();
    let mut view = two(began);
    let deaf = began + 20 * TERM;
    view.hear_nobody(deaf);
    view.expire(deaf + TERM / 2);
    assert_eq!(view.live().len(), 2);
    assert_eq!(view.first_end(), Some(deaf + TERM));
}

#[test]
fn deleted_leases_and_those_a_list_no_longer_shows_are_gone_at_once() {
    let began = Instant::now();
    let mut view = two(began);
    view.event(Event::Delete(lease("a", 9, true, "0")), began);
    assert_eq!(*view.live(), [replica("b", false, 0)]);
    view.event(Event::Init, began);
    view.event(Event::InitDone, began);
    assert_eq!(*view.live(), []);
}

#[test]
fn strange_leases_are_bounded() {
    let began = Instant::now();
    let mut view = View::default();
    for at in 0..100 {
        view.event(Event::Apply(lease(&format!("r{at:03}"), at, true, "1")), began);
    }
    let mut named_otherwise = lease("x", 1, true, "1");
    named_otherwise.metadata.name = Some("other".to_owned());
    view.event(Event::Apply(named_otherwise), began);
    let mut eternal = lease("r000", 1000, true, "1");
    eternal.spec = Some(LeaseSpec { lease_duration_seconds: Some(i32::MAX), ..LeaseSpec::default() });
    view.event(Event::Apply(eternal), began);
    assert_eq!(view.live().len(), MAX_REPLICAS);
    view.expire(began + MAX_TERM);
    assert_eq!(view.live().len(), 0);
}
