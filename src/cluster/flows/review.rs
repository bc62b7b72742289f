//! What an edit of a NetworkPolicy would cut of what passed lately, told in the answer of admission. It never refuses.
//!
//! Only Pods of the policy's own namespace are judged otherwise after the edit, so what passes from or to them is judged
//! by the policies of that namespace as they would be, and where something is cut, as they are.

use stockade_engine::decision::Decision;
use stockade_engine::request::{Operation, Request};
use stockade_netpol::flows::replay::{Judged, replay};
use stockade_netpol::flows::{Flow, FlowProtocol, Observed};
use stockade_netpol::policy::{Peers, Policy, Ports, Rule};
use stockade_netpol::read::{Manifests, api};
use stockade_netpol::state::State;

use super::Flows;
use super::gathered::Known;

/// Most policies that are judged with: each is looked at for each of some hundred kinds of Pods while a request waits.
const MAX_POLICIES: usize = 200;
/// Most peers and ports of all of them: one policy alone may have ten thousand.
const MAX_PARTS: usize = 2_000;
/// Most connections that are named.
const MAX_NAMED: usize = 3;
/// Longest warning, in bytes: the API server cuts what is longer when there are several.
const MAX_WARNING_BYTES: usize = 256;

/// What would become of a policy.
struct Edit<'e> {
    namespace: &'e str,
    name: &'e str,
    /// None when it is deleted.
    policy: Option<Policy>,
}

// === impl Flows ===

impl Flows {
    /// Adds to a decision about a NetworkPolicy what it would cut, from memory and with bounded work.
    pub fn review(&self, request: &Request<'_>, decision: &mut Decision) {
        let kind = &request.kind;
        let is_meant = (kind.group, kind.kind) == ("networking.k8s.io", "NetworkPolicy")
            && request.sub_resource.is_empty()
            && request.operation != Operation::Connect
            && decision.allowed;
        if !is_meant {
            return;
        }
        let known = self.known();
        let policy = match request.operation {
            Operation::Delete => None,
            _ => {
                let object = serde_json::to_value(request.object).unwrap_or_default();
                let Some(policy) = api::network_policy(&object).policy else { return };
                let audit = policy.audit || known.namespaces.get(request.namespace).is_some_and(|facts| facts.audit);
                Some(Policy { namespace: Some(request.namespace.into()), audit, ..policy })
            }
        };
        let edit = Edit { namespace: request.namespace, name: request.name, policy };
        decision.warnings.extend(warnings(&known, edit));
    }
}

/// Peers and ports of all rules.
fn parts(policy: &Policy) -> usize {
    let rules = policy.ingress.iter().chain(&policy.egress).flatten();
    let of_rule = |rule: &Rule| {
        let peers = if let Peers::AnyOf(peers) = &rule.peers { peers.len() } else { 1 };
        let ports = if let Ports::AnyOf(ports) = &rule.ports { ports.len() } else { 1 };
        peers + ports
    };
    rules.map(of_rule).sum()
}

/// None when nothing is cut, or nothing is known.
fn warnings(known: &Known, edit: Edit<'_>) -> Vec<String> {
    let Some(talks) = known.talks.get(edit.namespace) else { return Vec::new() };
    let present = known.network_policies.get(edit.namespace).map_or(&[][..], |policies| policies.as_slice());
    let policies =
        || present.iter().chain(known.cluster_network_policies.iter()).map(|policy| &**policy).chain(&edit.policy);
    if policies().count() > MAX_POLICIES || policies().map(parts).sum::<usize>() > MAX_PARTS {
        let bounds = format!("more than {MAX_POLICIES} policies, or {MAX_PARTS} peers and ports of theirs, decide");
        return vec![format!("what this change cuts is not judged: {bounds}")];
    }
    let others = present.iter().filter(|policy| &*policy.name != edit.name).map(|policy| Policy::clone(policy));
    let cut_after = cut(known, talks, others.chain(edit.policy));
    if cut_after.is_empty() {
        return Vec::new();
    }
    let cut_before = cut(known, talks, present.iter().map(|policy| Policy::clone(policy)));
    let is_new = |judged: &&Judged| !cut_before.iter().any(|before| place(before) == place(judged));
    told(known, &cut_after.iter().filter(is_new).collect::<Vec<_>>())
}

fn told(known: &Known, cut: &[&Judged]) -> Vec<String> {
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
    lines.iter_mut().for_each(|line| line.truncate(line.floor_char_boundary(MAX_WARNING_BYTES)));
    lines
}

/// What passed, and would not by these policies of the namespace beside those of the cluster. Nothing when it is too much
/// to judge, which so few are not.
fn cut(known: &Known, talks: &[Flow], policies: impl Iterator<Item = Policy>) -> Vec<Judged> {
    let cluster = known.cluster_network_policies.iter().map(|policy| Policy::clone(policy));
    // One that only is audited cuts nothing.
    let policies = policies.chain(cluster).filter(|policy| !policy.audit).collect();
    let (mut observed, mut state) = (Observed::default(), State::default());
    for flow in talks {
        for name in [&flow.from, &flow.to].into_iter().filter_map(|end| end.namespace()) {
            if let Some(facts) = known.namespaces.get(name) {
                state.namespaces.insert(name.into(), facts.labels.clone());
            }
        }
        // There is room: a namespace has far fewer talks than that.
        let _ = observed.add(flow);
    }
    replay(Manifests { policies, state, ..Manifests::default() }, &observed)
        .map(|replay| replay.cut)
        .unwrap_or_default()
}

fn place(judged: &Judged) -> (&str, &str, FlowProtocol, u16) {
    (&judged.from, &judged.to, judged.protocol, judged.port)
}
