//! Packets as the datapath counted them, for whoever asks for metrics: exact, also where a storm is told as one flow.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use stockade_netpol::policy::Direction;

use crate::kernel::{Kernel, Outcome};

/// Reads the kernel's counters when metrics are asked for. They go on where an agent before this one ended.
#[derive(Debug)]
pub struct Packets(pub Arc<Kernel>);

impl Collector for Packets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // None are told rather than wrong ones.
        let Ok(counters) = self.0.counters() else { return Ok(()) };
        let help = "Packets to Pods (ingress) and from them (egress), and what became of them";
        let mut metric = encoder.encode_descriptor("stockade_agent_packets", help, None, MetricType::Counter)?;
        for direction in Direction::ALL {
            for outcome in Outcome::ALL {
                let labels = [("direction", direction.rules()), ("outcome", outcome.name())];
                ConstCounter::new(counters.of(direction, outcome)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
