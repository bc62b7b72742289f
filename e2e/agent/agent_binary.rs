//! `stockade-agent run` as it is shipped, on a node of network namespaces: how it is started, how it reaches an API server
//! of this machine, and how a CNI plugin asks it.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use stockade_cni::ask::ask;
use stockade_cni::gate::{Answer, Command as Asked, Interface, Pod, Request, VERSION};

use crate::bpffs::Bpffs;
use crate::hosts::{Node, PodNet, within};

/// Definitions of the kinds that it reads and writes.
pub const DEFINITIONS: [&str; 2] = [
    include_str!("../../charts/stockade/crds/identityslices.yaml"),
    include_str!("../../charts/stockade/crds/nodeenforcements.yaml"),
];

/// The name of the node that it is started for.
pub const NODE: &str = "n1";

/// Longest wait for an answer of the start gate.
const WITHIN: Duration = Duration::from_secs(120);

/// Starts it: its state and its socket are in a folder.
///
/// # Panics
/// When it is not built.
pub fn command(program: &Path, node: &Node, kubeconfig: &Path, pins: &Bpffs, folder: &Path) -> Command {
    assert!(program.is_file(), "{} is not there: the verbs of make build it", program.display());
    let mut command = node.netns.command(program);
    command.args(["run", "--listen-health=127.0.0.1:0", "--log=text"]);
    command.arg(format!("--node-name={NODE}"));
    command.arg(format!("--kubeconfig={}", kubeconfig.display()));
    command.arg(format!("--pins={}", pins.path().join("stockade").display()));
    command.arg(format!("--state={}", folder.join("state").display()));
    command.arg(format!("--socket={}", socket(folder).display()));
    command
}

/// Asks it to hold a Pod, as a CNI plugin does, and waits for the answer.
///
/// # Panics
/// When there is none.
pub fn hold(folder: &Path, namespace: &str, name: &str, uid: &str, pod: &PodNet) -> Answer {
    let request = Request {
        version: VERSION,
        command: Asked::Add,
        container_id: format!("sandbox-{name}"),
        ifname: "eth0".to_owned(),
        pod: Pod { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() },
        interface: Some(Interface { index: pod.interface.index, name: pod.interface.name.clone() }),
        addresses: pod.addresses.to_vec(),
    };
    ask(&socket(folder), &request, WITHIN).unwrap()
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("agent.sock")
}

/// Takes connections to the loopback address in a node's network namespace, and leads them to this machine's: there the API
/// server is.
///
/// # Panics
/// When the port is taken there.
pub fn lead_to_this_machine(node: &Node, url: &str) {
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let listener = within(&node.netns, || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    thread::spawn(move || {
        for taken in listener.incoming().flatten() {
            // While it is away, whoever asks is refused.
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
            for (mut from, mut to) in [
                (taken.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), taken.try_clone().unwrap()),
            ] {
                thread::spawn(move || {
                    drop(io::copy(&mut from, &mut to));
                    drop(to.shutdown(Shutdown::Both));
                });
            }
        }
    });
}
