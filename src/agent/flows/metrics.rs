//! What is counted of flows.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use stockade_netpol::flows::Flow;

/// Counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct FlowMetrics {
    flows: Family<Kind, Counter>,
    missed: Family<Reason, Counter>,
    events: Family<Result, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    verdict: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

// === impl FlowMetrics ===

impl FlowMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { flows, missed, events } = metrics.clone();
        registry.register("stockade_agent_flows", "Connections that began, and packets that were dropped", flows);
        registry.register("stockade_agent_flows_missed", "Those that no flow tells of", missed);
        registry.register(
            "stockade_agent_flow_events",
            "Kubernetes Events about what was, or would be, denied to Pods",
            events,
        );
        metrics
    }

    pub(super) fn told(&self, flow: &Flow) {
        let kind = Kind { verdict: flow.verdict.name(), direction: flow.direction.rules() };
        self.flows.get_or_create(&kind).inc_by(flow.count);
    }

    pub(super) fn missed(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.missed.get_or_create(&Reason { reason }).inc_by(count);
        }
    }

    pub(super) fn event(&self, result: &'static str) {
        self.events.get_or_create(&Result { result }).inc();
    }
}
