//! What an edit of network policies would cut of what passed lately, told in the answer of admission. It never refuses.
//!
//! | edit of | whose talks are judged, as they are and as they would be |
//! |---|---|
//! | a NetworkPolicy | its namespace's, by the policies of that namespace and of the cluster |
//! | a Namespace that audits no more | the same, by all of its NetworkPolicies |
//! | a ClusterNetworkPolicy | those of Pods that it selects ([`cluster`]) |
//!
//! Only Pods that an edited policy selects are judged otherwise after the edit. The NetworkPolicies at the other end, in a
//! namespace that is not judged, let pass what passed.

mod cluster;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use stockade_engine::request::{Operation, Request};
use stockade_netpol::flows::replay::{Judged, Recording};
use stockade_netpol::flows::{Flow, FlowProtocol, Observed};
use stockade_netpol::policy::{Namespaces, Peer, Peers, Pods, Policy, Ports, Rule, audits_its_policies};
use stockade_netpol::read::api;
use stockade_netpol::state::State;
use stockade_policy::selector::LabelSelector;

use super::Flows;
use super::gathered::Known;

/// Most policies that are judged with: each is looked at for each of some hundred kinds of Pods while a request waits.
pub(super) const MAX_POLICIES: usize = 200;
/// Most peers, values of labels, exceptions and ports of all of them: one policy alone may have ten thousand.
pub(super) const MAX_PARTS: usize = 2_000;
/// Most connections that are named.
const MAX_NAMED: usize = 3;
/// Longest warning, in bytes: the API server cuts what is longer when there are several.
const MAX_WARNING_BYTES: usize = 256;

/// What would become of policies, and what they judge. Of policies, only those that are enforced: one that is audited cuts
/// nothing.
struct Edit<'k> {
    talks: Vec<&'k Flow>,
    /// Policies that stay as they are.
    others: Vec<Arc<Policy>>,
    /// What the edit takes away.
    before: Vec<Arc<Policy>>,
    /// What comes in its place.
    after: Vec<Arc<Policy>>,
    /// What is not judged, for people.
    left_out: Option<String>,
}

/// How much work policies are.
#[derive(Clone, Copy, Default)]
struct Work {
    policies: usize,
    parts: usize,
}

// === impl Flows ===

impl Flows {
    /// What a request would cut, from memory and with bounded work: lines for whoever made it. None where nothing is cut,
    /// nothing is known, or the request is about something else.
    pub fn review(&self, request: &Request<'_>) -> Vec<String> {
        if !request.sub_resource.is_empty() || request.operation == Operation::Connect {
            return Vec::new();
        }
        let known = self.known();
        let edit = match (request.kind.group, request.kind.kind) {
            ("networking.k8s.io", "NetworkPolicy") => Edit::of_network_policy(&known, request),
            ("", "Namespace") => Edit::of_namespace(&known, request),
            ("policy.networking.k8s.io", "ClusterNetworkPolicy") => Edit::of_cluster_network_policy(&known, request),
            _ => None,
        };
        let mut lines = edit.map_or_else(Vec::new, |edit| edit.warnings(&known));
        lines.iter_mut().for_each(|line| line.truncate(line.floor_char_boundary(MAX_WARNING_BYTES)));
        lines
    }
}

// === impl Edit ===

impl<'k> Edit<'k> {
    /// None of what changes nothing that is enforced, or of what nothing is known.
    fn of_network_policy(known: &'k Known, request: &Request<'_>) -> Option<Self> {
        let talks = known.talks.get(request.namespace)?;
        let present = known.policies_of(request.namespace);
        let of_name = |policy: &&Arc<Policy>| *policy.name == *request.name;
        let edited = match request.operation {
            Operation::Delete => None,
            _ => {
                let policy = api::network_policy(&object(request)).policy?;
                Some(Arc::new(Policy { namespace: Some(request.namespace.into()), ..policy }))
            }
        };
        if known.audits(request.namespace) {
            return None;
        }
        let others = present.iter().filter(|policy| !of_name(policy)).chain(known.cluster_network_policies.iter());
        Some(Self {
            talks: talks.iter().collect(),
            others: enforced(others),
            before: enforced(present.iter().filter(of_name)),
            after: enforced(&edited),
            left_out: None,
        })
    }

    /// Of a Namespace that has its NetworkPolicies enforced from now on.
    fn of_namespace(known: &'k Known, request: &Request<'_>) -> Option<Self> {
        let talks = known.talks.get(request.name)?;
        let annotations = object(request)["metadata"]["annotations"].take();
        let annotations: BTreeMap<String, String> = serde_json::from_value(annotations).unwrap_or_default();
        if request.operation != Operation::Update || !known.audits(request.name) || audits_its_policies(&annotations) {
            return None;
        }
        Some(Self {
            talks: talks.iter().collect(),
            others: enforced(known.cluster_network_policies.iter()),
            before: Vec::new(),
            after: enforced(known.policies_of(request.name)),
            left_out: None,
        })
    }

    /// None when nothing is cut.
    fn warnings(self, known: &Known) -> Vec<String> {
        if self.before == self.after {
            return Vec::new();
        }
        let all = || self.others.iter().chain(&self.before).chain(&self.after);
        if !Work::of(all()).is_bounded() {
            let bounds =
                format!("more than {MAX_POLICIES} policies, or {MAX_PARTS} peers, labels and ports in them, decide");
            return vec![format!("what this change cuts is not judged: {bounds}")];
        }
        let mut recording = recording(known, &self.talks);
        let mut cut = |these: &[Arc<Policy>]| {
            let policies = self.others.iter().chain(these).map(Arc::clone).collect();
            // So few are never too much to judge.
            recording.replay(policies).map(|replay| replay.cut).unwrap_or_default()
        };
        let mut new = cut(&self.after);
        if !new.is_empty() {
            let before = cut(&self.before);
            let before: HashSet<_> = before.iter().map(place).collect();
            new.retain(|judged| !before.contains(&place(judged)));
        }
        told(known, &new).into_iter().chain(self.left_out).collect()
    }
}

fn object(request: &Request<'_>) -> Value {
    serde_json::to_value(request.object).unwrap_or_default()
}

fn enforced<'p>(policies: impl IntoIterator<Item = &'p Arc<Policy>>) -> Vec<Arc<Policy>> {
    policies.into_iter().filter(|policy| !policy.audit).map(Arc::clone).collect()
}

fn recording(known: &Known, talks: &[&Flow]) -> Recording {
    let (mut observed, mut state) = (Observed::default(), State::default());
    for flow in talks {
        for name in [&flow.from, &flow.to].into_iter().filter_map(|end| end.namespace()) {
            if let Some(facts) = known.namespaces.get(name) {
                state.namespaces.insert(name.into(), facts.labels.clone());
            }
        }
        // There is room: far fewer are judged at once.
        let _ = observed.add(flow);
    }
    Recording::new(state, observed)
}

fn told(known: &Known, cut: &[Judged]) -> Vec<String> {
    if cut.is_empty() {
        return Vec::new();
    }
    let count: u64 = cut.iter().fold(0, |sum, judged| sum.saturating_add(judged.seen.count));
    let nodes = match known.not_counted {
        0 => String::new(),
        not_counted => format!(" ({not_counted} of {} nodes not counted)", known.nodes),
    };
    let mut lines = vec![format!("{count} recorded connections of the last hour would be cut by this change{nodes}")];
    lines.extend(cut.iter().take(MAX_NAMED).map(|judged| {
        let Judged { from, to, protocol, port, seen, .. } = judged;
        let port = if *port == 0 { String::new() } else { format!(" {port}") };
        format!("would be cut: {from} -> {to} {protocol}{port}, {} times, last at {:.0}", seen.count, seen.last)
    }));
    if cut.len() > MAX_NAMED {
        lines.push(format!("and {} more kinds of connections", cut.len() - MAX_NAMED));
    }
    lines
}

fn place(judged: &Judged) -> (&str, &str, FlowProtocol, u16) {
    (&judged.from, &judged.to, judged.protocol, judged.port)
}

// === impl Work ===

impl Work {
    fn of<'p>(policies: impl Iterator<Item = &'p Arc<Policy>>) -> Self {
        policies.fold(Self::default(), |work, policy| work.and(Self { policies: 1, parts: parts(policy) }))
    }

    fn and(self, other: Self) -> Self {
        Self { policies: self.policies + other.policies, parts: self.parts + other.parts }
    }

    fn is_bounded(self) -> bool {
        self.policies <= MAX_POLICIES && self.parts <= MAX_PARTS
    }
}

/// What there is to look at in a policy: of its rules, and of whom it is about.
fn parts(policy: &Policy) -> usize {
    let rules = policy.ingress.iter().chain(&policy.egress).flatten();
    let of_rule = |rule: &Rule| {
        let peers = if let Peers::AnyOf(peers) = &rule.peers { peers.iter().map(of_peer).sum() } else { 1 };
        let ports = if let Ports::AnyOf(ports) = &rule.ports { ports.len() } else { 1 };
        peers + ports
    };
    rules.map(of_rule).sum::<usize>() + of_pods(&policy.subject)
}

fn of_peer(peer: &Peer) -> usize {
    1 + match peer {
        Peer::Pods(pods) => of_pods(pods),
        Peer::Block(_, exceptions) => exceptions.len(),
        Peer::Nodes(selector) => values(selector),
        Peer::Domain(_) | Peer::Unknown => 0,
    }
}

fn of_pods(pods: &Pods) -> usize {
    let namespaces = if let Namespaces::Matching(selector) = &pods.namespaces { values(selector) } else { 0 };
    namespaces + values(&pods.pods)
}

/// With how many values labels are compared.
fn values(selector: &LabelSelector) -> usize {
    selector.requirements.iter().map(|requirement| requirement.values.len().max(1)).sum()
}
