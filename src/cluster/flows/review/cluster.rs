//! An edit of a ClusterNetworkPolicy: it concerns all namespaces, so those are chosen that are judged while a request waits.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_engine::request::{Operation, Request};
use stockade_netpol::flows::{End, Flow};
use stockade_netpol::policy::{Namespaces, Pods, Policy};
use stockade_netpol::read::api;
use stockade_netpol::state::Labels;

use super::{Edit, MAX_PARTS, MAX_POLICIES, Work, enforced, object};
use crate::flows::gathered::Known;

/// Most namespaces whose talks are gone through for those of Pods that the policy selects: the busiest ones, where most
/// would be cut.
pub(in crate::flows) const MAX_NAMESPACES: usize = 50;
/// Most kinds of talks that are judged: as many as four namespaces have at most, or many with some.
pub(in crate::flows) const MAX_JUDGED_TALKS: usize = 2_000;

// === impl Edit ===

impl<'k> Edit<'k> {
    /// None of what changes nothing that is enforced.
    pub(super) fn of_cluster_network_policy(known: &'k Known, request: &Request<'_>) -> Option<Self> {
        let (named, rest): (Vec<_>, Vec<_>) =
            known.cluster_network_policies.iter().partition(|policy| *policy.name == *request.name);
        let edited = match request.operation {
            Operation::Delete => None,
            _ => Some(Arc::new(api::cluster_network_policy(&object(request)).policy?)),
        };
        let (before, after, mut others) = (enforced(named), enforced(&edited), enforced(rest));
        if before == after {
            return None;
        }
        let subjects: Vec<&Pods> = before.iter().chain(&after).map(|policy| &policy.subject).collect();
        let work = Work::of(others.iter().chain(&before).chain(&after));
        // More than that is told to be too much, whatever namespaces there are.
        let chosen = if work.is_bounded() { Chosen::new(known, &subjects, work) } else { Chosen::default() };
        others.extend(chosen.policies);
        Some(Self { talks: chosen.talks, others, before, after, left_out: chosen.left_out })
    }
}

/// What is judged of the namespaces that a policy is about.
#[derive(Default)]
struct Chosen<'k> {
    talks: Vec<&'k Flow>,
    policies: Vec<Arc<Policy>>,
    left_out: Option<String>,
}

// === impl Chosen ===

impl<'k> Chosen<'k> {
    /// Of namespaces with Pods that one of some subjects selects, beside work that there is anyway.
    fn new(known: &'k Known, subjects: &[&Pods], mut work: Work) -> Self {
        let mut busiest: Vec<(&str, &'k [Flow])> = known
            .talks
            .iter()
            .filter(|(name, _)| in_namespace(known, name).is_some_and(|labels| is_about(subjects, labels)))
            .map(|(name, talks)| (&**name, talks.as_slice()))
            .collect();
        busiest.sort_by_key(|(name, talks)| (Reverse(talks.first().map_or(0, |flow| flow.count)), *name));
        let mut is_judged: BTreeMap<&str, bool> = busiest.iter().map(|(name, _)| (*name, false)).collect();
        let mut left_out = busiest.len().saturating_sub(MAX_NAMESPACES);
        let (mut policies, mut room) = (Vec::new(), MAX_JUDGED_TALKS);
        for (name, talks) in busiest.iter().take(MAX_NAMESPACES) {
            let selected = talks.iter().filter(|flow| is_selected(known, subjects, flow)).count();
            let own = if known.audits(name) { Vec::new() } else { enforced(known.policies_of(name)) };
            let with = work.and(Work::of(own.iter()));
            if selected > room || (selected > 0 && !with.is_bounded()) {
                left_out += 1;
                continue;
            }
            is_judged.insert(name, true);
            if selected > 0 {
                (room, work) = (room - selected, with);
                policies.extend(own);
            }
        }
        let judged = busiest.iter().filter(|(name, _)| is_judged.get(name) == Some(&true));
        let talks = judged.flat_map(|(name, talks)| talks.iter().map(move |flow| (*name, flow)));
        let talks = talks.filter(|(name, flow)| {
            // At an end in a namespace that is left out its own policies are missing, which may accept what others deny.
            let ends = [&flow.from, &flow.to].into_iter().filter_map(|end| end.namespace());
            let mut verdicts = ends.map(|end| is_judged.get(end).copied());
            let is_whole = !verdicts.any(|judged| judged == Some(false));
            // What two such namespaces talk is known of both.
            let near = flow.near().namespace().unwrap_or_default();
            is_whole && (near == *name || !is_judged.contains_key(near)) && is_selected(known, subjects, flow)
        });
        let talks = talks.map(|(_, flow)| flow).collect();
        let left_out = (left_out > 0).then(|| {
            format!(
                "{left_out} of {} namespaces are not judged: at most {MAX_NAMESPACES} are, with {MAX_JUDGED_TALKS} kinds of \
                 connections, {MAX_POLICIES} policies, and {MAX_PARTS} peers, labels and ports in them",
                busiest.len()
            )
        });
        Self { talks, policies, left_out }
    }
}

/// None of a namespace that is gone.
fn in_namespace<'k>(known: &'k Known, name: &str) -> Option<&'k Labels> {
    known.namespaces.get(name).map(|facts| &facts.labels)
}

fn is_about(subjects: &[&Pods], namespace: &Labels) -> bool {
    subjects.iter().any(|subject| means(subject, namespace))
}

fn means(subject: &Pods, namespace: &Labels) -> bool {
    match &subject.namespaces {
        Namespaces::Matching(selector) => namespace.match_selector(selector),
        // No ClusterNetworkPolicy has such a subject.
        Namespaces::Named(_) => false,
    }
}

/// Whether a subject selects Pods at one of its ends.
fn is_selected(known: &Known, subjects: &[&Pods], flow: &Flow) -> bool {
    [&flow.from, &flow.to].into_iter().any(|end| match end {
        End::Pods { namespace, labels, .. } => in_namespace(known, namespace).is_some_and(|of_namespace| {
            subjects.iter().any(|subject| means(subject, of_namespace) && labels.match_selector(&subject.pods))
        }),
        End::OwnNode | End::Address(_) => false,
    })
}
