//! The cluster that truth tables are about, on one node with an agent.

use stockade_agent::hold::PodRequest;
use stockade_e2e_agent::hosts::{Node, Topology};
use stockade_netpol::addresses::Family;
use stockade_netpol_testing::truth_tables::{FAR, address, pods};

/// A node with all Pods, and what stands for another node.
pub(crate) fn node(topology: Topology) -> Node {
    let mut node = Node::new(topology);
    for at in 0..=FAR {
        node.add_pod([address(Family::V4, at), address(Family::V6, at)]);
    }
    node
}

/// All Pods, as whoever set them up tells of them.
pub(crate) fn requests(node: &Node) -> Vec<PodRequest> {
    node.pods.iter().zip(pods()).map(|(pod, (namespace, name))| pod.request(namespace, name)).collect()
}
