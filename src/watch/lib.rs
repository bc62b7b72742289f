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

pub mod client;
pub mod followed;
pub mod shared;

/// Shortest and longest pause after an interruption, doubled from one to the next; jitter adds up to as much again. After
/// a long outage of the API server admission goes on at once, so what it is judged by must not lag behind for half a
/// minute; three replicas with some twenty watches each ask twelve times a second at most, which it does not notice.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long one watch request lasts, in seconds. It is asked anew from where it ended. A connection that died without
/// a word is noticed five seconds after this: so old can what is watched become unseen.
const WATCH_SECONDS: u32 = 90;

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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server with one ConfigMap; to a streamed list it answers this. Gives the queries that it was asked.
    fn server(streamed: fn() -> (u16, Value)) -> (Api<ConfigMap>, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let queries = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (is_watch, is_streamed) = (query.contains("watch=true"), query.contains("sendInitialEvents=true"));
            queries.lock().unwrap().push(query);
            async move {
                let map = json!({ "metadata": { "name": "a", "resourceVersion": "7" } });
                let (code, body) = match (is_streamed, is_watch) {
                    (true, _) => streamed(),
                    (false, true) => return std::future::pending().await,
                    (false, false) => (200, json!({ "metadata": { "resourceVersion": "7" }, "items": [map] })),
                };
                let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
                Ok::<_, std::io::Error>(response.unwrap())
            }
        });
        (Api::default_namespaced(Client::new(service, "default")), asked)
    }

    /// The first events, as many as are asked for.
    async fn first_events(api: Api<ConfigMap>, count: usize) -> Vec<String> {
        let events = watch(api, watcher::Config::default());
        let names = events.map(|event| match event {
            Event::Init => "init".to_owned(),
            Event::InitApply(map) | Event::Apply(map) => map.metadata.name.unwrap_or_default(),
            Event::InitDone => "done".to_owned(),
            Event::Delete(_) => "deleted".to_owned(),
        });
        tokio::time::timeout(Duration::from_secs(3_600), names.take(count).collect()).await.unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_may_not_be_streamed_comes_in_pages() {
        let (api, asked) = server(|| {
            let message = "sendInitialEvents: Forbidden: not allowed unless the WatchList feature gate is enabled";
            (
                422,
                json!({ "kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422, "message": message }),
            )
        });
        assert_eq!(first_events(api, 3).await, ["init", "a", "done"]);
        let asked = asked.lock().unwrap().clone();
        assert!(asked[0].contains("sendInitialEvents=true") && asked[1].contains("limit=500"), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_streamed_list_that_never_says_that_it_ended_comes_in_pages_too() {
        let (api, _) = server(|| {
            let map = json!({ "metadata": { "name": "a", "resourceVersion": "7" } });
            (200, json!({ "type": "ADDED", "object": map }))
        });
        // The second list is the one in pages; what came before is listed again.
        assert_eq!(first_events(api, 5).await, ["init", "a", "init", "a", "done"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_was_interrupted_is_streamed_again() {
        let mut listing = Listing::Streamed { is_under_way: false };
        let interrupted = watcher::Error::NoResourceVersion;
        let init = Event::<ConfigMap>::Init;
        assert!(!listing.stays_open(&init));
        assert!(!listing.is_refused(&interrupted));
        assert!(!listing.stays_open(&init) && !listing.stays_open(&Event::<ConfigMap>::InitDone));
        assert!(!listing.stays_open(&init) && listing.stays_open(&init));
        assert!(!Listing::Paged.stays_open(&init));
    }
}
