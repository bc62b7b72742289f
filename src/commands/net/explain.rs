//! `stockade net explain`

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use stockade_netpol::addresses::Family;
use stockade_netpol::compile::Compiled;
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{Pod, PodId};
use stockade_netpol::verdict::Endpoint;
use stockade_report::net::explain::ExplainReport;

use crate::cli::ExplainArgs;
use crate::commands;
use crate::exit::Exit;

/// One end, as it was asked for.
enum End {
    Pod(PodId, Option<Family>),
    Address(IpAddr),
    Name(String),
}

/// Explains one connection.
///
/// # Errors
/// Manifests that cannot be used; ends that are nobody, or several.
pub(super) fn run(args: &ExplainArgs, quiet: bool) -> Result<Exit> {
    let compiled = super::compiled(&args.source.paths, &args.source.namespace, quiet)?;
    let (protocol, port) = port(&args.port)?;
    let find = |text: &str| end(&compiled, &args.source.namespace, text);
    let (from, to) = (find(&args.from).context("--from")?, find(&args.to).context("--to")?);
    let (from_names, to_names) = (from.names(), to.names());
    let (family_of_from, family_of_to) = (from.family(), to.family());
    let (from, to) = (from.endpoint(family_of_to, &from_names), to.endpoint(family_of_from, &to_names));
    let explanation = compiled.explain(from, to, protocol, port);
    let report = ExplainReport::new(&compiled, (&args.from, &args.to), (protocol, port), &explanation);
    commands::print(&report, args.output)?;
    Ok(if explanation.verdict.is_allowed() { Exit::Clean } else { Exit::Findings })
}

/// `443`, `53/udp`
fn port(text: &str) -> Result<(Protocol, u16)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let named = |p: &Protocol| p.name().eq_ignore_ascii_case(protocol);
    let protocol =
        Protocol::ALL.into_iter().find(named).with_context(|| format!("--port: {protocol} is not tcp, udp or sctp"))?;
    let number = number.parse().ok().filter(|number| *number > 0);
    Ok((protocol, number.with_context(|| format!("--port: {text} is not a number from 1 to 65535"))?))
}

fn end(compiled: &Compiled, namespace: &str, text: &str) -> Result<End> {
    let state = compiled.state();
    if let Ok(address) = text.parse::<IpAddr>() {
        let holders: Vec<PodId> = state.holders(address).collect();
        return match holders[..] {
            [] => Ok(End::Address(address)),
            [pod] => Ok(End::Pod(pod, Some(Family::of(address)))),
            _ => {
                let names: Vec<String> = holders.iter().map(|id| state.pod(*id).to_string()).collect();
                bail!("{address} is the address of {}: name one of them", names.join(" and "))
            }
        };
    }
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    let is_pod = |pod: &Pod| *pod.namespace == *namespace && *pod.name == *name;
    let is_owned = |pod: &Pod| *pod.namespace == *namespace && pod.owner.as_ref().is_some_and(|o| *o.name == *name);
    let living = || state.pods().filter(|(_, pod)| !pod.finished);
    let found = living().find(|(_, pod)| is_pod(pod)).or_else(|| living().find(|(_, pod)| is_owned(pod)));
    if let Some((id, _)) = found {
        return Ok(End::Pod(id, None));
    }
    if !text.contains('/') && text.contains('.') {
        return Ok(End::Name(text.to_owned()));
    }
    bail!("no Pod and no workload {name} in namespace {namespace}")
}

// === impl End ===

impl End {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Pod(..) | Self::Address(_) => Vec::new(),
        }
    }

    fn family(&self) -> Option<Family> {
        match self {
            Self::Address(address) => Some(Family::of(*address)),
            Self::Pod(_, family) => *family,
            Self::Name(_) => None,
        }
    }

    /// With the family that the other end asks for, where this end leaves it open.
    fn endpoint<'a>(&self, other: Option<Family>, names: &'a [&'a str]) -> Endpoint<'a> {
        match self {
            Self::Pod(id, family) => Endpoint::Pod(*id, family.or(other)),
            Self::Address(address) => Endpoint::Outside { address: Some(*address), names },
            Self::Name(_) => Endpoint::Outside { address: None, names },
        }
    }
}
