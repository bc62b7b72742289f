//! `stockade net flows`: what node agents see, as it happens.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::agents;
use stockade_netpol::flows::{Filter, Line};
use stockade_report::net::flows::row;
use tokio::sync::mpsc;

use crate::cli::{FlowsArgs, Listing};
use crate::exit::Exit;

mod stream;

use stream::{Client, Said};

/// Lines that wait to be printed: then streams wait, and agents tell what is lost.
const MAX_WAITING: usize = 1_024;

/// Prints flows until every stream has ended, or whoever reads has enough.
///
/// # Errors
/// Certificates that cannot be used; no agents, or none that streams.
pub(super) fn run(args: &FlowsArgs) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(listen(args))
}

async fn listen(args: &FlowsArgs) -> Result<Exit> {
    let since = args.since.map(|seconds| jiff::SignedDuration::from_secs(seconds.into()));
    let filter = Filter {
        namespace: args.namespace.clone(),
        pod: args.pod.clone(),
        verdict: args.verdict.map(Into::into),
        since: since.map(|ago| Timestamp::now() - ago),
    };
    // As an agent reads it.
    let filter = Filter::parse(&filter.query())?;
    let client = Client::new(&args.certs, &args.server_name, &filter).context("--certs")?;
    let (said, mut heard) = mpsc::channel(MAX_WAITING);
    let mut streams = tokio::task::JoinSet::new();
    for address in addresses(args).await? {
        let (client, said) = (client.clone(), said.clone());
        streams.spawn(async move { client.listen(address, said).await });
    }
    drop(said);
    let mut out = anstream::stdout().lock();
    let mut is_any = false;
    while let Some((from, said)) = heard.recv().await {
        is_any |= !matches!(said, Said::Failed(_));
        print(&mut out, args.output, from, said)?;
        if heard.is_empty() {
            out.flush()?;
        }
    }
    if !is_any {
        bail!("no agent streams flows");
    }
    Ok(Exit::Clean)
}

/// Where agents listen: as told, or as the cluster's Pods say.
async fn addresses(args: &FlowsArgs) -> Result<Vec<SocketAddr>> {
    if !args.address.is_empty() {
        return Ok(args.address.clone());
    }
    let namespace = Some(args.agents_namespace.clone());
    let options = Options { kubeconfig: args.kubeconfig.clone(), namespace, identity: None };
    let access = Access::new(&options).await.context("access to the API server")?;
    let found = agents::find(&access).await.context("the agents' Pods")?;
    if found.is_empty() {
        bail!("no agents in namespace {}", args.agents_namespace);
    }
    Ok(found.into_iter().map(|agent| SocketAddr::new(agent.address, args.port)).collect())
}

fn print(out: &mut dyn Write, format: Listing, from: SocketAddr, said: Said) -> io::Result<()> {
    match said {
        Said::Listening | Said::Line(Line::Missed(0)) => {}
        Said::Line(Line::Flow(flow)) => match (format, flow.line()) {
            (Listing::Json, Ok(line)) => writeln!(out, "{line}")?,
            _ => writeln!(out, "{}", row(&flow))?,
        },
        // Kept in what is recorded, so that whoever judges by it knows.
        Said::Line(Line::Missed(count)) => {
            if format == Listing::Json {
                writeln!(out, "{}", Line::missed(count))?;
            }
            anstream::eprintln!("{from}: {count} more that no line tells of");
        }
        Said::Failed(error) => anstream::eprintln!("{from}: {error:#}"),
    }
    Ok(())
}
