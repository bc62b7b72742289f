//! What exists: namespaces, nodes, Pods and what makes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_policy::compiled::Origin;
use stockade_policy::diagnostic::{Diagnostic, Diagnostics, Severity};
use stockade_policy::read::{Field, Reader};
use stockade_policy::tree::Node as Tree;

use super::{labels, list, text, workloads};
use crate::state::{Labels, Node, Owner, Pod, State};

/// Objects that exist, as they are read.
#[derive(Debug, Default)]
pub(super) struct Existing {
    namespaces: BTreeMap<Arc<str>, Labels>,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    workloads: Vec<Workload>,
}

/// Something that makes Pods.
#[derive(Debug)]
struct Workload {
    /// The Pods that it would make.
    pod: Pod,
    itself: Owner,
    /// What made it.
    controller: Option<Owner>,
}

type Maker = (Arc<str>, Owner);

// === impl Existing ===

impl Existing {
    pub(super) fn add(
        &mut self,
        reader: &mut Reader<'_>,
        root: &Field<'_>,
        (group, kind): (&str, &str),
        namespace: &Arc<str>,
    ) {
        let node = root.node;
        let Some(name) = name(node) else { return };
        match (group, kind) {
            ("", "Namespace") => {
                let labels = Labels::of_namespace(&name, labels(node, &["metadata", "labels"]));
                self.namespaces.insert(name, labels);
            }
            ("", "Node") => {
                let labels = Labels::new(labels(node, &["metadata", "labels"]));
                let found = list(node, &["status", "addresses"]).iter();
                let addresses = found.filter_map(|a| text(a, &["address"])?.parse().ok()).collect();
                self.nodes.push(Node { name, labels, addresses });
            }
            ("", "Pod") => {
                let pod = read_pod(reader, root, name, namespace);
                self.add_node_of(&pod, node);
                self.pods.push(pod);
            }
            _ => {
                let Some(template) = workloads::template(root) else { return };
                let itself = Owner { kind: kind.into(), name: name.clone() };
                let pod = Pod {
                    namespace: namespace_of(node, namespace),
                    owner: Some(Arc::new(itself.clone())),
                    addresses: Vec::new(),
                    node: None,
                    finished: false,
                    origin: super::origin(reader, node),
                    ..workloads::pod(reader, &template, name)
                };
                self.workloads.push(Workload { pod, itself, controller: controller(node) });
            }
        }
    }

    /// A Pod tells its node's addresses where no Node object does.
    fn add_node_of(&mut self, pod: &Pod, node: &Tree) {
        let Some(name) = &pod.node else { return };
        let many = list(node, &["status", "hostIPs"]).iter().filter_map(|ip| text(ip, &["ip"]));
        let told: Vec<IpAddr> =
            many.chain(text(node, &["status", "hostIP"])).filter_map(|ip| ip.parse().ok()).collect();
        if !told.is_empty() && !self.nodes.iter().any(|n| n.name == *name) {
            self.nodes.push(Node { name: name.clone(), labels: Labels::default(), addresses: told });
        }
    }

    /// Pods, and workloads none of whose Pods are there.
    pub(super) fn into_state(self, diagnostics: &mut Diagnostics) -> State {
        let Self { mut namespaces, nodes, mut pods, workloads } = self;
        let with_pods = makers_with_pods(&pods, &workloads);
        let known: HashSet<Maker> = workloads.iter().map(|w| (w.pod.namespace.clone(), w.itself.clone())).collect();
        for workload in workloads {
            let namespace = &workload.pod.namespace;
            let made_by_another = workload.controller.is_some_and(|c| known.contains(&(namespace.clone(), c)));
            if !made_by_another && !with_pods.contains(&(namespace.clone(), workload.itself)) {
                pods.push(workload.pod);
            }
        }
        pods.sort_by(|a, b| (&a.namespace, &a.name, &a.owner).cmp(&(&b.namespace, &b.name, &b.owner)));
        let placeless = |pod: &Pod| Pod { origin: Origin::default(), ..pod.clone() };
        pods.dedup_by(|b, a| named_alike(a, b) && placeless(a) == placeless(b));
        report_doubles(&pods, diagnostics);
        for pod in &pods {
            namespaces.entry(pod.namespace.clone()).or_insert_with(|| Labels::of_namespace(&pod.namespace, []));
        }
        State { namespaces, pods, nodes }
    }
}

/// What has made Pods that are there, directly or through another.
fn makers_with_pods(pods: &[Pod], workloads: &[Workload]) -> HashSet<Maker> {
    let controllers: HashMap<Maker, &Option<Owner>> =
        workloads.iter().map(|w| ((w.pod.namespace.clone(), w.itself.clone()), &w.controller)).collect();
    let mut found = HashSet::new();
    for pod in pods {
        let mut next = pod.owner.as_deref().map(|owner| (pod.namespace.clone(), owner.clone()));
        // Ends even where owners own each other: nobody is followed twice.
        while let Some(maker) = next.take_if(|maker| !found.contains(maker)) {
            let above = controllers.get(&maker).and_then(|controller| controller.as_ref());
            next = above.map(|owner| (maker.0.clone(), owner.clone()));
            found.insert(maker);
        }
    }
    found
}

fn report_doubles(pods: &[Pod], diagnostics: &mut Diagnostics) {
    for pair in pods.windows(2) {
        let [a, b] = pair else { continue };
        if named_alike(a, b) {
            diagnostics.push(super::twice(b, &a.origin, &b.origin));
        }
    }
    let mut holders: HashMap<IpAddr, &Pod> = HashMap::new();
    for pod in pods.iter().filter(|pod| !pod.host_network && !pod.finished) {
        for address in &pod.addresses {
            if let Some(other) = holders.insert(*address, pod) {
                let message = format!("{pod} has the address {address}, and so has {other}");
                let help = "an address was given away before its last holder was gone: both are judged as its holder";
                let Origin { file, line } = &pod.origin;
                let warning = Diagnostic::of_file(Severity::Warning, file, message).help(help);
                diagnostics.push(Diagnostic { line: *line, column: 1, ..warning });
            }
        }
    }
}

fn named_alike(a: &Pod, b: &Pod) -> bool {
    (&a.namespace, &a.name, &a.owner) == (&b.namespace, &b.name, &b.owner)
}

/// `metadata.name`, or what the server would begin it with.
fn name(node: &Tree) -> Option<Arc<str>> {
    let generated = || text(node, &["metadata", "generateName"]).map(|prefix| format!("{prefix}*").into());
    text(node, &["metadata", "name"]).map(Arc::from).or_else(generated)
}

fn namespace_of(node: &Tree, default: &Arc<str>) -> Arc<str> {
    text(node, &["metadata", "namespace"]).filter(|n| !n.is_empty()).map_or_else(|| default.clone(), Arc::from)
}

fn controller(node: &Tree) -> Option<Owner> {
    let owners = list(node, &["metadata", "ownerReferences"]);
    let controls = |owner: &&Tree| {
        matches!(owner.get("controller").map(|c| &c.content), Some(stockade_policy::tree::Content::Bool(true)))
    };
    let owner = owners.iter().find(controls)?;
    Some(Owner { kind: text(owner, &["kind"])?.into(), name: text(owner, &["name"])?.into() })
}

fn read_pod(reader: &mut Reader<'_>, root: &Field<'_>, name: Arc<str>, namespace: &Arc<str>) -> Pod {
    let node = root.node;
    let many: Vec<&str> = list(node, &["status", "podIPs"]).iter().filter_map(|ip| text(ip, &["ip"])).collect();
    let one = text(node, &["status", "podIP"]).filter(|_| many.is_empty());
    let mut addresses: Vec<IpAddr> = Vec::new();
    for written in many.into_iter().chain(one).filter(|ip| !ip.is_empty()) {
        match written.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => {
                let help = "the Pod is judged as if it did not have it: no ipBlock means it by this address";
                reader.warn(&super::of(root, "status"), format!("{written:?} is no address"), help);
            }
        }
    }
    Pod {
        namespace: namespace_of(node, namespace),
        owner: controller(node).map(Arc::new),
        addresses,
        node: text(node, &["spec", "nodeName"]).map(Into::into),
        finished: matches!(text(node, &["status", "phase"]), Some("Succeeded" | "Failed")),
        origin: super::origin(reader, node),
        ..workloads::pod(reader, root, name)
    }
}
