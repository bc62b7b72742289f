//! The Pods of the cluster, as far as policies can tell them apart, and whose each address is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::runtime::watcher::Event;
use stockade_node::pod::SeenPod;

use super::packing::Content;
use super::pod::{Features, Kept, Rank};

/// Most bytes that are kept, about. 150,000 Pods, the most that Kubernetes supports, take half of it when each has labels
/// of its own.
const MAX_BYTES: usize = 128 << 20;

/// What a Pod takes beside its name and what it shares: entries of maps, addresses, rank.
const POD_BYTES: usize = 320;

/// All Pods that have addresses.
///
/// Whoever may make Pods in a namespace must not be able to keep others from being known. So when there are too many, the
/// namespace that takes most is let go of: nobody knows who its Pods are, which is told, and others stay known.
pub(super) struct Pods {
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// Who claims an address; nearly always one.
    claims: HashMap<IpAddr, Vec<Claim>>,
    /// What a list that is under way has brought so far.
    listed: HashSet<(Arc<str>, Box<str>)>,
    synced: bool,
    cut: BTreeSet<Arc<str>>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Namespace {
    pods: BTreeMap<Box<str>, Kept>,
    /// One copy of what many Pods have in common.
    features: HashSet<Arc<Features>>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Claim {
    namespace: Arc<str>,
    pod: Box<str>,
    rank: Rank,
}

// === impl Pods ===

impl Pods {
    pub(super) fn new() -> Self {
        Self::with_room(MAX_BYTES)
    }

    fn with_room(max_bytes: usize) -> Self {
        Self {
            namespaces: BTreeMap::new(),
            claims: HashMap::new(),
            listed: HashSet::new(),
            synced: false,
            cut: BTreeSet::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Takes what happened; tells of namespaces whose slices may have to change.
    pub(super) fn take(&mut self, event: Event<SeenPod>, mut changed: impl FnMut(&Arc<str>)) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                let (namespace, name) = self.key(&pod);
                self.listed.insert((Arc::clone(&namespace), name.clone()));
                self.put(&namespace, name, Kept::of(pod), &mut changed);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                for (namespace, name) in self.names() {
                    if !listed.contains(&(Arc::clone(&namespace), name.clone())) {
                        self.put(&namespace, name, None, &mut changed);
                    }
                }
                self.synced = true;
            }
            Event::Apply(pod) => {
                let (namespace, name) = self.key(&pod);
                self.put(&namespace, name, Kept::of(pod), &mut changed);
            }
            Event::Delete(pod) => {
                let (namespace, name) = self.key(&pod);
                self.put(&namespace, name, None, &mut changed);
            }
        }
    }

    /// Whether all Pods have been seen once.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many have addresses.
    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(|namespace| namespace.pods.len()).sum()
    }

    /// Namespaces that were let go of.
    pub(super) fn cut(&self) -> &BTreeSet<Arc<str>> {
        &self.cut
    }

    /// Namespaces that have Pods.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// Who has which addresses in a namespace.
    pub(super) fn wanted(&self, namespace: &str) -> Content {
        let mut wanted = Content::new();
        let Some(of_namespace) = self.namespaces.get(namespace) else { return wanted };
        for (name, pod) in &of_namespace.pods {
            let own = pod.addresses.iter().filter(|address| self.holds(namespace, name, **address));
            let own: BTreeSet<IpAddr> = own.copied().collect();
            if !own.is_empty() {
                wanted.entry(Arc::clone(&pod.features)).or_default().extend(own);
            }
        }
        wanted
    }

    fn holds(&self, namespace: &str, name: &str, address: IpAddr) -> bool {
        let holder = self.claims.get(&address).and_then(|claims| claims.iter().max_by_key(|claim| &claim.rank));
        holder.is_some_and(|claim| (&*claim.namespace, &*claim.pod) == (namespace, name))
    }

    /// Of its namespace there is one copy.
    fn key(&self, pod: &SeenPod) -> (Arc<str>, Box<str>) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let known = self.namespaces.get_key_value(namespace).map(|(known, _)| Arc::clone(known));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        (known.unwrap_or_else(|| namespace.into()), name.into())
    }

    fn names(&self) -> Vec<(Arc<str>, Box<str>)> {
        let all = self.namespaces.iter();
        all.flat_map(|(namespace, of)| of.pods.keys().map(|name| (Arc::clone(namespace), name.clone()))).collect()
    }

    /// Makes this what is known of a Pod.
    fn put(&mut self, namespace: &Arc<str>, name: Box<str>, pod: Option<Kept>, changed: &mut impl FnMut(&Arc<str>)) {
        let known = self.namespaces.get(namespace).and_then(|of| of.pods.get(&name));
        if known == pod.as_ref() || self.cut.contains(namespace) {
            return;
        }
        self.remove(namespace, &name, changed);
        if let Some(pod) = pod {
            for address in &pod.addresses {
                let claims = self.claims.entry(*address).or_default();
                claims.iter().for_each(|other| changed(&other.namespace));
                claims.push(Claim { namespace: Arc::clone(namespace), pod: name.clone(), rank: pod.rank.clone() });
            }
            self.bytes += self.namespaces.entry(Arc::clone(namespace)).or_default().insert(name, pod);
        }
        changed(namespace);
        while self.bytes > self.max_bytes {
            self.let_go_of_the_largest(changed);
        }
    }

    fn remove(&mut self, namespace: &Arc<str>, name: &str, changed: &mut impl FnMut(&Arc<str>)) {
        let Some(of_namespace) = self.namespaces.get_mut(namespace) else { return };
        let Some((pod, freed)) = of_namespace.remove(name) else { return };
        self.bytes -= freed;
        if of_namespace.pods.is_empty() {
            self.namespaces.remove(namespace);
        }
        for address in &pod.addresses {
            let Some(claims) = self.claims.get_mut(address) else { continue };
            claims.retain(|claim| (&claim.namespace, &*claim.pod) != (namespace, name));
            claims.iter().for_each(|other| changed(&other.namespace));
            if claims.is_empty() {
                self.claims.remove(address);
            }
        }
    }

    fn let_go_of_the_largest(&mut self, changed: &mut impl FnMut(&Arc<str>)) {
        let Some((namespace, of)) = self.namespaces.iter().max_by_key(|(_, of)| of.bytes) else { return };
        let (namespace, pods) = (Arc::clone(namespace), of.pods.keys().cloned().collect::<Vec<_>>());
        tracing::error!(%namespace, pods = pods.len(), "too many Pods and labels: node agents do not know these Pods");
        pods.iter().for_each(|name| self.remove(&namespace, name, changed));
        changed(&namespace);
        self.cut.insert(namespace);
    }
}

// === impl Namespace ===

impl Namespace {
    /// Gives how many bytes more it takes.
    fn insert(&mut self, name: Box<str>, mut pod: Kept) -> usize {
        let mut bytes = POD_BYTES + name.len();
        match self.features.get(&pod.features) {
            Some(shared) => pod.features = Arc::clone(shared),
            None => {
                bytes += pod.features.bytes();
                self.features.insert(Arc::clone(&pod.features));
            }
        }
        self.pods.insert(name, pod);
        self.bytes += bytes;
        bytes
    }

    /// Gives how many bytes less it takes.
    fn remove(&mut self, name: &str) -> Option<(Kept, usize)> {
        let (name, pod) = self.pods.remove_entry(name)?;
        let mut bytes = POD_BYTES + name.len();
        // That of this Pod, and that of the set: the slices are made anew each time.
        if Arc::strong_count(&pod.features) == 2 && self.features.remove(&pod.features) {
            bytes += pod.features.bytes();
        }
        self.bytes -= bytes;
        Some((pod, bytes))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, name: &str, app: &str, address: &str) -> SeenPod {
        let metadata = json!({
            "namespace": namespace, "name": name, "uid": name, "labels": { "app": app },
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", name.len()),
        });
        let ips: Vec<_> = [address].iter().filter(|a| !a.is_empty()).map(|ip| json!({ "ip": ip })).collect();
        serde_json::from_value(json!({ "metadata": metadata, "spec": {}, "status": { "podIPs": ips } })).unwrap()
    }

    fn ends(mut pod: SeenPod) -> SeenPod {
        pod.metadata.deletion_timestamp = pod.metadata.creation_timestamp.clone();
        pod
    }

    /// Namespaces that changed.
    fn take(pods: &mut Pods, event: Event<SeenPod>) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        pods.take(event, |namespace| _ = changed.insert(namespace.to_string()));
        changed
    }

    /// `app: addresses` of a namespace.
    fn wanted(pods: &Pods, namespace: &str) -> Vec<String> {
        let told = |(features, addresses): (Arc<Features>, BTreeSet<IpAddr>)| {
            let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            format!("{}: {}", features.labels["app"], addresses.join(" "))
        };
        pods.wanted(namespace).into_iter().map(told).collect()
    }

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn pods_that_no_policy_can_tell_apart_are_one_identity() {
        let mut pods = Pods::new();
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "x", "web", "10.0.0.2"))), set(["a"]));
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "y", "web", "10.0.0.1"))), set(["a"]));
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "z", "db", "10.0.0.3"))), set(["a"]));
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "z", "db", "10.0.0.3"))), set([]), "nothing new");
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "w", "db", ""))), set([]), "no address yet");
        assert_eq!(wanted(&pods, "a"), ["db: 10.0.0.3", "web: 10.0.0.1 10.0.0.2"]);
        assert_eq!(take(&mut pods, Event::Delete(pod("a", "x", "web", "10.0.0.2"))), set(["a"]));
        assert_eq!(take(&mut pods, Event::Apply(pod("a", "z", "web", "10.0.0.3"))), set(["a"]));
        assert_eq!(wanted(&pods, "a"), ["web: 10.0.0.1 10.0.0.3"]);
    }

    #[test]
    fn an_address_that_two_claim_is_in_one_slice_and_comes_back() {
        let mut pods = Pods::new();
        take(&mut pods, Event::Apply(pod("a", "older", "a", "10.0.0.1")));
        assert_eq!(take(&mut pods, Event::Apply(pod("b", "younger", "b", "10.0.0.1"))), set(["a", "b"]));
        assert_eq!((wanted(&pods, "a"), wanted(&pods, "b")), (vec![], vec!["b: 10.0.0.1".to_owned()]));
        assert_eq!(take(&mut pods, Event::Apply(ends(pod("b", "younger", "b", "10.0.0.1")))), set(["a", "b"]));
        assert_eq!((wanted(&pods, "a"), wanted(&pods, "b")), (vec!["a: 10.0.0.1".to_owned()], vec![]));
        assert_eq!(take(&mut pods, Event::Delete(pod("a", "older", "a", "10.0.0.1"))), set(["a", "b"]));
        assert_eq!(wanted(&pods, "b"), ["b: 10.0.0.1"], "one that ends has its address until it is gone");
    }

    #[test]
    fn what_a_list_does_not_bring_any_more_is_gone() {
        let mut pods = Pods::new();
        for event in [Event::Init, Event::InitApply(pod("a", "x", "a", "10.0.0.1"))] {
            take(&mut pods, event);
        }
        take(&mut pods, Event::InitApply(pod("b", "y", "b", "10.0.0.2")));
        assert!(!pods.is_synced());
        assert_eq!(take(&mut pods, Event::InitDone), set([]));
        assert!(pods.is_synced());
        take(&mut pods, Event::Init);
        take(&mut pods, Event::InitApply(pod("b", "y", "b", "10.0.0.2")));
        assert_eq!(wanted(&pods, "a"), ["a: 10.0.0.1"], "until the list is complete");
        assert_eq!(take(&mut pods, Event::InitDone), set(["a"]));
        assert_eq!((wanted(&pods, "a"), pods.len()), (vec![], 1));
    }

    #[test]
    fn a_namespace_with_too_much_is_let_go_of_alone_and_nothing_is_left_of_it() {
        let mut pods = Pods::with_room(8 * POD_BYTES);
        take(&mut pods, Event::Apply(pod("small", "s", "s", "10.1.0.1")));
        let mut changed = BTreeSet::new();
        for number in 0..20 {
            let bomb = pod("large", &format!("p{number}"), &"x".repeat(number), &format!("10.0.0.{number}"));
            changed.append(&mut take(&mut pods, Event::Apply(bomb)));
        }
        assert_eq!(changed, set(["large"]));
        assert_eq!((wanted(&pods, "large"), wanted(&pods, "small")), (vec![], vec!["s: 10.1.0.1".to_owned()]));
        assert_eq!((pods.cut().len(), pods.len(), pods.claims.len()), (1, 1, 1));
        take(&mut pods, Event::Delete(pod("small", "s", "s", "10.1.0.1")));
        assert_eq!((pods.bytes, pods.len(), pods.claims.len()), (0, 0, 0));
    }
}
