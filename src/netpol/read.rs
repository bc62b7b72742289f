//! Manifests to policies and what they are about.
//!
//! Policies are read strictly: what this reader does not know it refuses, because a field that is overlooked changes
//! who reaches whom. Of other objects only what matters here is looked at.

use std::sync::Arc;

use stockade_policy::compiled::Origin;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};
use stockade_policy::objects::{Item, flatten};
use stockade_policy::read::{Field, Members, Reader};
use stockade_policy::source_file::SourceFile;
use stockade_policy::tree::{Content, Node};
use stockade_policy::yaml;

use crate::policy::{AUDIT, ENFORCEMENT, Policy};
use crate::state::State;

pub mod api;
mod cluster_network_policy;
mod faulty;
mod network_policy;
mod objects;
mod peers;
mod workloads;

use objects::Existing;

/// What manifests say.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Policies of both kinds, by namespace and name.
    pub policies: Vec<Policy>,
    /// What they are about.
    pub state: State,
    /// What is wrong with the files. With errors here, do not judge by the rest.
    pub diagnostics: Diagnostics,
}

/// Reads manifests, file by file.
#[derive(Debug)]
pub struct ManifestReader {
    namespace: Arc<str>,
    policies: Vec<Policy>,
    existing: Existing,
    diagnostics: Diagnostics,
}

const NETWORKING: &str = "networking.k8s.io";
const POLICY_API: &str = "policy.networking.k8s.io";

/// Kinds that say who may reach whom, and are not read: by group.
const FOREIGN: [(&str, &[&str]); 4] = [
    ("cilium.io", &["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"]),
    ("projectcalico.org", &["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy"]),
    ("crd.projectcalico.org", &["NetworkPolicy", "GlobalNetworkPolicy"]),
    ("crd.antrea.io", &["NetworkPolicy", "ClusterNetworkPolicy"]),
];

// === impl ManifestReader ===

impl ManifestReader {
    /// Objects without a namespace are taken to be applied in this one.
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            policies: Vec::new(),
            existing: Existing::default(),
            diagnostics: Diagnostics::default(),
        }
    }

    /// Adds the objects of one text.
    pub fn add(&mut self, file_name: &str, text: &str) {
        let file = SourceFile::new(file_name, text);
        let (documents, diagnostics) = yaml::parse(&file);
        self.diagnostics.extend(diagnostics);
        let mut items = Vec::new();
        for document in &documents {
            flatten(&file, document, &mut items, &mut self.diagnostics);
        }
        let mut reader = Reader::new(&file);
        for item in &items {
            self.add_object(&mut reader, item);
        }
        self.diagnostics.extend(reader.diagnostics);
    }

    /// All that was read.
    pub fn finish(mut self) -> Manifests {
        self.report_doubles();
        let state = self.existing.into_state(&mut self.diagnostics);
        Manifests { policies: self.policies, state, diagnostics: self.diagnostics.sorted() }
    }

    /// The same policy twice is one; two that differ under one name are a fault.
    fn report_doubles(&mut self) {
        self.policies.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let named_alike = |a: &Policy, b: &Policy| (&a.namespace, &a.name) == (&b.namespace, &b.name);
        self.policies.dedup_by(|b, a| named_alike(a, b) && a.placeless() == b.placeless());
        for pair in self.policies.windows(2) {
            let [a, b] = pair else { continue };
            if named_alike(a, b) {
                self.diagnostics.push(twice(b, &a.origin, &b.origin));
            }
        }
    }

    fn add_object(&mut self, reader: &mut Reader<'_>, item: &Item<'_>) {
        let Some((api_version, kind)) = item.kind() else { return };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let root = Field::root(item.node);
        match (group, kind) {
            (NETWORKING, "NetworkPolicy") if version == "v1" => {
                self.policies.extend(network_policy::read(reader, &root, &self.namespace));
            }
            (POLICY_API, "ClusterNetworkPolicy") if version == "v1alpha2" => {
                self.policies.extend(cluster_network_policy::read(reader, &root));
            }
            (NETWORKING | "extensions", "NetworkPolicy") => {
                wrong_version(reader, &root, item, "networking.k8s.io/v1");
            }
            (POLICY_API, "ClusterNetworkPolicy") => {
                wrong_version(reader, &root, item, "policy.networking.k8s.io/v1alpha2");
            }
            (POLICY_API, "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy") => {
                let help = "write it as a ClusterNetworkPolicy of policy.networking.k8s.io/v1alpha2, in the tier Admin or \
                            Baseline";
                reader.report_with_help(&of(&root, "kind"), format!("{kind} is not read"), help);
            }
            _ if FOREIGN.iter().any(|(g, kinds)| *g == group && kinds.contains(&kind)) => {
                let help = "only NetworkPolicy and ClusterNetworkPolicy of Kubernetes are judged: what this one allows or \
                            denies is missing from the answer";
                reader.warn(&of(&root, "kind"), format!("{kind} of {group} is not read"), help);
            }
            _ => self.existing.add(reader, &root, (group, kind), &self.namespace),
        }
    }
}

/// Two objects of one name that differ.
fn twice(what: &dyn std::fmt::Display, first: &Origin, second: &Origin) -> Diagnostic {
    let message = format!("{what} is there twice and differs, first in {}:{}", first.file, first.line);
    let fault = Diagnostic::of_file(Severity::Error, &second.file, message);
    let help = "keep one of them; of overlays and charts, judge what is rendered";
    Diagnostic { line: second.line, column: 1, ..fault }.help(help)
}

fn wrong_version(reader: &mut Reader<'_>, root: &Field<'_>, item: &Item<'_>, known: &str) {
    let (api_version, kind) = item.kind().unwrap_or_default();
    let message = format!("unknown version {api_version:?} of {kind}");
    reader.report_with_help(&of(root, "apiVersion"), message, format!("the version that is read is {known}"));
}

/// What a policy has beside its spec.
struct Head {
    name: Arc<str>,
    origin: Origin,
    audit: bool,
}

impl Head {
    fn new(reader: &mut Reader<'_>, root: &Field<'_>, name: Arc<str>) -> Self {
        let path = ["metadata", "annotations", ENFORCEMENT];
        let audit = match at(root.node, &path).map(|node| (node, node.as_str())) {
            None | Some((_, Some("Enforce"))) => false,
            Some((_, Some(AUDIT))) => true,
            Some((node, _)) => {
                let help = "it is enforced; write `Audit` to have only told what it would deny";
                let field = Field { node, path: format!("metadata.annotations[{ENFORCEMENT}]") };
                reader.warn(&field, "unknown enforcement: known are Audit and Enforce", help);
                false
            }
        };
        Self { name, origin: origin(reader, root.node), audit }
    }
}

/// A member, or the whole where it has none.
fn of<'n>(field: &Field<'n>, name: &str) -> Field<'n> {
    match field.node.get(name) {
        Some(node) => Field { node, path: field.child_path(name) },
        None => field.clone(),
    }
}

fn errors(reader: &Reader<'_>) -> usize {
    reader.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
}

fn origin(reader: &Reader<'_>, node: &Node) -> Origin {
    Origin { file: reader.file.name().clone(), line: reader.file.position(node.span.start).line }
}

/// What an object is about, by a path.
fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// A text of what exists; it is not checked, for the API server did.
fn text<'n>(node: &'n Node, path: &[&str]) -> Option<&'n str> {
    at(node, path)?.as_str()
}

/// Labels at a path of what exists. Those that are no text cannot be matched by anything.
fn labels<'n>(node: &'n Node, path: &[&str]) -> Vec<(&'n str, &'n str)> {
    let Some(Content::Mapping(members)) = at(node, path).map(|n| &n.content) else { return Vec::new() };
    members.iter().filter_map(|m| Some((m.key.as_str(), m.value.as_str()?))).collect()
}

/// The elements of a list at a path.
fn list<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path).map(|n| &n.content) {
        Some(Content::Sequence(items)) => items,
        _ => &[],
    }
}

/// The members of an object, past what every object has.
fn object<'n>(reader: &mut Reader<'_>, root: &Field<'n>) -> Option<Members<'n>> {
    let mut members = reader.members(root)?;
    members.ignore(&["apiVersion", "kind", "status"]);
    Some(members)
}
