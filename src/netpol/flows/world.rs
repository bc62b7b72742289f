//! Who was observed, among what manifests say: a state that policies are judged over.

use std::sync::Arc;

use super::FlowProtocol;
use super::observed::{Identity, Observed, TalkKey, Who};
use crate::addresses::Family;
use crate::compile::{Census, Compiled, Matched, TooMuch};
use crate::policy::Policy;
use crate::ports::{PortSet, Protocol};
use crate::read::Manifests;
use crate::remedy;
use crate::state::{Labels, Pod, PodId, State};
use crate::verdict::{Endpoint, Verdict};

/// Policies over whom manifests name and who was observed.
pub(super) struct World {
    pub(super) compiled: Compiled,
    /// How many Pods the manifests have; those that were observed come after.
    known: usize,
}

// === impl World ===

impl World {
    pub(super) fn new(manifests: Manifests, observed: &Observed) -> Result<Self, TooMuch> {
        let Manifests { policies, state, .. } = manifests;
        let known = state.pods.len();
        let census = Arc::new(Census::new(with(state, observed)));
        Self::over(policies.into_iter().map(Arc::new).collect(), census, known, &mut Matched::default())
    }

    /// The same over [`with`] that was looked through before, as were some selectors. Of its Pods so many are not observed
    /// ones.
    pub(super) fn over(
        policies: Vec<Arc<Policy>>,
        census: Arc<Census>,
        known: usize,
        matched: &mut Matched,
    ) -> Result<Self, TooMuch> {
        Ok(Self { compiled: Compiled::matched_by(policies, census, matched)?, known })
    }

    pub(super) fn state(&self) -> &State {
        self.compiled.state()
    }

    /// Pods and workloads of the manifests.
    pub(super) fn manifests(&self) -> &[Pod] {
        &self.state().pods[..self.known]
    }

    /// The Pod that stands for an identity as sender.
    pub(super) fn sender(&self, identity: usize) -> PodId {
        PodId((self.known + 2 * identity) as u32)
    }

    fn receiver(&self, identity: usize) -> PodId {
        PodId((self.known + 2 * identity + 1) as u32)
    }

    /// What policies say about a talk. Of a protocol without ports they can only speak as of all traffic, so the first
    /// port that is not allowed decides.
    pub(super) fn judge(&self, key: &TalkKey) -> Verdict {
        let family = [key.from, key.to].iter().find_map(|who| match who {
            Who::Address(address) => Some(Family::of(*address)),
            Who::Pods(_) => None,
        });
        let end = |who, pod: PodId| match who {
            Who::Address(address) => Endpoint::Outside { address: Some(address), names: &[] },
            Who::Pods(_) => Endpoint::Pod(pod, family),
        };
        let number = |who| if let Who::Pods(at) = who { at } else { 0 };
        let (from, to) = (end(key.from, self.sender(number(key.from))), end(key.to, self.receiver(number(key.to))));
        match key.protocol {
            FlowProtocol::Known(protocol) => self.compiled.verdict(from, to, protocol, key.port),
            FlowProtocol::Other(_) => {
                let allowed = self.compiled.allowed(from, to);
                let denied = Protocol::ALL.into_iter().find_map(|protocol| {
                    let gaps = PortSet::all().without(allowed.ports(protocol));
                    gaps.ranges().first().map(|gap| (protocol, gap.0))
                });
                let (protocol, port) = denied.unwrap_or((Protocol::Tcp, 1));
                self.compiled.verdict(from, to, protocol, port)
            }
        }
    }

    /// An end for people: `shop/web`, `192.0.2.1`.
    pub(super) fn shown(&self, who: Who) -> String {
        match who {
            Who::Address(address) => address.to_string(),
            Who::Pods(at) => self.state().pod(self.sender(at)).to_string(),
        }
    }
}

/// A state with who was observed. Each identity becomes two Pods, the sender and the receiver: one Pod always reaches
/// itself, two of one kind do not. It has the labels that it had then; what its containers call their ports, the manifests
/// say.
pub(super) fn with(mut state: State, observed: &Observed) -> State {
    let known = state.pods.len();
    for identity in &observed.identities {
        let pod = pod(identity, &state.pods[..known]);
        let namespace = pod.namespace.clone();
        state.namespaces.entry(namespace.clone()).or_insert_with(|| Labels::of_namespace(&namespace, []));
        state.pods.extend([pod.clone(), pod]);
    }
    state
}

/// A Pod with the labels of an identity, and the name and ports of what most likely made it.
fn pod(identity: &Identity, known: &[Pod]) -> Pod {
    let maker = maker(identity, known);
    Pod {
        namespace: identity.namespace.as_str().into(),
        name: maker.map_or_else(
            || named(&identity.labels),
            |pod| match &pod.owner {
                Some(owner) => owner.name.clone(),
                None => pod.name.clone(),
            },
        ),
        owner: maker.and_then(|pod| pod.owner.clone()),
        labels: identity.labels.clone(),
        addresses: identity.addresses.iter().flatten().copied().collect(),
        ports: maker.map(|pod| pod.ports.clone()).unwrap_or_default(),
        host_network: false,
        node: None,
        finished: false,
        origin: maker.map(|pod| pod.origin.clone()).unwrap_or_default(),
    }
}

/// Of those whose labels it has, but for labels that controllers add, the one with most.
fn maker<'p>(identity: &Identity, known: &'p [Pod]) -> Option<&'p Pod> {
    let makes = |pod: &&Pod| {
        let mut labels = remedy::stable(&pod.labels).peekable();
        labels.peek().is_some() && labels.all(|(key, value)| identity.labels.get(key) == Some(value))
    };
    let inside = known.iter().filter(|pod| *pod.namespace == *identity.namespace && !pod.host_network);
    inside.filter(makes).max_by_key(|pod| remedy::stable(&pod.labels).count())
}

/// Labels that commonly hold the name of what made a Pod, the most telling first.
const NAMES: [&str; 4] = ["app.kubernetes.io/name", "app", "k8s-app", "name"];

fn named(labels: &Labels) -> Arc<str> {
    if let Some(name) = NAMES.iter().find_map(|key| labels.get(key)).filter(|name| !name.is_empty()) {
        return name.into();
    }
    let pairs: Vec<String> = remedy::stable(labels).map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "pods".into() } else { pairs.join(",").into() }
}
