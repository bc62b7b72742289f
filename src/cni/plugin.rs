//! What each call does.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::time::Duration;

use serde::Serialize;

use crate::ask::{AskError, ask, ask_once};
use crate::call::{Attachment, Call, Detachment, NEWEST, OnTimeout, VERSIONS};
use crate::failure::{Code, Failure};
use crate::gate::{Command, Interface, Request, VERSION};
use crate::links::{Links, NetworkNamespace};

/// How long the agent is waited for when a Pod goes. It sees that by itself too.
const DEL_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    cni_version: &'static str,
    supported_versions: [&'static str; VERSIONS.len()],
}

/// Does what is asked, and gives what is to be written to standard output.
///
/// # Errors
/// When the Pod must not start, or is not as it was. A `DEL` never fails: what is gone cannot be kept.
pub fn run(call: Call) -> Result<String, Failure> {
    match call {
        Call::Add(attachment) => {
            let version = attachment.config.cni_version.clone();
            add(&attachment).map_err(|failure| failure.of_version(&version))
        }
        Call::Check(attachment) => {
            let version = attachment.config.cni_version.clone();
            check(&attachment).map_err(|failure| failure.of_version(&version))?;
            Ok(String::new())
        }
        Call::Del(detachment) => {
            del(detachment);
            Ok(String::new())
        }
        // STATUS: an agent that is away delays Pods that start and takes nothing from those that run. A node that said
        // "not ready" for it would lose them all after five minutes.
        Call::Gc | Call::Status => Ok(String::new()),
        Call::Version => {
            let versions = Versions { cni_version: NEWEST, supported_versions: VERSIONS };
            serde_json::to_string(&versions).map_err(|error| Failure::new(Code::Io, "cannot be written", error))
        }
    }
}

fn add(attachment: &Attachment) -> Result<String, Failure> {
    if !attachment.is_exempt() {
        let (wait, on_timeout) = (attachment.config.wait(), attachment.config.on_timeout);
        match (ask(&attachment.config.socket, &attachment.request(Command::Add)?, wait), on_timeout) {
            (Ok(answer), _) if answer.ok => {}
            (Ok(answer), _) => return Err(attachment.refused(&answer.message)),
            (Err(error), OnTimeout::Allow) => attachment.tell_that_it_is_open(&error),
            (Err(error), OnTimeout::Deny) => return Err(attachment.unanswered(&error)),
        }
    }
    Ok(attachment.result.get().to_owned())
}

fn check(attachment: &Attachment) -> Result<(), Failure> {
    if attachment.is_exempt() {
        return Ok(());
    }
    let wait = attachment.config.wait();
    match ask(&attachment.config.socket, &attachment.request(Command::Check)?, wait) {
        Ok(answer) if answer.ok => Ok(()),
        Ok(answer) => Err(attachment.refused(&answer.message)),
        Err(error) => Err(attachment.unanswered(&error)),
    }
}

fn del(detachment: Detachment) {
    let Detachment { config, container_id, ifname, pod } = detachment;
    let request = Request {
        version: VERSION,
        command: Command::Del,
        container_id,
        ifname,
        pod,
        interface: None,
        addresses: Vec::new(),
    };
    // The agent sees by itself what is gone; this tells it sooner.
    drop(ask_once(&config.socket, &request, DEL_WAIT));
}

// === impl Attachment ===

impl Attachment {
    fn is_exempt(&self) -> bool {
        self.config.exempt_namespaces.contains(&self.pod.namespace)
    }

    fn request(&self, command: Command) -> Result<Request, Failure> {
        let namespace = File::open(&self.network_namespace).map_err(|error| {
            let path = self.network_namespace.display();
            Failure::new(Code::Io, format!("the Pod's network namespace {path} cannot be opened"), error)
        })?;
        let link = Links::open()?.host_side(NetworkNamespace::File(namespace.as_fd()), &self.ifname)?;
        Ok(Request {
            version: VERSION,
            command,
            container_id: self.container_id.clone(),
            ifname: self.ifname.clone(),
            pod: self.pod.clone(),
            interface: Some(Interface { index: link.index, name: link.name }),
            addresses: self.addresses.clone(),
        })
    }

    fn refused(&self, why: &str) -> Failure {
        let (namespace, name) = (&self.pod.namespace, &self.pod.name);
        let msg = format!("Stockade's node agent does not let Pod {namespace}/{name} start");
        Failure::new(Code::Refused, msg, why)
    }

    /// To standard error, which runtimes put into their log.
    fn tell_that_it_is_open(&self, error: &AskError) {
        let (silence, cause) = (self.silence(), self.cause(error));
        drop(writeln!(std::io::stderr(), "{silence}; it starts all the same, as onTimeout: Allow says. {cause}"));
    }

    fn unanswered(&self, error: &AskError) -> Failure {
        let details = format!("{}; the kubelet tries again by itself", self.cause(error));
        Failure::new(Code::TryAgainLater, self.silence(), details)
    }

    fn silence(&self) -> String {
        let (namespace, name) = (&self.pod.namespace, &self.pod.name);
        let wait = self.config.wait_seconds;
        format!(
            "Stockade's node agent did not say within {wait} s that the network policies of Pod {namespace}/{name} are in \
             force"
        )
    }

    fn cause(&self, error: &AskError) -> String {
        let socket = self.config.socket.display();
        format!("{socket}: {error}. Look at this node's Pod of the DaemonSet stockade-agent")
    }
}
