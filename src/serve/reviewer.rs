//! What the server calls for each request: bytes to a decision to bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_cluster::policies::admission;
use stockade_engine::ClusterFacts;
use stockade_engine::images::WithImages;
use stockade_images::{Images, InHand, Shares};
use stockade_webhook::limits::{MAX_LOOKING, MAX_LOOKING_OF_ONE};
use stockade_webhook::review::Judged;
use stockade_webhook::{Again, BadReview, Readiness, Review, Reviewer, Verb, review};

use super::in_force::InForce;
use super::{denials, holds, waivers};

/// Judges by what is in force.
#[derive(Clone)]
pub(crate) struct PolicyReviewer {
    in_force: Arc<InForce>,
    /// Longest time that a PolicyException may be for.
    max_exception_seconds: Option<u32>,
    images: Images,
    /// Places for requests that wait for registries.
    looks: Arc<Shares>,
}

/// A request that is reviewed, and how often it was already.
struct Request {
    verb: Verb,
    deadline: Instant,
    round: usize,
    /// What was found out for it.
    in_hand: InHand,
}

/// Time kept back of a request's for the decision after its images were looked at.
const TIME_TO_DECIDE: Duration = Duration::from_millis(250);
/// Longest that one request waits for registries, whatever its own time.
const LONGEST_LOOK: Duration = Duration::from_secs(8);
/// Most times that one request is looked at registries for: policies may change meanwhile, and want more; and an expression
/// may ask about an image that what it was told of another names.
const MAX_ROUNDS: usize = 4;
/// Why nothing is looked at after that.
const NOT_SETTLED: &str = "each look brings up another image to look at; try again";
/// Why nothing is looked at for one more request.
const CROWDED: &str = "too many requests wait for registries right now; try again";

// === impl PolicyReviewer ===

impl PolicyReviewer {
    /// Judges by what is in force at the moment of each request.
    pub(crate) fn new(in_force: Arc<InForce>, max_exception_seconds: Option<u32>, images: Images) -> Self {
        let looks = Arc::new(Shares::new(MAX_LOOKING, MAX_LOOKING_OF_ONE));
        Self { in_force, max_exception_seconds, images, looks }
    }

    /// Reviews, and where something is not known, looks at it first; without a place for that it is judged as what it is,
    /// not known: whether that is refused is for policies to say, and not for the registration of the webhook.
    fn round(&self, mut request: Request, body: &[u8]) -> Result<Review, BadReview> {
        let judged = self.judge(&request, body)?;
        let Some(first) = judged.wanted.first() else { return Ok(judged.reviewed.into()) };
        let place = match request.round {
            MAX_ROUNDS.. => Err(NOT_SETTLED),
            _ => self.looks.try_take(&first.credentials.namespace).ok_or(CROWDED),
        };
        let place = match place {
            Ok(place) => place,
            Err(why) => {
                self.in_force.metrics.looks_shed.inc();
                request.in_hand.close(why);
                return Ok(self.judge(&request, body)?.reviewed.into());
            }
        };
        let me = self.clone();
        let until = request.deadline.checked_sub(TIME_TO_DECIDE).unwrap_or(request.deadline);
        let until = until.min(Instant::now() + LONGEST_LOOK);
        Ok(Review::Later(Box::pin(async move {
            request.in_hand.look(judged.wanted, until.into()).await;
            drop(place);
            request.round += 1;
            Box::new(move |body: &[u8]| me.round(request, body)) as Again
        })))
    }

    fn judge(&self, request: &Request, body: &[u8]) -> Result<Judged, BadReview> {
        let Some(judge) = self.in_force.judge() else {
            // Not an answer but an HTTP error: the failurePolicy of the registration decides.
            return Err(BadReview { message: "no policies are in force yet".to_owned(), uid: None });
        };
        let &Request { verb, deadline, ref in_hand, .. } = request;
        let with_images = WithImages { facts: &*judge.facts, images: in_hand };
        let facts: &dyn ClusterFacts = if judge.engine.judges_images() { &with_images } else { &*judge.facts };
        review::judge(&judge.engine, facts, verb, body, deadline, |request, decision, took| {
            if verb == Verb::Warn {
                decision.warnings.extend(self.in_force.flows().map(|flows| flows.review(request)).unwrap_or_default());
                return;
            }
            self.in_force.metrics.execution.observe(took.as_secs_f64());
            if verb == Verb::Validate {
                admission::review(request, judge.engine.set(), self.max_exception_seconds, decision);
            }
            self.in_force.metrics.record(decision);
            judge.engine.shadows().record(decision);
            holds::count(&judge.engine, decision, &self.in_force);
            denials::tell(self.in_force.events(), request, decision);
            waivers::tell(self.in_force.used(), request, decision);
        })
    }
}

impl Reviewer for PolicyReviewer {
    fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Review, BadReview> {
        self.round(Request { verb, deadline, round: 0, in_hand: InHand::new(self.images.clone()) }, body)
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
    use serde_json::{Value, json};
    use stockade_engine::{Engine, Essentials, FolderFacts, RequestBuilder};
    use stockade_images::gather::NoCluster;
    use stockade_policy::compile::{Options, UnboundPolicy, compile};
    use stockade_policy::sources::PolicySources;

    use super::*;
    use crate::serve::in_force::Judge;
    use crate::serve::policy_metrics::PolicyMetrics;

    /// A public key whose private half nobody has.
    const POLICY: &str = "
apiVersion: stockade.dev/v1alpha1
kind: ImagePolicy
metadata: {name: signed}
spec:
  images: ['registry.example.com/**']
  unavailable: Allow
  authorities:
  - name: release
    key:
      data: |
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6lXuUpl8Eht54UR4zqUH0IUQStw0
        Td4XjfLXThPecQaFgwUkcsD7bNP2gL1BcjZbqoIgicxH0b1vU6q2ytiY2w==
        -----END PUBLIC KEY-----
";

    fn reviewer() -> PolicyReviewer {
        let mut sources = PolicySources::default();
        sources.add("policy.yaml", POLICY, true);
        let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, ..Options::default() };
        let engine = Arc::new(Engine::new(Arc::new(compile(&sources, options).unwrap().set)));
        let mut registry = Registry::default();
        let in_force = InForce::new(PolicyMetrics::register(&mut registry));
        in_force.put(Judge { engine, facts: Arc::new(FolderFacts::default()), number: 1 });
        PolicyReviewer::new(Arc::new(in_force), None, Images::new(Vec::new(), Arc::new(NoCluster), &mut registry))
    }

    /// What a Pod of a namespace is answered; none when registries are to be asked first.
    fn answer(reviewer: &PolicyReviewer, namespace: &str) -> Option<Value> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": namespace},
            "spec": {"containers": [{"name": "a", "image": "registry.example.com/app:1"}]}});
        let body = RequestBuilder::new().object(pod).review().unwrap().to_string();
        let deadline = Instant::now() + Duration::from_secs(60);
        match reviewer.review(Verb::Validate, body.as_bytes(), deadline).unwrap() {
            Review::Answered(reviewed) => Some(serde_json::from_slice(&reviewed.body).unwrap()),
            Review::Later(_) => None,
        }
    }

    /// Whatever the registration of the webhook says of errors, the policy has decided; and its namespace alone had none.
    #[test]
    fn a_request_without_a_place_to_look_is_answered_by_its_policy_and_others_look() {
        let reviewer = reviewer();
        let held: Vec<_> = std::iter::from_fn(|| reviewer.looks.try_take(&"shop".into())).collect();
        assert_eq!(held.len(), MAX_LOOKING_OF_ONE);
        let status = json!({"status": "Failure", "code": 503, "reason": "ServiceUnavailable",
            "message": "ImagePolicy 'signed' denied request: image registry.example.com/app:1 cannot be looked up now: too \
                        many requests wait for registries right now; try again"});
        assert_eq!(answer(&reviewer, "shop").unwrap()["response"]["status"], status);
        assert!(answer(&reviewer, "other").is_none());
        assert_eq!(reviewer.in_force.metrics.looks_shed.get(), 1);
        drop(held);
        assert!(answer(&reviewer, "shop").is_none());
    }

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
