//! The rows of the table: as few words as say the same.

use std::collections::{BTreeMap, BTreeSet};

use stockade_netpol::connectivity::{Connectivity, Edge};

/// Who, with whom, what.
pub(super) type Row = [String; 3];

/// Receivers of one sender by what they let in.
type Answers = BTreeMap<String, BTreeSet<usize>>;

/// Parties, and one more: all that is outside.
struct Names<'a> {
    connectivity: &'a Connectivity,
    peers: &'a [String],
}

/// Rows in order of the parties. Parties with the same answer are one row.
pub(super) fn of(connectivity: &Connectivity, peers: &[String]) -> Vec<Row> {
    let names = Names { connectivity, peers };
    let mut by_sender: BTreeMap<usize, Answers> = BTreeMap::new();
    for ((from, what), receivers) in names.edges() {
        by_sender.entry(from).or_default().insert(what, receivers);
    }
    let mut alike: BTreeMap<Vec<(String, Vec<String>)>, BTreeSet<usize>> = BTreeMap::new();
    for (from, answers) in by_sender {
        let named = answers.into_iter().map(|(what, to)| (what, names.receivers(from, &to))).collect();
        alike.entry(named).or_default().insert(from);
    }
    let mut groups: Vec<_> = alike.into_iter().map(|(answers, from)| (from, answers)).collect();
    groups.sort();
    let mut rows = Vec::new();
    for (from, answers) in groups {
        let mut told: Vec<(&String, &String)> =
            answers.iter().flat_map(|(what, receivers)| receivers.iter().map(move |to| (to, what))).collect();
        told.sort();
        for sender in names.senders(&from) {
            rows.extend(told.iter().map(|(to, what)| [sender.clone(), (*to).clone(), (*what).clone()]));
        }
    }
    rows
}

// === impl Names ===

impl Names<'_> {
    /// The number of all that is outside.
    fn everything_outside(&self) -> usize {
        self.peers.len()
    }

    fn is_outside(&self, at: usize) -> bool {
        at == self.everything_outside() || self.connectivity.parties[at].is_outside()
    }

    /// Receivers by sender and what is allowed. Where it is the same for all that is outside, that is one.
    fn edges(&self) -> BTreeMap<(usize, String), BTreeSet<usize>> {
        let mut senders: BTreeMap<(usize, String), BTreeSet<usize>> = BTreeMap::new();
        // That Pods of one workload reach each other is told only where it is on some ports.
        let told = |edge: &&Edge| edge.from != edge.to || !edge.connections.is_all();
        for edge in self.connectivity.edges.iter().filter(told) {
            let family = edge.family.map(|f| format!(" by {}", f)).unwrap_or_default();
            senders.entry((edge.to, format!("{}{family}", edge.connections))).or_default().insert(edge.from);
        }
        let mut receivers: BTreeMap<(usize, String), BTreeSet<usize>> = BTreeMap::new();
        for ((to, what), from) in senders {
            for from in self.with_outside_as_one(from) {
                receivers.entry((from, what.clone())).or_default().insert(to);
            }
        }
        receivers.into_iter().map(|(key, to)| (key, self.with_outside_as_one(to))).collect()
    }

    fn with_outside_as_one(&self, mut parties: BTreeSet<usize>) -> BTreeSet<usize> {
        let outside: Vec<usize> = (0..self.peers.len()).filter(|at| self.is_outside(*at)).collect();
        if !outside.is_empty() && outside.iter().all(|at| parties.contains(at)) {
            parties.retain(|at| !self.is_outside(*at));
            parties.insert(self.everything_outside());
        }
        parties
    }

    fn receivers(&self, from: usize, to: &BTreeSet<usize>) -> Vec<String> {
        let all = || (0..self.peers.len()).filter(|at| *at != from && !self.is_outside(*at));
        let every_pod = all().nth(1).is_some() && all().all(|at| to.contains(&at));
        let outside = self.is_outside(from) || to.contains(&self.everything_outside());
        if every_pod && outside {
            return vec![if self.is_outside(from) { "every Pod" } else { "everybody" }.to_owned()];
        }
        let others = to.iter().filter(|at| !every_pod || self.is_outside(**at)).map(|at| self.name(*at));
        every_pod.then(|| "every Pod".to_owned()).into_iter().chain(others).collect()
    }

    fn senders(&self, from: &BTreeSet<usize>) -> Vec<String> {
        let workloads = || (0..self.peers.len()).filter(|at| !self.is_outside(*at));
        let every_pod = workloads().nth(1).is_some() && workloads().all(|at| from.contains(&at));
        let others = from.iter().filter(|at| !every_pod || self.is_outside(**at)).map(|at| self.name(*at));
        every_pod.then(|| "every Pod".to_owned()).into_iter().chain(others).collect()
    }

    fn name(&self, at: usize) -> String {
        self.peers.get(at).map_or_else(|| "outside".to_owned(), |name| super::brief(name))
    }
}
