//! Kubernetes Events: that a request was refused, and that something that exists violates a policy since a change.
//!
//! Whoever has something to tell puts it into a bounded channel and goes on; what there is no room for is counted. One
//! task writes, at most so many a policy and namespace.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::audit::metrics::AuditMetrics;
use crate::audit::results::Found;

/// Most events that wait to be written.
const MAX_WAITING: usize = 1_000;
/// Most events of one policy in one namespace within [`WINDOW`]: people read them, and reports hold the rest.
const MAX_A_WINDOW: usize = 10;
/// See [`MAX_A_WINDOW`].
const WINDOW: Duration = Duration::from_secs(60);
/// Most policies and namespaces that are counted at once; when there are more, all windows end early.
const MAX_WINDOWS: usize = 10_000;
/// Longest note that the API takes.
const MAX_NOTE_BYTES: usize = 1_024;

/// Where events are told. Cheap to clone; nothing waits.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<Told>,
    metrics: AuditMetrics,
}

/// One event.
struct Told {
    policy: Arc<str>,
    action: &'static str,
    note: String,
    about: ObjectReference,
}

// === impl Events ===

impl Events {
    /// Starts to take events; the future writes them until `stop`.
    pub fn new(
        access: &Access,
        metrics: AuditMetrics,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (waiting, told) = mpsc::channel(MAX_WAITING);
        let reporter = Reporter { controller: "stockade.dev/stockade".into(), instance: Some(access.identity.clone()) };
        let recorder = Recorder::new(access.client.clone(), reporter);
        let write = write(recorder, told, metrics.clone(), stop);
        (Self { waiting, metrics }, write)
    }

    /// What exists violates a policy, and did not before.
    pub(crate) fn violations(&self, namespace: &str, new: &[Found]) {
        for found in new {
            let about = ObjectReference {
                api_version: Some(found.object.api_version.to_string()),
                kind: Some(found.object.kind.to_string()),
                namespace: Some(namespace.to_owned()).filter(|n| !n.is_empty()),
                name: Some(found.object.name.to_string()),
                uid: Some(found.object.uid.to_string()),
                ..ObjectReference::default()
            };
            let note = format!("policy {}: {}", found.policy, found.message);
            self.tell(Told { policy: Arc::clone(&found.policy), action: "Audit", note, about });
        }
    }

    /// A request was refused by a policy.
    pub fn denied(&self, policy: &str, message: &str, about: ObjectReference) {
        let note = format!("policy {policy}: {message}");
        self.tell(Told { policy: policy.into(), action: "Deny", note, about });
    }

    fn tell(&self, told: Told) {
        if self.waiting.try_send(told).is_err() {
            self.metrics.event("dropped");
        }
    }
}

async fn write(recorder: Recorder, mut told: mpsc::Receiver<Told>, metrics: AuditMetrics, stop: CancellationToken) {
    let mut windows = Windows::default();
    loop {
        let told = tokio::select! {
            () = stop.cancelled() => return,
            Some(told) = told.recv() => told,
            else => return,
        };
        let namespace = told.about.namespace.clone().unwrap_or_default();
        if !windows.allow((Arc::clone(&told.policy), namespace), Instant::now()) {
            metrics.event("limited");
            continue;
        }
        let note = told.note.get(..told.note.floor_char_boundary(MAX_NOTE_BYTES)).map(str::to_owned);
        let event = Event {
            type_: EventType::Warning,
            reason: "PolicyViolation".to_owned(),
            note,
            action: told.action.to_owned(),
            secondary: None,
        };
        match recorder.publish(&event, &told.about).await {
            Ok(()) => metrics.event("written"),
            Err(error) => {
                metrics.event("failed");
                tracing::debug!(error = &error as &dyn std::error::Error, "event not written");
            }
        }
    }
}

/// Events of each policy and namespace in the present window.
#[derive(Default)]
struct Windows(HashMap<(Arc<str>, String), (Instant, usize)>);

impl Windows {
    fn allow(&mut self, key: (Arc<str>, String), now: Instant) -> bool {
        if self.0.len() >= MAX_WINDOWS {
            self.0.clear();
        }
        let (from, count) = self.0.entry(key).or_insert((now, 0));
        if now.duration_since(*from) >= WINDOW {
            (*from, *count) = (now, 0);
        }
        *count += 1;
        *count <= MAX_A_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_denies_all_the_time_is_told_of_now_and_then() {
        let mut windows = Windows::default();
        let key = |namespace: &str| (Arc::from("p"), namespace.to_owned());
        let start = Instant::now();
        let told = (0..100).filter(|_| windows.allow(key("shop"), start)).count();
        assert_eq!((told, windows.allow(key("bank"), start)), (MAX_A_WINDOW, true));
        assert!(windows.allow(key("shop"), start + WINDOW));
    }
}
