//! Policies as the API server has them, read so that nothing opens which this version does not understand.
//!
//! A rule with a part that is not understood is closed: it accepts nothing, or denies everything ([`crate::policy::Peer::Unknown`]).
//! For a policy that is not understood as a whole another stands in, which closes the Pods that it selects.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use stockade_policy::compiled::Origin;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};
use stockade_policy::read::{Field, Reader};
use stockade_policy::source_file::SourceFile;
use stockade_policy::tree::{Content, Node};
use stockade_policy::yaml;

use super::faulty::{Faulty, closed_rule};
use super::{Head, at, cluster_network_policy, network_policy, peers};
use crate::policy::{Action, Namespaces, Pods, Policy, Rule, Tier};

/// Most faults of one object that are told: a status is read by people.
pub const MAX_FAULTS: usize = 10;

/// Longest fault that is told, in characters: it may quote what was written.
const MAX_FAULT_CHARS: usize = 300;

/// What an object of the API server says.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// What is to be enforced. None: it does not say in a known way which Pods it is about, so nobody is meant.
    pub policy: Option<Policy>,
    /// What was not understood, for the object's status; empty when everything was.
    pub faults: Faults,
}

/// Faults of an object, at most [`MAX_FAULTS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The first ones, with the paths of their fields.
    pub told: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// Reads a NetworkPolicy `networking.k8s.io/v1`. Where it is not understood as a whole, the Pods that it selects are
/// isolated in both directions; all of its namespace when that is not understood either.
pub fn network_policy(object: &Value) -> Read {
    let namespace: Arc<str> = member(object, &["metadata", "namespace"]).into();
    read(object, |reader, root, head, faults| {
        // The API server takes an object without a spec for one with an empty spec.
        let empty = Node { span: root.node.span, content: Content::Mapping(Vec::new()) };
        let node = at(root.node, &["spec"]).filter(|spec| !spec.is_null()).unwrap_or(&empty);
        let spec = Field { node, path: "spec".to_owned() };
        let policy = network_policy::read_spec(reader, &spec, head, &namespace, &mut Faulty::Closed(faults));
        if let Some(policy) = understood(reader, policy) {
            return Some(policy);
        }
        let selector = member_field(&spec, "podSelector").and_then(|f| alone(reader, |r| peers::selector(r, &f)));
        let subject = Pods { namespaces: Namespaces::Named(namespace.clone()), pods: selector.unwrap_or_default() };
        let closing = closing((Tier::Network, 0), subject, Vec::new());
        Some(Policy { namespace: Some(namespace.clone()), ..closing })
    })
}

/// Reads a ClusterNetworkPolicy `policy.networking.k8s.io/v1alpha2`. Where it is not understood as a whole, all
/// traffic of the Pods that it selects is denied in its place among the others; at the end of the tier Admin when that
/// is not understood either.
pub fn cluster_network_policy(object: &Value) -> Read {
    read(object, |reader, root, head, faults| {
        let spec = member_field(root, "spec")?;
        let policy = cluster_network_policy::read_spec(reader, &spec, head, &mut Faulty::Closed(faults));
        if let Some(policy) = understood(reader, policy) {
            return Some(policy);
        }
        let [tier, priority, subject] = ["tier", "priority", "subject"].map(|name| member_field(&spec, name));
        let subject = alone(reader, |r| cluster_network_policy::read_subject(r, &subject?))?;
        let tier = tier.and_then(|f| alone(reader, |r| cluster_network_policy::read_tier(r, &f)));
        let priority = priority.and_then(|f| alone(reader, |r| cluster_network_policy::read_priority(r, &f)));
        let place = (tier.unwrap_or(Tier::Admin), priority.unwrap_or(cluster_network_policy::MAX_PRIORITY));
        Some(closing(place, subject, vec![closed_rule(Action::Deny, Origin::default())]))
    })
}

/// Stands in for a policy that is not understood. Its name is still to be set.
fn closing((tier, priority): (Tier, u16), subject: Pods, rules: Vec<Rule>) -> Policy {
    Policy {
        namespace: None,
        name: Arc::default(),
        origin: Origin::default(),
        tier,
        priority,
        audit: false,
        subject,
        ingress: Some(rules.clone()),
        egress: Some(rules),
    }
}

/// Reads an object by what reads its spec.
fn read(object: &Value, spec: impl FnOnce(&mut Reader<'_>, &Field<'_>, Head, &mut Faults) -> Option<Policy>) -> Read {
    let mut faults = Faults::default();
    let file = SourceFile::new("api.json", &lines(object));
    let (documents, diagnostics) = yaml::parse(&file);
    let nothing = Node { span: Default::default(), content: Content::Mapping(Vec::new()) };
    let root = Field::root(documents.first().unwrap_or(&nothing));
    let mut reader = Reader::new(&file);
    reader.diagnostics.extend(diagnostics);
    let head = Head::new(&mut reader, &root, member(object, &["metadata", "name"]).into());
    let (name, audit) = (head.name.clone(), head.audit);
    let policy = spec(&mut reader, &root, head, &mut faults);
    faults.add(&reader.diagnostics);
    // Lines of a text that nobody wrote say nothing.
    Read { policy: policy.map(|policy| Policy { name, audit, ..policy.placeless() }), faults }
}

/// The object as text of short lines, which the reader looks up for each fault.
fn lines(object: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b""));
    // Neither a value nor a vector can fail here; if they did, nothing would be read, which closes.
    let _ = object.serialize(&mut serializer);
    String::from_utf8(text).unwrap_or_default()
}

/// A policy, unless its faults are about more than a rule.
fn understood(reader: &Reader<'_>, policy: Option<Policy>) -> Option<Policy> {
    policy.filter(|_| super::errors(reader) == 0)
}

/// Reads a part without its faults, which were told before; none when it has some.
fn alone<T>(reader: &Reader<'_>, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
    let mut alone = Reader::new(reader.file);
    read(&mut alone).filter(|_| alone.diagnostics.is_empty())
}

fn member_field<'n>(field: &Field<'n>, name: &str) -> Option<Field<'n>> {
    let node = field.node.get(name).filter(|node| !node.is_null())?;
    Some(Field { node, path: field.child_path(name) })
}

fn member<'v>(object: &'v Value, path: &[&str]) -> &'v str {
    let found = path.iter().try_fold(object, |value, key| value.get(key));
    found.and_then(Value::as_str).unwrap_or_default()
}

// === impl Faults ===

impl Faults {
    /// Whether everything was understood.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Adds what is wrong; of warnings, which are for writers, nothing.
    pub(super) fn add(&mut self, found: &Diagnostics) {
        for fault in found.iter().filter(|d| d.severity == Severity::Error) {
            if self.told.len() == MAX_FAULTS {
                self.more += 1;
            } else {
                self.told.push(shown(fault));
            }
        }
    }
}

fn shown(fault: &Diagnostic) -> String {
    let Diagnostic { field, message, .. } = fault;
    let text = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
    match text.char_indices().nth(MAX_FAULT_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
