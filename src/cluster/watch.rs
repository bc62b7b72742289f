//! One way to watch: the list comes as a stream, interruptions are waited out with growing, jittered pauses, and what
//! went wrong is told once.

use std::fmt::Debug;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures_util::stream::{self, BoxStream};
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

/// Objects on one page of a list, where lists come in pages.
const PAGE_OBJECTS: u32 = 500;

/// Watches the objects of an [`Api`] for ever. `Init` and `InitDone` enclose each full list, the first and those after
/// an interruption that was too long; what is not in such a list is gone. Errors are logged and waited out
/// (`PAUSE`, doubled, jittered), so a restarting API server meets no stampede.
///
/// The list is a streaming one (KEP-3157): neither side ever holds it whole. Where the API server does not know that,
/// or does not come to its end within one watch request, it comes in pages.
pub fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.timeout(WATCH_SECONDS);
    let events = with_pauses(&api, config.clone().streaming_lists());
    let watched = Watched { api, config, events, listing: Listing::Streamed { is_under_way: false } };
    stream::unfold(watched, async |mut watched| Some((watched.next().await, watched)))
}

/// One watch.
struct Watched<K> {
    api: Api<K>,
    config: watcher::Config,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    listing: Listing,
}

/// How full lists come.
enum Listing {
    Streamed {
        /// Whether one has begun that was not interrupted so far.
        is_under_way: bool,
    },
    Paged,
}

// === impl Watched ===

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self) -> Event<K> {
        loop {
            match self.events.next().await {
                Some(Ok(event)) if self.listing.stays_open(&event) => {
                    self.list_in_pages("the list does not end within a watch request");
                }
                Some(Ok(event)) => return event,
                Some(Err(error)) if self.listing.is_refused(&error) => {
                    self.list_in_pages("the API server does not stream lists");
                }
                Some(Err(error)) => {
                    let (resource, error) = (self.api.resource_url(), &error as &dyn std::error::Error);
                    tracing::warn!(resource, error, "watch interrupted, trying again");
                }
                None => return std::future::pending().await,
            }
        }
    }

    fn list_in_pages(&mut self, why: &'static str) {
        tracing::info!(resource = self.api.resource_url(), why, "listing in pages");
        self.listing = Listing::Paged;
        self.events = with_pauses(&self.api, self.config.clone().page_size(PAGE_OBJECTS));
    }
}

fn with_pauses<K>(api: &Api<K>, config: watcher::Config) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE.0).with_max_delay(PAUSE.1).with_factor(2.0);
    let pauses = ExponentialBackoff::from(pauses.with_jitter().without_max_times());
    watch_with(api.clone(), config).backoff(pauses).boxed()
}

// === impl Listing ===

impl Listing {
    /// Whether a list begins although the one before it neither ended nor was interrupted: a server that does not know
    /// what a streamed list is never says that it ended.
    fn stays_open<K>(&mut self, event: &Event<K>) -> bool {
        let Self::Streamed { is_under_way } = self else { return false };
        match event {
            Event::Init => std::mem::replace(is_under_way, true),
            Event::InitDone => {
                *is_under_way = false;
                false
            }
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => false,
        }
    }

    /// Whether the server refuses to stream (422 `sendInitialEvents is forbidden`, 400 of older ones).
    fn is_refused(&mut self, error: &watcher::Error) -> bool {
        let Self::Streamed { is_under_way } = self else { return false };
        *is_under_way = false;
        matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 400 | 422))
    }
}
