//! Who writes: the holder of the Lease `stockade-leader`, by the rules of client-go's `leaderelection`.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{NAME_LABEL, RequestError, Times, bounded};

/// The Lease of the writers.
pub(crate) const LEADER_LEASE: &str = "stockade-leader";

/// One candidate.
pub(super) struct Election {
    api: Api<Lease>,
    identity: String,
    times: Times,
    leading: Leading,
    seen: Option<Seen>,
}

/// Tells whether this replica leads; that it does not when dropped, so that no end of the task leaves a leader behind.
struct Leading(watch::Sender<bool>);

/// The Lease as it was when it last changed.
struct Seen {
    lease: Lease,
    /// Local time at which the change was seen.
    at: Instant,
}

/// What an attempt brought.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// The Lease is ours, and for others it does not expire before its duration has passed since this instant.
    Held { since: Instant },
    /// Somebody else has it.
    Lost,
}

// === impl Election ===

impl Election {
    pub(super) fn new(api: Api<Lease>, identity: String, times: Times, leading: watch::Sender<bool>) -> Self {
        Self { api, identity, times, leading: Leading(leading), seen: None }
    }

    /// Stands for election until `stop`, then gives up the Lease so that another need not wait for its end.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let candidate = async {
            loop {
                let since = self.follow().await;
                self.leading.0.send_replace(true);
                tracing::info!("leading");
                self.lead(since).await;
                self.leading.0.send_replace(false);
            }
        };
        stop.run_until_cancelled(candidate).await;
        self.leading.0.send_replace(false);
        // Also when not leading: a claim may have been under way.
        if let Err(error) = bounded(self.release()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "leadership not released, it will expire");
        }
    }

    /// Tries until the Lease is ours; tells since when.
    async fn follow(&mut self) -> Instant {
        let mut failing = false;
        loop {
            match bounded(self.attempt()).await {
                Ok(Attempt::Held { since }) => return since,
                Ok(Attempt::Lost) => failing = false,
                Err(error) => tell(&error, &mut failing),
            }
            tokio::time::sleep(self.times.jittered_retry()).await;
        }
    }

    /// Renews until the Lease is lost, or cannot be renewed for so long that another might take it soon.
    async fn lead(&mut self, mut since: Instant) {
        let mut failing = false;
        loop {
            // Never waited for beyond this instant: whoever watches the Lease waits longer, and began later.
            let end = since + self.times.renew_deadline;
            let renewed = async {
                tokio::time::sleep(self.times.retry).await;
                bounded(self.renew()).await
            };
            match tokio::time::timeout_at(end, renewed).await {
                Ok(Ok(Attempt::Held { since: renewed })) => (since, failing) = (renewed, false),
                Ok(Ok(Attempt::Lost)) => {
                    tracing::warn!("leadership lost: another replica holds the Lease");
                    return;
                }
                Ok(Err(error)) => tell(&error, &mut failing),
                Err(_) => {
                    tracing::warn!("leadership given up: the Lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    /// Writes the Lease over what was written last; what is there is asked for only when it is something else.
    async fn renew(&mut self) -> kube::Result<Attempt> {
        let Some(seen) = self.seen.as_ref() else { return self.attempt().await };
        match self.write(Some(seen.lease.clone())).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => self.attempt().await,
            result => result,
        }
    }

    /// Asks who holds the Lease and takes it when nobody does. A conflict means that another was faster.
    async fn attempt(&mut self) -> kube::Result<Attempt> {
        let there = self.api.get_opt(LEADER_LEASE).await?;
        if let Some(lease) = &there {
            self.observe(lease.clone());
            if !self.is_free(lease) {
                return Ok(Attempt::Lost);
            }
        }
        match self.write(there).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Lost),
            result => result,
        }
    }

    fn observe(&mut self, lease: Lease) {
        if self.seen.as_ref().is_none_or(|seen| seen.lease.metadata.resource_version != lease.metadata.resource_version)
        {
            self.seen = Some(Seen { lease, at: Instant::now() });
        }
    }

    /// Whether this Lease, observed already, may be written by us: it is ours, nobody's, or was not renewed in time.
    fn is_free(&self, lease: &Lease) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let at = self.seen.as_ref().map_or_else(Instant::now, |seen| seen.at);
        holder.is_empty() || holder == self.identity || at + lasts < Instant::now()
    }

    /// Writes our claim over exactly the version that was read, or as a new Lease.
    async fn write(&mut self, over: Option<Lease>) -> kube::Result<Attempt> {
        let before = over.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let renews = before.holder_identity.as_deref() == Some(&self.identity);
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.times.lease_seconds()),
            acquire_time: before.acquire_time.filter(|_| renews).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(
                before.lease_transitions.map_or(0, |n| if renews { n } else { n.saturating_add(1) }),
            ),
            ..LeaseSpec::default()
        };
        let since = Instant::now();
        let written = match over {
            Some(lease) => self.put(Lease { spec: Some(spec), ..lease }).await?,
            None => {
                let labels = [NAME_LABEL].map(|(key, value)| (key.to_owned(), value.to_owned()));
                let metadata = ObjectMeta {
                    name: Some(LEADER_LEASE.to_owned()),
                    labels: Some(labels.into()),
                    ..ObjectMeta::default()
                };
                self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await?
            }
        };
        self.seen = Some(Seen { lease: written, at: since });
        Ok(Attempt::Held { since })
    }

    async fn put(&self, mut lease: Lease) -> kube::Result<Lease> {
        lease.metadata.managed_fields = None;
        self.api.replace(LEADER_LEASE, &PostParams::default(), &lease).await
    }

    /// Leaves the Lease without a holder, if it is still ours.
    async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(LEADER_LEASE).await? else { return Ok(()) };
        if let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_deref() == Some(&self.identity)
        {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.put(lease).await?;
        }
        Ok(())
    }
}

// === impl Leading ===

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// Once for each row of failures.
fn tell(error: &RequestError, failing: &mut bool) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(error = error as &dyn std::error::Error, "the leader's Lease cannot be reached, trying again");
    }
}

#[cfg(test)]
mod tests;
