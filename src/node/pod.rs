//! What network policies can tell of a Pod, read alike by the control plane and by the node agents: an identity has a
//! number by its content, so who reads a Pod in another way takes it for another.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::core::Object;
use serde::Deserialize;

use crate::identity_slice::NamedPort;

/// Most addresses of one Pod: the API server lets it have one of each family.
pub const MAX_POD_ADDRESSES: usize = 2;

/// A Pod as a watch brings it, as far as it is of interest. What else it has is skipped by the parser.
pub type SeenPod = Object<Spec, Status>;

/// `spec`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Whether its traffic is its node's.
    pub host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    ports: Vec<ContainerPort>,
    restart_policy: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    #[serde(default)]
    name: String,
    #[serde(default = "tcp")]
    protocol: String,
    container_port: u16,
}

/// `status`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

/// What the API server puts where a port has no protocol.
fn tcp() -> String {
    "TCP".to_owned()
}

// === impl Spec ===

impl Spec {
    /// Ports that have a name, of containers and of init containers that stay beside them; sorted. Of two with one name
    /// and protocol the first is meant, as by Services.
    pub fn named_ports(&self) -> Vec<NamedPort> {
        let sidecars = self.init_containers.iter().filter(|container| container.restart_policy == "Always");
        let ports = self.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
        let mut named = BTreeMap::new();
        for port in ports.filter(|port| !port.name.is_empty()) {
            named.entry((port.name.clone(), port.protocol.clone())).or_insert(port.container_port);
        }
        named.into_iter().map(|((name, protocol), port)| NamedPort { name, protocol, port }).collect()
    }
}

// === impl Status ===

impl Status {
    /// At most [`MAX_POD_ADDRESSES`], each once; none before the Pod's network is set up.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in self.pod_ips.iter().filter_map(|ip| ip.ip.parse().ok()) {
            if addresses.len() < MAX_POD_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Whether it has succeeded or failed: its addresses may be another's.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_that_have_a_name_are_told_once_and_those_of_containers_that_end_are_not() {
        let port = |name: &str, protocol: &str, port: u16| json!({ "name": name, "protocol": protocol, "containerPort": port });
        let spec: Spec = serde_json::from_value(json!({
            "nodeName": "n",
            "containers": [
                { "name": "c", "image": "i", "ports": [port("web", "TCP", 80), { "containerPort": 1, "protocol": "TCP" }] },
                { "name": "d", "ports": [port("web", "TCP", 81), port("web", "UDP", 82), { "name": "b", "containerPort": 4 }] },
            ],
            "initContainers": [
                { "name": "once", "ports": [port("once", "TCP", 5)] },
                { "name": "sidecar", "restartPolicy": "Always", "ports": [port("metrics", "TCP", 9)] },
            ],
        }))
        .unwrap();
        let named = |name: &str, protocol: &str, port| NamedPort { name: name.into(), protocol: protocol.into(), port };
        let expected =
            [named("b", "TCP", 4), named("metrics", "TCP", 9), named("web", "TCP", 80), named("web", "UDP", 82)];
        assert_eq!(spec.named_ports(), expected);
    }

    #[test]
    fn addresses_are_told_once_and_as_many_as_a_pod_can_have() {
        let addresses = |ips: &[&str]| {
            let ips: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
            let status: Status = serde_json::from_value(json!({ "phase": "Running", "podIPs": ips })).unwrap();
            status.addresses()
        };
        let [v4, v6]: [IpAddr; 2] = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap());
        assert_eq!(addresses(&["fd00:0::1", "not one", "fd00::1", "10.0.0.1", "10.0.0.2"]), [v6, v4]);
        assert_eq!(addresses(&[]), [v4; 0]);
    }
}
