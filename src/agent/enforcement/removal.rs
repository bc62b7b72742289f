//! Taking everything off the node, because its NodeEnforcement says so: before the chart is uninstalled, or the node is
//! given to somebody else.

use std::pin::pin;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use stockade_node::node_enforcement::{Desired, NodeEnforcement, NodeEnforcementStatus};

/// Waits until this is wanted of the node, and tells by which `metadata.generation` of its NodeEnforcement.
pub async fn wanted(client: Client, node: &str, desired: Desired) -> i64 {
    let config = Config::default().fields(&format!("metadata.name={node}"));
    let mut changes = pin!(stockade_watch::watch(Api::<NodeEnforcement>::all(client), config));
    while let Some(change) = changes.next().await {
        if let Event::Apply(object) | Event::InitApply(object) = change
            && object.spec.desired == desired
        {
            return object.metadata.generation.unwrap_or_default();
        }
    }
    // A watch tries again for ever.
    std::future::pending().await
}

/// Tells that nothing of Stockade is left on the node.
///
/// # Errors
/// The API server's.
pub async fn tell(client: Client, node: &str, generation: i64) -> kube::Result<()> {
    let condition = Condition {
        type_: "Ready".to_owned(),
        status: "False".to_owned(),
        reason: "Removed".to_owned(),
        message: "nothing of Stockade is left on the node, as was asked for".to_owned(),
        observed_generation: Some(generation),
        last_transition_time: Time(Timestamp::now()),
    };
    let status = NodeEnforcementStatus { conditions: vec![condition], ..NodeEnforcementStatus::default() };
    super::apply(&Api::all(client), node, &status).await
}
