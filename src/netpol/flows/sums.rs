//! Flows of some time, each kind of them once: who passes to whom, whichever Pods of a kind it was.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{End, Flow, FlowProtocol, FlowRule, Outcome, Seen};
use crate::policy::Direction;

/// Flows by what is alike in them. What was dropped, or is never judged, is not among them.
#[derive(Debug, Clone)]
pub struct Sums {
    flows: BTreeMap<Alike, Seen>,
    max: usize,
    let_go: u64,
}

/// All but when, how often, and by which Pods of those that no policy can tell apart. What would be denied comes before
/// what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    passes: Reverse<bool>,
    direction: Direction,
    from: End,
    to: End,
    protocol: FlowProtocol,
    port: Option<u16>,
    rule: Option<FlowRule>,
}

// === impl Sums ===

impl Sums {
    /// Of at most so many kinds. When there are more, those that were not seen for longest are let go of.
    pub fn new(max: usize) -> Self {
        Self { flows: BTreeMap::new(), max, let_go: 0 }
    }

    /// Adds a flow that passed.
    pub fn add(&mut self, flow: &Flow) {
        let is_own_node = |end: &End| matches!(end, End::OwnNode);
        if !flow.verdict.passes() || is_own_node(&flow.from) || is_own_node(&flow.to) {
            return;
        }
        let alike = Alike {
            passes: Reverse(flow.verdict == Outcome::WouldDeny),
            direction: flow.direction,
            from: kind_of(&flow.from),
            to: kind_of(&flow.to),
            protocol: flow.protocol,
            port: flow.port,
            // Of what passes it does not matter why.
            rule: flow.rule.clone().filter(|_| flow.verdict == Outcome::WouldDeny),
        };
        let seen = Seen { first: flow.first, last: flow.last, count: flow.count };
        if let Some(before) = self.flows.get_mut(&alike) {
            *before = before.and(seen);
            return;
        }
        if self.flows.len() >= self.max {
            self.make_room();
        }
        self.flows.insert(alike, seen);
    }

    /// Forgets what was not seen since.
    pub fn forget_before(&mut self, time: Timestamp) {
        self.flows.retain(|_, seen| seen.last >= time);
    }

    /// How many kinds were let go of for want of room.
    pub fn let_go(&self) -> u64 {
        self.let_go
    }

    /// How many kinds there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Each kind as a flow without Pods, addresses of Pods, bytes and node: what would be denied first, always in the same
    /// order.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.flows.iter().map(|(alike, seen)| Flow {
            first: seen.first,
            last: seen.last,
            count: seen.count,
            bytes: None,
            direction: alike.direction,
            verdict: if alike.passes.0 { Outcome::WouldDeny } else { Outcome::Allowed },
            protocol: alike.protocol,
            port: alike.port,
            from: alike.from.clone(),
            to: alike.to.clone(),
            rule: alike.rule.clone(),
            node: String::new(),
        })
    }

    /// Half at once, so that a flood of kinds does not look through all of them for each.
    fn make_room(&mut self) {
        let mut times: Vec<Timestamp> = self.flows.values().map(|seen| seen.last).collect();
        times.sort_unstable();
        let Some(middle) = times.get(times.len() / 2).copied() else { return };
        let before = self.flows.len();
        let mut excess = before / 2 + 1;
        self.flows.retain(|_, seen| {
            let stays = excess == 0 || seen.last > middle;
            excess -= usize::from(!stays);
            stays
        });
        self.let_go += (before - self.flows.len()) as u64;
    }
}

fn kind_of(end: &End) -> End {
    match end {
        End::Pods { namespace, labels, .. } => {
            End::Pods { namespace: namespace.clone(), pod: None, labels: labels.clone(), address: None }
        }
        End::OwnNode | End::Address(_) => end.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16, verdict: Outcome, last: &str) -> Flow {
        let flow = Flow::parse(super::super::tests::LINE).unwrap();
        let last = last.parse().unwrap();
        Flow { port: Some(port), verdict, first: flow.first.min(last), last, count: 2, ..flow }
    }

    #[test]
    fn flows_of_pods_that_no_policy_tells_apart_are_one_and_what_would_be_denied_comes_first() {
        let mut sums = Sums::new(10);
        let early = flow(80, Outcome::Allowed, "2026-03-01T11:00:00Z");
        let late = flow(80, Outcome::Allowed, "2026-03-01T12:00:00Z");
        [&early, &late].into_iter().for_each(|flow| sums.add(flow));
        sums.add(&flow(443, Outcome::WouldDeny, "2026-03-01T11:00:00Z"));
        sums.add(&flow(22, Outcome::Denied, "2026-03-01T11:00:00Z"));
        sums.add(&Flow { to: End::OwnNode, ..flow(10_250, Outcome::Allowed, "2026-03-01T11:00:00Z") });
        let told: Vec<_> = sums.flows().map(|flow| (flow.verdict, flow.port, flow.count, flow.last)).collect();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let expected = [
            (Outcome::WouldDeny, Some(443), 2, at("2026-03-01T11:00:00Z")),
            (Outcome::Allowed, Some(80), 4, at("2026-03-01T12:00:00Z")),
        ];
        assert_eq!(told, expected);
        assert!(sums.flows().all(|flow| matches!(flow.near(), End::Pods { pod: None, address: None, .. })));
        // What they say is what a line may say.
        assert!(sums.flows().all(|flow| flow.line().is_ok()));
        sums.forget_before(at("2026-03-01T11:30:00Z"));
        assert_eq!(sums.len(), 1);
    }

    #[test]
    fn what_was_not_seen_for_longest_is_let_go_of_when_there_is_no_room() {
        let mut sums = Sums::new(10);
        (0..10).for_each(|port| sums.add(&flow(port + 1, Outcome::Allowed, &format!("2026-03-01T11:00:{port:02}Z"))));
        sums.add(&flow(80, Outcome::Allowed, "2026-03-01T10:00:00Z"));
        let ports: Vec<_> = sums.flows().filter_map(|flow| flow.port).collect();
        assert_eq!((ports, sums.let_go()), (vec![7, 8, 9, 10, 80], 6));
        // Also when all are of one time.
        let mut sums = Sums::new(4);
        (0..100).for_each(|port| sums.add(&flow(port + 1, Outcome::Allowed, "2026-03-01T11:00:00Z")));
        assert!(sums.len() <= 4 && sums.len() as u64 + sums.let_go() == 100);
    }
}
