//! Flows: who has talked to whom, as node agents record it.
//!
//! One line of JSON for connections, or dropped packets, that are alike: same ends, direction, verdict, protocol, port
//! and deciding rule. A line is written by [`Flow::line`] and read by [`Flow::parse`], which believes nothing: names are
//! bounded and have the characters of names, whoever wrote the line. Where some are missing a line says how many
//! ([`Line`]).

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::RuleName;
use crate::policy::Direction;
use crate::ports::Protocol;
use crate::state::Labels;

mod blocks;
mod filter;
mod observed;
pub mod recommend;
pub mod replay;
mod sums;
mod text;
mod wire;
mod world;

pub use filter::{Filter, NoFilter};
pub use observed::{MAX_TALKS, Observed, Seen, TooManyTalks};
pub use sums::Sums;
pub use wire::{FlowFault, Line, MAX_LINE_BYTES};

/// Most labels of one end that a line may have: Kubernetes has no bound but that of the whole object.
pub const MAX_LABELS: usize = 256;

/// Longest name: of an object, of a label's key with its prefix.
pub const MAX_NAME_BYTES: usize = 317;

/// Connections, or packets that were dropped, that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flow {
    /// When the first of them was seen (RFC 3339, milliseconds).
    #[serde(with = "text::time")]
    pub first: Timestamp,
    /// When the last of them was seen; not before `first`.
    #[serde(with = "text::time")]
    pub last: Timestamp,
    /// How many: connections that began, or packets that were dropped. From 1.
    pub count: u64,
    /// Bytes of the packets that were looked at: of dropped packets all, of connections the first one. None where that
    /// was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// At which end it was judged: `egress` at the sender's, `ingress` at the receiver's.
    pub direction: Direction,
    /// What became of it.
    pub verdict: Outcome,
    /// Its protocol.
    pub protocol: FlowProtocol,
    /// Port of the receiver; none where the protocol has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who began it.
    pub from: End,
    /// With whom.
    pub to: End,
    /// The rule that decided. None: no rule, so that the Pod's isolation denied it, or nothing is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<FlowRule>,
    /// Node on which it was judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// What became of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It passed.
    Allowed,
    /// Policies do not allow it: dropped.
    Denied,
    /// It passed, for the policies that deny it are only audited.
    WouldDeny,
    /// The Pod sent it with an address that is not its own: dropped.
    Spoofed,
    /// It cannot be judged, so it was dropped: not readable, or a fragment or an ICMP error of nothing that passed.
    Malformed,
}

/// Protocol of a flow: `TCP`, `UDP`, `SCTP`, or the number of another as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowProtocol {
    /// One that policies speak of.
    Known(Protocol),
    /// Another, by its number of IANA.
    Other(u8),
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Pods of one namespace with the same labels.
    Pods {
        /// Their namespace.
        namespace: String,
        /// Name of the Pod, where it was on the node that recorded it.
        pod: Option<String>,
        /// Labels of all of them.
        labels: Labels,
        /// Address of the one that was seen last.
        address: Option<IpAddr>,
    },
    /// The node that recorded the flow, which its own Pods always reach and are reached by.
    OwnNode,
    /// Somebody who is no Pod: a node, the world.
    Address(IpAddr),
}

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowRule {
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: PolicyKind,
    /// Of a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `metadata.name` of the policy.
    pub policy: String,
    /// In which of its lists.
    pub direction: Direction,
    /// Place in the list; from 0.
    pub index: u32,
    /// The rule's own name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Kinds of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyKind {
    /// `networking.k8s.io`
    NetworkPolicy,
    /// `policy.networking.k8s.io`
    ClusterNetworkPolicy,
}

// === impl Outcome ===

impl Outcome {
    /// All.
    pub const ALL: [Self; 5] = [Self::Allowed, Self::Denied, Self::WouldDeny, Self::Spoofed, Self::Malformed];

    /// As it is written: `would-deny`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::WouldDeny => "would-deny",
            Self::Spoofed => "spoofed",
            Self::Malformed => "malformed",
        }
    }

    /// Whether the packets passed.
    pub fn passes(self) -> bool {
        matches!(self, Self::Allowed | Self::WouldDeny)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl FlowProtocol ===

impl FlowProtocol {
    /// By the number in a packet's header.
    pub fn of_number(number: u8) -> Self {
        match number {
            6 => Self::Known(Protocol::Tcp),
            17 => Self::Known(Protocol::Udp),
            132 => Self::Known(Protocol::Sctp),
            other => Self::Other(other),
        }
    }
}

/// `TCP`, `1`
impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(protocol) => protocol.fmt(f),
            Self::Other(number) => number.fmt(f),
        }
    }
}

// === impl End ===

impl End {
    /// Namespace of the Pods.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pods { namespace, .. } => Some(namespace),
            Self::OwnNode | Self::Address(_) => None,
        }
    }
}

/// Most labels of an end that people are shown.
const MAX_SHOWN_LABELS: usize = 3;

/// `shop/web-1`, `shop (app=web)`, `192.0.2.1`
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods { namespace, pod: Some(pod), .. } => write!(f, "{namespace}/{pod}"),
            Self::Pods { namespace, labels, .. } => {
                let pairs = labels.iter().take(MAX_SHOWN_LABELS).map(|(key, value)| format!("{key}={value}"));
                let more = labels.iter().count().saturating_sub(MAX_SHOWN_LABELS);
                let more = (more > 0).then(|| format!("and {more} more"));
                write!(f, "{namespace} ({})", pairs.chain(more).collect::<Vec<_>>().join(","))
            }
            Self::OwnNode => f.write_str("the node"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

// === impl Flow ===

impl Flow {
    /// The end at which it was judged.
    pub fn near(&self) -> &End {
        match self.direction {
            Direction::Egress => &self.from,
            Direction::Ingress => &self.to,
        }
    }

    /// The other end.
    pub fn far(&self) -> &End {
        match self.direction {
            Direction::Egress => &self.to,
            Direction::Ingress => &self.from,
        }
    }
}

impl Flow {
    /// What is denied, or would be, and by which rule: `TCP 5432 to Pods of shop (app=db) is denied: by NetworkPolicy
    /// shop/web egress[0]`.
    pub fn denial(&self) -> String {
        let pods = if matches!(self.far(), End::Pods { pod: None, .. }) { "Pods of " } else { "" };
        let preposition = if self.direction == Direction::Egress { "to" } else { "from" };
        let port = self.port.map(|port| format!(" {port}")).unwrap_or_default();
        let what = if self.verdict.passes() { "would be denied" } else { "is denied" };
        let by = match &self.rule {
            Some(rule) => format!("by {rule}"),
            None => "no rule of the policies that select this Pod accepts it".to_owned(),
        };
        format!("{}{port} {preposition} {pods}{} {what}: {by}", self.protocol, self.far())
    }
}

// === impl FlowRule ===

impl From<&RuleName> for FlowRule {
    fn from(rule: &RuleName) -> Self {
        let kind = if rule.namespace.is_some() { PolicyKind::NetworkPolicy } else { PolicyKind::ClusterNetworkPolicy };
        Self {
            kind,
            namespace: rule.namespace.as_ref().map(ToString::to_string),
            policy: rule.policy.to_string(),
            direction: rule.direction,
            index: rule.index,
            name: rule.name.as_ref().map(ToString::to_string),
        }
    }
}

/// `NetworkPolicy shop/web egress[0]`
impl fmt::Display for FlowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.namespace) {
            (PolicyKind::NetworkPolicy, namespace) => {
                write!(f, "NetworkPolicy {}/{}", namespace.as_deref().unwrap_or_default(), self.policy)?;
            }
            (PolicyKind::ClusterNetworkPolicy, _) => write!(f, "ClusterNetworkPolicy {}", self.policy)?,
        }
        write!(f, " {}[{}]", self.direction.rules(), self.index)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

#[cfg(test)]
mod tests;
