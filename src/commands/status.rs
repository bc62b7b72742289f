//! `stockade status`: whether somebody judges what enters a cluster, where network policies are in force, and what is
//! waived.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::overview::{Overview, Waiver};
use stockade_cluster::policies::Observed;
use stockade_report::Report;

use crate::cli::StatusArgs;
use crate::exit::Exit;

/// What is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    well: bool,
    replicas: Vec<Shown>,
    validating_webhooks: Option<usize>,
    mutating_webhooks: Option<usize>,
    /// Nodes with an agent; none when they cannot be listed.
    nodes: Option<Vec<Node>>,
    /// None when they cannot be listed.
    exceptions: Option<Vec<Waived>>,
}

/// A node with an agent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    /// Why its kernel is not proved to hold what network policies ask for.
    not_ready: Option<String>,
}

/// A PolicyException.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waived {
    /// `namespace/name`
    name: String,
    /// None while nobody has said.
    in_use: Option<bool>,
    expires: String,
    expired: bool,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    ready: bool,
    /// Newest `resourceVersion` of each kind of policies that it has put in force.
    observed: Observed,
}

/// Looks, and shows what it saw.
///
/// # Errors
/// No access to the API server.
pub(crate) fn run(args: &StatusArgs) -> Result<Exit> {
    let options = Options { kubeconfig: args.kubeconfig.clone(), namespace: args.namespace.clone(), identity: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let overview = runtime.block_on(async {
        let access = Access::new(&options).await.context("access to the API server")?;
        Overview::take(&access, Duration::from_secs(args.wait.into())).await.context("the webhook configurations")
    })?;
    let well = overview.is_well();
    super::print(&Status::from(overview), args.output)?;
    Ok(if well { Exit::Clean } else { Exit::Findings })
}

impl From<Overview> for Status {
    fn from(overview: Overview) -> Self {
        let well = overview.is_well();
        let Overview { replicas, validating, mutating, nodes, exceptions } = overview;
        let now = Timestamp::now();
        let waived = |w: Waiver| Waived {
            name: w.name,
            in_use: w.in_use,
            expires: w.expires.to_string(),
            expired: w.expires <= now,
        };
        let shown =
            |r: stockade_cluster::replicas::Replica| Shown { name: r.identity, ready: r.ready, observed: r.observed };
        Self {
            well,
            replicas: replicas.into_iter().map(shown).collect(),
            validating_webhooks: validating,
            mutating_webhooks: mutating,
            nodes: nodes.map(|all| all.into_iter().map(|(name, not_ready)| Node { name, not_ready }).collect()),
            exceptions: exceptions.map(|all| all.into_iter().map(waived).collect()),
        }
    }
}

impl Report for Status {
    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for Shown { name, ready, observed } in &self.replicas {
            let ready = if *ready { "ready" } else { "not ready" };
            writeln!(out, "{name}  {ready}, policies up to {observed}")?;
        }
        let ready = self.replicas.iter().filter(|r| r.ready).count();
        writeln!(out, "{ready} of {} replicas ready", self.replicas.len())?;
        for (kind, webhooks) in [("validating", self.validating_webhooks), ("mutating", self.mutating_webhooks)] {
            match webhooks {
                Some(count) => writeln!(out, "{count} {kind} webhooks registered")?,
                None => writeln!(out, "no {kind} webhooks registered")?,
            }
        }
        if let Some(nodes) = self.nodes.as_ref().filter(|nodes| !nodes.is_empty()) {
            let ready = nodes.iter().filter(|node| node.not_ready.is_none()).count();
            writeln!(out, "{ready} of {} nodes enforce network policies", nodes.len())?;
        }
        for Waived { name, in_use, expires, expired } in self.exceptions.iter().flatten() {
            let used = match (expired, in_use) {
                (true, _) => "expired",
                (false, Some(true)) => "in use",
                (false, Some(false)) => "not in use",
                (false, None) => "not judged yet",
            };
            writeln!(out, "exception {name}: {used}, until {expires}")?;
        }
        Ok(())
    }
}
