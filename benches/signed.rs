//! A Pod whose images are signed, in a registry on loopback, and the policy that asks for the signatures.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use stockade_engine::images::Wanted;
use stockade_engine::{ClusterFacts, Engine};
use stockade_images::Images;
use stockade_images::gather::NoCluster;
use stockade_mint::Key;
use stockade_webhook::{Outcome, Verb, review};

use crate::inputs;
use crate::registry::{Registry, Shelf};

/// The AdmissionReview, and the image policy as file name and text.
pub struct SignedPod {
    /// Its three images are in a registry that this process serves.
    pub body: Vec<u8>,
    /// About all images of the registry.
    pub policy: (String, String),
}

// === impl SignedPod ===

impl SignedPod {
    /// Signs three images and serves them.
    ///
    /// # Errors
    /// Loopback has no port left.
    pub fn new() -> io::Result<Self> {
        let (key, mut shelf, mut pod) = (Key::p256(), Shelf::default(), inputs::pod());
        let names: Vec<String> = (0..3).map(|number| format!("team-web/app-{number}")).collect();
        names.iter().for_each(|name| shelf.add(name, "1.24.0", &[&key]));
        let registry = Registry::start(shelf, Duration::ZERO)?;
        for (number, name) in names.iter().enumerate() {
            pod["spec"]["containers"][number]["image"] = json!(format!("{}/{name}:1.24.0", registry.address));
        }
        Ok(Self { body: inputs::review(&pod), policy: policy(&key, &registry) })
    }
}

/// A policy about all images of a registry: signed by this key.
pub fn policy(key: &Key, registry: &Registry) -> (String, String) {
    let (host, pem) = (registry.address, json!(key.public_pem()));
    let text = format!(
        "apiVersion: stockade.dev/v1alpha1
kind: ImagePolicy
metadata:
  name: signed
spec:
  images: [\"{host}/**\"]
  authorities: [{{name: release, key: {{data: {pem}}}}}]
  digest: {{mutate: false}}
  registries: [{{host: \"{host}\", plainHTTP: true, allowPrivateAddresses: true}}]
"
    );
    ("signed.yaml".to_owned(), text)
}

/// Looks at images as nobody, outside of a cluster.
pub fn images() -> Images {
    Images::new(Vec::new(), Arc::new(NoCluster), &mut Default::default())
}

/// Bytes to decision to bytes: what has to be looked at first; nothing when the Pod is admitted.
///
/// # Errors
/// The answer that refuses it.
pub fn judge(engine: &Engine, facts: &dyn ClusterFacts, body: &[u8]) -> Result<Vec<Wanted>, String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let judged = review::judge(engine, facts, Verb::Validate, body, deadline, |_, _, _| {});
    let judged = judged.map_err(|bad| bad.to_string())?;
    if judged.wanted.is_empty() && judged.reviewed.outcome != Outcome::Allowed {
        return Err(String::from_utf8_lossy(&judged.reviewed.body).into_owned());
    }
    Ok(judged.wanted)
}
