//! What Pods did, seen: events of the kernel become flows with names on both ends, under a noise budget.
//!
//! Data flow: the kernel's events → [`Talks`], which puts together what is alike in a window → flows with names
//! ([`Names`]) → whoever is told: a file, streams ([`Live`]), metrics, Kubernetes Events, the node's summary
//! ([`Lately`]). The kernel tells of what is alike now and then only, and of no more than so many events a second; what is
//! beyond that, or beyond the bounds here, is counted and told as a number. Counters of packets are exact whatever is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stockade_netpol::plan::RuleName;
use stockade_netpol::state::Labels;
use tokio_util::sync::CancellationToken;

use crate::kernel::{Kernel, KernelError};

mod journal;
mod live;
mod metrics;
mod names;
mod pod_events;
mod serve;
mod summary;
mod talks;
mod teller;

pub use journal::Journal;
pub use live::{Heard, Live, MAX_BUFFERED, Told};
pub use metrics::FlowMetrics;
pub use names::KnownNames;
pub use pod_events::PodEvents;
pub use serve::{MAX_CLIENTS, Streams, TlsError};
pub use summary::Lately;
pub use talks::{MAX_LINES, MAX_TALKS, Talks, Window};
pub use teller::Teller;

/// How long flows gather that are alike.
pub const WINDOW: Duration = Duration::from_secs(1);

/// Longest wait for events: how late the end of a window, and of the process, is seen.
const POLL: Duration = Duration::from_millis(250);

/// What numbers of the kernel mean. Whoever holds the agent's state answers, from memory.
pub trait Names: Send + Sync {
    /// The Pod behind an interface of the host; none when it has gone.
    fn pod(&self, interface: u32) -> Option<PodNames>;
    /// Pods with an identity, of which one had this address; none when nobody has it any more.
    fn identity(&self, number: u64, address: IpAddr) -> Option<IdentityNames>;
    /// The rule at a place in a table; none when the table is not in use any more.
    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName>;
}

/// A Pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNames {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// Its labels.
    pub labels: Labels,
}

/// Pods that no policy can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityNames {
    /// Their namespace.
    pub namespace: Arc<str>,
    /// Their labels.
    pub labels: Labels,
}

/// Reads the kernel's events and tells them, until it is asked to stop. It blocks: for a thread of its own.
///
/// # Errors
/// The kernel's refusal.
pub fn watch(kernel: &Kernel, mut teller: Teller, stop: &CancellationToken) -> Result<(), KernelError> {
    let talks = std::cell::RefCell::new(Talks::default());
    let reader = kernel.events(|event| talks.borrow_mut().add(&event, jiff::Timestamp::now()))?;
    let mut untold = kernel.untold()?;
    while !stop.is_cancelled() {
        let end = std::time::Instant::now() + WINDOW;
        while std::time::Instant::now() < end && !stop.is_cancelled() {
            reader.poll(POLL)?;
        }
        let before = std::mem::replace(&mut untold, kernel.untold()?);
        let window = talks.borrow_mut().take(teller.names(), teller.node());
        teller.tell(window, untold.wrapping_sub(before));
    }
    Ok(())
}
