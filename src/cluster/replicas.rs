//! Who else runs: each replica keeps a Lease of its own, and one of them holds the Lease of the writers.
//!
//! Both are judged by the local clock: a Lease has expired when it was seen unchanged for as long as it says, so clocks
//! of nodes may differ as they like. An API server that is away ends neither the process nor, in the view of others, a
//! replica; the leader stops being leader in time.

mod election;
#[cfg(test)]
mod fake;
mod own;
mod view;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::policies::Observed;

pub(crate) use election::LEADER_LEASE;

/// Label of what belongs to Stockade.
pub(crate) const NAME_LABEL: (&str, &str) = ("app.kubernetes.io/name", "stockade");
/// Label that tells Leases of replicas from others.
const COMPONENT_LABEL: (&str, &str) = ("app.kubernetes.io/component", "replica");
/// Annotation: [`Replica::observed`].
const OBSERVED_ANNOTATION: &str = "stockade.dev/observed";
/// Annotation: [`Replica::ready`].
const READY_ANNOTATION: &str = "stockade.dev/ready";
/// Longest wait for one answer of the API server. The shortest of [`Times`] is waited for several times.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Whether this replica is the one that writes. Watch it: leadership comes and goes.
pub type Leadership = watch::Receiver<bool>;

/// The replicas whose Lease has not expired, this one among them once its Lease is written, sorted by identity.
pub type Replicas = watch::Receiver<Arc<[Replica]>>;

/// One replica, as its Lease tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Name of its Pod.
    pub identity: String,
    /// Whether it answers admission requests.
    pub ready: bool,
    /// The policy objects that it has put in force.
    pub observed: Observed,
}

/// What this replica tells of itself.
pub struct Inputs {
    /// Whether it answers admission requests.
    pub ready: watch::Receiver<bool>,
    /// The policy objects that it has put in force.
    pub observed: watch::Receiver<Observed>,
    /// UID of its Pod, which then owns the Lease: it is collected with the Pod. None outside of a Pod.
    pub pod_uid: Option<String>,
}

/// How fast a silent replica is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a Lease lasts since it was seen to change. Whole seconds, as the API has it.
    pub lease: Duration,
    /// A leader that has not renewed for so long stops being it. Shorter than `lease`.
    pub renew_deadline: Duration,
    /// Between two attempts to renew or to take the leader's Lease, and after errors.
    pub retry: Duration,
    /// Between two renewals of a replica's own Lease. Shorter than `lease`.
    pub renew_own: Duration,
    /// Shortest time between two writes of a replica's own Lease, however much changes.
    pub spacing: Duration,
}

/// Takes part: renews this replica's Lease, stands for election and watches the others. All of it happens in the
/// future, which ends after `stop` when leadership is released and the replica's Lease deleted (both tried for a few
/// seconds). It ends for no other reason.
pub fn run(
    access: &Access,
    inputs: Inputs,
    times: Times,
    stop: CancellationToken,
) -> (Leadership, Replicas, impl Future<Output = ()> + Send + use<>) {
    let (leading, leadership) = watch::channel(false);
    let election = election::Election::new(leases(access), access.identity.clone(), times, leading);
    let own = own::Own::new(leases(access), access.identity.clone(), inputs, times);
    let (replicas, view) = observe(access, times);
    let task = async move {
        let kept = async { tokio::join!(election.run(stop.clone()), own.keep(stop.clone())) };
        tokio::select! {
            _ = kept => {}
            () = view => {}
        }
    };
    (leadership, replicas, task)
}

/// Watches the replicas without being one. The future never ends.
pub fn observe(access: &Access, times: Times) -> (Replicas, impl Future<Output = ()> + Send + use<>) {
    let (publish, replicas) = watch::channel(Arc::from([]));
    (replicas, view::keep(leases(access), times, publish))
}

fn leases(access: &Access) -> Api<Lease> {
    Api::namespaced(access.client.clone(), &access.namespace)
}

/// A request that is given up after [`REQUEST_TIMEOUT`].
pub(crate) async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(RequestError::Refused),
        Err(_) => Err(RequestError::Late),
    }
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// It was refused, or did not come through.
    #[error(transparent)]
    Refused(kube::Error),
    /// No answer in time.
    #[error("no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Late,
}

// === impl Times ===

impl Default for Times {
    /// As Kubernetes' own components have it (client-go `leaderelection`): 15 s, 10 s, 2 s. A replica's own Lease is
    /// renewed every 5 s and written twice a second at most.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            renew_own: Duration::from_secs(5),
            spacing: Duration::from_millis(500),
        }
    }
}

impl Times {
    /// `leaseDurationSeconds`
    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.lease.as_secs()).unwrap_or(i32::MAX).max(1)
    }

    /// The pause before the next attempt, longer by up to 1.2 times (client-go `JitterFactor`), so that replicas which
    /// began together do not stay together.
    fn jittered_retry(&self) -> Duration {
        self.retry.mul_f64(1.0 + 1.2 * fastrand::f64())
    }
}
