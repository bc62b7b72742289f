//! NodeEnforcement: what the kernel of this node really enforces, read back from it and tried.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use stockade_node::node_enforcement::{NodeEnforcement, NodeEnforcementSpec, NodeEnforcementStatus};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::agent::View;
use crate::gate::install::Chain;
use crate::kernel::Kernel;

pub mod removal;

mod canary;
mod capabilities;
mod status;

/// Who writes, as `managedFields` tell.
const FIELD_MANAGER: &str = "stockade-agent";
/// How long changes gather before they are told.
const GATHER: Duration = Duration::from_secs(1);
/// How many times as long as a look takes is the least pause until the next: tables that change all the time are large ones
/// to read, and whoever changes them needs the CPU.
const PAUSES: u32 = 10;
/// How often it is looked at all the same: somebody may have taken a program off.
const LOOK: Duration = Duration::from_secs(30);
/// How often it is told though nothing has changed, so that what is old can be told from what is good.
const TELL: Duration = Duration::from_secs(300);

/// Tells the API server.
pub struct Writer {
    api: Api<NodeEnforcement>,
    node: String,
    kernel: Arc<Kernel>,
    view: watch::Receiver<View>,
    chain: watch::Receiver<Chain>,
    told: Option<(Instant, NodeEnforcementStatus)>,
}

// === impl Writer ===

impl Writer {
    /// For the node of this name.
    pub fn new(
        client: Client,
        node: String,
        kernel: Arc<Kernel>,
        view: watch::Receiver<View>,
        chain: watch::Receiver<Chain>,
    ) -> Self {
        Self { api: Api::all(client), node, kernel, view, chain, told: None }
    }

    /// Looks and tells for ever.
    pub async fn write_for_ever(mut self) {
        loop {
            let begin = Instant::now();
            let is_told = match self.look_and_tell().await {
                Ok(()) => true,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what is enforced here could not be told");
                    false
                }
            };
            let took = begin.elapsed();
            let next = Instant::now() + if is_told { LOOK } else { GATHER * 5 };
            // Either way: time passed, or something changed. The agent's end ends this too.
            let _ = timeout_at(next, news(&mut self.view, &mut self.chain)).await;
            sleep(GATHER.max(took * PAUSES)).await;
        }
    }

    async fn look_and_tell(&mut self) -> kube::Result<()> {
        let (view, chain) = (self.view.borrow_and_update().clone(), self.chain.borrow_and_update().clone());
        let kernel = Arc::clone(&self.kernel);
        let before = self.told.as_ref().map(|(_, status)| status.clone()).unwrap_or_default();
        let looked = tokio::task::block_in_place(|| status::look(&kernel, &view, &chain, &before));
        if self.view.has_changed().unwrap_or(false) {
            // What was read back may be of another moment than what it was compared with.
            return Ok(());
        }
        let is_news = |(at, told): &(Instant, NodeEnforcementStatus)| at.elapsed() >= TELL || differs(told, &looked);
        if self.told.as_ref().is_none_or(is_news) {
            self.tell(&looked).await?;
            self.told = Some((Instant::now(), looked));
        }
        Ok(())
    }

    async fn tell(&self, status: &NodeEnforcementStatus) -> kube::Result<()> {
        if self.api.get_opt(&self.node).await?.is_none() {
            let object = NodeEnforcement::new(&self.node, NodeEnforcementSpec::default());
            match self.api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                other => drop(other?),
            }
        }
        apply(&self.api, &self.node, status).await
    }
}

/// Returns when something is told. Who tells nothing any more, as where no plugin is installed, is not waited for.
async fn news(view: &mut watch::Receiver<View>, chain: &mut watch::Receiver<Chain>) {
    tokio::select! {
        Ok(()) = view.changed() => {}
        Ok(()) = chain.changed() => {}
        else => std::future::pending().await,
    }
}

/// Says this of a node and no more: what was said before and is not said again goes.
async fn apply(api: &Api<NodeEnforcement>, node: &str, status: &NodeEnforcementStatus) -> kube::Result<()> {
    let patch = json!({ "apiVersion": "stockade.dev/v1alpha1", "kind": "NodeEnforcement", "status": status });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(node, &params, &Patch::Apply(&patch)).await.map(drop)
}

/// Whether they differ in more than when they were read.
fn differs(a: &NodeEnforcementStatus, b: &NodeEnforcementStatus) -> bool {
    let timeless = |status: &NodeEnforcementStatus| {
        let mut status = status.clone();
        status.observed_time = None;
        if let Some(canary) = &mut status.canary {
            canary.time = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        }
        status
    };
    timeless(a) != timeless(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_tells_nothing_any_more_wakes_nobody() {
        let (tell, mut view) = watch::channel(View::default());
        let (told_once, mut chain) = watch::channel(Chain::default());
        drop(told_once);
        let soon = || Instant::now() + LOOK;
        assert!(timeout_at(soon(), news(&mut view, &mut chain)).await.is_err());
        tell.send_replace(View::default());
        assert!(timeout_at(soon(), news(&mut view, &mut chain)).await.is_ok());
        drop(tell);
        assert!(timeout_at(soon(), news(&mut view, &mut chain)).await.is_err());
    }
}
