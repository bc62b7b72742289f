//! The fail-safe: when no replica has been ready for long, the registration is switched to `failurePolicy: Ignore`,
//! loudly, and back when one is ready again.
//!
//! It runs beside the replicas, not in them. What counts as silence is decided by [`crate::replicas::observe`], which
//! gives a replica up only by a fresh list; time in which the API server did not answer counts for nobody. Since when
//! nobody is ready is kept in a Lease, so that a restart does not begin anew. The switch keeps in an annotation which
//! entries failed closed; the leader, which writes the whole registration, takes it back as well.
//!
//! Whether the API server reaches those that are ready is told as well, and nothing is switched by it: `reach` says why.

mod reach;
mod switch;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_webhook::registered;
use tokio::time::Instant;

use crate::access::{Access, FIELD_MANAGER};
use crate::replicas::{self, NAME_LABEL, Times};
use reach::Reach;
use switch::Switch;

pub use switch::{ANNOTATION, Engaged};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(5);
/// Longest wait for one answer of the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest time between two looks that counts as silence. Longer ones are restarts of the API server or of this
/// process: nobody knows what was in between.
const MAX_UNSEEN: Duration = Duration::from_secs(60);
/// Lease with the time since when nobody is ready (`acquireTime`) and of the last look (`renewTime`).
const LEASE: &str = "stockade-fail-safe";

/// What it tells.
#[derive(Debug, Clone, Default)]
pub struct FailSafeMetrics {
    /// 1 while the registration is switched to Ignore.
    engaged: Gauge,
    /// Seconds since some replica was ready.
    silent: Gauge,
    /// Seconds since the API server reached the webhook.
    unanswered: Gauge,
}

/// Since when nobody is ready, and when that was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Silence {
    since: Timestamp,
    seen: Timestamp,
}

/// What is to be done after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Some replica is ready.
    Ready,
    /// Nobody is, but not for long enough.
    Silent(Silence),
    /// Nobody has been for too long.
    Dead(Silence),
}

/// Watches, for ever. `after` is how long nobody must have been ready.
pub async fn run(access: &Access, after: Duration, metrics: FailSafeMetrics) {
    let (view, observing) = replicas::observe(access, Times::default());
    let watchdog = async {
        let leases: Api<Lease> = Api::namespaced(access.client.clone(), &access.namespace);
        let switch = Switch::new(access);
        let mut reach = Reach::new(access, after);
        let mut silence = remembered(&leases).await;
        let mut is_known = false;
        // A Lease seen for the first time counts for its whole term, also one of a replica that died before.
        let mut settled = None;
        loop {
            tokio::time::sleep(LOOK.min(after)).await;
            if !answers(&leases).await {
                continue;
            }
            // An earlier process may have switched.
            if !is_known && let Ok(engaged) = switch.is_engaged().await {
                metrics.engaged.set(engaged.into());
                is_known = true;
            }
            let now = Instant::now();
            if now < *settled.get_or_insert(now + Times::default().lease + LOOK) {
                continue;
            }
            let ready = view.borrow().iter().any(|replica| replica.ready);
            let verdict = judge(ready, silence, Timestamp::now(), after);
            silence = act(verdict, silence, &leases, &switch, &metrics).await;
            reach.look(&switch, &metrics).await;
        }
    };
    tokio::select! {
        () = observing => {}
        () = watchdog => {}
    }
}

/// One look, pure.
fn judge(ready: bool, before: Option<Silence>, now: Timestamp, after: Duration) -> Verdict {
    if ready {
        return Verdict::Ready;
    }
    let known = before.filter(|b| b.seen <= now && now.duration_since(b.seen).unsigned_abs() <= MAX_UNSEEN);
    let silence = Silence { since: known.map_or(now, |k| k.since.min(now)), seen: now };
    match now.duration_since(silence.since).unsigned_abs() >= after {
        true => Verdict::Dead(silence),
        false => Verdict::Silent(silence),
    }
}

async fn act(
    verdict: Verdict,
    before: Option<Silence>,
    leases: &Api<Lease>,
    switch: &Switch,
    metrics: &FailSafeMetrics,
) -> Option<Silence> {
    let silence = match verdict {
        Verdict::Ready => None,
        Verdict::Silent(silence) | Verdict::Dead(silence) => Some(silence),
    };
    metrics.silent.set(silence.map_or(0, |s| s.seen.duration_since(s.since).as_secs()));
    match silence {
        Some(silence) => remember(leases, silence).await,
        None if before.is_some() => forget(leases).await,
        None => {}
    }
    let done = match verdict {
        Verdict::Dead(silence) => switch.engage(silence.since).await.map(|()| true),
        Verdict::Ready => switch.release().await.map(|()| false),
        Verdict::Silent(_) => return silence,
    };
    match done {
        Ok(engaged) => {
            metrics.engaged.set(engaged.into());
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "registration not switched, trying again");
        }
    }
    silence
}

/// Whether the API server answers now.
async fn answers(leases: &Api<Lease>) -> bool {
    let params = ListParams::default().limit(1);
    matches!(tokio::time::timeout(REQUEST_TIMEOUT, leases.list_metadata(&params)).await, Ok(Ok(_)))
}

/// What an earlier process saw.
async fn remembered(leases: &Api<Lease>) -> Option<Silence> {
    let lease = tokio::time::timeout(REQUEST_TIMEOUT, leases.get_opt(LEASE)).await.ok()?.ok()??;
    let spec = lease.spec?;
    Some(Silence { since: spec.acquire_time?.0, seen: spec.renew_time?.0 })
}

async fn remember(leases: &Api<Lease>, silence: Silence) {
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.to_owned()),
            labels: Some([(NAME_LABEL.0.to_owned(), NAME_LABEL.1.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            acquire_time: Some(MicroTime(silence.since)),
            renew_time: Some(MicroTime(silence.seen)),
            ..LeaseSpec::default()
        }),
    };
    let (params, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&lease));
    let written = leases.patch(LEASE, &params, &patch);
    if !matches!(tokio::time::timeout(REQUEST_TIMEOUT, written).await, Ok(Ok(_))) {
        tracing::warn!("since when no replica is ready could not be kept; after a restart it counts from then");
    }
}

async fn forget(leases: &Api<Lease>) {
    // What stays is not believed for longer than a minute.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, leases.delete(LEASE, &DeleteParams::default())).await;
}

// === impl FailSafeMetrics ===

impl FailSafeMetrics {
    /// Registers them under their `stockade_` names.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            engaged: registered(
                registry,
                "stockade_fail_safe_engaged",
                "1 while the registration is switched to failurePolicy Ignore because no replica is ready",
            ),
            silent: registered(
                registry,
                "stockade_fail_safe_silent_seconds",
                "Seconds since some replica was ready, 0 while one is",
            ),
            unanswered: registered(
                registry,
                "stockade_fail_safe_unanswered_seconds",
                "Seconds since the API server, asked now and then, last reached the webhook; 0 while it does",
            ),
        }
    }

    fn is_engaged(&self) -> bool {
        self.engaged.get() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn silence(since: i64, seen: i64) -> Silence {
        Silence { since: at(since), seen: at(seen) }
    }

    #[test]
    fn nobody_ready_for_long_enough_is_death_and_anybody_ready_ends_it() {
        let mut before = None;
        let mut verdicts = Vec::new();
        for (now, ready) in [(0, true), (10, false), (50, false), (100, false), (150, true), (160, false)] {
            let verdict = judge(ready, before, at(now), Duration::from_secs(90));
            before = match verdict {
                Verdict::Ready => None,
                Verdict::Silent(silence) | Verdict::Dead(silence) => Some(silence),
            };
            verdicts.push(verdict);
        }
        let want = [
            Verdict::Ready,
            Verdict::Silent(silence(10, 10)),
            Verdict::Silent(silence(10, 50)),
            Verdict::Dead(silence(10, 100)),
            Verdict::Ready,
            Verdict::Silent(silence(160, 160)),
        ];
        assert_eq!(verdicts, want);
    }

    #[test]
    fn a_short_restart_goes_on_counting_and_a_time_that_nobody_saw_counts_for_nothing() {
        let judged = |seen, now| judge(false, Some(silence(0, seen)), at(now), AFTER);
        assert_eq!(judged(250, 305), Verdict::Dead(silence(0, 305)));
        assert_eq!(judged(250, 311), Verdict::Silent(silence(311, 311)));
        // A clock that was set back.
        assert_eq!(judged(250, 200), Verdict::Silent(silence(200, 200)));
    }
}
