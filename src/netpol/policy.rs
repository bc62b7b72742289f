//! Network policies of both kinds in one form.
//!
//! A NetworkPolicy is rules that accept, in a tier of their own, in which whoever is selected and not accepted is
//! denied. A ClusterNetworkPolicy is an ordered list of rules that accept, deny or pass on, before that tier or after.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stockade_policy::compiled::Origin;
use stockade_policy::selector::LabelSelector;

use crate::addresses::Cidr;
use crate::ports::Protocol;

/// Annotation of policies: `Audit` for those whose denials are only told. On a Namespace it is about the NetworkPolicies
/// in it, not about ClusterNetworkPolicies: who may write the one need not be trusted with the other.
pub const ENFORCEMENT: &str = "stockade.dev/enforcement";

/// Its value for policies whose denials are only told.
pub const AUDIT: &str = "Audit";

/// Whether a Namespace with these annotations has its NetworkPolicies only told of ([`ENFORCEMENT`]).
pub fn audits_its_policies(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(ENFORCEMENT).is_some_and(|value| value == AUDIT)
}

/// A direction, seen from the Pod that a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the Pod.
    Ingress,
    /// From the Pod.
    Egress,
}

/// Tiers, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// ClusterNetworkPolicies that nobody can overrule.
    Admin,
    /// NetworkPolicies: they have the last word about a Pod that one selects.
    Network,
    /// ClusterNetworkPolicies for Pods that no NetworkPolicy selects.
    Baseline,
}

/// One policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Namespace of a NetworkPolicy.
    pub namespace: Option<Arc<str>>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// When it is asked.
    pub tier: Tier,
    /// Lower is asked earlier; of a ClusterNetworkPolicy, 0 to 1000.
    pub priority: u16,
    /// Whether what it denies is only told, and passes ([`ENFORCEMENT`], its own or its namespace's; readers know only
    /// its own). Only plans for kernels look at it.
    pub audit: bool,
    /// Pods that it is about.
    pub subject: Pods,
    /// Rules of traffic to these Pods; none where it says nothing of it. In its own tier an empty list denies all.
    pub ingress: Option<Vec<Rule>>,
    /// Rules of traffic from these Pods; as `ingress`.
    pub egress: Option<Vec<Rule>>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Of a ClusterNetworkPolicy's rule.
    pub name: Option<Arc<str>>,
    /// Where it was read.
    pub origin: Origin,
    /// What it does with what it matches.
    pub action: Action,
    /// Whose traffic it matches.
    pub peers: Peers,
    /// Which traffic it matches.
    pub ports: Ports,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Action {
    /// It may pass; nothing further is asked.
    Accept,
    /// It may not.
    Deny,
    /// The next tier decides.
    Pass,
}

/// Peers of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Peers {
    /// Anybody, in the cluster or not.
    Everyone,
    /// Any of these.
    AnyOf(Vec<Peer>),
}

/// One peer.
#[derive(Debug, Clone, PartialEq)]
pub enum Peer {
    /// Pods.
    Pods(Pods),
    /// Addresses, of Pods too, without some.
    Block(Cidr, Vec<Cidr>),
    /// Addresses of nodes.
    Nodes(LabelSelector),
    /// Whatever address such a name has.
    Domain(DomainName),
    /// A kind of peer that is newer than this reader. Its rule accepts nothing, or denies everything.
    Unknown,
}

/// Pods by their labels and those of their namespaces. Pods on the host's network are never among them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pods {
    /// Where.
    pub namespaces: Namespaces,
    /// Which; empty for all.
    pub pods: LabelSelector,
}

/// Some namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Namespaces {
    /// The policy's own.
    Named(Arc<str>),
    /// By labels; empty for all.
    Matching(LabelSelector),
}

/// `www.example.com`, or `*.example.com` for every name below it. In lower case, without the last dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

/// Traffic that a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Ports {
    /// Any.
    All,
    /// Any of these.
    AnyOf(Vec<PortMatch>),
}

/// One kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// Ports of a protocol by number; from 1.
    Numbers(Protocol, RangeInclusive<u16>),
    /// Ports that the destination Pod gives this name; of one protocol, or of any.
    Named(Option<Protocol>, Arc<str>),
}

// === impl Direction ===

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `Ingress`
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// Whether a NetworkPolicy is about this direction. Where it gives no types (`None`, or an empty list) it is about
    /// ingress, and about egress when it has egress rules.
    pub fn is_isolated_by(self, given: Option<&[Self]>, has_egress_rules: bool) -> bool {
        match given {
            Some(types) => types.contains(&self),
            None => self == Self::Ingress || has_egress_rules,
        }
    }

    /// The field with the rules.
    pub fn rules(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The field with the peers of a rule.
    pub fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }
}

// === impl Policy ===

impl Policy {
    /// The same in a namespace that has its NetworkPolicies only told of, or not: shared where that says nothing new.
    pub fn in_namespace(self: &Arc<Self>, is_audited: bool) -> Arc<Self> {
        match is_audited && !self.audit {
            true => Arc::new(Self { audit: true, ..Self::clone(self) }),
            false => Arc::clone(self),
        }
    }

    /// The same without places, to be compared.
    pub(crate) fn placeless(&self) -> Self {
        let mut policy = self.clone();
        policy.origin = Origin::default();
        for rule in policy.ingress.iter_mut().chain(&mut policy.egress).flatten() {
            rule.origin = Origin::default();
        }
        policy
    }

    /// The rules of a direction; none where it says nothing of it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// `NetworkPolicy shop/web`
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "NetworkPolicy {namespace}/{}", self.name),
            None => write!(f, "ClusterNetworkPolicy {}", self.name),
        }
    }
}

// === impl Pods ===

impl Pods {
    /// Whether every Pod of every namespace is meant.
    pub fn means_all(&self) -> bool {
        self.pods.is_empty() && matches!(&self.namespaces, Namespaces::Matching(labels) if labels.is_empty())
    }
}

// === impl DomainName ===

impl DomainName {
    /// Reads a name; none when it has another form (the pattern of the API).
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels = name.strip_prefix("*.").unwrap_or(name);
        let inner = |b: u8| b.is_ascii_alphanumeric();
        let label = |l: &str| {
            let ends = l.bytes().next().is_some_and(inner) && l.bytes().last().is_some_and(inner);
            ends && l.bytes().all(|b| inner(b) || matches!(b, b'-' | b'_'))
        };
        let good = text.len() <= 253 && labels.contains('.') && labels.split('.').all(label);
        good.then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// Whether a name is meant. `*.` stands for one label or more.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(below) => name.len() > below.len() && name.ends_with(below),
            None => name == *self.0,
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_name_is_exact_or_stands_for_every_name_below() {
        let name = |text| DomainName::parse(text).unwrap();
        let exact = name("Kubernetes.io.");
        assert_eq!(
            ["kubernetes.io", "KUBERNETES.IO.", "www.kubernetes.io", "my-kubernetes.io"].map(|n| exact.matches(n)),
            [true, true, false, false]
        );
        let below = name("*.kubernetes.io");
        assert_eq!(
            ["www.kubernetes.io", "latest.blog.kubernetes.io", "kubernetes.io", ".kubernetes.io", "xkubernetes.io"]
                .map(|n| below.matches(n)),
            [true, true, false, false, false]
        );
        for bad in ["", "io", "*", "*.io", "a.*.io", "a..io", "-a.io", "a.io..", "w*.a.io"] {
            assert_eq!(DomainName::parse(bad), None, "{bad}");
        }
    }
}
