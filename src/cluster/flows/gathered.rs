//! What the watches told, and what is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;
use stockade_netpol::flows::{Flow, Outcome, Sums};
use stockade_netpol::policy::{Policy, audits_its_policies};
use stockade_netpol::read::api;
use stockade_netpol::state::Labels;
use stockade_node::flow_summary::{FlowSummary, MAX_AGE, MAX_SUMMARY_TALKS};
use stockade_watch::followed::{Change, Followed};
use stockade_watch::shared::Shared;

use super::would_deny::{WouldDeny, of_namespace};

/// Most kinds of talks of one namespace that are kept: what is judged by an edit of its policies, and told in its report.
pub(super) const MAX_TALKS: usize = 500;
/// Most kinds of one namespace that are put together, so that those are known that are seen most.
const MAX_SUMMED: usize = 4 * MAX_TALKS;
/// Most talks of all nodes that are gone through: 500 full nodes, or thousands that are not.
const MAX_ALL_TALKS: usize = 100_000;

/// What one watch tells.
pub(super) enum Told {
    Summary(Event<(String, Summary)>),
    NetworkPolicy(Event<(String, Read)>),
    ClusterNetworkPolicy(Event<(String, Read)>),
    Namespace(Event<(String, NamespaceFacts)>),
}

/// What one agent told.
#[derive(Debug, PartialEq)]
pub(super) struct Summary {
    observed: Timestamp,
    flows: Vec<Flow>,
}

/// A policy; none where it is not understood whom it is about.
type Read = Option<Arc<Policy>>;

/// What matters of a namespace.
#[derive(Debug, PartialEq)]
pub(super) struct NamespaceFacts {
    pub(super) labels: Labels,
    /// Whether its NetworkPolicies are only told of.
    pub(super) audit: bool,
}

/// All that was told.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    summaries: Followed<Summary>,
    network_policies: Followed<Read>,
    cluster_network_policies: Followed<Read>,
    namespaces: Followed<NamespaceFacts>,
}

/// What is known at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Known {
    /// Whether agents, NetworkPolicies and namespaces were seen whole.
    pub(super) is_complete: bool,
    /// By namespace: what passed from or to its Pods, at most [`MAX_TALKS`], most often seen first.
    pub(super) talks: BTreeMap<Arc<str>, Arc<Vec<Flow>>>,
    /// By namespace: what policies would deny to its Pods.
    would_deny: BTreeMap<Arc<str>, Arc<Vec<WouldDeny>>>,
    /// NetworkPolicies by namespace. `audit` is their own; their namespace's is in `namespaces`.
    pub(super) network_policies: BTreeMap<Arc<str>, Arc<Vec<Arc<Policy>>>>,
    /// ClusterNetworkPolicies.
    pub(super) cluster_network_policies: Arc<Vec<Arc<Policy>>>,
    /// By name.
    pub(super) namespaces: Shared<NamespaceFacts>,
    /// How many nodes told.
    pub(super) nodes: usize,
    /// Those of them that did not tell of late, or for whose talks there is no room.
    pub(super) not_counted: usize,
}

// === impl Told ===

impl Told {
    /// As if the watch of its kind had told of it.
    pub(super) fn of(object: Value) -> Option<Self> {
        let kind = object.get("kind")?.as_str()?.to_owned();
        Some(match kind.as_str() {
            "FlowSummary" => Self::Summary(Event::Apply(summary(serde_json::from_value(object).ok()?)?)),
            "Namespace" => Self::Namespace(Event::Apply(namespace(serde_json::from_value(object).ok()?)?)),
            "NetworkPolicy" => Self::NetworkPolicy(Event::Apply(network_policy(serde_json::from_value(object).ok()?)?)),
            "ClusterNetworkPolicy" => {
                Self::ClusterNetworkPolicy(Event::Apply(cluster_network_policy(serde_json::from_value(object).ok()?)?))
            }
            _ => return None,
        })
    }
}

// === impl Gathered ===

impl Gathered {
    pub(super) fn take(&mut self, told: Told) -> Change {
        match told {
            Told::Summary(event) => self.summaries.take(event),
            Told::NetworkPolicy(event) => self.network_policies.take(event),
            Told::ClusterNetworkPolicy(event) => self.cluster_network_policies.take(event),
            Told::Namespace(event) => self.namespaces.take(event),
        }
    }

    /// What is known by now; what is the same as before is shared with it.
    pub(super) fn known(&self, now: Timestamp, before: &Known) -> Known {
        let oldest = now - SignedDuration::try_from(MAX_AGE).unwrap_or_default();
        let mut room = MAX_ALL_TALKS;
        let counts = |summary: &&Summary| {
            let fits = summary.observed >= oldest && summary.flows.len() <= room;
            room -= if fits { summary.flows.len() } else { 0 };
            fits
        };
        let counted: Vec<&Summary> = self.summaries.known().values().map(|summary| &**summary).filter(counts).collect();
        let network_policies = self.network_policies();
        let cluster_network_policies: Vec<Arc<Policy>> =
            understood(&self.cluster_network_policies).map(Arc::clone).collect();
        let mut of_namespaces: BTreeMap<Arc<str>, Sums> = BTreeMap::new();
        for flow in counted.iter().flat_map(|summary| &summary.flows) {
            for namespace in namespaces_of(flow) {
                of_namespaces.entry(namespace.into()).or_insert_with(|| Sums::new(MAX_SUMMED)).add(flow);
            }
        }
        let (mut talks, mut would_deny) = (BTreeMap::new(), BTreeMap::new());
        for (namespace, sums) in of_namespaces {
            let mut flows: Vec<Flow> = sums.flows().collect();
            let denials: Vec<WouldDeny> = {
                let is_audited = self.namespaces.known().get(&*namespace).is_some_and(|facts| facts.audit);
                let policies = network_policies.get(&namespace).into_iter().flat_map(|policies| policies.iter());
                let policies: Vec<_> = policies.map(|policy| policy.in_namespace(is_audited)).collect();
                let denied = flows.iter().filter(|flow| flow.verdict == Outcome::WouldDeny);
                of_namespace(&namespace, denied, &policies, &cluster_network_policies)
            };
            if !denials.is_empty() {
                would_deny.insert(Arc::clone(&namespace), shared(denials, before.would_deny.get(&namespace)));
            }
            flows.sort_by_key(|flow| std::cmp::Reverse(flow.count));
            flows.truncate(MAX_TALKS);
            talks.insert(Arc::clone(&namespace), shared(flows, before.talks.get(&namespace)));
        }
        let nodes = self.summaries.known().len();
        Known {
            is_complete: self.summaries.is_synced() && self.network_policies.is_synced() && self.namespaces.is_synced(),
            talks,
            would_deny,
            network_policies,
            cluster_network_policies: Arc::new(cluster_network_policies),
            namespaces: self.namespaces.known().clone(),
            nodes,
            not_counted: nodes - counted.len(),
        }
    }

    /// By namespace.
    fn network_policies(&self) -> BTreeMap<Arc<str>, Arc<Vec<Arc<Policy>>>> {
        let mut all: BTreeMap<Arc<str>, Vec<Arc<Policy>>> = BTreeMap::new();
        for policy in understood(&self.network_policies) {
            let Some(namespace) = &policy.namespace else { continue };
            all.entry(Arc::clone(namespace)).or_default().push(Arc::clone(policy));
        }
        all.into_iter().map(|(namespace, policies)| (namespace, Arc::new(policies))).collect()
    }
}

// === impl Known ===

impl Known {
    /// What policies would deny to Pods of a namespace.
    pub(crate) fn would_deny(&self, namespace: &str) -> &[WouldDeny] {
        self.would_deny.get(namespace).map_or(&[], |denials| denials.as_slice())
    }

    /// NetworkPolicies of a namespace.
    pub(super) fn policies_of(&self, namespace: &str) -> &[Arc<Policy>] {
        self.network_policies.get(namespace).map_or(&[], |policies| policies.as_slice())
    }

    /// Whether NetworkPolicies of a namespace are only told of.
    pub(super) fn audits(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|facts| facts.audit)
    }

    /// Namespaces of which it is not the same as it was.
    pub(crate) fn differing(&self, before: &Self) -> Vec<Arc<str>> {
        let names =
            self.would_deny.keys().chain(before.would_deny.keys().filter(|n| !self.would_deny.contains_key(*n)));
        names.filter(|name| self.would_deny.get(*name) != before.would_deny.get(*name)).map(Arc::clone).collect()
    }
}

fn understood(policies: &Followed<Read>) -> impl Iterator<Item = &Arc<Policy>> {
    policies.known().values().filter_map(|read| Option::as_ref(read))
}

fn shared<T: PartialEq>(now: T, before: Option<&Arc<T>>) -> Arc<T> {
    match before.filter(|before| ***before == now) {
        Some(before) => Arc::clone(before),
        None => Arc::new(now),
    }
}

fn namespaces_of(flow: &Flow) -> impl Iterator<Item = &str> {
    let (from, to) = (flow.from.namespace(), flow.to.namespace());
    from.into_iter().chain(to.filter(|to| Some(*to) != from))
}

/// What an agent wrote, as far as an agent writes it.
pub(super) fn summary(object: FlowSummary) -> Option<(String, Summary)> {
    let lines = object.spec.talks.iter().take(MAX_SUMMARY_TALKS).filter_map(|talk| serde_json::to_string(talk).ok());
    let flows = lines.filter_map(|line| Flow::parse(&line).ok()).collect();
    Some((object.metadata.name?, Summary { observed: object.spec.observed_time.0, flows }))
}

pub(super) fn network_policy(object: DynamicObject) -> Option<(String, Read)> {
    read(object, api::network_policy)
}

pub(super) fn cluster_network_policy(object: DynamicObject) -> Option<(String, Read)> {
    read(object, api::cluster_network_policy)
}

fn read(object: DynamicObject, read: impl FnOnce(&Value) -> api::Read) -> Option<(String, Read)> {
    let key = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let value = serde_json::to_value(object).ok()?;
    Some((key, read(&value).policy.map(Arc::new)))
}

pub(super) fn namespace(object: Namespace) -> Option<(String, NamespaceFacts)> {
    let meta = object.metadata;
    let (name, labels) = (meta.name?, meta.labels.unwrap_or_default());
    let pairs = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let audit = meta.annotations.is_some_and(|annotations| audits_its_policies(&annotations));
    let facts = NamespaceFacts { labels: Labels::of_namespace(&name, pairs), audit };
    Some((name, facts))
}
