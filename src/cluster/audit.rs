//! The background audit: what exists, judged against every policy, native ones too, at the start, when policies,
//! objects or what policies read change, and all of it now and then.
//!
//! ```text
//! policies, resources, replicas ─ plan: which resources, which namespaces ─┐
//! watches of metadata, facts ─ queue (coalesced, bounded) ─────────────────┴─ pages ─ judge ─ results ─ reports
//!                                                                                       │ wanted
//!                                                                                       └── looks at images
//! ```
//!
//! The work is shared over replicas by namespace ([`share`]). A full pass lists each resource across namespaces in
//! pages, so every replica reads all pages and judges those of its share; what changes later is listed by namespace. No
//! object outlives its page. Nothing of the queue is kept: a new process judges everything once and writes only what
//! differs from the reports it finds.
//!
//! Images are looked at few at a time ([`looks`]), and only while their page waits. An image that could not be looked at
//! is an error in the report, neither a pass nor a failure, and its namespace is judged again later ([`again`]).

use std::sync::Arc;
use std::time::Duration;

use stockade_images::Images;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::events::Events;
use crate::facts::LiveFacts;
use crate::flows::Flows;
use crate::policies::Generations;
use crate::replicas::Replicas;
use crate::reports::Group;

use self::metrics::AuditMetrics;
use self::queue::Queue;
use self::usage::Usage;
use self::worker::Worker;

mod again;
mod dependencies;
mod follow;
mod judging;
mod kinds;
mod looks;
mod marker;
pub mod metrics;
pub mod once;
pub(crate) mod pace;
mod page;
mod pass;
mod plan;
mod queue;
pub(crate) mod results;
mod share;
pub mod usage;
mod worker;

/// What the audit is told.
pub struct Inputs {
    /// What it judges by: [`crate::policies::Generation::audited`].
    pub generations: Generations,
    /// What policies read. Somebody else says which kinds are held.
    pub facts: LiveFacts,
    /// With whom the work is shared.
    pub replicas: Replicas,
    /// Where new violations are told.
    pub events: Events,
    /// What is known of images, and looks at more.
    pub images: Images,
    /// What audited network policies would deny, where node agents tell.
    pub flows: Option<Flows>,
    /// Where it is told what exceptions waive.
    pub usage: watch::Sender<Option<Arc<Usage>>>,
}

/// How it works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Everything is judged again after so long, though nothing changed: the status of objects and time itself are not
    /// watched.
    pub period: Duration,
    /// Which reports are written.
    pub reports: Group,
}

/// Audits until `stop`. An API server that is away is waited for.
pub async fn run(access: Access, inputs: Inputs, settings: Settings, metrics: AuditMetrics, stop: CancellationToken) {
    let queue = Arc::new(Queue::default());
    let changes = listen(inputs.facts.clone(), Arc::clone(&queue));
    let work = Worker::new(access, inputs, settings, metrics, queue).run();
    tokio::select! {
        () = stop.cancelled() => {}
        () = changes => {}
        () = work => {}
    }
}

/// Takes changes of facts to the queue, for ever.
async fn listen(facts: LiveFacts, queue: Arc<Queue>) {
    let mut changes = facts.changes();
    loop {
        match changes.recv().await {
            Ok(change) => queue.change(change),
            Err(broadcast::error::RecvError::Lagged(_)) => queue.everything(),
            // The sender lives as long as the facts do.
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
        }
    }
}
