//! The report of `stockade net connectivity`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;
use stockade_netpol::connectivity::{Change, Connectivity, Edge, Party};
use stockade_netpol::ports::Connections;

use super::counted;
use crate::Report;
use crate::table::{BAD, FAINT, GOOD, shown, word};

mod rows;

/// Most workloads that a table names for being reached by nobody.
const MAX_UNREACHED: usize = 20;

/// Most ranges of addresses that a table shows of one party.
const MAX_RANGES: usize = 4;

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
    pub family: Option<String>,
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
    pub family: Option<String>,
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
            family: edge.family.map(|family| family.to_string()),
            ports: Connections::clone(&edge.connections),
        };
        let connections = connectivity.edges.iter().map(view).collect();
        Self { peers, connections, connectivity, policies }
    }

    /// Workloads that nobody else reaches.
    fn unreached(&self) -> Vec<&str> {
        let parties = &self.connectivity.parties;
        let reached: BTreeSet<usize> =
            self.connectivity.edges.iter().filter(|edge| edge.from != edge.to).map(|edge| edge.to).collect();
        let unreached = (0..parties.len()).filter(|at| !parties[*at].is_outside() && !reached.contains(at));
        unreached.map(|at| self.peers[at].as_str()).collect()
    }
}

impl Report for ConnectivityReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = rows::of(&self.connectivity, &self.peers);
        let width = |at: usize, head: &str| rows.iter().map(|row| row[at].chars().count()).chain([head.len()]).max();
        let (from, to) = (width(0, "FROM").unwrap_or(0), width(1, "TO").unwrap_or(0));
        if !rows.is_empty() {
            writeln!(out, "{FAINT}{:from$}  {:to$}  PORTS{FAINT:#}", "FROM", "TO")?;
        }
        for [sender, receiver, what] in &rows {
            writeln!(out, "{sender:from$}  {receiver:to$}  {what}")?;
        }
        if !rows.is_empty() {
            writeln!(out)?;
        }
        for (at, name) in self.unreached().into_iter().enumerate() {
            if at == MAX_UNREACHED {
                writeln!(out, "and so on: more than {MAX_UNREACHED} that nobody reaches")?;
                break;
            }
            writeln!(out, "nobody reaches {}", shown(name))?;
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

/// A party for a table: a list of many addresses is cut.
fn brief(party: &str) -> String {
    let parts: Vec<&str> = party.split(", ").collect();
    match parts.len() {
        ..=MAX_RANGES => shown(party),
        all => format!("{} and {} more", shown(&parts[..MAX_RANGES].join(", ")), all - MAX_RANGES),
    }
}

// === impl DiffReport ===

impl DiffReport {
    /// Of some changes.
    pub fn new(changes: &[Change]) -> Self {
        let view = |change: &Change| ChangeView {
            from: change.from.to_string(),
            to: change.to.to_string(),
            family: change.family.map(|family| family.to_string()),
            before: change.before.clone(),
            after: change.after.clone(),
        };
        Self { changes: changes.iter().map(view).collect() }
    }
}

impl Report for DiffReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for change in &self.changes {
            let family = change.family.as_ref().map(|f| format!(" by {f}")).unwrap_or_default();
            let (gained, lost) = (change.after.without(&change.before), change.before.without(&change.after));
            for (style, sign, what) in [(BAD, "-", lost), (GOOD, "+", gained)] {
                if !what.is_empty() {
                    word(out, style, sign, 2)?;
                    writeln!(out, "{} -> {}  {what}{family}", brief(&change.from), brief(&change.to))?;
                }
            }
        }
        if !self.changes.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "{} changed", counted(self.changes.len(), "pair", "pairs"))
    }
}
