//! The one task that keeps the objects of a kind, for as long as the kind is held.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::core::ApiResource;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use stockade_policy::compiled::ParamKind;
use tokio::sync::broadcast;

use super::Change;
use super::metrics::KindMetrics;
use crate::object::Object;
use crate::resources::Resources;
use crate::store::{NotReady, What, Writer};
use crate::watch::watch;

/// Pause after a kind passed a bound: it is listed anew to see whether it became smaller. A list that passes the bound
/// again is broken off there.
const TOO_MANY_PAUSE: Duration = Duration::from_secs(60);

/// What the task needs.
pub(super) struct Keeper {
    pub(super) kind: Arc<ParamKind>,
    pub(super) client: Client,
    pub(super) resources: Resources,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) metrics: KindMetrics,
}

/// Watches while the kind is served, for ever.
pub(super) async fn keep(keeper: Keeper, mut writer: Writer) {
    let kind = &*keeper.kind;
    loop {
        let resource = served(&keeper, &mut writer).await;
        let gone = pin!(until(&keeper, |now| now.as_ref() != Some(&resource)));
        let passed = tokio::select! {
            passed = follow(&keeper, &resource, &mut writer) => passed,
            () = gone => {
                tracing::info!(api_version = kind.api_version, kind = kind.kind, "the kind is no longer served");
                keeper.not_ready(&mut writer, NotReady::NotServed);
                continue;
            }
        };
        tracing::error!(api_version = kind.api_version, kind = kind.kind, error = %passed, "the kind is not ready");
        keeper.tell("", What::All);
        keeper.metrics.not_ready();
        tokio::time::sleep(TOO_MANY_PAUSE).await;
    }
}

/// The kind's resource, waited for.
async fn served(keeper: &Keeper, writer: &mut Writer) -> ApiResource {
    keeper.resources.ready().await;
    if keeper.resource().is_none() {
        keeper.not_ready(writer, NotReady::NotServed);
        let kind = &*keeper.kind;
        tracing::warn!(api_version = kind.api_version, kind = kind.kind, "policies read a kind that is not served");
    }
    loop {
        if let Some(resource) = keeper.resource() {
            return resource;
        }
        until(keeper, Option::is_some).await;
    }
}

/// Waits until what the kind is served as fulfils a condition.
async fn until(keeper: &Keeper, mut holds: impl FnMut(&Option<ApiResource>) -> bool) {
    let mut changes = keeper.resources.changes();
    loop {
        changes.mark_unchanged();
        if holds(&keeper.resource()) {
            return;
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Takes the events of one watch, until a bound is passed.
async fn follow(keeper: &Keeper, resource: &ApiResource, writer: &mut Writer) -> NotReady {
    let api = Api::<Object>::all_with(keeper.client.clone(), resource);
    let mut events = pin!(watch(api, Config::default()));
    while let Some(event) = events.next().await {
        if matches!(event, Event::Init) {
            keeper.metrics.listed();
        }
        if let Err(passed) = writer.take(event, |key, what| keeper.tell(key, what)) {
            return passed;
        }
        if let Some((objects, bytes)) = writer.size() {
            keeper.metrics.ready(objects, bytes);
        }
    }
    // A watch has no end.
    std::future::pending().await
}

// === impl Keeper ===

impl Keeper {
    fn resource(&self) -> Option<ApiResource> {
        let snapshot = self.resources.snapshot()?;
        snapshot.of_kind(&self.kind).filter(|s| s.has_verb("watch")).map(|s| s.api_resource())
    }

    /// Nobody may be listening, which is no fault.
    fn tell(&self, key: &str, what: What) {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let _ = self.changes.send(Change { kind: Arc::clone(&self.kind), namespace, name, what });
    }

    fn not_ready(&self, writer: &mut Writer, why: NotReady) {
        writer.not_ready(why);
        self.tell("", What::All);
        self.metrics.not_ready();
    }
}
