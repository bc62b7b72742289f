//! The leader keeps both configurations as the generation in force wants them.
//!
//! The order of things. A policy that is new is in force somewhere before anything asks for it, or asked for before it
//! is in force everywhere: in both cases a request is admitted as it was before the policy. A registration that is
//! narrower than an older one leaves unasked only what the newest policies do not judge. The one way to ask for too
//! little is a new leader whose watch is behind; so the object tells up to which `resourceVersion` policies were
//! looked at, and who has looked at less does not write.
//!
//! Objects are replaced whole, under the `resourceVersion` that was seen: what others put into the list of webhooks
//! does not stay, which server-side apply would leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::watcher::{self, Event};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use stockade_engine::Engine;
use stockade_webhook::registered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::stored::{Side, is_ours};
use super::{Configurations, NAME, Settings};
use crate::access::{Access, FIELD_MANAGER};
use crate::failsafe;
use crate::policies::{Generations, Observed};
use crate::replicas::{Leadership, NAME_LABEL};

/// Annotation: [`Observed`] when the object was written.
const OBSERVED: &str = "stockade.dev/observed";
/// How long a leader whose watch is behind lets the object be. Its watch never takes as long; after a restore of etcd
/// the object may tell a number that is not reached again.
const MAX_BEHIND: Duration = Duration::from_secs(30);
/// Between two writes of one object, however fast policies change.
const SPACING: Duration = Duration::from_millis(100);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(2);
/// Longest wait for one answer of the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two repairs of what others changed: doubled each time, so that a fight with another controller costs one
/// write a minute.
const REPAIR_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Without a repair for so long, the next one is made at once again.
const REPAIR_QUIET: Duration = Duration::from_secs(300);

/// The cause of a write that puts back what others changed.
const DRIFT: &str = "drift";

/// What decides what is written, and whether.
#[derive(Clone)]
pub struct Inputs {
    /// Only the leader writes.
    pub leadership: Leadership,
    /// What requests are judged by.
    pub generations: Generations,
    /// The `caBundle`, PEM; none until there is a serving certificate.
    pub bundle: watch::Receiver<Option<Arc<str>>>,
}

/// What was written, and whether it is as it should be.
#[derive(Debug, Clone, Default)]
pub struct RegistrationMetrics {
    writes: Family<WriteLabels, Counter>,
    current: Family<KindLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// Keeps both configurations. Never ends.
pub async fn write(access: Access, settings: Settings, inputs: Inputs, metrics: RegistrationMetrics) {
    let keep = |side| {
        let (settings, inputs) = (settings.clone(), inputs.clone());
        Keeper { side, api: side.api(&access.client), settings, inputs, metrics: metrics.clone(), computed: None }.run()
    };
    tokio::join!(keep(Side::Validating), keep(Side::Mutating));
}

/// Keeper of one of the two.
struct Keeper {
    side: Side,
    api: Api<DynamicObject>,
    settings: Settings,
    inputs: Inputs,
    metrics: RegistrationMetrics,
    computed: Option<Computed>,
}

/// The object as far as it is known.
#[derive(Default)]
enum Seen {
    #[default]
    Unknown,
    Absent,
    There(Box<DynamicObject>),
}

/// What the object is to be.
struct Desired {
    webhooks: Value,
    observed: Observed,
}

/// What policies and a bundle come to. A generation is also published when nothing but its `observed` is new, fifty times
/// a second while the status of many objects is written: that looks at no policy again.
struct Computed {
    engine: Arc<Engine>,
    bundle: Arc<str>,
    webhooks: Value,
}

/// What a keeper remembers.
#[derive(Default)]
struct State {
    seen: Seen,
    /// The `webhooks` that were written or found right last.
    right: Option<Value>,
    repairs: Repairs,
    /// Since when the object tells of more than was looked at here.
    behind_since: Option<Instant>,
}

/// When what others changed may be put back.
#[derive(Default)]
struct Repairs {
    last: Option<Instant>,
    pause: Duration,
}

// === impl Computed ===

impl Computed {
    fn is_of(&self, engine: &Arc<Engine>, bundle: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.engine, engine) && Arc::ptr_eq(&self.bundle, bundle)
    }
}

// === impl Keeper ===

impl Keeper {
    async fn run(mut self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut events = std::pin::pin!(stockade_watch::watch(self.api.clone(), config));
        let mut state = State::default();
        let mut listed = None;
        loop {
            let wake = match self.desired() {
                Some(desired) => self.write_when_due(&desired, &mut state).await,
                None => None,
            };
            let alarm = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => state.seen.event(event, &mut listed),
                    None => return,
                },
                () = changed(&mut self.inputs.leadership) => {}
                () = changed(&mut self.inputs.generations) => {}
                () = changed(&mut self.inputs.bundle) => {}
                () = alarm => {}
            }
        }
    }

    /// Writes what is due, and tells when to look again.
    async fn write_when_due(&self, desired: &Desired, state: &mut State) -> Option<Instant> {
        if matches!(state.seen, Seen::Unknown) {
            return None;
        }
        let cause = state.seen.differs(desired, state.right.as_ref());
        self.metrics.current.get_or_create(&self.label()).set(cause.is_none().into());
        let Some(cause) = cause else {
            state.right = Some(desired.webhooks.clone());
            return None;
        };
        if !*self.inputs.leadership.borrow() {
            return None;
        }
        let now = Instant::now();
        let at = state.earliest(cause, desired, now);
        if at > now {
            return Some(at);
        }
        if cause == DRIFT {
            state.repairs.made(now);
        }
        let Some(stored) = self.put(&state.seen, desired).await else { return Some(Instant::now() + RETRY) };
        self.tell(cause);
        self.metrics.current.get_or_create(&self.label()).set(1);
        state.seen = Seen::There(Box::new(stored));
        state.right = Some(desired.webhooks.clone());
        state.behind_since = None;
        tokio::time::sleep(SPACING).await;
        // Something may have changed in between.
        Some(Instant::now())
    }

    /// None until there is something to be asked about, and a certificate to answer with.
    fn desired(&mut self) -> Option<Desired> {
        let generation = self.inputs.generations.borrow_and_update().clone();
        let bundle = self.inputs.bundle.borrow_and_update().clone()?;
        self.inputs.leadership.mark_unchanged();
        if generation.number == 0 {
            return None;
        }
        let known = self.computed.take().filter(|computed| computed.is_of(&generation.engine, &bundle));
        let computed = known.unwrap_or_else(|| {
            let configurations = Configurations::of(generation.engine.set(), &self.settings, bundle.as_bytes());
            let engine = Arc::clone(&generation.engine);
            Computed { engine, bundle, webhooks: self.side.webhooks(&configurations) }
        });
        let webhooks = self.computed.insert(computed).webhooks.clone();
        Some(Desired { webhooks, observed: generation.observed.clone() })
    }

    /// What is stored then; none when it could not be written, or somebody else wrote before.
    async fn put(&self, seen: &Seen, desired: &Desired) -> Option<DynamicObject> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let object = desired.object(self.side, seen);
        let request = async {
            match seen {
                Seen::There(_) => self.api.replace(NAME, &params, &object).await,
                Seen::Absent | Seen::Unknown => self.api.create(&params, &object).await,
            }
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Ok(Ok(stored)) => Some(stored),
            // The watch brings what is there.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => None,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(kind = self.side.kind(), error, "registration not written, trying again");
                None
            }
            Err(_) => {
                tracing::warn!(kind = self.side.kind(), "registration not written: no answer, trying again");
                None
            }
        }
    }

    fn tell(&self, cause: &'static str) {
        let kind = self.side.kind();
        self.metrics.writes.get_or_create(&WriteLabels { kind, cause }).inc();
        match cause {
            DRIFT => tracing::warn!(kind, name = NAME, "registration was changed by others, put back"),
            _ => tracing::info!(kind, name = NAME, cause, "registration written"),
        }
    }

    fn label(&self) -> KindLabel {
        KindLabel { kind: self.side.kind() }
    }
}

/// Waits for a change; for ever when none can come any more.
async fn changed<T>(input: &mut watch::Receiver<T>) {
    if input.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

// === impl Seen ===

impl Seen {
    fn event(&mut self, event: Event<DynamicObject>, listed: &mut Option<Box<DynamicObject>>) {
        match event {
            Event::Init => *listed = None,
            Event::InitApply(object) => *listed = Some(Box::new(object)),
            Event::InitDone => *self = listed.take().map_or(Self::Absent, Self::There),
            // The answer to a write may have come before the watch tells of an older one.
            Event::Apply(object) if self.version() > version(&object) => {}
            Event::Apply(object) => *self = Self::There(Box::new(object)),
            Event::Delete(object) if self.version() > version(&object) => {}
            Event::Delete(_) => *self = Self::Absent,
        }
    }

    fn object(&self) -> Option<&DynamicObject> {
        match self {
            Self::There(object) => Some(object),
            Self::Unknown | Self::Absent => None,
        }
    }

    fn version(&self) -> u64 {
        self.object().map_or(0, version)
    }

    fn observed(&self) -> Observed {
        let annotations = self.object().and_then(|o| o.metadata.annotations.as_ref());
        annotations.and_then(|a| a.get(OBSERVED)).map(|text| Observed::parse(text)).unwrap_or_default()
    }

    /// Why the object has to be written; none when it is as it should be, or not known yet. `right` is what was
    /// written or found right last.
    fn differs(&self, desired: &Desired, right: Option<&Value>) -> Option<&'static str> {
        let object = match self {
            Self::Unknown => return None,
            Self::Absent if right == Some(&desired.webhooks) => return Some(DRIFT),
            Self::Absent => return Some("missing"),
            Self::There(object) => object,
        };
        let annotations = object.metadata.annotations.as_ref();
        let switched = annotations.is_some_and(|a| a.contains_key(failsafe::ANNOTATION));
        if object.data.get("webhooks").unwrap_or(&Value::Array(Vec::new())) == &desired.webhooks {
            return (switched || !is_ours(object)).then_some(DRIFT);
        }
        Some(if right == Some(&desired.webhooks) { DRIFT } else { "policies" })
    }
}

/// Numbers of one cluster compare (KEP-5504).
fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

// === impl Desired ===

impl Desired {
    /// The object to write: what others annotate stays.
    fn object(&self, side: Side, seen: &Seen) -> DynamicObject {
        let mut object = seen.object().cloned().unwrap_or_else(|| side.new_object());
        object.metadata.managed_fields = None;
        let labels: &mut BTreeMap<_, _> = object.metadata.labels.get_or_insert_default();
        labels.insert(NAME_LABEL.0.to_owned(), NAME_LABEL.1.to_owned());
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.remove(failsafe::ANNOTATION);
        annotations.insert(OBSERVED.to_owned(), self.observed.to_string());
        object.data = serde_json::json!({ "webhooks": self.webhooks });
        object
    }
}

// === impl State ===

impl State {
    /// When the object may be written.
    fn earliest(&mut self, cause: &str, desired: &Desired, now: Instant) -> Instant {
        let repaired = if cause == DRIFT { self.repairs.earliest(now) } else { now };
        if desired.observed.reaches(&self.seen.observed()) {
            self.behind_since = None;
            return repaired;
        }
        repaired.max(*self.behind_since.get_or_insert(now) + MAX_BEHIND)
    }
}

// === impl Repairs ===

impl Repairs {
    fn earliest(&mut self, now: Instant) -> Instant {
        match self.last {
            Some(last) if now < last + REPAIR_QUIET => last + self.pause,
            _ => {
                self.pause = Duration::ZERO;
                now
            }
        }
    }

    fn made(&mut self, now: Instant) {
        self.last = Some(now);
        self.pause = (self.pause * 2).clamp(REPAIR_PAUSE.0, REPAIR_PAUSE.1);
    }
}

// === impl RegistrationMetrics ===

impl RegistrationMetrics {
    /// Registers them under their `stockade_` names.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            writes: registered(
                registry,
                "stockade_registration_writes",
                "Webhook configurations written, by kind and cause: missing, policies (or certificate), drift",
            ),
            current: registered(
                registry,
                "stockade_registration_current",
                "1 when the webhook configuration is as the policies in force want it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(webhooks: &Value, observed: &str) -> Seen {
        let mut object = Side::Validating.new_object();
        object.metadata.annotations = Some([(OBSERVED.to_owned(), observed.to_owned())].into());
        object.data = json!({ "webhooks": webhooks });
        Seen::There(Box::new(object))
    }

    #[test]
    fn a_fight_costs_a_write_a_minute_and_after_a_quiet_time_a_repair_is_immediate_again() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let at = repairs.earliest(now);
            waits.push((at - now).as_secs());
            now = at;
            repairs.made(now);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        now += REPAIR_QUIET;
        assert_eq!(repairs.earliest(now), now);
    }

    #[test]
    fn who_has_looked_at_less_than_was_written_waits_but_not_for_ever() {
        let now = Instant::now();
        let desired = |observed| Desired { webhooks: json!([]), observed: Observed::parse(observed) };
        let seen = stored(&json!([]), "AdmissionPolicy=10,NamespaceGroup=3");
        let mut state = State { seen, ..State::default() };
        // The watch of one kind is dead, and that of another goes on.
        let behind = desired("AdmissionPolicy=9,NamespaceGroup=30");
        assert_eq!(state.earliest("policies", &behind, now), now + MAX_BEHIND);
        let later = now + Duration::from_secs(20);
        assert_eq!(state.earliest("policies", &behind, later), now + MAX_BEHIND);
        assert_eq!(state.earliest("policies", &desired("AdmissionPolicy=10,NamespaceGroup=3"), later), later);
    }

    #[test]
    fn what_differs_is_told_from_what_others_changed() {
        let desired = Desired { webhooks: json!([{ "name": "a" }]), observed: Observed::default() };
        let (right, other) = (json!([{ "name": "a" }]), json!([{ "name": "b" }]));
        let cause = |seen: Seen, before: Option<&Value>| seen.differs(&desired, before);
        assert_eq!(cause(Seen::Unknown, None), None);
        assert_eq!(cause(Seen::Absent, None), Some("missing"));
        assert_eq!(cause(Seen::Absent, Some(&right)), Some(DRIFT));
        assert_eq!(cause(stored(&right, "1"), None), None);
        assert_eq!(cause(stored(&other, "1"), Some(&other)), Some("policies"));
        assert_eq!(cause(stored(&other, "1"), Some(&right)), Some(DRIFT));
    }
}
