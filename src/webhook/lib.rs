//! AdmissionReview over TLS: server, handlers, certificates.
//!
//! Bytes and time are this crate's matter; what is decided is the [`Reviewer`]'s. Nothing here lets a request pass:
//! whatever goes wrong is answered with an HTTP error or an AdmissionReview that refuses.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use stockade_webhook::{Certificates, Folder, Metrics, MintOptions, Reviewer, Server};
//! # async fn example(reviewer: Arc<dyn Reviewer>) -> Result<(), Box<dyn std::error::Error>> {
//! let folder = Folder::new("certs");
//! let options = MintOptions::default();
//! folder.ensure(&options)?;
//! let certificates = Arc::new(Certificates::load(&folder, None)?);
//!
//! let mut registry = prometheus_client::registry::Registry::default();
//! let metrics = Metrics::register(&mut registry, env!("CARGO_PKG_VERSION"));
//! // … the owner of policy metrics registers them in the same registry …
//!
//! let bound = Server::builder(reviewer, metrics, registry)
//!     .renew(folder, options)
//!     .bind("0.0.0.0:8443".parse()?, "0.0.0.0:8080".parse()?, certificates)
//!     .await?;
//! let ended = bound.serve(async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # let _ = ended;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Reviewer`] is mostly this:
//!
//! ```
//! # use std::time::Instant;
//! # use stockade_engine::{Engine, FolderFacts};
//! # use stockade_webhook::{BadReview, Readiness, Review, Reviewer, Verb, review};
//! struct Policies {
//!     engine: Engine,
//!     facts: FolderFacts,
//! }
//!
//! impl Reviewer for Policies {
//!     fn review(&self, verb: Verb, body: &[u8], deadline: Instant) -> Result<Review, BadReview> {
//!         let judged = review::judge(&self.engine, &self.facts, verb, body, deadline, |_request, _decision, _took| {})?;
//!         // Nobody looks at images here: the engine never asks for any.
//!         Ok(judged.reviewed.into())
//!     }
//!
//!     fn readiness(&self) -> Readiness {
//!         Readiness::ready().detail(format!("policies: {} in force", self.engine.set().policies.len()))
//!     }
//! }
//! ```

mod body;
pub mod certs;
mod connection;
mod handlers;
mod handshake;
pub mod limits;
mod metrics;
mod problem;
mod refusal;
pub mod review;
mod reviewer;
mod server;
mod shared;
mod timeout;

pub use certs::{CertError, CertificateFacts, Certificates, Folder, MintOptions};
pub use handlers::AdmissionService;
pub use metrics::{AtomicHistogram, Metrics, registered};
pub use reviewer::{Again, BadReview, Looking, Outcome, Readiness, Review, Reviewed, Reviewer, Verb};
pub use server::{Bound, Builder, Ended, Server};
pub use shared::Limits;
