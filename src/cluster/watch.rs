//! One way to watch: the list comes as a stream, interruptions are waited out with growing, jittered pauses, and what
//! went wrong is told once.

use std::fmt::Debug;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event, ExponentialBackoff};
use kube::runtime::{WatchStreamExt as _, watcher as watch_with};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Shortest and longest pause after an interruption, doubled from one to the next; jitter adds up to as much again. After
/// a long outage of the API server admission goes on at once, so what it is judged by must not lag behind for half a
/// minute; three replicas with some twenty watches each ask twelve times a second at most, which it does not notice.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long one watch request lasts, in seconds. It is asked anew from where it ended. A connection that died without
/// a word is noticed five seconds after this: so old can what is watched become unseen.
pub(crate) const WATCH_SECONDS: u32 = 90;

/// Watches the objects of an [`Api`] for ever. `Init` and `InitDone` enclose each full list, the first and those after
/// an interruption that was too long; what is not in such a list is gone. Errors are logged and waited out
/// (`PAUSE`, doubled, jittered), so a restarting API server meets no stampede.
///
/// The list is a streaming one (KEP-3157): neither side ever holds it whole.
pub fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let what = api.resource_url().to_owned();
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE.0).with_max_delay(PAUSE.1).with_factor(2.0);
    let pauses = ExponentialBackoff::from(pauses.with_jitter().without_max_times());
    let events = watch_with(api, config.timeout(WATCH_SECONDS).streaming_lists()).backoff(pauses);
    events.filter_map(move |event| {
        let event = event.inspect_err(|error| {
            tracing::warn!(resource = what, error = error as &dyn std::error::Error, "watch interrupted, trying again");
        });
        std::future::ready(event.ok())
    })
}
