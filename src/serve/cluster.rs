//! The parts that talk to the API server, put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::audit;
use stockade_cluster::audit::metrics::AuditMetrics;
use stockade_cluster::certificates::{self, CertificateMetrics, Ownership};
use stockade_cluster::events::Events;
use stockade_cluster::facts::LiveFacts;
use stockade_cluster::flows::Flows;
use stockade_cluster::identities;
use stockade_cluster::policies::{self, Generation, Generations, Observed, RefusedObject, Settings};
use stockade_cluster::registration::{self, Address, RegistrationMetrics};
use stockade_cluster::replicas::Inputs;
use stockade_cluster::reports::Group;
use stockade_cluster::status::{self, UsageInputs};
use stockade_images::Images;
use stockade_policy::diagnostic::Severity;
use stockade_webhook::Certificates;
use stockade_webhook::certs::serving_names;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::in_force::{InForce, Judge};
use super::leases;
use crate::cli::{ClusterArgs, Reports, ServeArgs};
use crate::images_seen::of_cluster;

/// Most refused sources that `/readyz` lists.
const MAX_REFUSED_SHOWN: usize = 10;

/// All parts, running.
pub(crate) struct Parts {
    /// The certificate to serve with.
    pub(crate) certificates: Arc<Certificates>,
    /// Ends of parts that need no farewell.
    pub(crate) tasks: JoinSet<()>,
    /// Cancelled when the end begins: the other replicas are told.
    pub(crate) stop: CancellationToken,
    /// Ready when they have been told.
    pub(crate) ended: oneshot::Receiver<()>,
    /// What is known of images.
    pub(crate) images: Images,
}

/// What the other replicas are told of this one: ready when it has policies and answers with a certificate.
struct Told {
    ready: watch::Sender<bool>,
    observed: watch::Sender<Observed>,
    certificates: Arc<Certificates>,
}

/// Starts all parts. The certificate may come later.
///
/// # Errors
/// No usable access to the API server; that it does not answer is no error, but waited out.
pub(crate) async fn start(args: &ServeArgs, in_force: Arc<InForce>, registry: &mut Registry) -> Result<Parts> {
    let options = Options {
        kubeconfig: args.cluster.kubeconfig.clone(),
        namespace: args.cluster.namespace.clone(),
        identity: args.cluster.name.clone(),
    };
    let access = Access::new(&options).await.context("access to the API server")?;
    let (config, pull_secrets) = (args.docker_config.clone(), args.cluster.image_pull_secrets);
    let images = of_cluster(&access, config, pull_secrets, registry);
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let ((ready, ready_in), (observed, observed_in)) = (watch::channel(false), watch::channel(Observed::default()));
    let inputs = Inputs { ready: ready_in, observed: observed_in, pod_uid: args.cluster.pod_uid.clone() };
    let leases = leases::start(options, inputs, stop.clone()).await?;

    let facts = LiveFacts::new(&access, registry);
    let settings = Settings {
        folders: args.policies.clone(),
        max_exception_seconds: args.cluster.max_exception_seconds(),
        essentials: args.cluster.registration.essentials(access.namespace.clone()),
    };
    let (generations, publishing) = policies::publish(&access, settings, facts.clone());
    tasks.spawn(publishing);
    let (tell_holds, writing_holds) = policies::write_holds(&access);
    in_force.tell_holds(tell_holds);
    tasks.spawn(writing_holds);
    tasks.spawn(policies::write_shadows(&access, generations.clone()));
    let (tell_usage, audited) = watch::channel(None);
    let (usage, used) = UsageInputs::new(audited);
    in_force.tell_used(used);
    let inputs = status::Inputs {
        generations: generations.clone(),
        replicas: leases.replicas.clone(),
        leadership: leases.leadership.clone(),
        facts: facts.clone(),
        usage,
    };
    tasks.spawn(status::keep(&access, inputs, registry));

    let metrics = CertificateMetrics::register(registry);
    let kept = certificate(&args.cluster, &access);
    let (issued, keeping) = certificates::run(&access, leases.leadership.clone(), kept, metrics);
    tasks.spawn(keeping);
    let certificates = Arc::new(Certificates::published(issued.serving, args.client_ca.clone()));

    let flows = args.cluster.node_agents.then(|| {
        tasks.spawn(identities::keep(&access, leases.leadership.clone(), registry));
        let (flows, watching) = Flows::watch(&access, facts.resources());
        tasks.spawn(watching);
        in_force.tell_flows(flows.clone());
        flows
    });
    let inputs =
        registration::Inputs { leadership: leases.leadership, generations: generations.clone(), bundle: issued.bundle };
    let wanted = registered(&args.cluster, &access);
    tasks.spawn(registration::write(access.clone(), wanted, inputs, RegistrationMetrics::register(registry)));

    let metrics = AuditMetrics::register(registry);
    let (events, writing) = Events::new(&access, metrics.clone(), stop.clone());
    tasks.spawn(writing);
    in_force.tell_events(events.clone());
    let told = Told { ready, observed, certificates: Arc::clone(&certificates) };
    tasks.spawn(put_in_force(generations.clone(), facts.clone(), in_force, told));
    let inputs = audit::Inputs {
        generations,
        facts,
        replicas: leases.replicas,
        events,
        images: images.clone(),
        flows,
        usage: tell_usage,
    };
    tasks.spawn(audit::run(access, inputs, audit_settings(&args.cluster), metrics, stop.clone()));
    Ok(Parts { certificates, tasks, stop, ended: leases.ended, images })
}

/// Which certificate is to be kept.
fn certificate(args: &ClusterArgs, access: &Access) -> certificates::Options {
    let mut names = serving_names(Some((&args.service, &access.namespace)));
    let host = args.url.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']).to_owned());
    names.extend(host.filter(|host| !names.contains(host)));
    certificates::Options {
        secret: args.certificate_secret.clone(),
        ownership: if args.ca_from_secret { Ownership::Foreign } else { Ownership::Ours },
        names,
        registration: registration::NAME.to_owned(),
        times: certificates::Times::default(),
    }
}

/// What the API server is to ask.
fn registered(args: &ClusterArgs, access: &Access) -> registration::Settings {
    let address = match &args.url {
        Some(url) => Address::Url(url.to_string()),
        None => Address::Service { namespace: access.namespace.clone(), name: args.service.clone() },
    };
    registration::Settings { flows: args.node_agents, ..args.registration.settings(address, access.namespace.clone()) }
}

/// Hands each generation to the reviewer, and tells the other replicas.
async fn put_in_force(mut generations: Generations, facts: LiveFacts, in_force: Arc<InForce>, told: Told) {
    let facts = Arc::new(facts);
    let mut number = 0;
    loop {
        let generation = generations.borrow_and_update().clone();
        let lines = lines(&generation);
        if generation.number != number {
            number = generation.number;
            in_force.put(Judge { engine: generation.engine.clone(), facts: facts.clone(), number });
            in_force.refuse(lines);
        } else if *in_force.refused() != lines {
            in_force.refuse(lines);
        }
        let has_certificate = told.certificates.facts().is_some();
        told.ready.send_replace(number > 0 && has_certificate);
        told.observed.send_replace(generation.observed.clone());
        tokio::select! {
            changed = generations.changed() => if changed.is_err() { return },
            () = told.certificates.loaded(), if !has_certificate => {}
        }
    }
}

fn audit_settings(args: &ClusterArgs) -> audit::Settings {
    let reports = match args.reports {
        Reports::Openreports => Group::OpenReports,
        Reports::Wgpolicyk8s => Group::PolicyReports,
    };
    audit::Settings { period: Duration::from_secs(args.audit_period.into()), reports }
}

/// What is not as it should be, a line each; anybody can read them, so they repeat no line of a source.
fn lines(generation: &Generation) -> Vec<String> {
    let mut lines: Vec<String> = generation.refused.iter().take(MAX_REFUSED_SHOWN).map(line).collect();
    if let Some(more) = generation.refused.len().checked_sub(MAX_REFUSED_SHOWN).filter(|&n| n > 0) {
        lines.push(format!("and {more} more policy sources are refused"));
    }
    let not_synced = generation.not_synced.iter();
    lines.extend(not_synced.map(|read| format!("{read} is read by policies and has not synced")));
    lines
}

fn line(refused: &RefusedObject) -> String {
    let RefusedObject { kind, namespace, name, standing, diagnostics, .. } = refused;
    let first = diagnostics.iter().find(|d| d.severity == Severity::Error);
    let fault = first.map(|d| format!("{}:{}: {}", d.file, d.line, d.message)).unwrap_or_default();
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {namespace}{slash}{name} refused ({}): {fault}", kind.as_str(), standing.as_str())
}
