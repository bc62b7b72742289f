use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::Method;

use super::*;
use crate::policies::{Observed, SourceKind};
use crate::replicas::fake::{Link, Store};

const NAME: &str = "stockade-replica-web-1";

fn looked_at(version: u64) -> Observed {
    [(SourceKind::AdmissionPolicy, version)].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_lease_tells_changes_at_once_but_twice_a_second_at_most_and_is_deleted_at_the_end() {
    let (store, link, stop) = (Arc::new(Store::default()), Link::default(), CancellationToken::new());
    let ((ready, ready_in), (observed, observed_in)) = (watch::channel(false), watch::channel(looked_at(7)));
    let inputs = Inputs { ready: ready_in, observed: observed_in, pod_uid: Some("u-1".to_owned()) };
    let own = Own::new(store.connect(&link), "web-1".to_owned(), inputs, Times::default());
    let task = tokio::spawn(own.keep(stop.clone()));
    let told = || {
        let metadata = store.lease(NAME)?.metadata;
        let annotations = metadata.annotations?;
        Some((annotations[READY_ANNOTATION].clone(), annotations[OBSERVED_ANNOTATION].clone()))
    };
    let pair = |ready: &str, observed: &str| Some((ready.to_owned(), format!("AdmissionPolicy={observed}")));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(told(), pair("false", "7"));
    assert_eq!(store.lease(NAME).unwrap().metadata.owner_references.unwrap()[0].uid, "u-1");

    ready.send_replace(true);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(told(), pair("true", "7"));

    let before = store.writes.lock().unwrap().len();
    for version in 100..200 {
        observed.send_replace(looked_at(version));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let written = store.writes.lock().unwrap().len() - before;
    assert!((3..=5).contains(&written), "{written} writes in 2 s");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(told(), pair("true", "199"));

    // Away for minutes: it goes on trying, and tells what changed meanwhile.
    link.down.store(true, SeqCst);
    tokio::time::sleep(Duration::from_secs(300)).await;
    observed.send_replace(looked_at(300));
    link.down.store(false, SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(told(), pair("true", "300"));

    // Nobody tells anything any more: still renewed, every five seconds.
    drop((ready, observed));
    let before = store.writes.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!((9..=11).contains(&(store.writes.lock().unwrap().len() - before)));

    stop.cancel();
    task.await.unwrap();
    assert_eq!(store.lease(NAME), None);
    assert_eq!(store.writes.lock().unwrap().last().map(|(_, method, _)| method.clone()), Some(Method::DELETE));
}
