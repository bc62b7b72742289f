//! NetworkPolicies that observed flows call for.
//!
//! Each kind of Pods that flows were recorded at gets what is missing to it: a policy that isolates it where nothing
//! does yet, with a rule for everybody who talked. What the policies among the manifests let pass already is not
//! repeated, so that what is proposed, once applied, is not proposed again.

use std::collections::{BTreeMap, HashMap};

use super::FlowProtocol;
use super::Outcome;
use super::observed::{Observed, Seen, Talk, TalkKey, Who};
use super::world::World;
use crate::compile::TooMuch;
use crate::policy::{Direction, Tier};
use crate::ports::Protocol;
use crate::read::Manifests;
use crate::verdict::Decision;

mod selectors;
mod yaml;

/// Ports of this range are given to clients (Linux, `ip_local_port_range`). A flow to one is an answer that was taken
/// for a question, or a port that nobody can foresee, unless it is declared or seen again and again.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// How often a port of [`EPHEMERAL`] must have been connected to for it to be a server's: clients get each of them once
/// in 28,232 connections.
const MIN_SERVER: u64 = 10;

/// Namespaces that get no policies unless they are named: a policy from few flows would cut what a cluster runs on.
const SYSTEM: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// What to propose.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Namespaces to propose policies for; empty for all but those of the system.
    pub namespaces: Vec<String>,
    /// Whether to allow what was denied, or would have been.
    pub denied: bool,
}

/// What is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recommendation {
    /// By namespace and name.
    pub policies: Vec<Proposed>,
    /// Flows that these policies do not let pass, by their ends.
    pub left: Vec<Left>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its namespace.
    pub namespace: String,
    /// Its name; no policy of the manifests has it.
    pub name: String,
    /// It, with a comment for each rule: who, how often, first and last time.
    pub yaml: String,
}

/// A flow that is not let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Who began it.
    pub from: String,
    /// With whom.
    pub to: String,
    /// Its protocol.
    pub protocol: FlowProtocol,
    /// Its port; 0 where the protocol has none.
    pub port: u16,
    /// When and how often.
    pub seen: Seen,
    /// Why.
    pub why: Why,
}

/// Why a flow is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It did not pass.
    #[error("it was denied")]
    Denied,
    /// It passed because the policies that deny it are only audited.
    #[error("policies that are audited would deny it")]
    WouldDeny,
    /// See [`EPHEMERAL`].
    #[error("its port is one that clients are given, and no container declares it")]
    Ephemeral,
    /// It has no ports.
    #[error("a NetworkPolicy cannot name its protocol")]
    NoPorts,
    /// No NetworkPolicy can allow it.
    #[error("{0} denies it, and has the last word")]
    Overruled(String),
    /// The end that denies it gets no policy.
    #[error("{0} is isolated, and no policies are proposed for it")]
    NotAsked(String),
}

/// Traffic of one kind of Pods in one direction that nothing allows yet: by peer.
type Needs = BTreeMap<Who, BTreeMap<(Protocol, u16), Seen>>;

/// One kind of Pods that gets a policy.
#[derive(Debug, Default)]
struct Subject {
    /// By direction.
    needs: [Needs; 2],
    /// By direction: whether nothing isolates it yet.
    open: [bool; 2],
    /// Whether it was seen to send anything, and to ask for addresses.
    sends: bool,
    asks: bool,
    seen: Option<Seen>,
}

/// Proposes policies.
///
/// # Errors
/// More than can be judged at once.
pub fn recommend(manifests: Manifests, observed: &Observed, options: &Options) -> Result<Recommendation, TooMuch> {
    let observed = observed.stable();
    let world = World::new(manifests, &observed)?;
    let mut work = Work { ports: busy_ports(&observed), subjects: BTreeMap::new(), left: Vec::new(), world: &world };
    for (at, identity) in observed.identities.iter().enumerate() {
        let asked = match options.namespaces.is_empty() {
            true => !SYSTEM.contains(&identity.namespace.as_str()),
            false => options.namespaces.contains(&identity.namespace),
        };
        if identity.recorded && asked {
            let isolating = |direction| world.compiled.isolating(world.sender(at), direction);
            let open = Direction::ALL.map(|direction| isolating(direction).is_empty());
            work.subjects.insert(at, Subject { open, ..Subject::default() });
        }
    }
    for (key, talk) in &observed.talks {
        match work.why_left(key, talk, options) {
            Some(why) => work.leave(key, talk.seen(), why),
            None => work.add(key, talk.seen()),
        }
    }
    let Work { subjects, left, .. } = work;
    Ok(Recommendation { policies: yaml::policies(&world, &observed, &subjects), left })
}

/// How often each port of [`EPHEMERAL`] was connected to.
fn busy_ports(observed: &Observed) -> HashMap<(Who, FlowProtocol, u16), u64> {
    let mut ports = HashMap::new();
    for (key, talk) in observed.talks.iter().filter(|(key, _)| EPHEMERAL.contains(&key.port)) {
        let count: &mut u64 = ports.entry((key.to, key.protocol, key.port)).or_default();
        *count = count.saturating_add(talk.seen().count);
    }
    ports
}

/// What is being put together.
struct Work<'w> {
    world: &'w World,
    /// See [`busy_ports`].
    ports: HashMap<(Who, FlowProtocol, u16), u64>,
    subjects: BTreeMap<usize, Subject>,
    left: Vec<Left>,
}

// === impl Work ===

impl Work<'_> {
    /// Why a talk gets no rule, whatever policies say.
    fn why_left(&self, key: &TalkKey, talk: &Talk, options: &Options) -> Option<Why> {
        match talk.outcome() {
            Outcome::Denied if !options.denied => return Some(Why::Denied),
            Outcome::WouldDeny if !options.denied => return Some(Why::WouldDeny),
            _ => {}
        }
        let FlowProtocol::Known(protocol) = key.protocol else { return Some(Why::NoPorts) };
        if !EPHEMERAL.contains(&key.port) {
            return None;
        }
        let declared = match key.to {
            Who::Pods(at) => {
                let ports = &self.world.state().pod(self.world.sender(at)).ports;
                ports.iter().any(|port| (port.protocol, port.port) == (protocol, key.port))
            }
            Who::Address(_) => false,
        };
        let count = self.ports.get(&(key.to, key.protocol, key.port)).copied().unwrap_or(0);
        (!declared && count < MIN_SERVER).then_some(Why::Ephemeral)
    }

    /// Adds a talk to what both its ends need.
    fn add(&mut self, key: &TalkKey, seen: Seen) {
        let FlowProtocol::Known(protocol) = key.protocol else { return };
        let verdict = self.world.judge(key);
        for direction in Direction::ALL {
            let (near, far) = match direction {
                Direction::Egress => (key.from, key.to),
                Direction::Ingress => (key.to, key.from),
            };
            let Who::Pods(at) = near else { continue };
            let decision = verdict.of(direction);
            let Some(subject) = self.subjects.get_mut(&at) else {
                if !decision.is_allowed() {
                    self.leave(key, seen, Why::NotAsked(self.world.shown(near)));
                }
                continue;
            };
            subject.seen = Some(subject.seen.map_or(seen, |all| all.and(seen)));
            if direction == Direction::Egress {
                subject.sends = true;
                subject.asks |= key.port == DNS;
            }
            let tier = |rule: &crate::compile::RuleId| self.world.compiled.policy(rule.policy).tier;
            match decision {
                Decision::Accepted(rule) if tier(rule) != Tier::Baseline => {}
                Decision::Denied(rule) if tier(rule) == Tier::Admin => {
                    let policy = self.world.compiled.policy(rule.policy).to_string();
                    self.leave(key, seen, Why::Overruled(policy));
                }
                _ => {
                    let needs = subject.needs[direction as usize].entry(far).or_default();
                    needs.entry((protocol, key.port)).and_modify(|all| *all = all.and(seen)).or_insert(seen);
                }
            }
        }
    }

    fn leave(&mut self, key: &TalkKey, seen: Seen, why: Why) {
        let (from, to) = (self.world.shown(key.from), self.world.shown(key.to));
        self.left.push(Left { from, to, protocol: key.protocol, port: key.port, seen, why });
    }
}

/// Port of the name service.
const DNS: u16 = 53;

#[cfg(test)]
mod tests;
