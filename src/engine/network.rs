//! What NetworkPolicies say of a Pod (`networking.k8s.io/v1`).
//!
//! A policy *selects* a Pod of its own namespace whose labels its podSelector matches; Pods on the host's network are
//! selected by none, because their traffic is the node's. It *isolates* in the directions of its policyTypes.

use stockade_cel::{Object, Value};
use stockade_netpol::addresses::{AddressSet, Cidr, Family};
pub use stockade_netpol::policy::Direction;
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

use crate::facts::Kind;
use crate::pod_template;

/// The kind that is read.
pub const NETWORK_POLICY: Kind<'static> = Kind { api_version: "networking.k8s.io/v1", kind: "NetworkPolicy" };

/// What matters of a Pod.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    labels: Option<&'a Object<'a>>,
    host_network: bool,
}

/// An object that does not say what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// Not an object at all.
    #[error("network functions need an object, not {0}")]
    NotAnObject(&'static str),
    /// No namespace.
    #[error("network functions need an object with metadata.namespace")]
    NoNamespace,
    /// An operator that does not exist.
    #[error("the podSelector has an unknown operator {0:?}")]
    UnknownOperator(String),
    /// A selector of the wrong shape.
    #[error("the podSelector is malformed")]
    MalformedSelector,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// Reads a Pod, or the Pods that a workload with a Pod template makes (Deployment, Job, CronJob, …).
    ///
    /// # Errors
    /// No object, or none with a namespace.
    pub fn of(object: Value<'a>) -> Result<Self, NotReadable> {
        if !matches!(object, Value::Object(_)) {
            return Err(NotReadable::NotAnObject(if matches!(object, Value::Null) { "null" } else { "this value" }));
        }
        let namespace = object.path(&["metadata", "namespace"]).and_then(Value::as_str).filter(|n| !n.is_empty());
        let namespace = namespace.ok_or(NotReadable::NoNamespace)?;
        let pod = pod_template::of(object);
        Ok(Self {
            namespace,
            labels: pod.path(&["metadata", "labels"]).and_then(Value::as_object),
            host_network: pod.path(&["spec", "hostNetwork"]).and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Whether a podSelector of its namespace really selects it.
    pub fn is_matched(&self, selector: &LabelSelector) -> bool {
        !self.host_network && selector.matches(self.labels)
    }
}

/// Whether a NetworkPolicy selects a Pod.
///
/// # Errors
/// A podSelector that cannot be read.
pub fn selects(policy: Value<'_>, pod: &Pod<'_>) -> Result<bool, NotReadable> {
    let namespace = policy.path(&["metadata", "namespace"]).and_then(Value::as_str);
    if namespace != Some(pod.namespace) {
        return Ok(false);
    }
    Ok(pod.is_matched(&pod_selector(policy)?))
}

/// The podSelector of a NetworkPolicy; one without selects all Pods of its namespace.
///
/// # Errors
/// It is not a label selector.
pub fn pod_selector(policy: Value<'_>) -> Result<LabelSelector, NotReadable> {
    let selector = match policy.path(&["spec", "podSelector"]) {
        None | Some(Value::Null) => return Ok(LabelSelector::default()),
        Some(selector @ Value::Object(_)) => selector,
        Some(_) => return Err(NotReadable::MalformedSelector),
    };
    let mut requirements = Vec::new();
    match selector.get("matchLabels") {
        None | Some(Value::Null) => {}
        Some(Value::Object(wanted)) => {
            for e in wanted.entries() {
                let values = vec![text(Some(e.value))?];
                requirements.push(Requirement { key: e.key.to_owned(), operator: Operator::In, values });
            }
        }
        Some(_) => return Err(NotReadable::MalformedSelector),
    }
    let expressions = match selector.get("matchExpressions") {
        None | Some(Value::Null) => &[],
        Some(v) => v.as_list().ok_or(NotReadable::MalformedSelector)?,
    };
    for e in expressions {
        let operator = match text(e.get("operator"))?.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(NotReadable::UnknownOperator(other.to_owned())),
        };
        let values = list_of(*e, "values").iter().map(|v| text(Some(*v))).collect::<Result<_, _>>()?;
        requirements.push(Requirement { key: text(e.get("key"))?, operator, values });
    }
    Ok(LabelSelector { requirements })
}

fn text(value: Option<Value<'_>>) -> Result<String, NotReadable> {
    value.and_then(Value::as_str).map(str::to_owned).ok_or(NotReadable::MalformedSelector)
}

/// Whether a NetworkPolicy is about a direction.
pub fn isolates(policy: Value<'_>, direction: Direction) -> bool {
    let types = policy.path(&["spec", "policyTypes"]).and_then(Value::as_list).unwrap_or(&[]);
    let named = |t: &Value<'_>| Direction::ALL.into_iter().find(|d| t.as_str() == Some(d.name()));
    let given: Vec<Direction> = types.iter().filter_map(named).collect();
    let given = (!types.is_empty()).then_some(given.as_slice());
    direction.is_isolated_by(given, !rules(policy, Direction::Egress).is_empty())
}

/// Whether a NetworkPolicy that isolates in a direction allows every peer on every port there all the same: a rule
/// with neither peers nor ports, or rules without ports whose ipBlocks cover all IPv4 or all IPv6 addresses, however
/// they are cut up.
pub fn allows_all(policy: Value<'_>, direction: Direction) -> bool {
    let mut blocks = Vec::new();
    for rule in rules(policy, direction) {
        if !list_of(*rule, "ports").is_empty() {
            continue;
        }
        let peers = list_of(*rule, direction.peers());
        if peers.is_empty() {
            return true;
        }
        blocks.extend(peers.iter().filter_map(|p| p.get("ipBlock")).filter_map(block));
    }
    let allowed = AddressSet::of_blocks(blocks.iter().map(|(block, holes)| (block, holes.as_slice())));
    allowed.covers(Family::V4) || allowed.covers(Family::V6)
}

/// The addresses of an `ipBlock`, and its exceptions. One that does not parse allows nothing.
fn block(written: Value<'_>) -> Option<(Cidr, Vec<Cidr>)> {
    let cidr = |value: Value<'_>| value.as_str().and_then(|text| Cidr::parse(text).ok());
    let holes = list_of(written, "except").iter().filter_map(|hole| cidr(*hole)).collect();
    Some((written.get("cidr").and_then(cidr)?, holes))
}

fn rules<'a>(policy: Value<'a>, direction: Direction) -> &'a [Value<'a>] {
    policy.get("spec").map_or(&[], |spec| list_of(spec, direction.rules()))
}

/// A list member; one that is absent or null is empty, as to the API server.
fn list_of<'a>(object: Value<'a>, key: &str) -> &'a [Value<'a>] {
    object.get(key).and_then(Value::as_list).unwrap_or(&[])
}

#[cfg(test)]
mod tests;
