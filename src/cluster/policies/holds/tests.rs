use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;
use stockade_policy::compiled::{DenyBudget, Flavour};

use super::*;

/// An API server with one policy, which answers the first requests with 503 and keeps what is patched.
#[derive(Clone)]
struct Server {
    policy: Arc<Mutex<Value>>,
    failures: Arc<Mutex<u32>>,
    patches: Arc<Mutex<Vec<Value>>>,
}

fn policy(percentage: u8, generation: i64) -> Value {
    json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
        "metadata": { "name": "p", "generation": generation, "resourceVersion": "1" },
        "spec": {
            "matchConstraints": { "resourceRules": [
                { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] },
            ] },
            "validations": [{ "expression": "false" }],
            "rollout": {
                "deny": { "percentage": percentage },
                "budget": { "maxDenyPercentage": 5, "windowSeconds": 60, "minRequests": 10 },
            },
        },
    })
}

fn hold_of(policy: &Value) -> Hold {
    let object: DynamicObject = serde_json::from_value(policy.clone()).unwrap();
    let is_image_policy = policy["kind"] == "ImagePolicy";
    let flavour = if is_image_policy { Flavour::Image } else { Flavour::Admission };
    Hold {
        flavour,
        policy: "p".into(),
        revision: render::revision(flavour, &object).unwrap(),
        denied: 7,
        judged: 10,
        budget: DenyBudget { max_percentage: 5, window_seconds: 60, min_requests: 10 },
        at: 1_780_272_000,
    }
}

impl Server {
    fn new(policy: Value, failures: u32) -> Self {
        Self { policy: Arc::new(Mutex::new(policy)), failures: Arc::new(Mutex::new(failures)), patches: Arc::default() }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "stockade-system")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let down = std::mem::replace(&mut *self.failures.lock().unwrap(), 0);
        if down > 0 {
            *self.failures.lock().unwrap() = down - 1;
            let status = json!({ "kind": "Status", "status": "Failure", "message": "down", "code": 503 });
            return Response::builder().status(503).body(Body::from(status.to_string().into_bytes())).unwrap();
        }
        if parts.method == Method::PATCH {
            let is_image_policy = self.policy.lock().unwrap()["kind"] == "ImagePolicy";
            let plural = if is_image_policy { "imagepolicies" } else { "admissionpolicies" };
            assert_eq!(parts.uri.path(), format!("/apis/stockade.dev/v1alpha1/{plural}/p/status"));
            assert!(parts.uri.query().unwrap().contains("fieldManager=stockade-rollouts"));
            let patch: Value = serde_json::from_slice(&body).unwrap();
            self.policy.lock().unwrap()["status"] = patch["status"].clone();
            self.patches.lock().unwrap().push(patch["status"].clone());
        }
        let policy = self.policy.lock().unwrap().to_string();
        Response::new(Body::from(policy.into_bytes()))
    }

    async fn written(&self, hold: &Hold) -> Vec<Value> {
        write_until_done(&self.client(), hold).await;
        self.patches.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_written_once_with_the_generation_that_it_is_of_however_often_the_api_server_fails() {
    let server = Server::new(policy(25, 3), 4);
    let hold = hold_of(&policy(25, 3));
    let rollout = json!({
        "observedGeneration": 3, "held": true, "heldAt": "2026-06-01T00:00:00Z", "denied": 7, "judged": 10,
        "reason": "denied 7 of 10 requests in 60 s, more than 5 %: Deny only warns until the policy is edited",
    });
    assert_eq!(server.written(&hold).await, [json!({ "rollout": rollout })]);
    assert_eq!(server.written(&hold).await.len(), 1);

    let text = server.policy.lock().unwrap().to_string();
    let mut sources = stockade_policy::sources::PolicySources::default();
    sources.add("p", &text, true);
    assert!(sources.policies[0].rollout.as_ref().unwrap().held, "what is written is what the compiler obeys");
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_an_image_policy_is_written_into_its_own_kind() {
    let mut policy = policy(25, 3);
    policy["kind"] = json!("ImagePolicy");
    let rollout = policy["spec"]["rollout"].clone();
    policy["spec"] = json!({ "images": ["**"], "digest": { "required": true }, "rollout": rollout });
    let hold = hold_of(&policy);
    let written = Server::new(policy, 0).written(&hold).await;
    assert_eq!(written.iter().map(|status| &status["rollout"]["held"]).collect::<Vec<_>>(), [&json!(true)]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_came_first_is_not_held() {
    let hold = hold_of(&policy(25, 3));
    assert_eq!(Server::new(policy(50, 4), 0).written(&hold).await, [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_stays_away_is_not_waited_for_without_end() {
    let hold = hold_of(&policy(25, 3));
    assert_eq!(Server::new(policy(25, 3), u32::MAX).written(&hold).await, [] as [Value; 0]);
}
