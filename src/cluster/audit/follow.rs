//! Notices that objects changed: one watch a resource, of metadata alone, which goes on where a complete list ended.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{Api, WatchParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta, WatchEvent};
use kube::{Client, ResourceExt as _};

use super::kinds::Kind;
use super::marker::{marker_of_metadata, uid_number};
use super::queue::Queue;
use super::share::Share;

/// Pause before a watch that broke is asked anew.
const PAUSE: Duration = Duration::from_secs(1);
/// Most objects of a resource whose markers are remembered; beyond, every event of an object counts as a change. 32
/// bytes each.
const MAX_MARKERS: usize = 500_000;
/// Seconds after which a watch ends by itself: the API server's own bound is lower than that of the connection.
const WATCH_SECONDS: u32 = 280;

/// What the objects of a resource looked like when they were last judged or last seen to change.
#[derive(Debug, Default)]
pub(crate) struct Markers(Mutex<HashMap<u128, u64>>);

/// What a watch needs.
pub(crate) struct Follower {
    pub(crate) client: Client,
    pub(crate) resource: Arc<str>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) share: Arc<Share>,
    pub(crate) markers: Arc<Markers>,
    pub(crate) queue: Arc<Queue>,
}

/// The watch cannot go on where it was: the resource has to be listed.
struct Expired;

// === impl Markers ===

impl Markers {
    /// Remembers how an object looks; whether it looked different or is new.
    pub(crate) fn set(&self, uid: &str, marker: u64) -> bool {
        let mut markers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = uid_number(uid);
        if markers.len() >= MAX_MARKERS && !markers.contains_key(&uid) {
            return true;
        }
        markers.insert(uid, marker) != Some(marker)
    }

    fn remove(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid_number(uid));
    }
}

// === impl Follower ===

impl Follower {
    /// Watches from a version on, until that cannot be gone on from; then the resource is queued whole.
    pub(crate) async fn run(self, mut version: String) {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.kind.api_resource());
        loop {
            match self.watch(&api, &mut version).await {
                Ok(()) => {}
                Err(Expired) => {
                    tracing::debug!(resource = %self.resource, "watch expired, listing anew");
                    return self.queue.resource(self.resource);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn watch(&self, api: &Api<DynamicObject>, version: &mut String) -> Result<(), Expired> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let events = match api.watch_metadata(&params, version).await {
            Ok(events) => events,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 410) => return Err(Expired),
            Err(error) => {
                tracing::warn!(resource = %self.resource, error = &error as &dyn std::error::Error, "watch failed, trying again");
                return Ok(());
            }
        };
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => self.seen(&object, false, version),
                Ok(WatchEvent::Deleted(object)) => self.seen(&object, true, version),
                Ok(WatchEvent::Bookmark(bookmark)) => *version = bookmark.metadata.resource_version,
                Ok(WatchEvent::Error(status)) if status.code == 410 => return Err(Expired),
                Ok(WatchEvent::Error(_)) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn seen(&self, object: &PartialObjectMeta<DynamicObject>, is_gone: bool, version: &mut String) {
        if let Some(newer) = &object.metadata.resource_version {
            version.clone_from(newer);
        }
        let namespace = if self.kind.namespaced { object.namespace().unwrap_or_default() } else { String::new() };
        if !self.share.holds(&namespace) {
            return;
        }
        let uid = object.metadata.uid.as_deref().unwrap_or("");
        if is_gone {
            self.markers.remove(uid);
        } else if !self.markers.set(uid, marker_of_metadata(&object.metadata)) {
            return;
        }
        self.queue.unit(&self.resource, &namespace.into());
    }
}

// === impl Kind ===

impl Kind {
    fn api_resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: self.api_version(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}
