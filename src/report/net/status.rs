//! The report of `stockade net status`.

use std::io::{self, Write};

use serde::Serialize;

use super::counted;
use crate::Report;
use crate::table::{BAD, DOUBTFUL, FAINT, GOOD, shown};

/// Where network policies are in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// Nodes with an agent.
    pub nodes: Vec<Node>,
    /// Policies that there are, and those that nodes tell of.
    pub policies: Vec<Policy>,
    /// Policies in force that nodes had no room to name.
    pub unnamed: u64,
}

/// A node with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether its kernel is proved to hold what policies ask for.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether Pods are held until their policies are in the kernel; none when it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gated: Option<bool>,
    /// Pods whose traffic is judged.
    pub endpoints: u32,
    /// `tcx` or `clsact`.
    pub attach: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of the agent.
    pub agent: String,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// `NetworkPolicy` or `ClusterNetworkPolicy`.
    pub kind: String,
    /// Empty for a ClusterNetworkPolicy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// None when nodes tell of it but it is not there any more.
    pub generation: Option<i64>,
    /// Nodes with Pods that it selects, where it is in force.
    pub in_force: usize,
    /// Such nodes where that is not proved.
    pub behind: usize,
    /// The first of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
}

/// Why a policy is not in force on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The node.
    pub node: String,
    /// Why.
    pub message: String,
}

impl Policy {
    fn shown(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        shown(&format!("{} {}{slash}{}", self.kind, self.namespace, self.name))
    }

    fn table(&self, width: usize, out: &mut dyn Write) -> io::Result<()> {
        let (name, nodes) = (self.shown(), self.in_force + self.behind);
        match (self.in_force, self.behind) {
            (0, 0) => writeln!(out, "{name:width$}  {FAINT}selects no Pod of these nodes{FAINT:#}")?,
            (_, 0) => writeln!(out, "{name:width$}  {GOOD}on {}{GOOD:#}", counted(nodes, "node", "nodes"))?,
            (in_force, _) => writeln!(out, "{name:width$}  {BAD}on {in_force} of {nodes} nodes{BAD:#}")?,
        }
        for Why { node, message } in &self.why {
            writeln!(out, "  {}: {}", shown(node), shown(message))?;
        }
        match self.behind.saturating_sub(self.why.len()) {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more"),
        }
    }
}

impl Report for StatusReport {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.policies.iter().map(|p| p.shown().chars().count()).max().unwrap_or(0).max("POLICY".len());
        if !self.policies.is_empty() {
            writeln!(out, "{FAINT}{:width$}  IN FORCE{FAINT:#}", "POLICY")?;
        }
        self.policies.iter().try_for_each(|policy| policy.table(width, out))?;
        if self.unnamed > 0 {
            writeln!(out, "{} more in force, which nodes had no room to name", self.unnamed)?;
        }
        for Node { name, message, gated, .. } in &self.nodes {
            let name = shown(name);
            match message {
                Some(message) => writeln!(out, "node {name} {BAD}not ready{BAD:#}: {}", shown(message))?,
                None if *gated == Some(false) => writeln!(
                    out,
                    "node {name} {DOUBTFUL}not gated{DOUBTFUL:#}: Pods may start before their policies are in the kernel"
                )?,
                None => {}
            }
        }
        let ready = self.nodes.iter().filter(|node| node.ready).count();
        writeln!(out, "{ready} of {} enforce network policies", counted(self.nodes.len(), "node", "nodes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_where_each_policy_is_in_force_and_why_not_elsewhere() {
        let policy = |namespace: &str, name: &str, in_force, behind, why: &[(&str, &str)]| Policy {
            kind: if namespace.is_empty() { "ClusterNetworkPolicy" } else { "NetworkPolicy" }.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            generation: Some(1),
            in_force,
            behind,
            why: why.iter().map(|(n, m)| Why { node: (*n).to_owned(), message: (*m).to_owned() }).collect(),
        };
        let node = |name: &str, message: Option<&str>, gated| Node {
            name: name.to_owned(),
            ready: message.is_none(),
            message: message.map(str::to_owned),
            gated: Some(gated),
            endpoints: 3,
            attach: "tcx".to_owned(),
            kernel: "6.12".to_owned(),
            agent: "0.1.0".to_owned(),
        };
        let report = StatusReport {
            nodes: vec![
                node("one", None, true),
                node("two", Some("KernelRefused: no tcx"), true),
                node("three", None, false),
            ],
            policies: vec![
                policy("", "baseline", 3, 0, &[]),
                policy("web", "db", 1, 3, &[("two", "the node is not ready"), ("three", "generation 1 of 2\u{1b}[2J")]),
                policy("web", "nobody", 0, 0, &[]),
            ],
            unnamed: 2,
        };
        let mut out = Vec::new();
        report.table(&mut out).unwrap();
        let plain = anstyle_free(&String::from_utf8(out).unwrap());
        insta::assert_snapshot!(plain, @r"
        POLICY                         IN FORCE
        ClusterNetworkPolicy baseline  on 3 nodes
        NetworkPolicy web/db           on 1 of 4 nodes
          two: the node is not ready
          three: generation 1 of 2\u{1b}[2J
          and 1 more
        NetworkPolicy web/nobody       selects no Pod of these nodes
        2 more in force, which nodes had no room to name
        node two not ready: KernelRefused: no tcx
        node three not gated: Pods may start before their policies are in the kernel
        2 of 3 nodes enforce network policies
        ");
    }

    /// Without the colours that are ours.
    fn anstyle_free(text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain + rest
    }
}
