//! From events to generations.

use std::collections::BTreeSet;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::Event;
use stockade_engine::engine::Engine;
use stockade_engine::equivalents::Equivalents;
use stockade_engine::essentials::Essentials;
use stockade_policy::compile::incremental::{Compiler, Increment, PartReport};
use stockade_policy::compiled::PolicySet;
use stockade_policy::diagnostic::Severity;
use tokio::sync::{mpsc, watch};

use super::sources::Sources;
use super::{Generation, Generations, HeldReads, RefusedObject, Settings, SourceKind, folders, objects};
use crate::access::Access;
use crate::facts::{LiveFacts, Read, reads};
use crate::object::Object;

/// Longest wait for what a generation newly reads. Then it goes in force all the same: a policy that reads what cannot
/// be watched must not hold up the others. What was waited for in vain is not waited for again until it was known.
const SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for the first generation: until then the replica is not ready, and one that is ready without knowing what
/// its policies read would refuse its share of all requests.
const FIRST_SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// How often what did not sync in time is looked at again.
const SYNC_AGAIN: Duration = Duration::from_secs(1);

/// Most reads that are remembered to have been waited for in vain; then all are forgotten, and may be waited for again.
const MAX_GIVEN_UP: usize = 1_000;

/// Most events that go into one generation: those that are there already, so that a burst is compiled once.
const MAX_BATCH: usize = 1_000;

/// Puts the cluster's policies in force, one generation after the other. All of it happens in the future, which never
/// ends.
pub fn publish(
    access: &Access,
    settings: Settings,
    facts: LiveFacts,
) -> (Generations, impl Future<Output = ()> + Send + use<>) {
    let (publish, generations) = watch::channel(Arc::new(Generation::none()));
    let max_exception_seconds = settings.max_exception_seconds;
    let equivalents = facts.resources().equivalents();
    let events = objects::events(access, facts.resources());
    let publisher = Publisher {
        facts,
        equivalents,
        compiler: Compiler::new().max_exception_seconds(max_exception_seconds),
        max_exception_seconds,
        held: BTreeSet::new(),
        given_up: BTreeSet::new(),
        publish,
        essentials: settings.essentials,
    };
    (generations, run(events, settings.folders, publisher))
}

/// Compiles, and keeps the facts in step.
struct Publisher<F> {
    facts: F,
    equivalents: watch::Receiver<Option<Arc<Equivalents>>>,
    compiler: Compiler,
    max_exception_seconds: Option<u32>,
    /// What the generation in force reads.
    held: BTreeSet<Read>,
    /// What was waited for in vain, and was not known since.
    given_up: BTreeSet<Read>,
    publish: watch::Sender<Arc<Generation>>,
    essentials: Essentials,
}

/// A set that was compiled, indexed.
struct Built {
    engine: Arc<Engine>,
    audited: Arc<Engine>,
    reports: Vec<PartReport>,
}

async fn run<F: HeldReads>(
    events: impl Stream<Item = (SourceKind, Event<Object>)> + Send,
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

impl<F: HeldReads> Publisher<F> {
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
        let reads = reads::of_set(built.audited.set());
        let not_synced = self.await_reads(&reads).await;
        let before = self.publish.borrow().clone();
        let generation = Generation {
            number: before.number + 1,
            engine: built.engine,
            audited: built.audited,
            observed: sources.observed().clone(),
            refused: sources.refused(&built.reports),
            not_synced,
        };
        log(&before, &generation);
        self.publish.send_replace(Arc::new(generation));
        if self.held != reads {
            self.facts.hold(&reads);
            self.held = reads;
        }
    }

    /// Waits for what is newly read, and gives what is not known all the same. What the generation in force reads stays
    /// held until another one is.
    async fn await_reads(&mut self, reads: &BTreeSet<Read>) -> BTreeSet<Read> {
        if !reads.is_subset(&self.held) {
            self.facts.hold(reads.union(&self.held));
        }
        let is_new = |read: &&Read| !self.held.contains(read) && !self.given_up.contains(read);
        let new: BTreeSet<Read> = reads.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            let first = self.publish.borrow().number == 0;
            self.facts.synced(&new, if first { FIRST_SYNC_TIMEOUT } else { SYNC_TIMEOUT }).await;
        }
        let not_synced = self.facts.synced(reads, Duration::ZERO).await;
        self.given_up.retain(|read| !reads.contains(read));
        if self.given_up.len() + not_synced.len() > MAX_GIVEN_UP {
            self.given_up.clear();
        }
        self.given_up.extend(not_synced.iter().cloned());
        not_synced
    }

    /// Tells what is new beside what is in force: objects that were written again, reads that are known at last.
    async fn refresh(&mut self, sources: &Sources) {
        let before = self.publish.borrow().clone();
        let not_synced = self.facts.synced(&before.not_synced, Duration::ZERO).await;
        if (sources.observed(), &not_synced) != (&before.observed, &before.not_synced) {
            self.given_up.retain(|read| not_synced.contains(read) || !before.not_synced.contains(read));
            let (engine, audited) = (before.engine.clone(), before.audited.clone());
            let (number, refused) = (before.number, before.refused.clone());
            let observed = sources.observed().clone();
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
    for read in &generation.not_synced {
        tracing::error!(%read, "what policies read has not synced, reads of it are not ready");
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
