//! The watches that inputs come by: this node's Pods, namespaces, both kinds of policy, identities; nodes only while a
//! policy is about them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, ServiceCIDR};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use serde_json::Value;
use stockade_node::identity_slice::IdentitySlice;
use stockade_node::pod::SeenPod;
use stockade_watch::followed::{Change, Followed, map};
use stockade_watch::watch;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::{Inputs, NamespaceFacts, NodeFacts, PodFacts, PolicyObject, SliceFacts};

/// Events that wait to be taken. A watch waits when they are this many, and the API server with it.
const MAX_WAITING: usize = 1_024;

/// How often a kind that the API server does not have is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How often before it has answered.
const ASK_FIRST: Duration = Duration::from_secs(1);

/// Group and version of ClusterNetworkPolicies.
const CLUSTER_NETWORK_POLICIES: &str = "policy.networking.k8s.io/v1alpha2";

/// What a watch told.
#[derive(Debug)]
pub enum Told {
    /// A Pod of the node, by UID.
    Pod(Event<(String, PodFacts)>),
    /// A namespace.
    Namespace(Event<(String, NamespaceFacts)>),
    /// A NetworkPolicy.
    NetworkPolicy(Event<(String, PolicyObject)>),
    /// A ClusterNetworkPolicy.
    ClusterNetworkPolicy(Event<(String, PolicyObject)>),
    /// The API server has no ClusterNetworkPolicies.
    NoClusterNetworkPolicies,
    /// Who has which address.
    Slice(Event<(String, SliceFacts)>),
    /// Blocks of addresses of Services.
    Services(Event<(String, Vec<String>)>),
    /// A node.
    Node(Event<(String, NodeFacts)>),
}

/// All inputs as their watches tell. Dropping it ends them.
pub struct Watched {
    client: Client,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    nodes_watch: Option<JoinHandle<()>>,
    kept: Kept,
    _watches: JoinSet<()>,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Kept {
    pods: Followed<PodFacts>,
    namespaces: Followed<NamespaceFacts>,
    network_policies: Followed<PolicyObject>,
    cluster_network_policies: Followed<PolicyObject>,
    slices: Followed<SliceFacts>,
    services: Followed<Vec<String>>,
    nodes: Followed<NodeFacts>,
}

// === impl Watched ===

impl Watched {
    /// Begins to watch for a node.
    pub fn start(client: Client, node: &str) -> Self {
        let (tell, told) = mpsc::channel(MAX_WAITING);
        let mut watches = JoinSet::new();
        let pods = Config::default().fields(&format!("spec.nodeName={node}"));
        let own = Api::<SeenPod>::all_with(client.clone(), &ApiResource::erase::<Pod>(&()));
        watches.spawn(follow(own, pods, tell.clone(), |event| map(event, PodFacts::read).map(Told::Pod)));
        let namespaces = Api::<Namespace>::all(client.clone());
        watches.spawn(follow(namespaces, Config::default(), tell.clone(), |event| {
            map(event, read_namespace).map(Told::Namespace)
        }));
        let network = ApiResource::erase::<NetworkPolicy>(&());
        let network = Api::<DynamicObject>::all_with(client.clone(), &network);
        watches.spawn(follow(network, Config::default(), tell.clone(), |event| {
            map(event, |object| read_policy(object, "networking.k8s.io/v1", "NetworkPolicy")).map(Told::NetworkPolicy)
        }));
        watches.spawn(follow_cluster_network_policies(client.clone(), tell.clone()));
        let slices = Api::<IdentitySlice>::all(client.clone());
        watches.spawn(follow(slices, Config::default(), tell.clone(), |event| map(event, read_slice).map(Told::Slice)));
        let services = Api::<ServiceCIDR>::all(client.clone());
        watches.spawn(follow(services, Config::default(), tell.clone(), |event| {
            map(event, read_services).map(Told::Services)
        }));
        Self { client, tell, told, nodes_watch: None, kept: Kept::default(), _watches: watches }
    }

    /// Waits until something has changed, and takes all that has.
    pub async fn changed(&mut self) {
        loop {
            let Some(told) = self.told.recv().await else { return std::future::pending().await };
            let mut has_changed = self.kept.take(told);
            while let Ok(told) = self.told.try_recv() {
                has_changed |= self.kept.take(told);
            }
            if has_changed {
                self.watch_nodes_if_needed();
                return;
            }
        }
    }

    /// Whether each kind was listed once, and none has too many objects.
    pub fn is_complete(&self) -> bool {
        self.kept.is_complete() && (self.nodes_watch.is_none() || self.kept.nodes.is_synced())
    }

    /// All that is known now.
    pub fn inputs(&self) -> Inputs {
        self.kept.inputs()
    }

    fn watch_nodes_if_needed(&mut self) {
        let are_needed = self.kept.policies().any(|(_, policy)| policy.is_about_nodes());
        match (are_needed, self.nodes_watch.take()) {
            (true, None) => {
                let nodes = Api::<Node>::all(self.client.clone());
                let following =
                    follow(nodes, Config::default(), self.tell.clone(), |event| map(event, read_node).map(Told::Node));
                self.nodes_watch = Some(tokio::spawn(following));
            }
            (false, Some(watch)) => {
                watch.abort();
                self.kept.nodes.forget();
            }
            (_, same) => self.nodes_watch = same,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(watch) = &self.nodes_watch {
            watch.abort();
        }
    }
}

// === impl Kept ===

impl Kept {
    /// Takes one event; whether anything that is known has changed.
    fn take(&mut self, told: Told) -> bool {
        let (kind, change) = match told {
            Told::Pod(event) => ("Pod", self.pods.take(event)),
            Told::Namespace(event) => ("Namespace", self.namespaces.take(event)),
            Told::NetworkPolicy(event) => ("NetworkPolicy", self.network_policies.take(event)),
            Told::ClusterNetworkPolicy(event) => ("ClusterNetworkPolicy", self.cluster_network_policies.take(event)),
            Told::NoClusterNetworkPolicies => ("ClusterNetworkPolicy", self.cluster_network_policies.take_absent()),
            Told::Slice(event) => ("IdentitySlice", self.slices.take(event)),
            Told::Services(event) => ("ServiceCIDR", self.services.take(event)),
            Told::Node(event) => ("Node", self.nodes.take(event)),
        };
        if change == Change::TooMany {
            tracing::error!(kind, "there are more objects than an agent keeps: what was in force stays");
        }
        change != Change::Nothing
    }

    fn is_complete(&self) -> bool {
        let good = [
            self.pods.is_synced() && !self.pods.is_too_many(),
            self.namespaces.is_synced() && !self.namespaces.is_too_many(),
            self.network_policies.is_synced() && !self.network_policies.is_too_many(),
            self.cluster_network_policies.is_synced() && !self.cluster_network_policies.is_too_many(),
            self.slices.is_synced() && !self.slices.is_too_many(),
            self.services.is_synced() && !self.services.is_too_many(),
            !self.nodes.is_too_many(),
        ];
        good.iter().all(|good| *good)
    }

    fn policies(&self) -> impl Iterator<Item = (&String, &Arc<PolicyObject>)> {
        self.network_policies.known().iter().chain(self.cluster_network_policies.known().iter())
    }

    fn inputs(&self) -> Inputs {
        Inputs {
            pods: self.pods.known().clone(),
            namespaces: self.namespaces.known().clone(),
            policies: self.policies().map(|(key, policy)| (key.clone(), Arc::clone(policy))).collect(),
            slices: self.slices.known().clone(),
            services: self.services.known().clone(),
            nodes: self.nodes.known().clone(),
        }
    }
}

/// Watches for ever, and tells.
async fn follow<K>(
    api: Api<K>,
    config: Config,
    tell: mpsc::Sender<Told>,
    mut told: impl FnMut(Event<K>) -> Option<Told>,
) where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watch(api, config));
    while let Some(event) = events.next().await {
        let Some(told) = told(event) else { continue };
        if tell.send(told).await.is_err() {
            return;
        }
    }
}

/// Waits until the API server has the kind, and watches it.
async fn follow_cluster_network_policies(client: Client, tell: mpsc::Sender<Told>) {
    let mut was_told = false;
    loop {
        match client.list_api_group_resources(CLUSTER_NETWORK_POLICIES).await {
            Ok(list) if list.resources.iter().any(|r| r.name == "clusternetworkpolicies") => break,
            Err(kube::Error::Api(status)) if status.code != 404 => {
                tracing::warn!(code = status.code, "it is not known whether there are ClusterNetworkPolicies");
            }
            Ok(_) | Err(kube::Error::Api(_)) if !was_told => {
                was_told = true;
                if tell.send(Told::NoClusterNetworkPolicies).await.is_err() {
                    return;
                }
            }
            // The other watches tell of an API server that is away.
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(if was_told { ASK_AGAIN } else { ASK_FIRST }).await;
    }
    let (group, version) = CLUSTER_NETWORK_POLICIES.split_once('/').unwrap_or_default();
    let kind = GroupVersionKind::gvk(group, version, "ClusterNetworkPolicy");
    let api =
        Api::<DynamicObject>::all_with(client, &ApiResource::from_gvk_with_plural(&kind, "clusternetworkpolicies"));
    let told = |event| {
        map(event, |object| read_policy(object, CLUSTER_NETWORK_POLICIES, "ClusterNetworkPolicy"))
            .map(Told::ClusterNetworkPolicy)
    };
    follow(api, Config::default(), tell, told).await;
}

fn read_policy(object: DynamicObject, api_version: &str, kind: &str) -> Option<(String, PolicyObject)> {
    let mut value: Value = serde_json::to_value(object).ok()?;
    // Objects of a list do not say what they are.
    let members = value.as_object_mut()?;
    members.insert("kind".to_owned(), kind.into());
    members.insert("apiVersion".to_owned(), api_version.into());
    let policy = PolicyObject::from(value);
    Some((policy.key(), policy))
}

fn read_namespace(namespace: Namespace) -> Option<(String, NamespaceFacts)> {
    let meta = namespace.metadata;
    let annotations = meta.annotations.unwrap_or_default();
    Some((meta.name?, NamespaceFacts::new(meta.labels.unwrap_or_default(), &annotations)))
}

fn read_slice(slice: IdentitySlice) -> Option<(String, SliceFacts)> {
    let version = slice.metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or_default();
    Some((slice.metadata.name?, SliceFacts::new(version, &slice.spec)))
}

fn read_services(services: ServiceCIDR) -> Option<(String, Vec<String>)> {
    Some((services.metadata.name?, services.spec.and_then(|spec| spec.cidrs).unwrap_or_default()))
}

fn read_node(node: Node) -> Option<(String, NodeFacts)> {
    let told = node.status.and_then(|status| status.addresses).unwrap_or_default();
    let addresses = told.iter().filter_map(|address| address.address.parse().ok()).collect();
    Some((node.metadata.name?, NodeFacts { labels: node.metadata.labels.unwrap_or_default(), addresses }))
}
