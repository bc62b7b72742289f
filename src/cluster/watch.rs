//! One way to watch: the list comes as a stream, interruptions are waited out with growing, jittered pauses, and what
//! went wrong is told once.

use std::fmt::Debug;

use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_with};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Watches the objects of an [`Api`] for ever. `Init` and `InitDone` enclose each full list, the first and those after
/// an interruption that was too long; what is not in such a list is gone. Errors are logged and waited out
/// (0.8 s to 30 s, doubled, jittered), so a restarting API server meets no stampede.
///
/// The list is a streaming one (KEP-3157): neither side ever holds it whole.
pub fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let what = api.resource_url().to_owned();
    let events = watch_with(api, config.streaming_lists()).default_backoff();
    events.filter_map(move |event| {
        let event = event.inspect_err(|error| {
            tracing::warn!(resource = what, error = error as &dyn std::error::Error, "watch interrupted, trying again");
        });
        std::future::ready(event.ok())
    })
}
