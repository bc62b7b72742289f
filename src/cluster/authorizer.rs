//! The `authorizer` variable, answered by the API server: one SubjectAccessReview a question, remembered for seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::wait::wait;

/// Longest wait for one answer; a request's own deadline shortens it. The API server answers from memory within
/// milliseconds unless it has to ask a webhook of its own.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer holds. A native policy asks the API server's authorizers each time, so a right that was given or
/// taken must count within seconds; the burst of requests with which a controller makes its Pods asks once all the same.
/// The API server's own webhook authorizer remembers for 5 minutes and 30 seconds.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Most answers that are remembered.
const MAX_REMEMBERED: usize = 4_096;

/// A question larger than this is not remembered: an attacker chooses names and groups (the API server's own bound).
const MAX_REMEMBERED_BYTES: usize = 10_000;

/// Most questions at a time. Each holds up a thread, and an API server that is slow must not be asked more and more.
const MAX_ASKING: usize = 32;

/// Asks the API server. An answer that cannot be had is an error in the policy, neither allow nor deny.
pub(crate) struct AccessReviews {
    client: Client,
    runtime: Handle,
    asking: Arc<Semaphore>,
    /// Held for the time of one look-up or insertion, never while somebody asks.
    answers: Mutex<HashMap<Attributes, Remembered>>,
    metrics: AuthorizerMetrics,
}

struct Remembered {
    decision: Decision,
    until: Instant,
}

#[derive(Debug, Clone, Default)]
struct AuthorizerMetrics {
    asked: Counter,
    failed: Counter,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("more than {MAX_ASKING} authorization questions wait for the API server")]
    Busy,
    #[error("the API server did not answer an authorization question in time")]
    Timeout,
    #[error("the API server did not answer an authorization question: {0}")]
    Request(kube::Error),
    #[error("the API server answered an authorization question without a status")]
    NoStatus,
}

// === impl AccessReviews ===

impl AccessReviews {
    /// Asks on this runtime, which must be the one that the client was made on.
    pub(crate) fn new(client: Client, runtime: Handle, registry: &mut Registry) -> Self {
        let metrics = AuthorizerMetrics::default();
        registry.register(
            "stockade_authorizer_questions",
            "SubjectAccessReviews that policies asked for",
            metrics.asked.clone(),
        );
        registry.register(
            "stockade_authorizer_failures",
            "SubjectAccessReviews without an answer, which counts as an error of the policy",
            metrics.failed.clone(),
        );
        let asking = Arc::new(Semaphore::new(MAX_ASKING));
        Self { client, runtime, asking, answers: Mutex::default(), metrics }
    }

    fn remembered(&self, attributes: &Attributes) -> Option<Decision> {
        let answers = self.answers.lock().ok()?;
        let known = answers.get(attributes).filter(|known| Instant::now() < known.until)?;
        Some(known.decision.clone())
    }

    fn remember(&self, attributes: &Attributes, decision: &Decision) {
        if decision.error.is_some() || bytes(attributes) > MAX_REMEMBERED_BYTES {
            return;
        }
        let Ok(mut answers) = self.answers.lock() else { return };
        let now = Instant::now();
        if answers.len() >= MAX_REMEMBERED {
            answers.retain(|_, known| now < known.until);
        }
        if answers.len() >= MAX_REMEMBERED {
            answers.clear();
        }
        let remembered = Remembered { decision: decision.clone(), until: now + REMEMBERED };
        answers.insert(attributes.clone(), remembered);
    }

    fn ask(&self, attributes: &Attributes, limit: Duration) -> Result<Decision, NoAnswer> {
        let permit = Arc::clone(&self.asking).try_acquire_owned().map_err(|_| NoAnswer::Busy)?;
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let review = review(attributes);
        self.metrics.asked.inc();
        let answer = wait(&self.runtime, limit, async move {
            let _permit = permit;
            api.create(&PostParams::default(), &review).await
        });
        let answer = answer.ok_or(NoAnswer::Timeout)?.map_err(NoAnswer::Request)?;
        answer.status.map(decision).ok_or(NoAnswer::NoStatus)
    }
}

impl Authorizer for AccessReviews {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        self.authorize_by(attributes, None)
    }

    fn authorize_by(&self, attributes: &Attributes, deadline: Option<Instant>) -> Decision {
        if let Some(known) = self.remembered(attributes) {
            return known;
        }
        match self.ask(attributes, wait_until(deadline, Instant::now())) {
            Ok(decision) => {
                self.remember(attributes, &decision);
                decision
            }
            Err(error) => {
                self.metrics.failed.inc();
                Decision { allowed: false, reason: String::new(), error: Some(error.to_string()) }
            }
        }
    }
}

/// How long an answer is waited for.
fn wait_until(deadline: Option<Instant>, now: Instant) -> Duration {
    deadline.map_or(TIMEOUT, |deadline| deadline.saturating_duration_since(now)).min(TIMEOUT)
}

/// Selectors go as they were written. Of one that does not parse the review says so as its error, beside the decision
/// without it; in the API server's own policies the decision alone is seen.
fn review(attributes: &Attributes) -> SubjectAccessReview {
    let text = |s: &String| Some(s.clone()).filter(|s| !s.is_empty());
    let path = text(&attributes.path);
    let resource = path.is_none().then(|| ResourceAttributes {
        verb: text(&attributes.verb),
        group: text(&attributes.group),
        version: Some("*".to_owned()),
        resource: text(&attributes.resource),
        subresource: text(&attributes.subresource),
        namespace: text(&attributes.namespace),
        name: text(&attributes.name),
        field_selector: text(&attributes.field_selector)
            .map(|raw| FieldSelectorAttributes { raw_selector: Some(raw), requirements: None }),
        label_selector: text(&attributes.label_selector)
            .map(|raw| LabelSelectorAttributes { raw_selector: Some(raw), requirements: None }),
    });
    let verb = text(&attributes.verb);
    let extra: BTreeMap<_, _> = attributes.extra.iter().cloned().collect();
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: text(&attributes.user),
            uid: text(&attributes.uid),
            groups: Some(attributes.groups.clone()),
            extra: Some(extra),
            resource_attributes: resource,
            non_resource_attributes: path.map(|path| NonResourceAttributes { path: Some(path), verb }),
        },
        ..SubjectAccessReview::default()
    }
}

fn decision(status: SubjectAccessReviewStatus) -> Decision {
    Decision {
        allowed: status.allowed,
        reason: status.reason.unwrap_or_default(),
        error: status.evaluation_error.filter(|e| !e.is_empty()),
    }
}

/// What an attacker can make long.
fn bytes(attributes: &Attributes) -> usize {
    let Attributes { user, groups, extra, uid, path, verb, group, resource, subresource, namespace, name, .. } =
        attributes;
    let texts = [user, uid, path, verb, group, resource, subresource, namespace, name];
    let selectors = [&attributes.field_selector, &attributes.label_selector];
    let lists = groups.iter().chain(extra.iter().flat_map(|(key, values)| std::iter::once(key).chain(values)));
    texts.into_iter().chain(selectors).chain(lists).map(String::len).sum()
}

#[cfg(test)]
mod tests;
