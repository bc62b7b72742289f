//! What the server calls for each request: bytes to a decision to bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_cluster::policies::admission;
use stockade_engine::ClusterFacts;
use stockade_engine::images::WithImages;
use stockade_images::Images;
use stockade_webhook::{BadReview, Readiness, Review, Reviewer, Verb, review};

use super::in_force::InForce;
use super::{denials, holds, waivers};

/// Judges by what is in force.
pub(crate) struct PolicyReviewer {
    in_force: Arc<InForce>,
    /// Longest time that a PolicyException may be for.
    max_exception_seconds: Option<u32>,
    images: Images,
}

/// Time kept back of a request's for the decision after its images were looked at.
const TIME_TO_DECIDE: Duration = Duration::from_millis(250);
/// Longest that one request waits for registries, whatever its own time.
const LONGEST_LOOK: Duration = Duration::from_secs(8);

impl PolicyReviewer {
    /// Judges by what is in force at the moment of each request.
    pub(crate) fn new(in_force: Arc<InForce>, max_exception_seconds: Option<u32>, images: Images) -> Self {
        Self { in_force, max_exception_seconds, images }
    }
}

impl Reviewer for PolicyReviewer {
    fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Review, BadReview> {
        let Some(judge) = self.in_force.judge() else {
            // Not an answer but an HTTP error: the failurePolicy of the registration decides.
            return Err(BadReview { message: "no policies are in force yet".to_owned(), uid: None });
        };
        let with_images = WithImages { facts: &*judge.facts, images: &self.images };
        let facts: &dyn ClusterFacts = if judge.engine.judges_images() { &with_images } else { &*judge.facts };
        let judged = review::judge(&judge.engine, facts, verb, body, deadline, |request, decision, took| {
            self.in_force.metrics.execution.observe(took.as_secs_f64());
            if verb == Verb::Validate {
                admission::review(request, judge.engine.set(), self.max_exception_seconds, decision);
            }
            self.in_force.metrics.record(decision);
            judge.engine.shadows().record(decision);
            holds::count(&judge.engine, decision, &self.in_force);
            denials::tell(self.in_force.events(), request, decision);
            waivers::tell(self.in_force.used(), request, decision);
        })?;
        if judged.wanted.is_empty() {
            return Ok(judged.reviewed.into());
        }
        let images = self.images.clone();
        let until = deadline.checked_sub(TIME_TO_DECIDE).unwrap_or(deadline).min(Instant::now() + LONGEST_LOOK);
        Ok(Review::Later(Box::pin(async move { images.gather(judged.wanted, until.into()).await })))
    }

    fn admits_unjudged(&self, body: &[u8]) -> bool {
        let Some(judge) = self.in_force.judge() else { return false };
        review::with_arena(|arena| {
            let request = review::decode(body, arena, judge.engine.symbols());
            request.is_ok_and(|request| judge.engine.is_essential(&request))
        })
    }

    fn readiness(&self) -> Readiness {
        let readiness = match self.in_force.judge() {
            None => Readiness::not_ready("no policies are in force yet"),
            Some(judge) => {
                let policies = judge.engine.set().policies.len();
                Readiness::ready().detail(format!("policies: {policies} in force, generation {}", judge.number))
            }
        };
        self.in_force.refused().iter().fold(readiness, |readiness, line| readiness.detail(line))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use serde_json::json;
    use stockade_engine::{Engine, Essentials, FolderFacts};
    use stockade_images::gather::NoCluster;

    use super::*;
    use crate::serve::in_force::Judge;
    use crate::serve::policy_metrics::PolicyMetrics;

    #[test]
    fn what_nobody_can_judge_is_admitted_where_the_system_lives_and_nowhere_else() {
        let in_force = Arc::new(InForce::new(PolicyMetrics::register(&mut Registry::default())));
        let images = Images::new(Vec::new(), Arc::new(NoCluster), &mut Registry::default());
        let reviewer = PolicyReviewer::new(Arc::clone(&in_force), None, images);
        let review = |namespace: &str| {
            let gvk = json!({"group": "", "version": "v1", "kind": "Pod"});
            let gvr = json!({"group": "", "version": "v1", "resource": "pods"});
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
            let request = json!({"uid": "u", "kind": gvk, "resource": gvr, "operation": "CREATE", "name": "p",
                "namespace": namespace, "userInfo": {}, "object": object});
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
        };
        let admits = |namespace| reviewer.admits_unjudged(review(namespace).as_bytes());
        assert_eq!(["kube-system", "shop"].map(admits), [false, false], "nothing is in force");
        let engine = Arc::new(Engine::new(Arc::default()).essentials(Essentials::new("gate")));
        in_force.put(Judge { engine, facts: Arc::new(FolderFacts::new([]).unwrap()), number: 1 });
        assert_eq!(["kube-system", "shop"].map(admits), [true, false]);
        assert!(!reviewer.admits_unjudged(b"nonsense"));
    }
}
