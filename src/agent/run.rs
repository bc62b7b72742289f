//! `stockade-agent run` and `remove`: the parts put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry;
use stockade_netpol::plan::{self, Limits};
use stockade_node::node_enforcement::Desired as Wanted;
use stockade_process::operations::{Operations, Readiness};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Parts, View};
use crate::cli::{NodeArguments, RemoveArguments, RunArguments};
use crate::enforcement::{self, removal};
use crate::flows::{self, FlowMetrics, Journal, KnownNames, Lately, Live, PodEvents, Streams, Teller};
use crate::gate::install::Chain;
use crate::gate::metrics::StartMetrics;
use crate::gate::{self, Gate};
use crate::hold;
use crate::inputs::snapshot;
use crate::inputs::watched::Watched;
use crate::keeper::Keeper;
use crate::kernel::{Kernel, Options};
use crate::metrics::AgentMetrics;
use crate::packets::Packets;

/// Longest answer to whoever sets a Pod up; the plugin has its own, shorter patience.
const HOLD_WITHIN: Duration = Duration::from_secs(120);

/// Enforces until SIGTERM or SIGINT.
///
/// # Errors
/// A kernel that refuses, no way to the API server, an address or socket that is taken.
pub async fn run(arguments: RunArguments) -> Result<()> {
    let options = Options { established: arguments.established.into(), ..Options::default() };
    let kernel = Arc::new(Kernel::open(&arguments.node.pins, &options).context("the kernel's side")?);
    plan::keep_secret(kernel.secret()?)?;
    let keeper = Keeper::open(Arc::clone(&kernel), limits(&options)).context("reading what the kernel holds")?;
    let client = stockade_watch::client::client(arguments.kubeconfig.as_deref()).await?;
    let mut registry = Registry::default();
    let metrics = AgentMetrics::register(&mut registry);
    let starts = StartMetrics::register(&mut registry);
    let flow_metrics = FlowMetrics::register(&mut registry);
    registry.register_collector(Box::new(Packets(Arc::clone(&kernel))));
    let (holder, held) = hold::channel(HOLD_WITHIN);
    let parts = Parts {
        keeper,
        watched: Watched::start(client.clone(), &arguments.node_name),
        held,
        state: arguments.node.state.clone(),
        unknown: arguments.unknown,
        metrics,
        starts: starts.clone(),
    };
    let (agent, view) = Agent::new(parts)?;

    let asked = CancellationToken::new();
    let stop = asked.child_token();
    let listener = TcpListener::bind(arguments.listen_health).await.context("listening")?;
    tracing::info!(http = %listener.local_addr()?, node = arguments.node_name, "enforcing");
    let (ready, is_ready) = watch::channel(Err("what is enforced is as it was; nothing was told yet".to_owned()));
    tokio::spawn(Operations { registry, ready: Some(is_ready) }.serve(listener));
    tokio::spawn(tell_readiness(view.clone(), ready));
    let gate = Gate::new(holder, starts);
    let socket = gate::bind(&arguments.node.gate.socket).context("the start gate's socket")?;
    let gate = tokio::spawn(gate.serve(socket, stop.clone()));
    let (chain, chained) = watch::channel(Chain::default());
    let installing = install(&arguments, chain, &stop)?;
    show_flows(&arguments, &client, &kernel, &view, flow_metrics, &stop).await.context("flows")?;
    let facts = enforcement::Writer::new(client.clone(), arguments.node_name.clone(), kernel, view, chained);
    let telling = tokio::spawn(facts.write_for_ever());

    tokio::spawn(stop_when_asked(asked.clone())?);
    let removal = tokio::select! {
        ended = agent.run(stop.clone()) => ended.map(|()| None)?,
        generation = removal::wanted(client.clone(), &arguments.node_name, Wanted::Removed) => Some(generation),
    };
    stop.cancel();
    telling.abort();
    // That it was cut short is what was asked for. Nobody has the kernel any more.
    drop(telling.await);
    gate.await.context("the start gate")?;
    if let Some(installing) = installing {
        installing.await.context("the CNI plugin")?;
    }
    let Some(generation) = removal else {
        tracing::info!("stopped: what is enforced stays");
        return Ok(());
    };
    take_off(&arguments.node)?;
    removal::tell(client.clone(), &arguments.node_name, generation).await.context("telling that all is removed")?;
    // Whoever starts this process again has it enforce again.
    let enforced = removal::wanted(client, &arguments.node_name, Wanted::Enforced);
    asked.run_until_cancelled(enforced).await;
    Ok(())
}

/// Takes everything off the node.
///
/// # Errors
/// What could not be removed.
pub fn remove(arguments: &RemoveArguments) -> Result<()> {
    take_off(&arguments.node)
}

/// First whatever would hold a Pod, for there will be nobody to let it go.
fn take_off(node: &NodeArguments) -> Result<()> {
    if let Some(installer) = node.gate.installer()? {
        installer.remove().context("the CNI plugin")?;
    }
    gate::unbind(&node.gate.socket).context("the start gate's socket")?;
    let kernel = Kernel::open(&node.pins, &Options::default()).context("the kernel's side")?;
    kernel.remove().context("programs and tables")?;
    snapshot::remove(&node.state).context("the last known inputs")?;
    tracing::info!("nothing of Stockade is left in this node's kernel");
    Ok(())
}

/// The bounds of plans, by the sizes of the kernel's maps; half of each, for the old and the new stand side by side.
fn limits(options: &Options) -> Limits {
    let bounds = Limits::default();
    let half = |size: u32| size as usize / 2;
    Limits {
        tables: bounds.tables.min(half(options.sizes.tables)),
        peers: bounds.peers.min(half(options.sizes.peers)),
        blocks: bounds.blocks.min(half(options.sizes.blocks)),
        ports: bounds.ports.min(half(options.sizes.ports)),
        ..bounds
    }
}

/// Shows flows as they are asked for, from a thread of their own. What cannot be shown does not keep from enforcing.
async fn show_flows(
    arguments: &RunArguments,
    client: &kube::Client,
    kernel: &Arc<Kernel>,
    view: &watch::Receiver<View>,
    metrics: FlowMetrics,
    stop: &CancellationToken,
) -> Result<()> {
    let node = arguments.node_name.clone();
    let (events, write) = PodEvents::new(client.clone(), &node, metrics.clone(), stop.clone());
    tokio::spawn(write);
    let (live, lately) = (Live::default(), Lately::default());
    tokio::spawn(lately.clone().tell(client.clone(), node.clone(), stop.clone()));
    if let (Some(address), Some(tls)) = (arguments.flows.listen_flows, arguments.flows.flows_tls.clone()) {
        let streams = Streams { tls, live: live.clone() };
        streams.check()?;
        tokio::spawn(streams.serve(TcpListener::bind(address).await?));
    }
    let journal = arguments.flows.flows.as_deref().map(Journal::open).transpose()?;
    let names = Arc::new(KnownNames::new(view.clone()));
    let teller = Teller { names, node, metrics, journal, live, events: Some(events), lately };
    let (kernel, stop) = (Arc::clone(kernel), stop.clone());
    let watch = move || {
        if let Err(error) = flows::watch(&kernel, teller, &stop) {
            tracing::error!(error = &error as &dyn std::error::Error, "flows are not shown any more");
        }
    };
    std::thread::Builder::new().name("flows".to_owned()).spawn(watch)?;
    Ok(())
}

fn install(
    arguments: &RunArguments,
    chain: watch::Sender<Chain>,
    stop: &CancellationToken,
) -> Result<Option<tokio::task::JoinHandle<()>>> {
    let Some(mut installer) = arguments.node.gate.installer()? else { return Ok(None) };
    let (plugin, stop) = (arguments.node.gate.cni_plugin.clone(), stop.clone());
    Ok(Some(tokio::spawn(async move { installer.keep(&plugin, &chain, &stop).await })))
}

async fn tell_readiness(mut view: watch::Receiver<View>, ready: watch::Sender<Readiness>) {
    while view.changed().await.is_ok() {
        let now = view.borrow().fault.clone().map_or(Ok(()), Err);
        // What was told before does not matter.
        drop(ready.send_replace(now));
    }
}

fn stop_when_asked(stop: CancellationToken) -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
    })
}
