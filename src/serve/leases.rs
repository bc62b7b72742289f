//! The replica among others, on a thread of its own: however much there is to judge, compile or audit, it renews its
//! Lease and keeps its duty.

use anyhow::{Context, Result, anyhow};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::replicas::{self, Inputs, Leadership, Replicas, Times};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What the thread brings.
pub(crate) struct Leases {
    /// Whether this replica writes.
    pub(crate) leadership: Leadership,
    /// Who else is there.
    pub(crate) replicas: Replicas,
    /// Ready when the thread has ended: after `stop`, when the Leases are given up.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts it.
///
/// # Errors
/// No usable access to the API server, no thread.
pub(crate) async fn start(options: Options, inputs: Inputs, stop: CancellationToken) -> Result<Leases> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let take_part = async move {
        match Access::new(&options).await {
            Err(error) => drop(tell.send(Err(error))),
            Ok(access) => {
                let (leadership, replicas, task) = replicas::run(&access, inputs, Times::default(), stop);
                if tell.send(Ok((leadership, replicas))).is_ok() {
                    task.await;
                }
            }
        }
        let _ = ending.send(());
    };
    std::thread::Builder::new().name("leases".to_owned()).spawn(move || runtime.block_on(take_part))?;
    let (leadership, replicas) =
        told.await.map_err(|_| anyhow!("the thread of the Leases ended"))?.context("access to the API server")?;
    Ok(Leases { leadership, replicas, ended })
}
