//! Kubernetes Events: what was denied to a Pod, or would be by policies that are audited, where people look first.
//!
//! Nothing waits for the API server: what there is no room for is counted. One task writes, at most so many a Pod and
//! in all; what is only audited takes no room from what was denied.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use stockade_netpol::flows::{Flow, Outcome};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{FlowMetrics, PodNames};

/// Most events that wait to be written.
const MAX_WAITING: usize = 256;
/// Most events of one Pod and kind within [`WINDOW`]: people read them, and flows hold the rest.
const MAX_A_POD: usize = 5;
/// Most events of a node and kind within [`WINDOW`]: a thousand nodes then write some ten a second.
const MAX_A_NODE: usize = 30;
/// See [`MAX_A_POD`].
const WINDOW: Duration = Duration::from_secs(300);
/// Longest note that the API takes.
const MAX_NOTE_BYTES: usize = 1_024;

/// Where denials are told. Cheap to clone; nothing waits.
#[derive(Clone)]
pub struct PodEvents {
    waiting: mpsc::Sender<Told>,
    metrics: FlowMetrics,
}

/// What is to be written.
struct Told {
    about: ObjectReference,
    kind: Kind,
    note: String,
}

/// What became of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Denied,
    WouldDeny,
}

// === impl PodEvents ===

impl PodEvents {
    /// Starts to take denials; the future writes them until `stop`.
    pub fn new(
        client: Client,
        node: &str,
        metrics: FlowMetrics,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (waiting, told) = mpsc::channel(MAX_WAITING);
        let reporter = Reporter { controller: "stockade.dev/agent".into(), instance: Some(node.to_owned()) };
        let write = write(Recorder::new(client, reporter), told, metrics.clone(), stop);
        (Self { waiting, metrics }, write)
    }

    /// Tells of a flow, if it is one to be told of.
    pub(super) fn tell(&self, flow: &Flow, pod: &PodNames) {
        let kind = match flow.verdict {
            Outcome::Denied => Kind::Denied,
            Outcome::WouldDeny => Kind::WouldDeny,
            Outcome::Allowed | Outcome::Spoofed | Outcome::Malformed => return,
        };
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.to_string()),
            name: Some(pod.name.to_string()),
            uid: Some(pod.uid.to_string()),
            ..ObjectReference::default()
        };
        if self.waiting.try_send(Told { about, kind, note: note(flow) }).is_err() {
            self.metrics.event("dropped");
        }
    }
}

fn note(flow: &Flow) -> String {
    let mut note = flow.denial();
    note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
    note
}

async fn write(recorder: Recorder, mut told: mpsc::Receiver<Told>, metrics: FlowMetrics, stop: CancellationToken) {
    let [mut denied, mut would_deny] = [(); 2].map(|()| Windows::new(Instant::now()));
    loop {
        let Told { about, kind, note } = tokio::select! {
            () = stop.cancelled() => return,
            Some(told) = told.recv() => told,
            else => return,
        };
        let uid: Arc<str> = about.uid.as_deref().unwrap_or_default().into();
        let (windows, reason, action) = match kind {
            Kind::Denied => (&mut denied, "NetworkPolicyDenied", "Deny"),
            Kind::WouldDeny => (&mut would_deny, "NetworkPolicyWouldDeny", "Audit"),
        };
        if !windows.allow(uid, Instant::now()) {
            metrics.event("limited");
            continue;
        }
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        match recorder.publish(&event, &about).await {
            Ok(()) => metrics.event("written"),
            Err(error) => {
                metrics.event("failed");
                tracing::debug!(error = &error as &dyn std::error::Error, "event not written");
            }
        }
    }
}

/// Events of the present window: of each Pod, and of the node.
struct Windows {
    from: Instant,
    of_node: usize,
    of_pods: HashMap<Arc<str>, usize>,
}

impl Windows {
    fn new(from: Instant) -> Self {
        Self { from, of_node: 0, of_pods: HashMap::new() }
    }

    /// At most [`MAX_A_NODE`] Pods are counted at once.
    fn allow(&mut self, uid: Arc<str>, now: Instant) -> bool {
        if now.duration_since(self.from) >= WINDOW {
            *self = Self::new(now);
        }
        if self.of_node >= MAX_A_NODE || self.of_pods.get(&uid).is_some_and(|count| *count >= MAX_A_POD) {
            return false;
        }
        self.of_node += 1;
        *self.of_pods.entry(uid).or_default() += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use stockade_netpol::flows::End;

    use super::*;
    use crate::flows::talks::tests::told;

    #[test]
    fn a_pod_and_a_node_that_are_denied_all_the_time_are_told_of_now_and_then() {
        let start = Instant::now();
        let mut windows = Windows::new(start);
        let allowed = |windows: &mut Windows, pod: usize, now| windows.allow(pod.to_string().into(), now);
        assert_eq!((0..100).filter(|_| allowed(&mut windows, 0, start)).count(), MAX_A_POD);
        assert_eq!((1..100).filter(|pod| allowed(&mut windows, *pod, start)).count(), MAX_A_NODE - MAX_A_POD);
        assert!(allowed(&mut windows, 0, start + WINDOW));
    }

    #[test]
    fn a_note_says_what_is_denied_and_by_whom() {
        let flow = told(1).flow;
        assert_eq!(
            note(&flow),
            "TCP 5432 to Pods of shop (app=db) is denied: by NetworkPolicy shop/web egress[0]".to_owned()
        );
        assert_eq!(
            note(&Flow { verdict: Outcome::WouldDeny, ..flow.clone() }),
            "TCP 5432 to Pods of shop (app=db) would be denied: by NetworkPolicy shop/web egress[0]".to_owned()
        );
        assert_eq!(
            note(&Flow { rule: None, to: End::Address([192, 0, 2, 1].into()), ..flow }),
            "TCP 5432 to 192.0.2.1 is denied: no rule of the policies that select this Pod accepts it".to_owned()
        );
    }
}
