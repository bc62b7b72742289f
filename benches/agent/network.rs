//! A node with two Pods.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};
use stockade_e2e_agent::netns::{Netns, must};

/// How Pods of the node reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// The node routes between them.
    Routed,
    /// Both are on one bridge.
    Bridged,
}

/// A node with two Pods, the client and the server.
#[derive(Debug)]
pub(crate) struct Network {
    node: Netns,
    client: Netns,
    server: Netns,
    /// Indexes of the node's ends of their interfaces.
    pub(crate) interfaces: [u32; 2],
    topology: Topology,
}

/// The CPU that both ends run on: the last, which the system uses least.
fn cpu() -> usize {
    std::thread::available_parallelism().unwrap().get() - 1
}

// === impl Network ===

impl Network {
    pub(crate) fn new(topology: Topology) -> Self {
        let [node, client, server] = [Netns::new(), Netns::new(), Netns::new()];
        node.ip("link add br0 type bridge");
        node.ip("link set br0 up");
        node.ip("addr add 10.77.0.1/16 dev br0");
        let pods = [(&client, "client"), (&server, "server")];
        let interfaces = pods.map(|(pod, name)| {
            let netns = pod.path();
            node.ip(&format!("link add {name} type veth peer name eth0 netns {}", netns.display()));
            node.ip(&format!("link set {name} up"));
            pod.ip("link set eth0 up");
            let index = node.ip(&format!("-o link show {name}"));
            index.split(':').next().unwrap().parse().unwrap()
        });
        for ((pod, name), address) in pods.into_iter().zip([Self::address(topology, 0), Self::address(topology, 1)]) {
            match topology {
                Topology::Bridged => {
                    node.ip(&format!("link set {name} master br0"));
                    pod.ip(&format!("addr add {address}/16 dev eth0"));
                }
                Topology::Routed => {
                    let gateway = address.rsplit_once('.').unwrap().0.to_owned() + ".1";
                    node.ip(&format!("addr add {gateway}/24 dev {name}"));
                    pod.ip(&format!("addr add {address}/24 dev eth0"));
                    pod.ip(&format!("route add default via {gateway}"));
                }
            }
        }
        must(node.command("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]));
        must(client.command("sysctl").args(["-qw", "net.ipv4.tcp_tw_reuse=1"]));
        must(client.command("sysctl").args(["-qw", "net.ipv4.ip_local_port_range=1024 65535"]));
        Self { node, client, server, interfaces, topology }
    }

    /// Of the client (0) or the server (1).
    fn address(topology: Topology, pod: usize) -> String {
        match topology {
            Topology::Bridged => format!("10.77.0.{}", pod + 2),
            Topology::Routed => format!("10.77.{}.2", pod + 1),
        }
    }

    pub(crate) fn client_address(&self) -> String {
        Self::address(self.topology, 0)
    }

    pub(crate) fn server_address(&self) -> String {
        Self::address(self.topology, 1)
    }

    /// Runs on the node.
    pub(crate) fn on_node<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        within(&self.node, run)
    }

    /// Runs in the client, on the CPU of both ends.
    pub(crate) fn on_client<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        within(&self.client, || {
            pin();
            run()
        })
    }

    /// Starts something in the server, on the CPU of both ends, which goes on.
    pub(crate) fn start_on_server(&self, run: impl FnOnce() + Send + 'static) {
        let file = File::open(self.server.path()).unwrap();
        std::thread::spawn(move || {
            enter(&file);
            pin();
            run();
        });
    }

    /// Removes the queueing discipline that programs hung by first, and its cost of what hangs nowhere.
    pub(crate) fn remove_clsact(&self, interface: u32) {
        must(self.node.command("tc").args(["qdisc", "del", "dev", &format!("if{interface}"), "clsact"]));
    }

    /// Gives `nft` a ruleset on the node, or none.
    pub(crate) fn nft(&self, ruleset: &str) {
        let file = std::env::temp_dir().join(format!("stockade-bench-{}.nft", std::process::id()));
        std::fs::write(&file, ruleset).unwrap();
        must(self.node.command("nft").arg("-f").arg(&file));
        std::fs::remove_file(&file).unwrap();
    }
}

fn within<T: Send>(netns: &Netns, run: impl FnOnce() -> T + Send) -> T {
    let entered = || {
        enter(&File::open(netns.path()).unwrap());
        run()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).unwrap()
}

fn enter(netns: &File) {
    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn pin() {
    let mut cpus = CpuSet::new();
    cpus.set(cpu());
    sched_setaffinity(None, &cpus).unwrap();
}
