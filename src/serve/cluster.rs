//! The parts that talk to the API server, put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::audit::metrics::AuditMetrics;
use stockade_cluster::events::Events;
use stockade_cluster::facts::LiveFacts;
use stockade_cluster::policies::{self, Generation, Generations, RefusedObject, Settings};
use stockade_cluster::replicas::Times;
use stockade_cluster::reports::Group;
use stockade_cluster::{audit, replicas};
use stockade_policy::diagnostic::Severity;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::in_force::{InForce, Judge};
use crate::cli::{Reports, ServeArgs};

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
    let (tell_holds, writing_holds) = policies::write_holds(&access);
    in_force.tell_holds(tell_holds);
    tasks.spawn(writing_holds);
    tasks.spawn(put_in_force(generations.clone(), facts.clone(), in_force));
    let stop = CancellationToken::new();
    let (tell_ready, ready) = watch::channel(false);
    let (tell_observed, observed) = watch::channel(0);
    tasks.spawn(tell_replicas(generations.clone(), tell_ready, tell_observed));
    let told = replicas::Inputs { ready, observed, pod_uid: None };
    let (_leadership, alive, taking_part) = replicas::run(&access, told, Times::default(), stop.clone());
    tasks.spawn(taking_part);
    let metrics = AuditMetrics::register(registry);
    let (events, writing) = Events::new(&access, metrics.clone(), stop.clone());
    tasks.spawn(writing);
    let inputs = audit::Inputs { generations, facts, replicas: alive, events };
    let settings = audit::Settings {
        period: Duration::from_secs(args.cluster.audit_period.into()),
        reports: group(args.cluster.reports),
    };
    tasks.spawn(audit::run(access, inputs, settings, metrics, stop));
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

/// Tells the other replicas up to where this one has policies in force.
async fn tell_replicas(mut generations: Generations, ready: watch::Sender<bool>, observed: watch::Sender<u64>) {
    while generations.changed().await.is_ok() {
        let generation = generations.borrow_and_update().clone();
        ready.send_replace(generation.number > 0);
        observed.send_replace(generation.observed);
    }
}

fn group(reports: Reports) -> Group {
    match reports {
        Reports::Openreports => Group::OpenReports,
        Reports::Wgpolicyk8s => Group::PolicyReports,
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
