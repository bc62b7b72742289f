//! A flow as a line of JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{End, Flow, FlowProtocol, MAX_LABELS, MAX_NAME_BYTES, PolicyKind};
use crate::ports::Protocol;
use crate::state::Labels;

/// Longest line, in bytes: two ends with many labels. A longer one is refused, and never written.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Why a line is no flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowFault {
    /// See [`MAX_LINE_BYTES`].
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Not the JSON of a flow.
    #[error("{0}")]
    Json(String),
    /// A value that no agent writes.
    #[error("{0}")]
    Value(&'static str),
}

/// One line of a stream of flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A flow.
    Flow(Box<Flow>),
    /// So many connections and dropped packets are missing here: there was more than is told, or the reader was slow.
    Missed(u64),
}

/// [`Line::Missed`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMissed {
    missed: u64,
}

/// Longest part of a fault of JSON that is shown: it repeats what the line says.
const MAX_FAULT_CHARS: usize = 200;

/// An end as it is written: one of `namespace`, `ownNode` and `address` alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireEnd {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own_node: bool,
}

// === impl FlowFault ===

impl FlowFault {
    fn json(error: &serde_json::Error) -> Self {
        let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self::Json(error.to_string().chars().map(plain).take(MAX_FAULT_CHARS).collect())
    }
}

// === impl Line ===

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    /// As [`Flow::parse`].
    pub fn parse(line: &str) -> Result<Self, FlowFault> {
        if line.starts_with("{\"missed\"") {
            let read = serde_json::from_str(line).map_err(|error| FlowFault::json(&error));
            return read.map(|WireMissed { missed }| Self::Missed(missed));
        }
        Flow::parse(line).map(|flow| Self::Flow(Box::new(flow)))
    }

    /// The line that tells what is missing.
    pub fn missed(count: u64) -> String {
        format!("{{\"missed\":{count}}}")
    }
}

// === impl Flow ===

impl Flow {
    /// Reads one line.
    ///
    /// # Errors
    /// Anything that an agent does not write: other fields, names that are too long or have characters that no name has,
    /// a flow that ends before it begins.
    pub fn parse(line: &str) -> Result<Self, FlowFault> {
        if line.len() > MAX_LINE_BYTES {
            return Err(FlowFault::TooLong);
        }
        let flow: Self = serde_json::from_str(line).map_err(|error| FlowFault::json(&error))?;
        flow.check()?;
        Ok(flow)
    }

    /// As one line of JSON, without its end.
    ///
    /// # Errors
    /// What [`Self::parse`] would refuse.
    pub fn line(&self) -> Result<String, FlowFault> {
        self.check()?;
        let line = serde_json::to_string(self).map_err(|error| FlowFault::json(&error))?;
        if line.len() > MAX_LINE_BYTES { Err(FlowFault::TooLong) } else { Ok(line) }
    }

    fn check(&self) -> Result<(), FlowFault> {
        let need = |holds: bool, what| if holds { Ok(()) } else { Err(FlowFault::Value(what)) };
        need(self.first <= self.last, "last: a flow does not end before it begins")?;
        need(self.count > 0, "count: a flow was seen once at least")?;
        let with_ports = matches!(self.protocol, FlowProtocol::Known(_));
        need(with_ports == self.port.is_some(), "port: TCP, UDP and SCTP have one, other protocols none")?;
        need(!matches!(self.near(), End::OwnNode | End::Address(_)), "from, to: a flow is judged at a Pod's end")?;
        let ends = [&self.from, &self.to].into_iter();
        need(ends.clone().all(labels_are_few), "labels: too many")?;
        let rule = self.rule.iter();
        let of_rule = rule.clone().flat_map(|rule| rule.namespace.iter().chain([&rule.policy])).map(String::as_str);
        let mut names = ends.flat_map(texts).chain(of_rule).chain([self.node.as_str()]);
        need(names.all(is_name), "a name is longer than any of Kubernetes, or has characters that none has")?;
        let is_text = |text: &String| text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control);
        let good = rule.flat_map(|rule| &rule.name).all(is_text);
        need(good, "rule: the name is too long, or has control characters")?;
        let owned = |rule: &super::FlowRule| (rule.kind == PolicyKind::NetworkPolicy) == rule.namespace.is_some();
        need(self.rule.as_ref().is_none_or(owned), "rule: a NetworkPolicy has a namespace, no other kind has")
    }
}

fn labels_are_few(end: &End) -> bool {
    match end {
        End::Pods { labels, .. } => labels.iter().count() <= MAX_LABELS,
        End::OwnNode | End::Address(_) => true,
    }
}

fn texts(end: &End) -> Vec<&str> {
    match end {
        End::Pods { namespace, pod, labels, .. } => {
            let labels = labels.iter().flat_map(|(key, value)| [key, value]);
            labels.chain([namespace.as_str()]).chain(pod.as_deref()).collect()
        }
        End::OwnNode | End::Address(_) => Vec::new(),
    }
}

/// Names of objects, keys and values of labels: nothing that means anything in YAML, or on a terminal.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b))
}

// === impl End ===

impl Serialize for End {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut wire = WireEnd { namespace: None, pod: None, labels: BTreeMap::new(), address: None, own_node: false };
        match self.clone() {
            Self::Pods { namespace, pod, labels, address } => {
                wire.labels = labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                (wire.namespace, wire.pod, wire.address) = (Some(namespace), pod, address);
            }
            Self::OwnNode => wire.own_node = true,
            Self::Address(address) => wire.address = Some(address),
        }
        wire.serialize(to)
    }
}

impl<'d> Deserialize<'d> for End {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        let WireEnd { namespace, pod, labels, address, own_node } = WireEnd::deserialize(from)?;
        match (namespace, own_node) {
            (Some(namespace), false) => {
                let labels = Labels::new(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
                Ok(Self::Pods { namespace, pod, labels, address })
            }
            (None, _) if pod.is_some() || !labels.is_empty() => Err(de::Error::custom("a Pod has a namespace")),
            (None, true) if address.is_none() => Ok(Self::OwnNode),
            (None, false) if let Some(address) = address => Ok(Self::Address(address)),
            _ => Err(de::Error::custom("an end is one of a Pod (namespace), the own node (ownNode) and an address")),
        }
    }
}

// === impl FlowProtocol ===

impl Serialize for FlowProtocol {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'d> Deserialize<'d> for FlowProtocol {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if let Some(known) = Protocol::ALL.into_iter().find(|protocol| protocol.name() == text) {
            return Ok(Self::Known(known));
        }
        let number: Option<u8> = text.parse().ok();
        // Written in one way, so that one protocol is not read as two.
        number
            .map(Self::of_number)
            .filter(|protocol| protocol.to_string() == text)
            .ok_or_else(|| de::Error::custom("a protocol is TCP, UDP, SCTP or the number of another"))
    }
}
