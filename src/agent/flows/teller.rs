//! Whoever is told of a window.

use std::sync::Arc;

use stockade_netpol::flows::Line;

use super::{FlowMetrics, Journal, Lately, Live, Names, PodEvents, Told, Window};

/// Tells each window once to everybody who is to hear of it.
pub struct Teller {
    /// What numbers mean.
    pub names: Arc<dyn Names>,
    /// Name of the node.
    pub node: String,
    /// Own metrics.
    pub metrics: FlowMetrics,
    /// Where lines are written.
    pub journal: Option<Journal>,
    /// Streams.
    pub live: Live,
    /// Kubernetes Events.
    pub events: Option<PodEvents>,
    /// What passed lately.
    pub lately: Lately,
}

// === impl Teller ===

impl Teller {
    pub(super) fn names(&self) -> &dyn Names {
        &*self.names
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Tells a window, and how much the kernel did not tell of meanwhile.
    pub(super) fn tell(&mut self, window: Window, untold: u64) {
        let mut missed = window.missed;
        for (flow, pod) in window.flows {
            self.metrics.told(&flow);
            if let Some(events) = &self.events {
                events.tell(&flow, &pod);
            }
            self.lately.add(&flow);
            // What an agent does not write is no flow: a name that no object of Kubernetes has.
            let Ok(line) = flow.line() else {
                missed = missed.saturating_add(flow.count);
                continue;
            };
            self.write(&line);
            self.live.tell(Told { flow, line });
        }
        self.metrics.missed("budget", missed);
        self.metrics.missed("kernel", untold);
        let missed = missed.saturating_add(untold);
        if missed > 0 {
            self.write(&Line::missed(missed));
            self.live.missed(missed);
        }
        if let Some(Err(error)) = self.journal.as_mut().map(Journal::flush) {
            self.give_up(&error);
        }
    }

    fn write(&mut self, line: &str) {
        if let Some(Err(error)) = self.journal.as_mut().map(|journal| journal.write(line)) {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        tracing::error!(error = error as &dyn std::error::Error, "flows cannot be written, and are not any more");
        self.journal = None;
    }
}
