//! The Namespace of a request that the watch has not brought yet.
//!
//! The API server asks a webhook about an object in a Namespace only after it has found that Namespace itself, if need
//! be in etcd. So one that is not in the store was created milliseconds ago, or is just gone; to say "absent" would
//! refuse the first Pods of every new Namespace. The API server's own policies read such a Namespace from storage. So
//! do we, after a short wait for the watch, which nearly always is enough: the one read that is not from memory.

use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use kube::{Api, Client};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::object::{Object, Text};
use crate::store::Store;
use crate::wait::wait;

/// How long the watch may bring it (`missingNamespaceWait` of the API server).
const WATCH_WAIT: Duration = Duration::from_millis(50);

/// Longest wait for the read. With it a request still has most of its usual ten seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Most requests that wait at a time: each holds up a thread. Those beyond are answered "not ready".
const MAX_WAITING: usize = 64;

/// Looks for Namespaces that are not in the store.
pub(super) struct Missing {
    client: Client,
    runtime: Handle,
    waiting: Arc<Semaphore>,
}

/// What was found.
pub(super) enum Found {
    /// The watch has brought it.
    InStore,
    /// It is in storage.
    Stored(Text),
    /// It is not in storage.
    Absent,
}

// === impl Missing ===

impl Missing {
    pub(super) fn new(client: Client, runtime: Handle) -> Self {
        Self { client, runtime, waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    /// Looks once; none when that cannot be said in time.
    pub(super) fn look(&self, store: &Arc<Store>, name: &str) -> Option<Found> {
        let permit = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let (client, store, key) = (self.client.clone(), Arc::clone(store), format!("/{name}"));
        wait(&self.runtime, WATCH_WAIT + READ_TIMEOUT, async move {
            let _permit = permit;
            let in_store = store.wait_until(|namespaces| namespaces.contains(&key));
            if tokio::time::timeout(WATCH_WAIT, in_store).await.is_ok() {
                return Some(Found::InStore);
            }
            let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&());
            let read = Api::<Object>::all_with(client, &resource).get_opt(key.trim_start_matches('/')).await;
            match read {
                Ok(Some(namespace)) => Some(Found::Stored(namespace.into_text())),
                Ok(None) => Some(Found::Absent),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the namespace of a request cannot be read");
                    None
                }
            }
        })
        .flatten()
    }
}
