//! An API server that knows Leases and nothing else, in memory, with links that can be cut one by one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What all clients share.
#[derive(Default)]
pub(super) struct Store {
    leases: Mutex<BTreeMap<String, Value>>,
    version: AtomicU32,
    /// Writes in order: when, method, name.
    pub(super) writes: Mutex<Vec<(Instant, Method, String)>>,
}

/// One client's way to the store.
#[derive(Clone, Default)]
pub(super) struct Link {
    /// Requests are answered 503.
    pub(super) down: Arc<AtomicBool>,
    /// Requests arrive and are carried out, answers never come back.
    pub(super) mute: Arc<AtomicBool>,
}

impl Store {
    pub(super) fn connect(self: &Arc<Self>, link: &Link) -> Api<Lease> {
        let (store, link) = (Arc::clone(self), link.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (store, link) = (Arc::clone(&store), link.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let answer = match link.down.load(SeqCst) {
                    true => status(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
                    false => store.answer(&parts.method, parts.uri.path(), &body),
                };
                if link.mute.load(SeqCst) {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok::<_, Infallible>(answer)
            }
        });
        Api::namespaced(Client::new(service, "stockade-system"), "stockade-system")
    }

    pub(super) fn lease(&self, name: &str) -> Option<Lease> {
        self.leases.lock().unwrap().get(name).map(|lease| serde_json::from_value(lease.clone()).unwrap())
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        let mut leases = self.leases.lock().unwrap();
        let name = path.rsplit('/').next().filter(|last| *last != "leases").map(str::to_owned);
        if *method == Method::GET {
            return match name {
                Some(name) => leases.get(&name).map_or_else(|| status(StatusCode::NOT_FOUND, "NotFound"), found),
                None => {
                    let items: Vec<&Value> = leases.values().collect();
                    found(&json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList",
                        "metadata": { "resourceVersion": "1" }, "items": items }))
                }
            };
        }
        let mut sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = name.unwrap_or_else(|| sent["metadata"]["name"].as_str().unwrap().to_owned());
        let there = leases.get(&name);
        let is_same = there.is_some_and(|t| t["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"]);
        let refused = match (method, there) {
            (&Method::POST, Some(_)) => Some(status(StatusCode::CONFLICT, "AlreadyExists")),
            (&Method::PUT | &Method::DELETE, None) => Some(status(StatusCode::NOT_FOUND, "NotFound")),
            (&Method::PUT, Some(_)) if !is_same => Some(status(StatusCode::CONFLICT, "Conflict")),
            _ => None,
        };
        if let Some(refused) = refused {
            return refused;
        }
        self.writes.lock().unwrap().push((Instant::now(), method.clone(), name.clone()));
        if *method == Method::DELETE {
            leases.remove(&name);
            return status(StatusCode::OK, "");
        }
        sent["metadata"]["resourceVersion"] = (self.version.fetch_add(1, SeqCst) + 1).to_string().into();
        leases.insert(name, sent.clone());
        found(&sent)
    }
}

fn found(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string().into_bytes()))
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    let outcome = if code.is_success() { "Success" } else { "Failure" };
    let body = json!({ "apiVersion": "v1", "kind": "Status", "status": outcome, "reason": reason, "message": reason,
        "code": code.as_u16() });
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}
