//! The one who judges: takes from the queue, lists, judges, and has reports written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_engine::audit::{Auditor, is_about};
use tokio_util::task::AbortOnDropHandle;

use super::again::Again;
use super::follow::Follower;
use super::judging::Judging;
use super::kinds::{self, Kind};
use super::metrics::AuditMetrics;
use super::pace::Pace;
use super::page::{self, Judged, Page, PageError};
use super::pass::{Next, Pass};
use super::plan::{Plan, changed, waivers};
use super::queue::Queue;
use super::results::Results;
use super::share::Share;
use super::usage::Usage;
use super::{Inputs, Settings};
use crate::access::Access;
use crate::facts::{Read, reads};
use crate::flows::{Flows, Known};
use crate::policies::Generation;
use crate::reports::writer::{Passes, Writer};
use crate::reports::{self, Sources, described};

/// Pages a second, and at once.
const PAGES: (u32, u32) = (20, 40);
/// Pause after an API server that did not answer.
const RETRY: Duration = Duration::from_secs(2);
/// Failed writes after which the API server gets a pause.
const MAX_FAILED_WRITES: usize = 3;
/// Reports written between two pages, so that a namespace that changed does not wait for a full pass.
const WRITES_A_STEP: usize = 20;
/// Longest wait for what policies read to be known, before they are judged by that it is not.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// All that the audit of one replica holds.
pub(super) struct Worker {
    access: Access,
    inputs: Inputs,
    settings: Settings,
    metrics: AuditMetrics,
    queue: Arc<Queue>,
    pace: Pace,
    plan: Plan,
    judging: Judging,
    again: Again,
    results: Results,
    writer: Writer,
    /// What of flows is in reports, or on its way there.
    flows: Arc<Known>,
    /// The list of all namespaces that is going on.
    pass: Option<Pass>,
    /// When the present judgement of everything began; none when it is complete.
    began: Option<Instant>,
    completed: Instant,
    /// Namespaces whose report may have changed; with those of a full pass is waited until it is complete.
    changed: BTreeSet<Arc<str>>,
    /// Namespaces whose report could not be written.
    failed: BTreeSet<Arc<str>>,
    after_pass: BTreeSet<Arc<str>>,
    loaded: bool,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        access: Access,
        inputs: Inputs,
        settings: Settings,
        metrics: AuditMetrics,
        queue: Arc<Queue>,
    ) -> Self {
        let writer = Writer::new(access.client.clone(), settings.reports, metrics.clone());
        Self {
            plan: Plan::empty(),
            judging: Judging::new(inputs.images.clone()),
            again: Again::default(),
            results: Results::default(),
            pace: Pace::new(PAGES.0, PAGES.1),
            pass: None,
            flows: Arc::default(),
            began: None,
            completed: Instant::now(),
            changed: BTreeSet::new(),
            failed: BTreeSet::new(),
            after_pass: BTreeSet::new(),
            loaded: false,
            access,
            inputs,
            settings,
            metrics,
            queue,
            writer,
        }
    }

    /// Works for ever.
    pub(super) async fn run(mut self) {
        self.inputs.facts.resources().ready().await;
        if let Some(flows) = &mut self.inputs.flows {
            flows.ready().await;
        }
        loop {
            self.refresh().await;
            self.look_up_changes();
            self.look_up_flows();
            for (resource, namespace) in self.again.take_due() {
                self.queue.unit(&resource, &namespace);
            }
            self.metrics.queued(self.queue.len());
            let worked = self.step().await;
            let wrote = self.write().await;
            match worked.and(wrote) {
                Ok(true) => {}
                Ok(false) => self.rest().await,
                Err(Unavailable) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Waits until there is something to do.
    async fn rest(&mut self) {
        let due = tokio::time::Instant::from_std(self.completed + self.settings.period);
        let again = self.again.next();
        let mut resources = self.inputs.facts.resources().changes();
        tokio::select! {
            () = self.queue.wait() => {}
            Ok(()) = self.inputs.generations.changed() => {}
            Ok(()) = self.inputs.replicas.changed() => {}
            Ok(()) = resources.changed() => {}
            () = flows_changed(self.inputs.flows.as_mut()) => {}
            () = tokio::time::sleep_until(again.unwrap_or(due)), if again.is_some() => {}
            () = tokio::time::sleep_until(due) => self.queue_all(),
        }
    }

    /// Takes over what others say: policies, resources, replicas.
    async fn refresh(&mut self) {
        let alive = Arc::clone(&self.inputs.replicas.borrow_and_update());
        let share = Share::of(&self.access.identity, &alive, &self.access.namespace).map(Arc::new);
        if share != self.plan.share {
            tracing::info!(replicas = alive.len(), "sharing the audit anew");
            self.plan.share = share;
            self.inputs.usage.send_replace(None);
            self.plan.forget_seen();
            self.pass = None;
            if let Some(share) = &self.plan.share {
                self.results.retain(|namespace, _| share.holds(namespace));
                self.again.retain(|_, namespace| share.holds(namespace));
            }
            self.loaded = false;
            self.flows = Arc::default();
            self.queue_all();
        }
        let generation = Arc::clone(&self.inputs.generations.borrow_and_update());
        if generation.number == 0 {
            return;
        }
        let engine = Arc::clone(&generation.audited);
        let Some(snapshot) = self.inputs.facts.resources().snapshot() else { return };
        let auditor = match Arc::ptr_eq(&engine, &self.plan.engine) {
            true => None,
            false => Some(Arc::new(Auditor::with_images(&engine))),
        };
        let kinds = kinds::audited(&snapshot, auditor.as_ref().unwrap_or(&self.plan.auditor).policies());
        if let Some(auditor) = auditor {
            self.take_policies(&generation, auditor, &kinds).await;
        }
        if kinds != self.plan.kinds {
            self.take_kinds(kinds);
        }
    }

    async fn take_policies(
        &mut self,
        generation: &Generation,
        auditor: Arc<Auditor>,
        kinds: &BTreeMap<Arc<str>, Arc<Kind>>,
    ) {
        let engine = Arc::clone(&generation.audited);
        let (before, set) = (self.plan.engine.set(), engine.set());
        let reads = reads::of_set(set);
        // What the generation waited for in vain is told already.
        let expected: Vec<&Read> = reads.difference(&generation.not_synced).collect();
        for read in self.inputs.facts.synced(expected, SYNC_TIMEOUT).await {
            tracing::warn!(%read, "what policies read is not known, they cannot be judged where they read it");
        }
        let changed = changed(before, set);
        for (name, kind) in kinds {
            if changed.iter().any(|p| is_about(p, &kind.group, &kind.plural)) {
                self.queue.resource(Arc::clone(name));
            }
        }
        if waivers(before) != waivers(set) {
            self.queue_all();
        }
        self.plan.auditor = auditor;
        self.plan.policies = described(self.plan.auditor.policies());
        self.plan.engine = engine;
        let unjudged = self.plan.auditor.unjudged().iter();
        self.metrics.unjudged(unjudged.map(|u| (&*u.policy, u.reason.name())));
        // A list that has begun was judged by other policies.
        if let Some(pass) = self.pass.take() {
            self.queue.resource(pass.resource);
        }
        self.begin();
    }

    fn take_kinds(&mut self, kinds: BTreeMap<Arc<str>, Arc<Kind>>) {
        for name in kinds.keys().filter(|n| !self.plan.kinds.contains_key(*n)) {
            self.queue.resource(Arc::clone(name));
        }
        self.plan.followers.retain(|name, _| kinds.contains_key(name));
        self.plan.markers.retain(|name, _| kinds.contains_key(name));
        self.changed.extend(self.results.retain(|_, resource| kinds.contains_key(resource)));
        self.again.retain(|resource, _| kinds.contains_key(resource));
        self.plan.kinds = kinds;
        self.begin();
    }

    fn queue_all(&mut self) {
        self.plan.kinds.keys().for_each(|name| self.queue.resource(Arc::clone(name)));
        self.begin();
    }

    fn begin(&mut self) {
        self.began.get_or_insert_with(Instant::now);
    }

    /// Changes of facts become namespaces to be judged again.
    fn look_up_changes(&mut self) {
        match self.queue.take_changes() {
            None => self.queue_all(),
            Some(changes) => {
                for (resource, namespace) in changes.iter().flat_map(|c| self.results.concerned(c)) {
                    self.queue.unit(&resource, &namespace);
                }
            }
        }
    }

    /// What agents tell becomes namespaces whose report is written anew.
    fn look_up_flows(&mut self) {
        let Some(flows) = &self.inputs.flows else { return };
        let known = flows.known();
        self.changed.extend(known.differing(&self.flows));
        self.flows = known;
    }

    /// Judges one namespace, or one page. Whether there was anything to do.
    async fn step(&mut self) -> Result<bool, Unavailable> {
        if self.plan.share.is_none() {
            return Ok(false);
        }
        if let Some((resource, namespace)) = self.queue.take_unit() {
            self.unit(resource, namespace).await?;
            return Ok(true);
        }
        if self.pass.is_none() {
            let Some(resource) = self.queue.take_resource() else { return self.complete() };
            let Some(kind) = self.plan.kinds.get(&resource).cloned() else { return Ok(true) };
            let markers = self.plan.markers(&resource);
            self.pass = Some(Pass::new(resource, kind, markers, None));
        }
        let Some(mut pass) = self.pass.take() else { return Ok(true) };
        match self.page(&mut pass).await {
            Ok(Next::Page) => self.pass = Some(pass),
            Ok(Next::Done(version)) => self.take_pass(pass, version),
            Ok(Next::Denied) => {}
            Err(unavailable) => {
                self.pass = Some(pass);
                return Err(unavailable);
            }
        }
        Ok(true)
    }

    /// Judges a resource in one namespace.
    async fn unit(&mut self, resource: Arc<str>, namespace: Arc<str>) -> Result<(), Unavailable> {
        let Some(kind) = self.plan.kinds.get(&resource).cloned() else { return Ok(()) };
        let markers = self.plan.markers(&resource);
        let mut pass = Pass::new(Arc::clone(&resource), kind, markers, Some(Arc::clone(&namespace)));
        loop {
            match self.page(&mut pass).await {
                Ok(Next::Page) => {}
                Ok(Next::Done(_) | Next::Denied) => break,
                Err(unavailable) => {
                    self.queue.unit(&resource, &namespace);
                    return Err(unavailable);
                }
            }
        }
        if let Some(going_on) = self.pass.as_mut().filter(|p| p.resource == resource) {
            going_on.newer.insert(Arc::clone(&namespace));
        }
        let unit = pass.units.remove(&namespace).unwrap_or_default();
        self.again.judged(&resource, &namespace, unit.unavailable);
        let new = self.results.replace(&namespace, &resource, unit);
        self.inputs.events.violations(&namespace, &new);
        self.changed.insert(namespace);
        Ok(())
    }

    /// Fetches and judges one page.
    async fn page(&mut self, pass: &mut Pass) -> Result<Next, Unavailable> {
        self.pace.wait().await;
        let from = Instant::now();
        let fetched = page::fetch(&self.access.client, &pass.kind, &pass.position).await;
        self.pace.took(from.elapsed());
        let judged = match fetched {
            Ok(text) => self.judged(pass, text).await,
            Err(error) => Err(error),
        };
        match judged {
            Ok(judged) => {
                self.metrics.requested("listed");
                self.metrics.judged(&pass.resource, judged.units.iter().map(|(_, u)| u.objects).sum());
                Ok(pass.take(judged))
            }
            Err(error) => {
                self.metrics.requested("failed");
                pass.failed(error).map_err(|error| {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(resource = %pass.resource, error, "list failed, trying again");
                    Unavailable
                })
            }
        }
    }

    async fn judged(&mut self, pass: &Pass, text: Vec<u8>) -> Result<Judged, PageError> {
        let Some(share) = self.plan.share.clone() else { return Err(PageError::Expired) };
        let (auditor, kind) = (Arc::clone(&self.plan.auditor), Arc::clone(&pass.kind));
        let (facts, now) = (self.inputs.facts.clone(), jiff::Timestamp::now().as_second());
        self.judging.page(Page { text, kind, auditor, facts, share, now }).await
    }

    /// Takes over a complete list, and watches from there on.
    fn take_pass(&mut self, pass: Pass, version: String) {
        let Pass { resource, kind, units, newer, markers, .. } = pass;
        let gone: Vec<_> =
            self.results.units().filter(|(n, r, _)| **r == resource && !units.contains_key(*n)).collect();
        let gone: Vec<Arc<str>> =
            gone.into_iter().map(|(n, _, _)| Arc::clone(n)).filter(|n| !newer.contains(n)).collect();
        for namespace in &gone {
            self.results.remove(namespace, &resource);
            self.again.judged(&resource, namespace, false);
        }
        self.after_pass.extend(gone);
        for (namespace, unit) in units {
            if newer.contains(&namespace) {
                continue;
            }
            self.again.judged(&resource, &namespace, unit.unavailable);
            let new = self.results.replace(&namespace, &resource, unit);
            self.inputs.events.violations(&namespace, &new);
            self.after_pass.insert(namespace);
        }
        self.judging.sweep();
        if let Some(share) = self.plan.share.clone()
            && self.plan.followers.get(&resource).is_none_or(AbortOnDropHandle::is_finished)
        {
            let client = self.access.client.clone();
            let queue = Arc::clone(&self.queue);
            let follower = Follower { client, resource: Arc::clone(&resource), kind, share, markers, queue };
            let watch = AbortOnDropHandle::new(tokio::spawn(follower.run(version)));
            self.plan.followers.insert(resource, watch);
        }
    }

    /// Says that everything is judged, once.
    fn complete(&mut self) -> Result<bool, Unavailable> {
        let Some(began) = self.began.take() else { return Ok(false) };
        self.completed = Instant::now();
        let objects: usize = self.results.units().map(|(_, _, u)| u.objects).sum();
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(objects, seconds, resources = self.plan.kinds.len(), "all that exists is judged");
        self.metrics.passed(began.elapsed());
        self.count();
        // Reports of what is no longer there.
        let share = self.plan.share.clone();
        let holds = |namespace: &str| share.as_ref().is_some_and(|s| s.holds(namespace));
        self.after_pass.extend(self.writer.namespaces().filter(|n| holds(n)).cloned());
        Ok(true)
    }

    /// Tells what there is in numbers: of violations to the metrics, of what is waived to the status of exceptions.
    fn count(&self) {
        self.metrics.violations(&self.results.violations());
        if let (None, Some(share)) = (self.began, &self.plan.share) {
            let (engine, share) = (Arc::clone(&self.plan.engine), Arc::clone(share));
            self.inputs.usage.send_replace(Some(Arc::new(Usage { engine, share, waived: self.results.waived() })));
        }
    }

    /// Writes some reports. Whether there were any to look at.
    async fn write(&mut self) -> Result<bool, Unavailable> {
        let idle = self.pass.is_none() && self.began.is_none() && !self.queue.has_resources();
        if self.changed.is_empty() && self.failed.is_empty() && (!idle || self.after_pass.is_empty()) {
            return Ok(false);
        }
        if !self.loaded {
            if let Err(error) = self.writer.load().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "reports cannot be listed, trying again; are their kinds installed?");
                return Err(Unavailable);
            }
            self.loaded = true;
            if idle {
                self.after_pass.extend(self.writer.namespaces().cloned());
            }
        }
        // Those that failed come again after the others: one that is refused for ever holds up nobody.
        if self.changed.is_empty() {
            self.changed.append(&mut self.failed);
        }
        let mut failures = 0;
        for _ in 0..WRITES_A_STEP {
            let (namespace, passes) = match (self.changed.pop_first(), idle) {
                (Some(namespace), _) => (namespace, Passes::Leave),
                (None, true) => match self.after_pass.pop_first() {
                    Some(namespace) => (namespace, Passes::Write),
                    None => break,
                },
                (None, false) => break,
            };
            if !self.plan.share.as_ref().is_some_and(|s| s.holds(&namespace)) {
                continue;
            }
            let sources = Sources { results: &self.results, would_deny: self.flows.would_deny(&namespace) };
            let report = reports::render(&namespace, sources, &self.plan.policies, self.settings.reports);
            if let Err(error) = self.writer.write(&namespace, report, passes).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%namespace, error, "report not written, trying again");
                self.failed.insert(namespace);
                failures += 1;
                if failures == MAX_FAILED_WRITES {
                    break;
                }
            }
        }
        if failures > 0 {
            return Err(Unavailable);
        }
        if self.changed.is_empty() {
            self.count();
        }
        Ok(true)
    }
}

/// Ends when flows have changed; never where nobody tells of any.
async fn flows_changed(flows: Option<&mut Flows>) {
    match flows {
        Some(flows) => flows.changed().await,
        None => std::future::pending().await,
    }
}

/// The API server did not do what it was asked; it has been said why.
#[derive(Debug, Clone, Copy)]
struct Unavailable;
