//! The start gate: the plugin `stockade-cni` asks over a Unix socket, and is answered when the Pod's tables and programs
//! are in the kernel.
//!
//! One request and one answer a connection (`stockade_cni::gate`). Only our own user may ask, which is root on a node: the
//! answer decides whether a Pod starts. A plugin that stops waiting closes its connection, and nothing is held for it any
//! longer.

pub mod arguments;
pub mod chain;
pub mod exposure;
pub mod install;
pub mod metrics;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stockade_cni::gate::{Answer, Command, MAX_ADDRESSES, MAX_REQUEST, Request, VERSION};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::metrics::{Outcome, StartMetrics};
use crate::hold::{Holder, HostInterface, PodName, PodRequest};

/// Connections at a time. A node has some hundred Pods; who comes later waits in the socket's queue.
const MAX_CONNECTIONS: usize = 256;

/// How long a request may take to arrive. The plugin writes it at once.
const MAX_ARRIVAL: Duration = Duration::from_secs(5);

/// Bytes of a Pod's or sandbox's name.
const MAX_NAME: usize = 253;

/// Sandboxes that are remembered, so that what is said of an earlier one of a Pod is not taken as said of its present one.
const MAX_SANDBOXES: usize = 4_096;

/// A pause after a connection could not be taken: the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The gate.
#[derive(Debug, Clone)]
pub struct Gate {
    holder: Holder,
    metrics: StartMetrics,
    sandboxes: Arc<Mutex<BTreeMap<PodName, String>>>,
}

/// Listens, in the place of whoever listened there before.
///
/// # Errors
/// When the folder or the socket cannot be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    unbind(path)?;
    let listener = UnixListener::bind(path)?;
    // Who connects before this is told by its credentials all the same.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the socket, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn unbind(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

// === impl Gate ===

impl Gate {
    /// One that asks `holder`.
    pub fn new(holder: Holder, metrics: StartMetrics) -> Self {
        Self { holder, metrics, sandboxes: Arc::default() }
    }

    /// Answers until it is told to stop. Whoever waits then sees its connection end and asks the next agent.
    pub async fn serve(self, listener: UnixListener, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tasks = TaskTracker::new();
        let accept = async {
            while let Ok(place) = places.clone().acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (gate, stop) = (self.clone(), stop.clone());
                        tasks.spawn(async move {
                            stop.run_until_cancelled(gate.talk(stream)).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the start gate could not take a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
        tasks.close();
        tasks.wait().await;
    }

    async fn talk(&self, mut stream: UnixStream) {
        let begin = Instant::now();
        let user = stream.peer_cred().map(|peer| peer.uid());
        if user.as_ref().ok() != Some(&rustix::process::geteuid().as_raw()) {
            tracing::warn!(?user, "somebody who may not asked the start gate");
            self.metrics.answered(None, Outcome::Forbidden);
            return;
        }
        let (command, outcome, answer) = match timeout(MAX_ARRIVAL, read(&mut stream)).await {
            Ok(Ok(request)) => {
                let answer = tokio::select! {
                    answer = self.answer(&request) => answer,
                    () = closed(&mut stream) => {
                        self.metrics.answered(Some(request.command), Outcome::Gone);
                        return;
                    }
                };
                let outcome = if answer.ok { Outcome::Done } else { Outcome::Refused };
                tell(&request, &answer, begin.elapsed());
                (Some(request.command), outcome, answer)
            }
            Ok(Err(why)) => (None, Outcome::Malformed, Answer::refused(why)),
            Err(_) => (None, Outcome::Malformed, Answer::refused("the request did not arrive in time")),
        };
        self.metrics.answered(command, outcome);
        if (command, outcome) == (Some(Command::Add), Outcome::Done) {
            self.metrics.held(begin.elapsed());
        }
        let Ok(mut line) = serde_json::to_vec(&answer) else { return };
        line.push(b'\n');
        // A plugin that is gone by now has told its runtime that it was not answered.
        drop(timeout(MAX_ARRIVAL, stream.write_all(&line)).await);
    }

    async fn answer(&self, request: &Request) -> Answer {
        let pod = PodName {
            namespace: request.pod.namespace.clone(),
            name: request.pod.name.clone(),
            uid: request.pod.uid.clone(),
        };
        let answer = match request.command {
            Command::Del if self.forget(&pod, &request.container_id) => self.holder.release(pod).await,
            Command::Del => Ok(()),
            Command::Add | Command::Check => {
                let Some(interface) = &request.interface else {
                    return Answer::refused("the request does not say which interface is the Pod's");
                };
                if request.command == Command::Add {
                    self.remember(&pod, &request.container_id);
                }
                let interface = HostInterface { index: interface.index, name: interface.name.clone() };
                let asked = PodRequest { pod, interface, addresses: request.addresses.clone() };
                match request.command {
                    Command::Add => self.holder.hold(asked).await,
                    _ => self.holder.check(asked).await,
                }
            }
        };
        answer.map_or_else(|error| Answer::refused(error.to_string()), |()| Answer::done())
    }

    fn remember(&self, pod: &PodName, sandbox: &str) {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // Who is not remembered is seen to go by its interface alone.
        if sandboxes.len() < MAX_SANDBOXES || sandboxes.contains_key(pod) {
            sandboxes.insert(pod.clone(), sandbox.to_owned());
        }
    }

    /// Whether this is the Pod's present sandbox. Runtimes take down an earlier one again after a new one is there, and
    /// one that began before us is seen to go by its interface.
    fn forget(&self, pod: &PodName, sandbox: &str) -> bool {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let present = sandboxes.get(pod).is_some_and(|present| present == sandbox);
        if present {
            sandboxes.remove(pod);
        }
        present
    }
}

/// One line, read strictly.
async fn read(stream: &mut UnixStream) -> Result<Request, String> {
    let mut line = Vec::new();
    let mut part = [0; 1024];
    while !line.contains(&b'\n') {
        if line.len() > MAX_REQUEST {
            return Err(format!("the request has more than {MAX_REQUEST} bytes"));
        }
        match stream.read(&mut part).await {
            Ok(0) => return Err("the request ended early".to_owned()),
            Ok(read) => line.extend_from_slice(&part[..read]),
            Err(error) => return Err(error.to_string()),
        }
    }
    let request: Request = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
    if request.version != VERSION {
        return Err(format!("the request is of version {}, not {VERSION}", request.version));
    }
    if request.addresses.len() > MAX_ADDRESSES {
        return Err(format!("the Pod has more than {MAX_ADDRESSES} addresses"));
    }
    let names = [&request.container_id, &request.pod.namespace, &request.pod.name, &request.pod.uid];
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(format!("a name has more than {MAX_NAME} bytes"));
    }
    Ok(request)
}

/// Returns when the other side is gone, or says more than it may.
async fn closed(stream: &mut UnixStream) {
    let mut byte = [0];
    drop(stream.read(&mut byte).await);
}

fn tell(request: &Request, answer: &Answer, took: Duration) {
    let Request { pod, command, .. } = request;
    let (namespace, name, took) = (&pod.namespace, &pod.name, took.as_secs_f64());
    if answer.ok {
        tracing::debug!(?command, namespace, name, took, "the start gate answered");
    } else {
        tracing::warn!(?command, namespace, name, took, why = answer.message, "the start gate refused");
    }
}

#[cfg(test)]
mod tests;
