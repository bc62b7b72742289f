//! `stockade net status`: where network policies are really in force.

use anyhow::{Context, Result};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::enforcement::{Enforcement, NodeState, PolicyKey, PolicyState};
use stockade_report::net::status::{Node, Policy, StatusReport, Why};

use crate::cli::NetStatusArgs;
use crate::exit::Exit;

/// Looks, and shows what it saw.
///
/// # Errors
/// No access to the API server, or no right.
pub(super) fn run(args: &NetStatusArgs) -> Result<Exit> {
    let options = Options { kubeconfig: args.kubeconfig.clone(), ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(async {
        let access = Access::new(&options).await.context("access to the API server")?;
        Enforcement::look(&access.client).await.context("what is in force")
    })?;
    let is_well = seen.is_well();
    crate::commands::print(&report(seen), args.output)?;
    Ok(if is_well { Exit::Clean } else { Exit::Findings })
}

fn report(seen: Enforcement) -> StatusReport {
    let Enforcement { nodes, policies, unnamed } = seen;
    let node = |(name, state): (String, NodeState)| {
        let NodeState { not_ready, gated, endpoints, attach, kernel, agent } = state;
        Node { name, ready: not_ready.is_none(), message: not_ready, gated, endpoints, attach, kernel, agent }
    };
    let policy = |(key, state): (PolicyKey, PolicyState)| {
        let (PolicyKey { kind, namespace, name }, PolicyState { generation, in_force, behind, told }) = (key, state);
        let why = told.into_iter().map(|(node, message)| Why { node, message }).collect();
        Policy { kind, namespace, name, generation, in_force, behind, why }
    };
    StatusReport {
        nodes: nodes.into_iter().map(node).collect(),
        policies: policies.into_iter().map(policy).collect(),
        unnamed,
    }
}
