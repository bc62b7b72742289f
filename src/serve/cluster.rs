//! The parts that talk to the API server, put together.

use std::sync::Arc;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::facts::LiveFacts;
use stockade_cluster::policies::{self, Generation, Generations, RefusedObject, Settings};
use stockade_policy::diagnostic::Severity;
use tokio::task::JoinSet;

use super::in_force::{InForce, Judge};
use crate::cli::ServeArgs;

/// Most refused sources that `/readyz` lists.
const MAX_REFUSED_SHOWN: usize = 10;

/// Starts all parts. They end with the set.
///
/// # Errors
/// No usable access to the API server; that it does not answer is no error, but not ready.
pub(crate) async fn start(args: &ServeArgs, in_force: Arc<InForce>, registry: &mut Registry) -> Result<JoinSet<()>> {
    let options = Options {
        kubeconfig: args.cluster.kubeconfig.clone(),
        namespace: args.cluster.namespace.clone(),
        identity: args.cluster.name.clone(),
    };
    let access = Access::new(&options).await.context("access to the API server")?;
    let mut tasks = JoinSet::new();
    let facts = LiveFacts::new(&access, registry);
    let settings = Settings { folders: args.policies.clone() };
    let (generations, publishing) = policies::publish(&access, settings, facts.clone());
    tasks.spawn(publishing);
    tasks.spawn(put_in_force(generations, facts, in_force));
    Ok(tasks)
}

/// Hands each generation to the reviewer.
async fn put_in_force(mut generations: Generations, facts: LiveFacts, in_force: Arc<InForce>) {
    let facts = Arc::new(facts);
    let mut number = 0;
    while generations.changed().await.is_ok() {
        let generation = generations.borrow_and_update().clone();
        if generation.number != number {
            number = generation.number;
            in_force.put(Judge { engine: generation.engine.clone(), facts: facts.clone(), number });
        }
        in_force.refuse(lines(&generation));
    }
}

/// What is not as it should be, a line each; anybody can read them, so they repeat no line of a source.
fn lines(generation: &Generation) -> Vec<String> {
    let mut lines: Vec<String> = generation.refused.iter().take(MAX_REFUSED_SHOWN).map(line).collect();
    if let Some(more) = generation.refused.len().checked_sub(MAX_REFUSED_SHOWN).filter(|&n| n > 0) {
        lines.push(format!("and {more} more policy sources are refused"));
    }
    let not_synced = generation.not_synced.iter();
    lines.extend(not_synced.map(|k| format!("{} {} is read by policies and has not synced", k.api_version, k.kind)));
    lines
}

fn line(refused: &RefusedObject) -> String {
    let RefusedObject { kind, namespace, name, standing, diagnostics, .. } = refused;
    let first = diagnostics.iter().find(|d| d.severity == Severity::Error);
    let fault = first.map(|d| format!("{}:{}: {}", d.file, d.line, d.message)).unwrap_or_default();
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {namespace}{slash}{name} refused ({}): {fault}", kind.as_str(), standing.as_str())
}
