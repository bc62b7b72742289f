//! The one task that keeps the objects of a scope, for as long as it is held.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::Client;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use stockade_watch::watch;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::Change;
use super::metrics::WatchMetrics;
use super::scope::Read;
use crate::object::Object;
use crate::resources::Resources;
use crate::store::{NotReady, What, Writer};

/// Pause after a bound was passed: all is listed anew to see whether it became smaller. A list that passes the bound
/// again is broken off there.
const TOO_MANY_PAUSE: Duration = Duration::from_secs(60);

/// The same where only some namespaces were let go of. Such a list is read to its end, so it is asked for less often.
const CUT_PAUSE: Duration = Duration::from_secs(300);

/// What the task needs.
pub(super) struct Keeper {
    pub(super) read: Read,
    pub(super) client: Client,
    pub(super) resources: Resources,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) metrics: WatchMetrics,
}

/// Why one watch ended.
enum End {
    /// Nothing can be said any more.
    NotReady(NotReady),
    /// What was let go of may have become smaller.
    Again,
}

/// Watches while the kind is served, for ever.
pub(super) async fn keep(keeper: Keeper, mut writer: Writer) {
    let read = &keeper.read;
    loop {
        let resource = served(&keeper, &mut writer).await;
        let gone = pin!(until(&keeper, |now| now.as_ref() != Some(&resource)));
        let end = tokio::select! {
            end = follow(&keeper, &resource, &mut writer) => end,
            () = gone => {
                tracing::info!(%read, "the kind is no longer served");
                keeper.not_ready(&mut writer, NotReady::NotServed);
                continue;
            }
        };
        if let End::NotReady(why) = end {
            tracing::error!(%read, error = %why, "what policies read is not ready");
            keeper.tell("", What::All);
            keeper.metrics.not_ready();
            tokio::time::sleep(TOO_MANY_PAUSE).await;
        }
    }
}

/// The kind's resource, waited for.
async fn served(keeper: &Keeper, writer: &mut Writer) -> ApiResource {
    keeper.resources.ready().await;
    if keeper.resource().is_none() {
        keeper.not_ready(writer, NotReady::NotServed);
        tracing::warn!(read = %keeper.read, "policies read a kind that is not served");
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
async fn follow(keeper: &Keeper, resource: &ApiResource, writer: &mut Writer) -> End {
    let scope = &keeper.read.scope;
    let mut events = pin!(watch(scope.api::<Object>(keeper.client.clone(), resource), scope.config()));
    let mut again = None;
    loop {
        let later = async {
            match again {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            Some(event) = events.next() => event,
            () = later => return End::Again,
        };
        if matches!(event, Event::Init) {
            keeper.metrics.listed();
        }
        match writer.take(event, |key, what| keeper.tell(key, what)) {
            Ok(cut) if cut.is_empty() => {}
            Ok(cut) => {
                tracing::error!(read = %keeper.read, namespaces = ?cut, "too much is in these namespaces, reads of them are not ready");
            }
            Err(why) => return End::NotReady(why),
        }
        if let Some(size) = writer.size() {
            keeper.metrics.ready(size);
            again = (size.cut > 0).then(|| again.unwrap_or_else(|| Instant::now() + CUT_PAUSE));
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// None when there is nothing to watch: no cluster-scoped object lies in a namespace.
    fn resource(&self) -> Option<ApiResource> {
        let snapshot = self.resources.snapshot()?;
        let served = snapshot.of_kind(&self.read.kind).filter(|s| s.has_verb("watch"))?;
        (served.namespaced || self.read.scope.namespace().is_none()).then(|| served.api_resource())
    }

    /// Nobody may be listening, which is no fault.
    fn tell(&self, key: &str, what: What) {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let _ = self.changes.send(Change { kind: Arc::clone(&self.read.kind), namespace, name, what });
    }

    fn not_ready(&self, writer: &mut Writer, why: NotReady) {
        writer.not_ready(why);
        self.tell("", What::All);
        self.metrics.not_ready();
    }
}
