//! One node's agent at work: what it is told, by whom, and when it writes.
//!
//! One task has the kernel. It is woken by watches, by the kernel's own news of interfaces, by whoever sets Pods up, and by
//! its own deadlines; whatever woke it, it takes one [`Agent::step`].

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stockade_cni::links::Links;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::apply::Extent;
use crate::cli::Unknown;
use crate::desired::Desired;
use crate::gate::exposure;
use crate::gate::metrics::StartMetrics;
use crate::hold::{Ask, Asked, GateError, Held, PodName, PodRequest};
use crate::inputs::Inputs;
use crate::inputs::snapshot::{self, SnapshotWriter};
use crate::inputs::watched::Watched;
use crate::interfaces::changes::Changes;
use crate::interfaces::{self, InterfacesError};
use crate::keeper::Keeper;
use crate::kernel::{Kernel, KernelError, Translated};
use crate::metrics::AgentMetrics;
use crate::places::Places;
use crate::waiting::Waiting;

/// How long the API server may take to tell everything before what was last known is gone by.
const LAST_KNOWN_AFTER: Duration = Duration::from_secs(5);
/// Pause after a write that failed, and between two looks for a Pod that has an address and no interface yet.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest pause after a write, as long as which it took: a burst of changes costs half a CPU at most.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long changes gather before the last known inputs are written.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(5);
/// How long no Pod starts before programs are settled, which keeps whoever changes interfaces waiting.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// Pause between two Pods whose programs are settled: three quarters of the time are left to others.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// Longest sleep: something is always due by then.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// What an agent is made of.
pub struct Parts {
    /// The kernel, and what it holds.
    pub keeper: Keeper<Kernel>,
    /// What the API server tells.
    pub watched: Watched,
    /// Requests of the start gate.
    pub held: Held,
    /// Where the last known inputs are.
    pub state: PathBuf,
    /// What a Pod gets while the API server is away.
    pub unknown: Unknown,
    /// Own metrics.
    pub metrics: AgentMetrics,
    /// Those of starting Pods.
    pub starts: StartMetrics,
}

/// What others see of the agent.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What was decided last and written whole; none before the first time.
    pub desired: Option<Arc<Desired>>,
    /// Why the kernel does not hold what is wanted now.
    pub fault: Option<String>,
    /// Whether packets to Services are judged by whom they reach, or why not; none before it was tried.
    pub translated: Option<Translated>,
    /// What it was decided by: what was told,
    pub inputs: Arc<Inputs>,
    /// and where Pods of the node are.
    pub places: Arc<Places>,
}

/// One node's agent.
pub struct Agent {
    parts: Parts,
    links: Links,
    changes: Changes,
    places: Places,
    waiting: Waiting,
    view: watch::Sender<View>,
    /// Inputs of the API server, or the last known ones.
    inputs: Arc<Inputs>,
    extent: Option<Extent>,
    is_dirty: bool,
    not_before: Instant,
    look_again: Option<Instant>,
    settle_at: Instant,
    snapshot_due: Option<Instant>,
    snapshots: SnapshotWriter,
    started: Instant,
}

/// Why an agent ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The kernel does not tell of interfaces.
    #[error("{0}")]
    Interfaces(#[from] InterfacesError),
    /// Nor of their changes.
    #[error("subscribing to interfaces: {0}")]
    Changes(#[from] std::io::Error),
}

// === impl Agent ===

impl Agent {
    /// Looks at the interfaces that there are.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn new(parts: Parts) -> Result<(Self, watch::Receiver<View>), AgentError> {
        let changes = Changes::subscribe()?;
        let links = Links::open().map_err(InterfacesError::from)?;
        let (view, seen) = watch::channel(View::default());
        let now = Instant::now();
        let snapshots = SnapshotWriter::new(parts.state.clone());
        let mut agent = Self {
            parts,
            links,
            changes,
            places: Places::default(),
            waiting: Waiting::default(),
            view,
            inputs: Arc::default(),
            extent: None,
            is_dirty: true,
            not_before: now,
            look_again: None,
            settle_at: now,
            snapshot_due: None,
            snapshots,
            started: now,
        };
        agent.look_at_interfaces()?;
        Ok((agent, seen))
    }

    /// Works until it is told to stop. What is enforced stays.
    ///
    /// # Errors
    /// The kernel does not tell of interfaces any more.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        loop {
            let due = self.next_due();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.parts.watched.changed() => self.take_inputs(),
                changed = self.changes.next() => {
                    changed?;
                    tokio::task::block_in_place(|| self.look_at_interfaces())?;
                }
                Some(asked) = self.parts.held.recv() => self.take(asked),
                () = sleep_until(due) => {}
            }
            tokio::task::block_in_place(|| self.step())?;
        }
    }

    /// Does what is due.
    fn step(&mut self) -> Result<(), AgentError> {
        let now = Instant::now();
        self.fall_back_to_last_known(now);
        if self.look_again.is_some_and(|at| at <= now) {
            self.look_for_pods()?;
        }
        if self.is_dirty
            && self.not_before <= now
            && let Some(extent) = self.extent
        {
            self.keep(extent);
        }
        let keeper = &self.parts.keeper;
        self.waiting.answer(|request| keeper.holds(request), &self.inputs);
        told(self.parts.keeper.remove_stale(), "what nothing asks for could not be removed");
        if self.parts.keeper.is_unsettled() && self.settle_at <= now {
            told(self.parts.keeper.settle_one(), "the programs of a Pod hang by clsact");
            self.settle_at = Instant::now() + SETTLE_PAUSE;
        }
        if self.snapshot_due.take_if(|at| *at <= now).is_some() && !self.snapshots.begin(Arc::clone(&self.inputs)) {
            self.snapshot_due = Some(now + SNAPSHOT_PAUSE);
        }
        Ok(())
    }

    fn next_due(&self) -> Instant {
        let removal = self.parts.keeper.next_removal().map(Instant::from_std);
        let write = (self.is_dirty && self.extent.is_some()).then_some(self.not_before);
        let last_known = self.extent.is_none().then(|| self.started + LAST_KNOWN_AFTER);
        let settling = self.parts.keeper.is_unsettled().then_some(self.settle_at);
        let all = [removal, write, last_known, self.look_again, settling, self.snapshot_due, self.waiting.next()];
        let soonest = all.into_iter().flatten().min();
        let latest = Instant::now() + MAX_SLEEP;
        soonest.map_or(latest, |at| at.min(latest))
    }

    /// Takes what the API server tells, once it has told everything.
    fn take_inputs(&mut self) {
        if !self.parts.watched.is_complete() {
            return;
        }
        self.inputs = Arc::new(self.parts.watched.inputs());
        self.extent = Some(Extent::All);
        self.is_dirty = true;
        self.look_again = Some(Instant::now());
        self.snapshot_due.get_or_insert_with(|| Instant::now() + SNAPSHOT_PAUSE);
    }

    /// Goes by what was last known when the API server does not tell everything in time.
    fn fall_back_to_last_known(&mut self, now: Instant) {
        if self.extent.is_some() || now < self.started + LAST_KNOWN_AFTER {
            return;
        }
        let known = match self.parts.unknown {
            Unknown::Deny => None,
            Unknown::LastKnown => snapshot::read(&self.parts.state).unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last known inputs cannot be read");
                None
            }),
        };
        let pods = known.as_ref().map_or(0, |inputs| inputs.pods.len());
        tracing::warn!(pods, "the API server does not answer: what is enforced stays, new Pods go by what is known");
        self.inputs = Arc::new(known.unwrap_or_default());
        self.extent = Some(Extent::NewPods);
        self.is_dirty = true;
        self.look_again = Some(now);
    }

    fn take(&mut self, asked: Asked) {
        let Asked { ask, answer } = asked;
        let refused = match ask {
            Ask::Check(request) => {
                let held = self.parts.keeper.holds(&request);
                let index = request.interface.index;
                // Whoever asked may be gone.
                drop(answer.send(if held { Ok(()) } else { Err(GateError::NoInterface { index }) }));
                return;
            }
            Ask::Release(pod) => {
                self.is_dirty |= self.places.forget(&pod);
                drop(answer.send(Ok(())));
                return;
            }
            Ask::Hold(request) => match self.is_there(&request) {
                Err(error) => GateError::Kernel(error.to_string()),
                Ok(true) if self.places.put(request.clone()) => {
                    self.is_dirty = true;
                    self.not_before = Instant::now();
                    self.parts.keeper.is_new(request.interface.index);
                    self.settle_at = Instant::now() + SETTLE_AFTER;
                    self.waiting.add(request, answer);
                    return;
                }
                Ok(true) => GateError::Busy,
                Ok(false) => GateError::NoInterface { index: request.interface.index },
            },
        };
        drop(answer.send(Err(refused)));
    }

    /// Whether the interface of a request is there under its name.
    fn is_there(&mut self, request: &PodRequest) -> Result<bool, InterfacesError> {
        let link = self.links.at(request.interface.index)?;
        Ok(link.is_some_and(|link| link.name == request.interface.name))
    }

    fn look_at_interfaces(&mut self) -> Result<(), AgentError> {
        let names = interfaces::names(&mut self.links)?;
        let addresses = interfaces::node_addresses(&mut self.links)?;
        let are_gone = self.places.see(names);
        if are_gone || addresses != self.places.node_addresses {
            self.places.node_addresses = addresses;
            self.is_dirty = true;
        }
        self.look_again = Some(Instant::now());
        Ok(())
    }

    /// Looks for the interfaces of Pods that nothing has told of. What nothing held has run open: told.
    fn look_for_pods(&mut self) -> Result<(), AgentError> {
        self.look_again = None;
        let inputs = Arc::clone(&self.inputs);
        let placeless = inputs.pods.iter().filter(|(uid, pod)| {
            pod.is_judged() && !pod.addresses.is_empty() && self.places.of(uid, &pod.namespace, &pod.name).is_none()
        });
        let mut uids: BTreeSet<String> = placeless.map(|(uid, _)| uid.clone()).collect();
        uids.retain(|uid| !self.find_in_kernel(uid, &inputs));
        if uids.is_empty() {
            return Ok(());
        }
        let found = interfaces::of_pods(&mut self.links, &uids)?;
        if found.len() < uids.len() {
            self.look_again = Some(Instant::now() + AGAIN);
        }
        for (uid, found) in found {
            let Some(facts) = inputs.pods.get(&uid) else { continue };
            let is_new = !self.parts.keeper.held().endpoints.contains_key(&found.interface.index);
            if is_new && let Ok(age) = exposure::age(found.process) {
                self.parts.starts.exposed(age);
            }
            let pod = PodName { namespace: facts.namespace.clone(), name: facts.name.clone(), uid };
            self.places.put(PodRequest { pod, interface: found.interface, addresses: Vec::new() });
            self.is_dirty = true;
        }
        Ok(())
    }

    /// Finds a Pod that an agent before this one had put into the kernel, by its addresses; whether it is there.
    fn find_in_kernel(&mut self, uid: &str, inputs: &Inputs) -> bool {
        let Some(facts) = inputs.pods.get(uid) else { return false };
        let held = &self.parts.keeper.held().local_addresses;
        let index = facts.addresses.iter().find_map(|address| held.get(&address.to_canonical()));
        let Some(interface) = index.and_then(|index| self.places.interface(*index)) else { return false };
        let is_taken = self.places.iter().any(|place| place.interface == interface);
        let pod = PodName { namespace: facts.namespace.clone(), name: facts.name.clone(), uid: uid.to_owned() };
        let found = !is_taken && self.places.put(PodRequest { pod, interface, addresses: Vec::new() });
        self.is_dirty |= found;
        found
    }

    fn keep(&mut self, extent: Extent) {
        let begin = Instant::now();
        let kept = self.parts.keeper.keep(&self.inputs, &self.places, extent);
        let took = begin.elapsed();
        match kept {
            Ok(()) => {
                self.is_dirty = false;
                self.not_before = Instant::now() + took.min(MAX_PAUSE);
                let desired = Arc::clone(self.parts.keeper.desired());
                self.parts.metrics.kept(took, self.parts.keeper.held(), &desired);
                let fault = (extent == Extent::NewPods).then(|| "the API server is away".to_owned());
                let translated = self.translate(extent);
                let (inputs, places) = (Arc::clone(&self.inputs), Arc::new(self.places.clone()));
                self.view.send_replace(View { desired: Some(desired), fault, translated, inputs, places });
            }
            Err(error) => {
                self.not_before = Instant::now() + AGAIN;
                self.parts.metrics.failed();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the kernel does not hold what policies ask for"
                );
                self.view.send_modify(|view| view.fault = Some(error.to_string()));
            }
        }
    }

    /// After the first whole write: packets to Services are known, and no program uses what an older agent left.
    fn translate(&self, extent: Extent) -> Option<Translated> {
        let before = self.view.borrow().translated.clone();
        if before.is_some() || extent == Extent::NewPods {
            return before;
        }
        let kernel = self.parts.keeper.kernel();
        told(kernel.forget_others(), "tables of another agent could not be removed");
        match kernel.translate() {
            Ok(translated) => Some(translated),
            Err(error) => {
                told(Err(error), "packets to Services cannot be judged by whom they reach");
                None
            }
        }
    }
}

/// Tells of what the kernel refuses and nobody has to wait for.
fn told(what: Result<(), KernelError>, message: &'static str) {
    if let Err(error) = what {
        tracing::warn!(error = &error as &dyn std::error::Error, "{message}");
    }
}
