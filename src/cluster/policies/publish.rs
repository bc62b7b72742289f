//! From events to generations.

use std::collections::BTreeSet;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use stockade_engine::engine::Engine;
use stockade_engine::equivalents::Equivalents;
use stockade_engine::essentials::Essentials;
use stockade_policy::compile::incremental::{Compiler, Increment, PartReport};
use stockade_policy::compiled::{ParamKind, PolicySet};
use stockade_policy::diagnostic::Severity;
use tokio::sync::{mpsc, watch};

use super::sources::Sources;
use super::{Generation, Generations, HeldKinds, RefusedObject, Settings, SourceKind, folders, objects};
use crate::access::Access;

/// Longest wait for kinds that a generation newly reads. Then it goes in force all the same: a policy that reads what
/// cannot be watched must not hold up the others.
const SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for the first generation: until then the replica is not ready, and one that is ready without knowing what
/// its policies read would refuse its share of all requests.
const FIRST_SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// How often kinds that did not sync in time are looked at again.
const SYNC_AGAIN: Duration = Duration::from_secs(1);

/// Most events that go into one generation: those that are there already, so that a burst is compiled once.
const MAX_BATCH: usize = 1_000;

/// Puts the cluster's policies in force, one generation after the other. All of it happens in the future, which never
/// ends.
pub fn publish<F: HeldKinds>(
    access: &Access,
    settings: Settings,
    facts: F,
) -> (Generations, impl Future<Output = ()> + Send + use<F>) {
    let (publish, generations) = watch::channel(Arc::new(Generation::none()));
    let max_exception_seconds = settings.max_exception_seconds;
    let equivalents = facts.equivalents();
    let publisher = Publisher {
        facts,
        equivalents,
        compiler: Compiler::new().max_exception_seconds(max_exception_seconds),
        max_exception_seconds,
        held: BTreeSet::new(),
        publish,
        essentials: settings.essentials,
    };
    (generations, run(objects::events(access), settings.folders, publisher))
}

/// Compiles, and keeps the facts in step.
struct Publisher<F> {
    facts: F,
    equivalents: watch::Receiver<Option<Arc<Equivalents>>>,
    compiler: Compiler,
    max_exception_seconds: Option<u32>,
    /// Kinds that the generation in force reads.
    held: BTreeSet<ParamKind>,
    publish: watch::Sender<Arc<Generation>>,
    essentials: Essentials,
}

/// A set that was compiled, indexed.
struct Built {
    engine: Arc<Engine>,
    audited: Arc<Engine>,
    reports: Vec<PartReport>,
}

async fn run<F: HeldKinds>(
    events: impl Stream<Item = (SourceKind, Event<DynamicObject>)> + Send,
    paths: Vec<std::path::PathBuf>,
    mut publisher: Publisher<F>,
) {
    let (tell, mut folders) = mpsc::channel(1);
    let mut awaits_folders = !paths.is_empty();
    let looking =
        async move { if paths.is_empty() { std::future::pending().await } else { folders::watch(paths, tell).await } };
    let publishing = async move {
        let mut events = pin!(events.ready_chunks(MAX_BATCH));
        let mut sources = Sources::default();
        let mut changed = false;
        publisher.await_equivalents().await;
        loop {
            tokio::select! {
                Some(batch) = events.next() => {
                    for (kind, event) in batch {
                        changed |= sources.apply(kind, event);
                    }
                }
                Some(read) = folders.recv() => {
                    sources.put_folders(read);
                    awaits_folders = false;
                    changed = true;
                }
                Ok(()) = publisher.equivalents.changed() => changed = true,
                () = tokio::time::sleep(SYNC_AGAIN), if publisher.awaits_facts() => {}
            }
            if awaits_folders || !sources.unsynced().is_empty() {
                continue;
            }
            if mem::take(&mut changed) {
                publisher.renew(&sources).await;
            } else {
                publisher.refresh(&sources).await;
            }
        }
    };
    tokio::select! { () = looking => {}, () = publishing => {} }
}

// === impl Publisher ===

impl<F: HeldKinds> Publisher<F> {
    /// Waits for the custom resources' versions. Who cannot read them goes on with the built-in resources: then an
    /// `Equivalent` rule for one version of a custom resource is not about the others, which is told.
    async fn await_equivalents(&mut self) {
        let known = self.equivalents.wait_for(Option::is_some);
        if !matches!(tokio::time::timeout(SYNC_TIMEOUT, known).await, Ok(Ok(_))) {
            tracing::error!("CustomResourceDefinitions are not known, policies do not match their other versions yet");
        }
    }

    /// Compiles what changed and puts it in force.
    async fn renew(&mut self, sources: &Sources) {
        let (mut compiler, parts) = (mem::take(&mut self.compiler), sources.parts());
        let (essentials, before) = (self.essentials.clone(), self.publish.borrow().clone());
        let equivalents = self.equivalents.borrow_and_update().clone();
        let equivalents = equivalents.unwrap_or_else(|| Arc::new(Equivalents::builtin()));
        let Ok((compiler, built)) = tokio::task::spawn_blocking(move || {
            let increment = compiler.compile(&parts);
            let built = index(increment, &equivalents, &essentials, &before.engine);
            (compiler, built)
        })
        .await
        else {
            // Beginning anew with the next change costs one whole compile.
            self.compiler = Compiler::new().max_exception_seconds(self.max_exception_seconds);
            tracing::error!("compiling policies failed unexpectedly, the generation in force stays");
            return;
        };
        self.compiler = compiler;
        let reads = reads(built.audited.set());
        let new: Vec<ParamKind> = reads.difference(&self.held).cloned().collect();
        if !new.is_empty() {
            self.facts.hold(&reads.union(&self.held).cloned().collect::<Vec<_>>());
            let first = self.publish.borrow().number == 0;
            self.facts.synced(&new, if first { FIRST_SYNC_TIMEOUT } else { SYNC_TIMEOUT }).await;
        }
        let all: Vec<ParamKind> = reads.iter().cloned().collect();
        let not_synced = self.facts.synced(&all, Duration::ZERO).await;
        let before = self.publish.borrow().clone();
        let generation = Generation {
            number: before.number + 1,
            engine: built.engine,
            audited: built.audited,
            observed: sources.observed(),
            refused: sources.refused(&built.reports),
            not_synced,
        };
        log(&before, &generation);
        self.publish.send_replace(Arc::new(generation));
        if self.held != reads {
            self.facts.hold(&all);
            self.held = reads;
        }
    }

    /// Tells what is new beside what is in force: a later `resourceVersion`, kinds that have synced at last.
    async fn refresh(&mut self, sources: &Sources) {
        let before = self.publish.borrow().clone();
        let not_synced = self.facts.synced(&before.not_synced, Duration::ZERO).await;
        if (sources.observed(), not_synced.len()) != (before.observed, before.not_synced.len()) {
            let (engine, audited) = (before.engine.clone(), before.audited.clone());
            let (number, refused) = (before.number, before.refused.clone());
            let observed = sources.observed();
            self.publish.send_replace(Arc::new(Generation { number, engine, audited, observed, refused, not_synced }));
        }
    }

    fn awaits_facts(&self) -> bool {
        !self.publish.borrow().not_synced.is_empty()
    }
}

fn index(increment: Increment, equivalents: &Arc<Equivalents>, essentials: &Essentials, before: &Engine) -> Built {
    let engine = |set: PolicySet| {
        let engine = Engine::with_equivalents(Arc::new(set), equivalents.clone());
        Arc::new(engine.own_namespace(&essentials.own_namespace).essentials(essentials.clone()).continuing(before))
    };
    let enforced = engine(increment.enforced);
    let audited = increment.audited.map_or_else(|| enforced.clone(), engine);
    Built { engine: enforced, audited, reports: increment.parts }
}

/// The kinds whose objects a set reads: those its expressions name, those of params, what groups require, and the
/// Namespace of every request.
fn reads(set: &PolicySet) -> BTreeSet<ParamKind> {
    let mut kinds = BTreeSet::new();
    if !set.policies.is_empty() {
        kinds.insert(ParamKind { api_version: "v1".to_owned(), kind: "Namespace".to_owned() });
    }
    for policy in &set.policies {
        kinds.extend(policy.reads.iter().chain(&policy.param_kind).cloned());
    }
    if set.groups.iter().any(|g| g.default_deny.ingress || g.default_deny.egress) {
        kinds.insert(ParamKind { api_version: "networking.k8s.io/v1".to_owned(), kind: "NetworkPolicy".to_owned() });
    }
    kinds
}

/// Tells of a generation, and of each source that is refused, once.
fn log(before: &Generation, generation: &Generation) {
    for refused in generation.refused.iter().filter(|r| !before.refused.contains(r)) {
        let RefusedObject { kind, namespace, name, standing, diagnostics, .. } = refused;
        let first = diagnostics.iter().find(|d| d.severity == Severity::Error);
        let place = first.map(|d| format!("{}:{}:{}", d.file, d.line, d.column));
        tracing::error!(
            kind = kind.as_str(),
            namespace,
            name,
            standing = ?standing,
            place,
            fault = first.map(|d| d.message.as_str()),
            "policy source refused"
        );
    }
    for kind in &generation.not_synced {
        let (api_version, kind) = (&kind.api_version, &kind.kind);
        tracing::error!(api_version, kind, "a kind that policies read has not synced, reads of it are not ready");
    }
    tracing::info!(
        generation = generation.number,
        policies = generation.engine.set().policies.len(),
        audited = generation.audited.set().policies.len(),
        refused = generation.refused.len(),
        "policies in force"
    );
}

#[cfg(test)]
mod tests;
