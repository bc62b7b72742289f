//! The report of `stockade net connectivity`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::addresses::Family;
use stockade_netpol::connectivity::{Change, Connectivity, Edge, Party};
use stockade_netpol::ports::Connections;

use crate::Report;
use crate::table::{BAD, FAINT, GOOD, shown, word};

/// Who reaches whom.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectivityReport {
    /// Everybody, whether anybody reaches them or not.
    pub peers: Vec<String>,
    /// Pairs between which something is allowed.
    pub connections: Vec<ConnectionView>,
    #[serde(skip)]
    connectivity: Connectivity,
    #[serde(skip)]
    policies: usize,
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// Who begins the connection: `shop/web[Deployment]`, `outside`, `outside 10.0.0.0/8`.
    pub from: String,
    /// With whom; the same as `from` for the Pods of one workload among themselves.
    pub to: String,
    /// `IPv4` or `IPv6`, where it is allowed by that family alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// `{"TCP": "80,443"}`, `all` for every port.
    pub ports: Connections,
}

/// What changes between two states.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// Pairs between which something else is allowed.
    pub changes: Vec<ChangeView>,
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeView {
    /// As in [`ConnectionView`].
    pub from: String,
    /// As in [`ConnectionView`].
    pub to: String,
    /// As in [`ConnectionView`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// What was allowed.
    pub before: Connections,
    /// What is allowed.
    pub after: Connections,
}

// === impl ConnectivityReport ===

impl ConnectivityReport {
    /// Of so many policies.
    pub fn new(connectivity: Connectivity, policies: usize) -> Self {
        let peers: Vec<String> = connectivity.parties.iter().map(Party::to_string).collect();
        let view = |edge: &Edge| ConnectionView {
            from: peers[edge.from].clone(),
            to: peers[edge.to].clone(),
            family: edge.family.map(family_name),
            ports: Connections::clone(&edge.connections),
        };
        let connections = connectivity.edges.iter().map(view).collect();
        Self { peers, connections, connectivity, policies }
    }

    /// Rows for people: peers with the same answer are one row.
    fn rows(&self) -> Vec<[String; 3]> {
        let mut by_sender: BTreeMap<usize, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        for edge in &self.connectivity.edges {
            let family = edge.family.map(|f| format!(" by {}", family_name(f))).unwrap_or_default();
            let what = format!("{}{family}", edge.connections);
            by_sender.entry(edge.from).or_default().entry(what).or_default().push(edge.to);
        }
        // Senders with the same answers are one row too.
        let mut alike: BTreeMap<Vec<(Vec<String>, String)>, Vec<usize>> = BTreeMap::new();
        for (from, answers) in by_sender {
            let answers = answers.into_iter().map(|(what, to)| (self.named(&to, from), what)).collect();
            alike.entry(answers).or_default().push(from);
        }
        let mut groups: Vec<_> = alike.into_iter().map(|(answers, from)| (from, answers)).collect();
        groups.sort();
        let mut rows = Vec::new();
        for (from, answers) in groups {
            for sender in self.senders(&from) {
                for (to, what) in &answers {
                    rows.extend(to.iter().map(|to| [sender.clone(), to.clone(), what.clone()]));
                }
            }
        }
        rows
    }

    /// Receivers, as few words as say the same.
    fn named(&self, to: &[usize], from: usize) -> Vec<String> {
        let parties = &self.connectivity.parties;
        let outside = parties[from].is_outside();
        // Nobody asks whether a single Pod reaches itself, or who outside reaches whom there.
        let counts = |at: &usize| *at != from && !(outside && parties[*at].is_outside());
        let all = (0..parties.len()).filter(counts);
        let (beyond, within): (Vec<usize>, Vec<usize>) = all.partition(|at| parties[*at].is_outside());
        let has = |wanted: &[usize]| wanted.iter().all(|at| to.contains(at));
        let others = |done: &[usize]| {
            to.iter().filter(|at| !done.contains(at)).map(|at| self.peers[*at].clone()).collect::<Vec<_>>()
        };
        match (within.len() > 1 && has(&within), !beyond.is_empty() && has(&beyond)) {
            (true, true) => vec!["everybody".to_owned()],
            (true, false) if outside => vec!["every Pod".to_owned()],
            (true, false) => [vec!["every Pod".to_owned()], others(&[within, vec![from]].concat())].concat(),
            (false, true) => [others(&beyond), vec!["outside".to_owned()]].concat(),
            (false, false) => others(&[]),
        }
    }

    fn senders(&self, from: &[usize]) -> Vec<String> {
        let parties = &self.connectivity.parties;
        if from.len() > 1 && from.len() == parties.len() {
            return vec!["everybody".to_owned()];
        }
        let workloads = parties.iter().filter(|p| !p.is_outside()).count();
        if workloads > 1 && from.len() == workloads && from.iter().all(|at| !parties[*at].is_outside()) {
            return vec!["every Pod".to_owned()];
        }
        from.iter().map(|at| self.peers[*at].clone()).collect()
    }
}

impl Report for ConnectivityReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows();
        let width = |at: usize, head: &str| rows.iter().map(|row| row[at].chars().count()).chain([head.len()]).max();
        let (from, to) = (width(0, "FROM").unwrap_or(0), width(1, "TO").unwrap_or(0));
        if !rows.is_empty() {
            writeln!(out, "{FAINT}{:from$}  {:to$}  PORTS{FAINT:#}", "FROM", "TO")?;
        }
        for [sender, receiver, what] in &rows {
            writeln!(out, "{:from$}  {:to$}  {what}", shown(sender), shown(receiver))?;
        }
        if !rows.is_empty() {
            writeln!(out)?;
        }
        let workloads: Vec<usize> =
            (0..self.peers.len()).filter(|at| !self.connectivity.parties[*at].is_outside()).collect();
        let pairs = self
            .connectivity
            .edges
            .iter()
            .filter(|e| e.from != e.to && [e.from, e.to].iter().all(|at| workloads.contains(at)));
        let (pairs, possible) = (pairs.count(), workloads.len() * workloads.len().saturating_sub(1));
        writeln!(
            out,
            "{}, {}: {pairs} of {possible} pairs may connect",
            counted(workloads.len(), "workload", "workloads"),
            counted(self.policies, "policy", "policies"),
        )
    }
}

// === impl DiffReport ===

impl DiffReport {
    /// Of some changes.
    pub fn new(changes: &[Change]) -> Self {
        let view = |change: &Change| ChangeView {
            from: change.from.to_string(),
            to: change.to.to_string(),
            family: change.family.map(family_name),
            before: change.before.clone(),
            after: change.after.clone(),
        };
        Self { changes: changes.iter().map(view).collect() }
    }
}

impl Report for DiffReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for change in &self.changes {
            let family = change.family.map(|f| format!(" by {f}")).unwrap_or_default();
            let (gained, lost) = (change.after.without(&change.before), change.before.without(&change.after));
            for (style, sign, what) in [(BAD, "-", lost), (GOOD, "+", gained)] {
                if !what.is_empty() {
                    word(out, style, sign, 2)?;
                    writeln!(out, "{} -> {}  {what}{family}", shown(&change.from), shown(&change.to))?;
                }
            }
        }
        if !self.changes.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "{} changed", counted(self.changes.len(), "pair", "pairs"))
    }
}

pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
