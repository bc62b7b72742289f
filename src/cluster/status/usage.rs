//! Whether exceptions are needed.
//!
//! ```text
//! audit: what each waives of what exists ─┐
//! requests that it let through ───────────┴─ lastUsed, waivedFail, waivedPass, condition InUse
//! ```
//!
//! Each replica writes what it alone knows, so none has to be told by the others. What an exception waives of what exists
//! is known to the one that audits its namespace. That it let a request through is known to whoever answered; of several
//! that answer at once the last to write is right enough, as the time is one of coarse grain.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use stockade_engine::audit::Waived;
use stockade_engine::exceptions::{Age, age};
use stockade_policy::compiled::Exception;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::conditions::{Wanted, conditions, differs, find};
use super::metrics::StatusMetrics;
use super::objects::{Key, Seen};
use super::writer::{MAX_WRITES, Writer};
use super::{LOOK_AGAIN, SETTLE, events};
use crate::access::Access;
use crate::audit::usage::{Usage, Usages};
use crate::kinds::policy_exception::PolicyExceptionStatus;
use crate::policies::{Generation, Generations, SourceKind};

/// Who owns `lastUsed`: any replica.
const USE_MANAGER: &str = "stockade-use";
/// Who owns the counts and the condition: the replica that audits the exception's namespace.
const COUNT_MANAGER: &str = "stockade-audit";

/// `lastUsed` is written again when it is older than this: people ask for weeks, and what is written stays in etcd.
const GRAIN_SECONDS: i64 = 3_600;
/// An exception that neither a request has needed for so long nor anything that exists is not in use: many applications
/// are deployed once in some weeks.
const RECENT_SECONDS: i64 = 30 * 24 * 3_600;
/// Shortest time between two writes of an exception of which the counts alone differ: objects come and go all the time.
const COUNT_SPACING: Duration = Duration::from_secs(60);
/// Most uses that wait to be looked at. What finds no room is told by the next request that needs the exception.
const MAX_WAITING: usize = 1_000;

/// What exceptions are good for, as this replica sees it.
pub struct UsageInputs {
    /// What they waive of what exists.
    pub audited: Usages,
    /// `namespace/name` of one that a request needed, each time.
    pub used: mpsc::Receiver<String>,
}

impl UsageInputs {
    /// With where to tell of requests that needed an exception: by `try_send`, as nothing waits for it.
    pub fn new(audited: Usages) -> (Self, mpsc::Sender<String>) {
        let (tell, used) = mpsc::channel(MAX_WAITING);
        (Self { audited, used }, tell)
    }
}

/// Writes for ever; ends only when an input does.
pub(super) async fn keep(access: &Access, metrics: &StatusMetrics, mut generations: Generations, inputs: UsageInputs) {
    let UsageInputs { mut audited, mut used } = inputs;
    let mut keeper = Keeper { writer: Writer::new(access, metrics), uses: BTreeMap::new(), counted: BTreeMap::new() };
    let mut events = pin!(events(access, &[SourceKind::PolicyException]));
    let mut looks = interval(LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            Some(batch) = events.next() => keeper.writer.objects.take(batch),
            changed = generations.changed() => if changed.is_err() { return },
            changed = audited.changed() => if changed.is_err() { return },
            received = used.recv_many(&mut waiting, MAX_WAITING) => if received == 0 { return },
            _ = looks.tick() => {}
        }
        sleep(SETTLE).await;
        let now = Timestamp::now();
        keeper.used(waiting.drain(..), now.as_second());
        if keeper.writer.objects.is_synced(&[SourceKind::PolicyException]) {
            let generation = Arc::clone(&generations.borrow());
            let usage = audited.borrow().clone();
            keeper.look(&generation, usage.as_deref(), now).await;
        }
    }
}

/// What one replica has to write.
struct Keeper<'i> {
    writer: Writer<'i>,
    /// When an exception was last needed by a request, in seconds since 1970; until it is written. The engine names
    /// only those that there are, and the others are dropped at each look.
    uses: BTreeMap<Key, i64>,
    /// When counts were written here.
    counted: BTreeMap<Key, Instant>,
}

// === impl Keeper ===

impl Keeper<'_> {
    /// Takes exceptions that requests needed.
    fn used(&mut self, exceptions: impl Iterator<Item = String>, now: i64) {
        for exception in exceptions {
            if let Some((namespace, name)) = exception.split_once('/') {
                self.uses.insert(key(namespace, name), now);
            }
        }
    }

    async fn look(&mut self, generation: &Generation, usage: Option<&Usage>, now: Timestamp) {
        let objects = &self.writer.objects;
        self.uses.retain(|key, at| objects.get(key).is_some_and(|seen| is_due(seen, *at)));
        let uses = self.uses.iter().take(MAX_WRITES).map(|(key, at)| (key.clone(), used_at(*at))).collect();
        // What failed has been said, and is tried again at the next look.
        if self.writer.write(USE_MANAGER, uses).await.is_err() {
            return;
        }
        let Some(usage) = usage.filter(|usage| usage.is_by(&generation.audited)) else { return };
        let counts = self.counts(generation, usage, now);
        let begun = Instant::now();
        let keys: Vec<Key> = counts.iter().map(|(key, _)| key.clone()).collect();
        if self.writer.write(COUNT_MANAGER, counts).await.is_ok() {
            self.counted.extend(keys.into_iter().map(|key| (key, begun)));
        }
    }

    /// The first exceptions whose counts or condition are not as they should be, with what they should be.
    fn counts(&mut self, generation: &Generation, usage: &Usage, now: Timestamp) -> Vec<(Key, Value)> {
        self.counted.retain(|_, at| at.elapsed() < COUNT_SPACING);
        let exceptions = generation.audited.set().exceptions.iter().map(|e| ((&*e.namespace, &*e.name), e));
        let exceptions: HashMap<(&str, &str), &Exception> = exceptions.collect();
        let wanted = |(key, seen): (&Key, &Seen)| {
            let Key { kind, namespace, name } = key;
            let is_refused =
                |r: &crate::policies::RefusedObject| (r.kind, &r.namespace, &r.name) == (*kind, namespace, name);
            // Of what came after this generation, or is not in it as it is now, nothing is known yet.
            if generation.observed.of(*kind) < seen.since || generation.refused.iter().any(is_refused) {
                return None;
            }
            let exception = exceptions.get(&(namespace.as_str(), name.as_str()))?;
            let status = status(exception, usage.of(namespace, name)?, seen, now)?;
            let is_told = !differs(&json!({ "conditions": status["conditions"] }), &seen.status);
            let is_recent = is_told && self.counted.contains_key(key);
            (differs(&status, &seen.status) && !is_recent).then(|| (key.clone(), status))
        };
        self.writer.objects.iter().filter_map(wanted).take(MAX_WRITES).collect()
    }
}

fn key(namespace: &str, name: &str) -> Key {
    Key { kind: SourceKind::PolicyException, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Whether a use at this time is to be written.
fn is_due(seen: &Seen, at: i64) -> bool {
    last_used(&seen.status).is_none_or(|before| at - before >= GRAIN_SECONDS)
}

fn used_at(at: i64) -> Value {
    let at = Timestamp::from_second(at).unwrap_or_default();
    json!({ "lastUsed": at.to_string() })
}

fn last_used(status: &Value) -> Option<i64> {
    Some(status["lastUsed"].as_str()?.parse::<Timestamp>().ok()?.as_second())
}

/// Whether the condition says that it is in use; none while nothing is said.
pub(super) fn in_use(status: &Value) -> Option<bool> {
    find(status, "InUse").map(|condition| condition["status"] == "True")
}

/// As it should be.
pub(super) fn status(exception: &Exception, waived: Waived, seen: &Seen, now: Timestamp) -> Option<Value> {
    let second = now.as_second();
    let is_recent = last_used(&seen.status).is_some_and(|at| second - at < RECENT_SECONDS);
    let is_expired = age(exception, second) == Age::Expired;
    // What exists is judged again only now and then: what has expired since waives nothing all the same.
    let Waived { fail, pass } = if is_expired { Waived::default() } else { waived };
    let (holds, reason, message) = match (is_expired, fail, is_recent) {
        (true, ..) => (false, "Expired", "it waives nothing any more"),
        (false, 1.., _) => (true, "WaivesFailures", "what exists fails without it: see waivedFail"),
        (false, 0, true) => {
            (true, "UsedByRequests", "a request of the last 30 days needed it, nothing that exists does")
        }
        (false, 0, false) => (false, "Unused", "neither what exists nor a request of the last 30 days needs it"),
    };
    let wanted = vec![Wanted::new("InUse", holds, reason, message)];
    let status = PolicyExceptionStatus {
        conditions: conditions(wanted, &seen.status, seen.generation, now),
        waived_fail: i64::try_from(fail).ok(),
        waived_pass: i64::try_from(pass).ok(),
        ..PolicyExceptionStatus::default()
    };
    serde_json::to_value(status).ok()
}
