//! A Pod's network set-up, held until what its policies say is in the kernel.
//!
//! Whoever sets a Pod's network up asks by a [`Holder`] and goes on when the answer is there. The agent takes what it
//! was asked from a [`Held`] queue, among its other inputs.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Most requests that wait to be taken: a kubelet starts 10 Pods a second and no node has more than some hundred.
const MAX_WAITING: usize = 512;

/// A Pod whose network is being set up or taken down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRequest {
    /// Which Pod.
    pub pod: PodName,
    /// Its interface on the host's side.
    pub interface: HostInterface,
    /// Addresses that it was given, one of each family.
    pub addresses: Vec<IpAddr>,
}

/// Which Pod, as a container runtime names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
}

/// An interface in the host's network namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostInterface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// What is asked of the agent.
#[derive(Debug)]
pub enum Ask {
    /// Answer when the Pod's endpoint is in the kernel.
    Hold(PodRequest),
    /// Answer whether it is.
    Check(PodRequest),
    /// The Pod's network is being taken down: forget its interface.
    Release(PodName),
}

/// One request, to be answered.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub ask: Ask,
    /// Where the answer goes. Whoever asked may be gone.
    pub answer: oneshot::Sender<Result<(), GateError>>,
}

/// Why a Pod's network is not to be used yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It was not in the kernel in time.
    #[error("the Pod's policies were not in the kernel within {0:?}")]
    TooLate(Duration),
    /// The kernel refused.
    #[error("the Pod's policies are not in the kernel: {0}")]
    Kernel(String),
    /// The interface is not there, or not an endpoint of this Pod.
    #[error("interface {index} is not the Pod's")]
    NoInterface {
        /// Its number.
        index: u32,
    },
    /// Too many are waiting, or the agent is ending.
    #[error("the agent takes no requests")]
    Busy,
}

/// Asks the agent about Pods. Clones ask the same agent.
#[derive(Debug, Clone)]
pub struct Holder {
    asked: mpsc::Sender<Asked>,
    within: Duration,
}

/// What was asked of the agent.
pub type Held = mpsc::Receiver<Asked>;

/// Both ends. No answer takes longer than this.
pub fn channel(within: Duration) -> (Holder, Held) {
    let (asked, held) = mpsc::channel(MAX_WAITING);
    (Holder { asked, within }, held)
}

// === impl Holder ===

impl Holder {
    /// Waits until the Pod's endpoint is in the kernel and its programs are attached.
    ///
    /// # Errors
    /// It is not within the time that was given to [`channel`], or the kernel refuses.
    pub async fn hold(&self, request: PodRequest) -> Result<(), GateError> {
        self.ask(Ask::Hold(request)).await
    }

    /// Whether the Pod's endpoint is in the kernel.
    ///
    /// # Errors
    /// It is not.
    pub async fn check(&self, request: PodRequest) -> Result<(), GateError> {
        self.ask(Ask::Check(request)).await
    }

    /// Tells that a Pod's network is being taken down.
    ///
    /// # Errors
    /// The agent takes no requests.
    pub async fn release(&self, pod: PodName) -> Result<(), GateError> {
        self.ask(Ask::Release(pod)).await
    }

    async fn ask(&self, ask: Ask) -> Result<(), GateError> {
        let (answer, answered) = oneshot::channel();
        self.asked.try_send(Asked { ask, answer }).map_err(|_| GateError::Busy)?;
        match tokio::time::timeout(self.within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(GateError::Busy),
            Err(_) => Err(GateError::TooLate(self.within)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> PodRequest {
        PodRequest {
            pod: PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "u".to_owned() },
            interface: HostInterface { index: 7, name: "veth7".to_owned() },
            addresses: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_held_until_the_agent_answers_and_no_longer_than_was_said() {
        let (holder, mut held) = channel(Duration::from_secs(5));
        let agent = async {
            let asked = held.recv().await.unwrap();
            assert!(matches!(asked.ask, Ask::Hold(r) if r == request()));
            asked.answer.send(Ok(())).unwrap();
            held
        };
        let (answer, held) = tokio::join!(holder.hold(request()), agent);
        assert_eq!(answer, Ok(()));
        assert_eq!(holder.hold(request()).await, Err(GateError::TooLate(Duration::from_secs(5))));
        drop(held);
        assert_eq!(holder.hold(request()).await, Err(GateError::Busy));
    }
}
