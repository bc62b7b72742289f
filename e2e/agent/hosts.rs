//! A node with Pods, of network namespaces: bridged or routed, IPv4 and IPv6.

use std::net::IpAddr;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use stockade_agent::hold::{HostInterface, PodName, PodRequest};

use crate::netns::{Netns, must};

/// How Pods reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// By a bridge, as of the plugin `bridge`.
    Bridged,
    /// By routes, as of the plugin `ptp`.
    Routed,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its network namespace.
    pub netns: Netns,
    topology: Topology,
    /// Its Pods.
    pub pods: Vec<PodNet>,
    /// How many Pods it has had.
    count: u32,
}

/// A Pod's network.
#[derive(Debug)]
pub struct PodNet {
    /// Its namespace.
    pub netns: Netns,
    /// The host's side of its interface.
    pub interface: HostInterface,
    /// IPv4, then IPv6.
    pub addresses: [IpAddr; 2],
}

// === impl Node ===

impl Node {
    /// One without Pods. The node's own addresses are 10.99.0.1 and fd99::1.
    ///
    /// # Panics
    /// Without root.
    pub fn new(topology: Topology) -> Self {
        let netns = Netns::new();
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            must(netns.command("sysctl").args(["-qw", setting]));
        }
        if topology == Topology::Bridged {
            netns.ip("link add br0 type bridge");
            netns.ip("link set br0 up");
            netns.ip("addr add 10.99.0.1/16 dev br0");
            netns.ip("addr add fd99::1/64 dev br0 nodad");
        }
        Self { netns, topology, pods: Vec::new(), count: 0 }
    }

    /// Adds a Pod with these addresses, whose interface is up at once.
    ///
    /// # Panics
    /// When that fails.
    pub fn add_pod(&mut self, addresses: [IpAddr; 2]) -> &PodNet {
        let pod = Netns::new();
        self.count += 1;
        let name = format!("veth{}", self.count);
        self.netns.ip(&format!("link add {name} type veth peer name eth0 netns {}", pod.name()));
        let [v4, v6] = addresses;
        let (bits4, bits6) = if self.topology == Topology::Bridged { (16, 64) } else { (32, 128) };
        let mut inside = vec![
            "link set eth0 up".to_owned(),
            format!("addr add {v4}/{bits4} dev eth0"),
            format!("addr add {v6}/{bits6} dev eth0 nodad"),
        ];
        match self.topology {
            Topology::Bridged => {
                self.netns.ip(&format!("link set {name} master br0"));
                self.netns.ip(&format!("link set {name} up"));
            }
            Topology::Routed => {
                self.netns.ip(&format!("link set {name} up"));
                self.netns.ip(&format!("addr add 10.99.0.1/32 dev {name}"));
                self.netns.ip(&format!("addr add fd99::1/128 dev {name} nodad"));
                self.netns.ip(&format!("route replace {v4}/32 dev {name}"));
                self.netns.ip(&format!("route replace {v6}/128 dev {name}"));
                inside.push("route add 10.99.0.1 dev eth0 scope link".to_owned());
                inside.push("route add fd99::1 dev eth0".to_owned());
            }
        }
        inside.push("route add default via 10.99.0.1".to_owned());
        inside.push("-6 route add default via fd99::1".to_owned());
        for line in inside {
            pod.ip(&line);
        }
        let index = self.netns.interface(&name);
        self.pods.push(PodNet { netns: pod, interface: HostInterface { index, name }, addresses });
        self.pods.last().unwrap()
    }

    /// Removes a Pod and its interface.
    pub fn remove_pod(&mut self, at: usize) {
        let pod = self.pods.remove(at);
        self.netns.ip(&format!("link delete {}", pod.interface.name));
    }

    /// Addresses of the node.
    pub fn addresses() -> [IpAddr; 2] {
        ["10.99.0.1".parse().unwrap(), "fd99::1".parse().unwrap()]
    }
}

// === impl PodNet ===

impl PodNet {
    /// As whoever sets it up tells of it.
    pub fn request(&self, namespace: &str, name: &str) -> PodRequest {
        let pod =
            PodName { namespace: namespace.to_owned(), name: name.to_owned(), uid: format!("{namespace}-{name}") };
        PodRequest { pod, interface: self.interface.clone(), addresses: self.addresses.to_vec() }
    }
}

/// What a function gives that runs in a network namespace. Sockets that it makes stay there.
///
/// # Panics
/// As the function does.
pub fn within<T: Send>(netns: &Netns, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let entered = scope.spawn(|| {
            let file = std::fs::File::open(netns.path()).unwrap();
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        });
        entered.join().unwrap()
    })
}
