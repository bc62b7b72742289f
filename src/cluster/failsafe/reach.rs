//! Whether the API server reaches the webhook, asked of the API server: replicas whose Leases say that they are ready are
//! no use behind a Service that is cut, a Secret that is not the registered one, or a network policy.
//!
//! The question is a dry run of an exception that the webhook must refuse: the refusal is its answer, made on the way of
//! every request, under the registered bundle and name. Asked from this Pod directly, the answer would tell of this Pod's
//! network. That the API server does not answer says nothing of the webhook.
//!
//! It is told, in a gauge and an Event, and nothing is switched by it. Whoever floods the webhook's port, which no
//! permission is needed for, takes its answers away just as a broken network does; if that opened the registration, it
//! would be a way past every policy. Leases cannot be taken away like that ([`crate::replicas`]). So a person decides:
//! system namespaces go on meanwhile, and requests of users are refused until the way is mended.

use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::events::EventType;
use serde_json::json;
use tokio::time::Instant;

use super::FailSafeMetrics;
use super::switch::Switch;
use crate::access::{Access, FIELD_MANAGER};
use crate::policies::SourceKind;

/// Between two questions, at most: each is a refusal in the log of a replica.
const ASK: Duration = Duration::from_secs(30);
/// Longest wait for the API server, which itself waits for the webhook as long as the registration says.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// Longest of the API server's words that an Event repeats, in characters.
const MAX_WORDS: usize = 512;

/// What the API server says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reached {
    /// The webhook answered.
    Yes,
    /// It did not, and why.
    No(String),
    /// It was not asked, or the API server does not answer.
    Unknown,
}

/// Asks now and then.
pub(super) struct Reach {
    api: Api<DynamicObject>,
    canary: DynamicObject,
    every: Duration,
    due: Instant,
    /// Since when the webhook does not answer.
    since: Option<Timestamp>,
    told: bool,
}

// === impl Reach ===

impl Reach {
    /// Tells of a webhook that has not answered for as long as `after`, half a minute at most.
    pub(super) fn new(access: &Access, after: Duration) -> Self {
        let resource = SourceKind::PolicyException.api_resource();
        let mut canary = DynamicObject::new("stockade-fail-safe-probe", &resource).within(&access.namespace);
        // The schema takes a label that is none; the webhook, which compiles it, does not.
        canary.data = json!({ "spec": {
            "policies": [{ "name": "none" }], "resources": [{ "selector": { "matchLabels": { "no label": "" } } }],
            "reason": "asks whether the webhook answers", "owner": "stockade", "expires": "2000-01-01T00:00:00Z",
        } });
        let api = Api::namespaced_with(access.client.clone(), &access.namespace, &resource);
        Self { api, canary, every: ASK.min(after), due: Instant::now(), since: None, told: false }
    }

    /// Asks when it is time, and tells what is new.
    pub(super) async fn look(&mut self, switch: &Switch, metrics: &FailSafeMetrics) {
        if Instant::now() < self.due {
            return;
        }
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.api.create(&params, &self.canary)).await;
        self.due = Instant::now() + self.every;
        let now = Timestamp::now();
        match answer.map_or(Reached::Unknown, |answer| read(answer.err(), metrics.is_engaged())) {
            Reached::Unknown => {}
            Reached::Yes => {
                let since = self.since.take();
                metrics.unanswered.set(0);
                if std::mem::take(&mut self.told) {
                    tracing::warn!(since = ?since, "the API server reaches the webhook again");
                    let note = "the API server reaches the webhook again".to_owned();
                    switch.announce(EventType::Normal, "WebhookReached", note).await;
                }
            }
            Reached::No(words) => {
                let since = *self.since.get_or_insert(now);
                let silent = now.duration_since(since);
                metrics.unanswered.set(silent.as_secs());
                if !self.told && silent.unsigned_abs() >= self.every {
                    self.told = true;
                    tracing::error!(since = %since, answer = words, "the API server does not reach the webhook");
                    let note = format!("the API server has not reached the webhook since {since}: {words}");
                    switch.announce(EventType::Warning, "WebhookNotReached", note).await;
                }
            }
        }
    }
}

/// What the answer to the canary says; none is its admission.
fn read(error: Option<kube::Error>, is_engaged: bool) -> Reached {
    let Some(error) = error else {
        // Admitted it is where the registration does not ask, or asks and does not need an answer.
        return match is_engaged {
            true => Reached::No("admitted without an answer, by the fail-safe".to_owned()),
            false => Reached::Unknown,
        };
    };
    let kube::Error::Api(status) = error else { return Reached::Unknown };
    let named = |what: &str| status.message.contains(&format!("{what} \"own.stockade.dev\""));
    if named("admission webhook") {
        Reached::Yes
    } else if named("failed calling webhook") {
        Reached::No(status.message.chars().take(MAX_WORDS).collect())
    } else {
        Reached::Unknown
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_an_answer_and_a_call_that_failed_is_none() {
        let said = |code, message: &str| Some(kube::Error::Api(Status::failure(message, "r").with_code(code).boxed()));
        let refused =
            said(422, "admission webhook \"own.stockade.dev\" denied the request: this PolicyException cannot …");
        assert_eq!(read(refused, false), Reached::Yes);
        let words = "Internal error occurred: failed calling webhook \"own.stockade.dev\": failed to call webhook: Post \
                     \"https://stockade.stockade-system.svc:443/validate?timeout=5s\": context deadline exceeded";
        assert_eq!(read(said(500, words), false), Reached::No(words.to_owned()));
        let others =
            said(500, "Internal error occurred: failed calling webhook \"other.example.com\": no route to host");
        for unknown in [others, said(404, "the server could not find the requested resource"), said(403, "forbidden")] {
            assert_eq!(read(unknown, false), Reached::Unknown);
        }
        assert_eq!(read(None, false), Reached::Unknown);
        assert!(matches!(read(None, true), Reached::No(_)));
    }
}
