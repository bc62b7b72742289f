//! The watches of all kinds of policy objects as one stream.

use std::sync::Arc;

use futures_util::stream::{BoxStream, SelectAll, select_all};
use futures_util::{Stream, StreamExt as _, stream};
use kube::core::ApiResource;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use stockade_watch::watch;
use tokio::sync::watch::Receiver;

use super::{CONFIG_MAP_LABEL, SourceKind};
use crate::access::Access;
use crate::object::Object;
use crate::resources::{Resources, Snapshot};

/// What the watches tell, each event with its kind. Never ends.
pub(super) fn events(
    access: &Access,
    resources: &Resources,
) -> SelectAll<impl Stream<Item = (SourceKind, Event<Object>)> + Send + use<>> {
    select_all(SourceKind::OBJECTS.map(|kind| {
        let (client, resource) = (access.client.clone(), kind.api_resource());
        let events = match kind {
            SourceKind::ConfigMap => {
                let (key, value) = CONFIG_MAP_LABEL;
                let config = Config::default().labels(&format!("{key}={value}"));
                watch(Api::namespaced_with(client, &access.namespace, &resource), config).boxed()
            }
            kind if kind.versions().len() == 1 => everywhere(client, &resource),
            kind => {
                Served { kind, client, snapshots: resources.changes(), resource: None, events: None }.events().boxed()
            }
        };
        events.map(move |event| (kind, event)).boxed()
    }))
}

fn everywhere(client: Client, resource: &ApiResource) -> BoxStream<'static, Event<Object>> {
    watch(Api::<Object>::all_with(client, resource), Config::default()).boxed()
}

/// A kind that is watched in the newest version that the API server serves, whichever that is.
struct Served {
    kind: SourceKind,
    client: Client,
    snapshots: Receiver<Option<Arc<Snapshot>>>,
    /// What is watched; none while there is nothing to watch.
    resource: Option<ApiResource>,
    /// None until it is known what is served.
    events: Option<BoxStream<'static, Event<Object>>>,
}

// === impl Served ===

impl Served {
    fn events(self) -> impl Stream<Item = Event<Object>> + Send {
        stream::unfold(self, async |mut served| Some((served.next().await, served)))
    }

    async fn next(&mut self) -> Event<Object> {
        loop {
            let snapshot = self.snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                self.follow(self.kind.served(&snapshot));
            }
            let next = async {
                match &mut self.events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(event) = next => return event,
                Ok(()) = self.snapshots.changed() => {}
                else => return std::future::pending().await,
            }
        }
    }

    /// Watches a resource; of one that is no longer served there are no objects.
    fn follow(&mut self, resource: Option<ApiResource>) {
        if self.events.is_some() && self.resource == resource {
            return;
        }
        self.events = Some(match &resource {
            Some(resource) => everywhere(self.client.clone(), resource),
            None => stream::iter([Event::Init, Event::InitDone]).boxed(),
        });
        self.resource = resource;
    }
}
