//! The Pods that are written in Pods and in what makes them.

use std::collections::HashSet;
use std::sync::Arc;

use stockade_policy::read::{Field, Reader};
use stockade_policy::tree::{Content, Node};

use super::{at, labels, list, peers, text};
use crate::ports::Protocol;
use crate::state::{ContainerPort, Labels, Pod};

/// Paths to the template of Deployments, Jobs and their like, and of CronJobs.
const TEMPLATES: [&[&str]; 2] = [&["spec", "template"], &["spec", "jobTemplate", "spec", "template"]];

/// The template of the Pods that an object makes; none when it makes none.
pub(super) fn template<'n>(root: &Field<'n>) -> Option<Field<'n>> {
    TEMPLATES.iter().find_map(|path| {
        let node = at(root.node, path)?;
        let path = path.join(".");
        at(node, &["spec", "containers"]).map(|_| Field { node, path })
    })
}

/// What a Pod or a template says of itself; the rest is empty.
pub(super) fn pod(reader: &mut Reader<'_>, field: &Field<'_>, name: Arc<str>) -> Pod {
    let node = field.node;
    let host_network = at(node, &["spec", "hostNetwork"]).map(|n| &n.content);
    let mut ports: Vec<ContainerPort> = Vec::new();
    for container in list(node, &["spec", "containers"]) {
        read_ports(reader, container, &mut ports);
    }
    // Init containers that stay beside the others: their ports are open too.
    for container in list(node, &["spec", "initContainers"]) {
        if text(container, &["restartPolicy"]) == Some("Always") {
            read_ports(reader, container, &mut ports);
        }
    }
    // Of one name the first of a protocol counts, as the kubelet has it.
    let mut seen = HashSet::new();
    ports.retain(|port| port.name.is_empty() || seen.insert((port.name.clone(), port.protocol)));
    Pod {
        namespace: Arc::default(),
        name,
        owner: None,
        labels: Labels::new(labels(node, &["metadata", "labels"])),
        addresses: Vec::new(),
        ports,
        host_network: matches!(host_network, Some(Content::Bool(true))),
        node: None,
        finished: false,
        origin: Default::default(),
    }
}

/// Ports of a container.
fn read_ports(reader: &mut Reader<'_>, container: &Node, ports: &mut Vec<ContainerPort>) {
    for port in list(container, &["ports"]) {
        let name = text(port, &["name"]).unwrap_or_default();
        let Some(number) = port.get("containerPort") else { continue };
        let field = Field { node: number, path: "containerPort".to_owned() };
        let Some(number) = peers::port(reader, &field) else { continue };
        let protocol = match port.get("protocol").filter(|p| !p.is_null()) {
            Some(node) => peers::protocol(reader, &Field { node, path: "protocol".to_owned() }),
            None => Some(Protocol::Tcp),
        };
        let Some(protocol) = protocol else { continue };
        ports.push(ContainerPort { name: name.into(), protocol, port: number });
    }
}
