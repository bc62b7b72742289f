//! FlowSummary: what passed on this node within the last hour, for whoever judges policies.
//!
//! Flows of each window are put together in memory. At most once a minute what there is is written, as one object of the
//! node, and only when it says something else: another kind of talk, or ten times as many. A restarted agent goes on from
//! what it wrote.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use stockade_netpol::flows::{Flow, Outcome, Sums};
use stockade_node::flow_summary::{
    FlowSummary, FlowSummarySpec, MAX_SUMMARY_TALKS, MAX_SUMMARY_WOULD_DENY, MEMORY, TELL, Talk,
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Most kinds of talks that are remembered, so that what is written is chosen from what there is.
const MAX_REMEMBERED: usize = 4_096;
/// Shortest time between two writes: a thousand nodes then write at most 17 a second.
const PERIOD: Duration = Duration::from_secs(60);
/// Who writes, as `managedFields` tell.
const FIELD_MANAGER: &str = "stockade-agent";

/// What was seen lately. Clones share it.
#[derive(Debug, Clone)]
pub struct Lately(Arc<Mutex<Sums>>);

/// Writes it.
struct Writer {
    api: Api<FlowSummary>,
    nodes: Api<Node>,
    node: String,
    lately: Lately,
    /// The node's object; none before it was asked for.
    owner: Option<Option<OwnerReference>>,
    told: Option<(Instant, FlowSummarySpec)>,
}

// === impl Lately ===

impl Default for Lately {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Sums::new(MAX_REMEMBERED))))
    }
}

impl Lately {
    pub(super) fn add(&self, flow: &Flow) {
        self.lock().add(flow);
    }

    /// Writes what there is for ever, until it is asked to stop.
    pub async fn tell(self, client: Client, node: String, stop: CancellationToken) {
        let (api, nodes) = (Api::all(client.clone()), Api::all(client));
        let writer = Writer { api, nodes, node, lately: self, owner: None, told: None };
        stop.run_until_cancelled_owned(writer.write_for_ever()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written.
    fn summary(&self, now: Timestamp) -> FlowSummarySpec {
        let mut sums = self.lock();
        sums.forget_before(now - SignedDuration::try_from(MEMORY).unwrap_or_default());
        let (mut would_deny, mut allowed): (Vec<Flow>, Vec<Flow>) =
            sums.flows().partition(|flow| flow.verdict == Outcome::WouldDeny);
        let most_seen = |flows: &mut Vec<Flow>, max: usize| {
            flows.sort_by_key(|flow| std::cmp::Reverse(flow.count));
            flows.truncate(max);
        };
        most_seen(&mut would_deny, MAX_SUMMARY_WOULD_DENY);
        most_seen(&mut allowed, MAX_SUMMARY_TALKS - would_deny.len());
        let talks: Vec<Talk> = would_deny.iter().chain(&allowed).filter_map(talk).collect();
        let left_out = (sums.len() - talks.len()) as u64 + sums.let_go();
        FlowSummarySpec { observed_time: Time(now), left_out, talks }
    }

    /// Goes on from what was written before.
    fn adopt(&self, spec: &FlowSummarySpec) {
        let mut sums = self.lock();
        let flows = spec.talks.iter().filter_map(|talk| serde_json::to_string(talk).ok());
        flows.filter_map(|line| Flow::parse(&line).ok()).for_each(|flow| sums.add(&flow));
    }
}

// === impl Writer ===

impl Writer {
    async fn write_for_ever(mut self) {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if let Err(error) = self.write().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what passes on this node could not be told");
            }
        }
    }

    async fn write(&mut self) -> kube::Result<()> {
        if self.owner.is_none() {
            // With the node its summary goes.
            let node = self.nodes.get_opt(&self.node).await?;
            if let Some(before) = self.api.get_opt(&self.node).await? {
                self.lately.adopt(&before.spec);
            }
            let owner = node.and_then(|node| Some((node.metadata.uid?, node.metadata.name?)));
            self.owner = Some(owner.map(|(uid, name)| OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name,
                uid,
                ..OwnerReference::default()
            }));
        }
        let now = self.lately.summary(Timestamp::now());
        let is_old = |(at, told): &(Instant, FlowSummarySpec)| at.elapsed() >= TELL || differs(told, &now);
        if self.told.as_ref().is_none_or(is_old) {
            let mut object = FlowSummary::new(&self.node, now.clone());
            object.metadata.owner_references = self.owner.clone().flatten().map(|owner| vec![owner]);
            let params = PatchParams::apply(FIELD_MANAGER).force();
            self.api.patch(&self.node, &params, &Patch::Apply(&object)).await?;
            self.told = Some((Instant::now(), now));
        }
        Ok(())
    }
}

/// None for what no agent writes: a name that no object of Kubernetes has.
fn talk(flow: &Flow) -> Option<Talk> {
    serde_json::from_str(&flow.line().ok()?).ok()
}

/// Whether they differ in more than when, and in how often by less than ten times.
fn differs(a: &FlowSummarySpec, b: &FlowSummarySpec) -> bool {
    let told = |spec: &FlowSummarySpec| -> BTreeMap<String, Option<u32>> {
        let nothing = || Time(Timestamp::UNIX_EPOCH);
        let alike = |talk: &Talk| {
            let alike = Talk { first: nothing(), last: nothing(), count: 0, ..talk.clone() };
            Some((serde_json::to_string(&alike).ok()?, talk.count.checked_ilog10()))
        };
        spec.talks.iter().filter_map(alike).collect()
    };
    told(a) != told(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::talks::tests::told;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn flow(port: u16, verdict: Outcome, count: u64) -> Flow {
        Flow { port: Some(port), verdict, count, first: at(0), last: at(0), ..told(1).flow }
    }

    #[test]
    fn a_summary_is_what_would_be_denied_and_what_was_seen_most_and_is_gone_on_with() {
        let lately = Lately::default();
        (1..=150).for_each(|port| lately.add(&flow(port, Outcome::WouldDeny, port.into())));
        (1..=300).for_each(|port| lately.add(&flow(port, Outcome::Allowed, port.into())));
        let summary = lately.summary(at(10));
        let ports = |verdict: &str| {
            let talks = summary.talks.iter().filter(|talk| talk.verdict == verdict);
            talks.filter_map(|talk| talk.port).collect::<Vec<u16>>()
        };
        assert_eq!(ports("would-deny"), (51..=150).rev().collect::<Vec<_>>());
        assert_eq!(ports("allowed"), (201..=300).rev().collect::<Vec<_>>());
        assert_eq!(summary.left_out, 250);
        let again = Lately::default();
        again.adopt(&summary);
        assert_eq!(again.summary(at(10)), FlowSummarySpec { left_out: 0, ..summary });
        // An hour later nothing of it is of interest.
        assert!(lately.summary(at(3_601)).talks.is_empty());
    }

    #[test]
    fn a_summary_is_news_when_somebody_else_talks_or_ten_times_as_often() {
        let summary = |count, seconds| {
            let lately = Lately::default();
            lately.add(&Flow { last: at(seconds), ..flow(80, Outcome::Allowed, count) });
            lately.summary(at(seconds))
        };
        assert!(!differs(&summary(100, 0), &summary(999, 7)));
        assert!(differs(&summary(100, 0), &summary(1_000, 0)));
        assert!(differs(&summary(100, 0), &Lately::default().summary(at(0))));
    }
}
