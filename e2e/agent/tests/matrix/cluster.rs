//! The cluster that truth tables are about, on one node with an agent.

use k8s_openapi::api::core::v1::Namespace;
use stockade_agent::hold::PodRequest;
use stockade_agent::inputs::{Inputs, NamespaceFacts, PodFacts, PolicyObject};
use stockade_e2e_agent::hosts::{Node, Topology};
use stockade_netpol::addresses::Family;
use stockade_netpol_testing::truth_tables::{Cluster, address, pods};

/// A node with all Pods.
pub(crate) fn node(topology: Topology) -> Node {
    let mut node = Node::new(topology);
    for at in 0..pods().count() {
        node.add_pod([address(Family::V4, at), address(Family::V6, at)]);
    }
    node
}

/// All Pods, as whoever set them up tells of them.
pub(crate) fn requests(node: &Node) -> Vec<PodRequest> {
    node.pods.iter().zip(pods()).map(|(pod, (namespace, name))| pod.request(namespace, name)).collect()
}

/// What an agent is told of a cluster.
pub(crate) fn inputs(cluster: &Cluster) -> Inputs {
    let namespaces = cluster.namespaces().map(|object| {
        let meta = serde_json::from_value::<Namespace>(object).unwrap().metadata;
        let facts = NamespaceFacts::new(meta.labels.unwrap_or_default(), &meta.annotations.unwrap_or_default());
        (meta.name.unwrap(), facts)
    });
    let pods = cluster.pods().map(|object| PodFacts::read(serde_json::from_value(object).unwrap()).unwrap());
    let policies = cluster.policies().map(PolicyObject::from);
    Inputs {
        namespaces: namespaces.collect(),
        pods: pods.collect(),
        policies: policies.map(|policy| (policy.key(), policy)).collect(),
        ..Inputs::default()
    }
}
