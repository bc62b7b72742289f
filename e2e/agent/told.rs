//! What an agent is told of a cluster.

use k8s_openapi::api::core::v1 as k8s;
use stockade_agent::inputs::{Inputs, NamespaceFacts, NodeFacts, PodFacts, PolicyObject};
use stockade_netpol_testing::truth_tables::Cluster;

/// All of it.
///
/// # Panics
/// Where an object is none of the API's.
pub fn inputs(cluster: &Cluster) -> Inputs {
    let namespaces = cluster.namespaces().map(|object| {
        let meta = serde_json::from_value::<k8s::Namespace>(object).unwrap().metadata;
        let facts = NamespaceFacts::new(meta.labels.unwrap_or_default(), &meta.annotations.unwrap_or_default());
        (meta.name.unwrap(), facts)
    });
    let pods = cluster.pods().map(|object| PodFacts::read(serde_json::from_value(object).unwrap()).unwrap());
    let policies = cluster.policies().map(PolicyObject::from);
    let far = serde_json::from_value::<k8s::Node>(cluster.node()).unwrap();
    let addresses = far.status.unwrap().addresses.into_iter().flatten().map(|a| a.address.parse().unwrap());
    let facts = NodeFacts { labels: far.metadata.labels.unwrap_or_default(), addresses: addresses.collect() };
    Inputs {
        namespaces: namespaces.collect(),
        pods: pods.collect(),
        policies: policies.map(|policy| (policy.key(), policy)).collect(),
        nodes: [(far.metadata.name.unwrap(), facts)].into_iter().collect(),
        ..Inputs::default()
    }
}
