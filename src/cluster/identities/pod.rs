//! What policies can tell of a Pod, read from what the watch brings; the rest is dropped as it is read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use stockade_node::identity_slice::NamedPort;
use stockade_node::pod::SeenPod;

/// All that policies can tell of Pods in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Features {
    pub(super) labels: BTreeMap<String, String>,
    /// Sorted.
    pub(super) ports: Vec<NamedPort>,
}

/// What is kept of a Pod that has addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) features: Arc<Features>,
    /// One or two: the API server lets a Pod have one of each family.
    pub(super) addresses: Box<[IpAddr]>,
    pub(super) rank: Rank,
}

/// Whose an address is that two Pods claim: the greater one's. A Pod that ends may have given its address back already;
/// of two that stay, the older one's was given away again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    stays: bool,
    created: Timestamp,
    /// Of two that were made within a second; so that every leader says the same.
    uid: Box<str>,
}

// === impl Kept ===

impl Kept {
    /// None while a Pod has no address.
    pub(super) fn of(pod: SeenPod) -> Option<Self> {
        let status = pod.status.unwrap_or_default();
        let mut addresses = status.addresses();
        if addresses.is_empty() {
            return None;
        }
        addresses.sort_unstable();
        let features = Features { labels: pod.metadata.labels.unwrap_or_default(), ports: pod.spec.named_ports() };
        let rank = Rank {
            stays: pod.metadata.deletion_timestamp.is_none(),
            created: pod.metadata.creation_timestamp.map(|time| time.0).unwrap_or_default(),
            uid: pod.metadata.uid.unwrap_or_default().into(),
        };
        Some(Self { features: Arc::new(features), addresses: addresses.into(), rank })
    }
}

// === impl Features ===

impl Features {
    /// About how many bytes they take, in memory and as JSON.
    pub(super) fn bytes(&self) -> usize {
        /// Of quotes, colon and comma around a label; of the names of a port's fields.
        const LABEL: usize = 6;
        const PORT: usize = 48;
        let labels: usize = self.labels.iter().map(|(key, value)| key.len() + value.len() + LABEL).sum();
        labels + self.ports.iter().map(|port| port.name.len() + PORT).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(metadata: &serde_json::Value, spec: &serde_json::Value, ips: &[&str]) -> Option<Kept> {
        let ips: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Running", "podIPs": ips } });
        Kept::of(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn of_a_pod_is_kept_what_policies_can_tell_of_it() {
        let metadata = json!({
            "name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": "web" },
            "managedFields": [{ "manager": "m" }],
        });
        let spec = json!({ "containers": [{ "name": "c", "ports": [{ "name": "web", "containerPort": 80 }] }] });
        let ports = vec![NamedPort { name: "web".into(), protocol: "TCP".into(), port: 80 }];
        let expected = Kept {
            features: Arc::new(Features { labels: [("app".to_owned(), "web".to_owned())].into(), ports }),
            addresses: ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()].into(),
            rank: Rank { stays: true, created: "2026-01-01T00:00:00Z".parse().unwrap(), uid: "u".into() },
        };
        assert_eq!(pod(&metadata, &spec, &["fd00:0::1", "10.0.0.1"]), Some(expected));
        assert_eq!(pod(&json!({ "name": "b" }), &json!({ "containers": [] }), &[]), None);
    }

    #[test]
    fn the_youngest_that_does_not_end_has_an_address() {
        let rank = |deleted: Option<&str>, created: &str, uid: &str| {
            let mut metadata = json!({ "name": "a", "uid": uid, "creationTimestamp": created });
            metadata["deletionTimestamp"] = json!(deleted);
            pod(&metadata, &json!({ "containers": [] }), &["10.0.0.1"]).unwrap().rank
        };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        assert!(rank(None, early, "a") > rank(Some(late), late, "b"));
        assert!(rank(None, late, "a") > rank(None, early, "b"));
        assert!(rank(None, early, "b") > rank(None, early, "a"));
    }
}
