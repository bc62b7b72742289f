//! The serving certificate and its authority, in a Secret that all replicas share.
//!
//! Every replica watches the Secret and serves with what it holds. The leader mints it, renews the certificate, and
//! changes the authority in steps between which nothing that was trusted stops being served and nothing is served that
//! is not trusted yet. In which step a rotation is can be read from the Secret alone, so whoever leads goes on with it:
//!
//! 1. `next-ca.crt` is there and in the bundle `ca.crt`; the old authority still signs. Ends when all webhook
//!    registrations carry it, read back from the API server, and a time to settle has passed.
//! 2. The new authority signs, the old one is still in the bundle. Ends when nobody can serve with the old certificate
//!    any more.
//! 3. One authority is in the bundle.
//!
//! A Secret that is somebody else's (cert-manager) is only watched; a certificate of another authority is served when the
//! registrations carry that authority, and the authority before it stays in them, also when the leader restarts meanwhile.

mod followed;
mod keeper;
mod material;
mod plan;
mod registered;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use stockade_webhook::certs::Pair;
use stockade_webhook::registered;
use tokio::sync::watch;

use crate::access::Access;
use crate::replicas::Leadership;

/// The Secret's name where nobody says otherwise.
pub const DEFAULT_SECRET: &str = "stockade-tls";
/// Annotation of the Secret with which a person asks for a new authority. The leader removes it when it begins.
pub const ROTATE_ANNOTATION: &str = "stockade.dev/rotate";

/// Whose Secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Ours: minted, renewed, repaired.
    Ours,
    /// Somebody else's, who keeps `tls.crt`, `tls.key` and `ca.crt` in it. Never written.
    Foreign,
}

/// What is to be kept, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the Secret in our namespace.
    pub secret: String,
    /// Whose it is.
    pub ownership: Ownership,
    /// Names the certificate is valid for: `stockade_webhook::certs::serving_names`, and the host of a URL.
    pub names: Vec<String>,
    /// Name of the webhook configurations that carry the bundle.
    pub registration: String,
    /// How long things last.
    pub times: Times,
}

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Of a serving certificate. Renewed when a third of it is left.
    pub validity: Duration,
    /// Of an authority. Another takes its place when a third is left, which must be more than `validity`.
    pub authority_validity: Duration,
    /// From a new authority's being in all registrations until it signs: every API server must have heard of it.
    pub settle: Duration,
    /// From a new authority's first signature until the old one is no longer trusted: every replica must have swapped.
    pub retire: Duration,
    /// Between two looks whether something is due.
    pub check: Duration,
}

/// What the Secret holds, for those who need it. Nothing yet, until there is a Secret that can be used; after that the
/// last that could be used.
#[derive(Clone)]
pub struct Issued {
    /// The serving certificate and its key.
    pub serving: watch::Receiver<Option<Arc<Pair>>>,
    /// PEM of the authorities to trust: the `caBundle` of registrations.
    pub bundle: watch::Receiver<Option<Arc<str>>>,
}

/// Metrics about the Secret.
#[derive(Debug, Clone)]
pub struct CertificateMetrics {
    authority_expiry: Gauge,
    unusable: Gauge,
    writes: Family<WriteLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    step: &'static str,
}

/// Keeps the certificate. All of it happens in the future, which does not end.
pub fn run(
    access: &Access,
    leadership: Leadership,
    options: Options,
    metrics: CertificateMetrics,
) -> (Issued, impl Future<Output = ()> + Send + use<>) {
    let (serving, serving_out) = watch::channel(None);
    let (bundle, bundle_out) = watch::channel(None);
    let publish = keeper::Publish { serving, bundle, metrics };
    let keeper = keeper::Keeper::new(access, leadership, options, publish);
    (Issued { serving: serving_out, bundle: bundle_out }, keeper.run())
}

/// Asks the leader for a new authority, by [`ROTATE_ANNOTATION`].
///
/// # Errors
/// There is no such Secret, or it may not be changed.
pub async fn request_rotation(access: &Access, secret: &str) -> kube::Result<()> {
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(access.client.clone(), &access.namespace);
    let patch = json!({ "metadata": { "annotations": { ROTATE_ANNOTATION: "requested" } } });
    secrets.patch_metadata(secret, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
}

// === impl Times ===

impl Default for Times {
    /// A certificate of 90 days under an authority of three years. Two minutes to settle, one hour to retire: longer
    /// than a replica's watch can be behind without being noticed.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            validity: 90 * DAY,
            authority_validity: 3 * 365 * DAY,
            settle: Duration::from_secs(120),
            retire: Duration::from_secs(3600),
            check: Duration::from_secs(2),
        }
    }
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    /// Registers them under their `stockade_` names.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            authority_expiry: registered(
                registry,
                "stockade_ca_certificate_expiry_timestamp_seconds",
                "When the authority that signs the serving certificate expires",
            ),
            unusable: registered(
                registry,
                "stockade_certificate_secret_unusable",
                "1 while the certificate Secret is absent or cannot be used; the last good certificate goes on serving",
            ),
            writes: registered(
                registry,
                "stockade_certificate_secret_writes",
                "Writes of the certificate Secret by this replica, by the step taken",
            ),
        }
    }
}
