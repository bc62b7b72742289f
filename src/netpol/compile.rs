//! Policies and what they are about, to one form that answers quickly.
//!
//! Each distinct selector is matched once with each identity, never with pairs of Pods. A rule is then a set of
//! identities, a set of addresses and a set of ports, apart from each other, as a table of a kernel wants them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::addresses::AddressSet;
use crate::identities::{Identities, IdentityId, IdentitySet, LabelIndex};
use crate::policy::{Action, Direction, Peer, Peers, Pods, Policy, Ports, Rule, Tier};
use crate::state::{PodId, State};

mod rule;

pub(crate) use rule::{CompiledPeers, CompiledRule, Far};

/// Most pairs of a selector and an identity, a bit each: 256 MiB.
pub const MAX_MATCHES: usize = 1 << 31;

/// A state, and who in it no policy can tell apart: made once when the state changes, whatever becomes of the policies.
#[derive(Debug)]
pub struct Census {
    state: State,
    identities: Identities,
}

/// Policies over a state.
#[derive(Debug, Clone)]
pub struct Compiled {
    census: Arc<Census>,
    policies: Vec<Arc<Policy>>,
    /// Whom each distinct selector means.
    selectors: HashMap<Pods, Arc<IdentitySet>>,
    /// By policy and direction; parallel to the policy's own rules.
    rules: Vec<[Vec<CompiledRule>; 2]>,
    /// By direction; the first is that of identities that no policy selects.
    tables: Vec<[Table; 2]>,
    /// By identity: its place in `tables`.
    table_of: Vec<u32>,
}

/// Whom selectors mean in one census, kept from one set of policies to the next.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    known: HashMap<Pods, Arc<IdentitySet>>,
    index: Option<LabelIndex>,
}

/// Which policy of a [`Compiled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// Which rule of a [`Compiled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// Its policy.
    pub policy: PolicyId,
    /// In which list.
    pub direction: Direction,
    /// Place in it.
    pub index: u32,
}

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// See [`MAX_MATCHES`].
    #[error("{selectors} different selectors over {identities} different sets of labels are too many to judge at once")]
    Matches {
        /// Distinct selectors.
        selectors: usize,
        /// Distinct identities.
        identities: usize,
    },
}

/// Policies that select an identity in a direction, each tier in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) admin: Vec<PolicyId>,
    pub(crate) network: Vec<PolicyId>,
    pub(crate) baseline: Vec<PolicyId>,
}

// === impl Census ===

impl Census {
    /// Looks through a state.
    pub fn new(state: State) -> Self {
        let identities = Identities::new(&state);
        Self { state, identities }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The identity of a Pod; none of those that policies are not about.
    pub(crate) fn identity(&self, pod: PodId) -> Option<IdentityId> {
        self.identities.of_pod(pod.0)
    }

    /// How many identities there are.
    pub(crate) fn identities(&self) -> usize {
        self.identities.len()
    }

    /// Whether a selector means a Pod.
    pub fn selects(&self, pods: &Pods, pod: PodId) -> bool {
        self.identity(pod).is_some_and(|id| self.identities.is_meant(&self.state, pods, id))
    }

    /// Those of some policies that select one of some Pods: all that it takes to judge these.
    pub fn concerning(&self, policies: impl IntoIterator<Item = Arc<Policy>>, pods: &[PodId]) -> Vec<Arc<Policy>> {
        let mut here: Vec<IdentityId> = pods.iter().filter_map(|pod| self.identity(*pod)).collect();
        here.sort_unstable();
        here.dedup();
        let selects =
            |policy: &Arc<Policy>| here.iter().any(|id| self.identities.is_meant(&self.state, &policy.subject, *id));
        policies.into_iter().filter(selects).collect()
    }
}

// === impl Compiled ===

impl Compiled {
    /// Puts them together. Within a tier policies are asked by priority; those of one priority, whose order the
    /// specification leaves open, by name.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn new(policies: Vec<Policy>, state: State) -> Result<Self, TooMuch> {
        Self::over(policies.into_iter().map(Arc::new).collect(), Arc::new(Census::new(state)))
    }

    /// The same over a state that was looked through before, by policies that others hold too.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn over(policies: Vec<Arc<Policy>>, census: Arc<Census>) -> Result<Self, TooMuch> {
        Self::matched_by(policies, census, &mut Matched::default())
    }

    /// The same, where some selectors were matched with this census before.
    pub(crate) fn matched_by(
        mut policies: Vec<Arc<Policy>>,
        census: Arc<Census>,
        matched: &mut Matched,
    ) -> Result<Self, TooMuch> {
        policies.sort_by(|a, b| {
            (a.tier, a.priority, &a.namespace, &a.name).cmp(&(b.tier, b.priority, &b.namespace, &b.name))
        });
        let selectors = matched.match_all(&policies, &census)?;
        let mut compiled =
            Self { census, policies, selectors, rules: Vec::new(), tables: Vec::new(), table_of: Vec::new() };
        compiled.rules = compiled.policies.iter().map(|p| compiled.compile_rules(p)).collect();
        (compiled.tables, compiled.table_of) = compiled.build_tables();
        Ok(compiled)
    }

    /// What they are about.
    pub fn state(&self) -> &State {
        &self.census.state
    }

    /// The same, looked through.
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// All policies with their numbers, in the order in which they are asked.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &Policy)> {
        (0..).map(PolicyId).zip(self.policies.iter().map(|policy| &**policy))
    }

    /// The policy with a number. Numbers are given by this value alone.
    pub fn policy(&self, id: PolicyId) -> &Policy {
        &self.policies[id.0 as usize]
    }

    /// The rule with a number.
    pub fn rule(&self, id: RuleId) -> &Rule {
        let rules = self.policy(id.policy).rules(id.direction).unwrap_or(&[]);
        &rules[id.index as usize]
    }

    /// Whether a selector of one of the policies means a Pod.
    pub fn selects(&self, pods: &Pods, pod: PodId) -> bool {
        self.selected_by(pods)(pod)
    }

    /// The same for many Pods: looking the selector up costs more than what follows.
    pub fn selected_by(&self, pods: &Pods) -> impl Fn(PodId) -> bool {
        let set = self.selectors.get(pods);
        move |pod| set.is_some_and(|set| self.identity(pod).is_some_and(|id| set.contains(id)))
    }

    /// Whether a selector of one of the policies means no Pod at all.
    pub fn selects_nobody(&self, pods: &Pods) -> bool {
        self.selectors.get(pods).is_none_or(|set| set.is_empty())
    }

    /// NetworkPolicies that isolate a Pod in a direction.
    pub fn isolating(&self, pod: PodId, direction: Direction) -> &[PolicyId] {
        self.identity(pod).map_or(&[], |id| &self.table(id, direction).network)
    }

    pub(crate) fn identity(&self, pod: PodId) -> Option<IdentityId> {
        self.census.identity(pod)
    }

    /// How many identities there are.
    pub(crate) fn identities(&self) -> usize {
        self.census.identities()
    }

    pub(crate) fn table(&self, identity: IdentityId, direction: Direction) -> &Table {
        &self.tables[self.table_of[identity.0 as usize] as usize][direction as usize]
    }

    /// Rules of a policy with their numbers.
    pub(crate) fn rules_of(
        &self,
        policy: PolicyId,
        direction: Direction,
    ) -> impl Iterator<Item = (RuleId, &CompiledRule)> {
        let rules = &self.rules[policy.0 as usize][direction as usize];
        (0..).map(move |index| RuleId { policy, direction, index }).zip(rules)
    }

    /// Sets of identities that policies tell apart.
    pub(crate) fn selector_sets(&self) -> impl Iterator<Item = &IdentitySet> {
        self.selectors.values().map(|set| &**set)
    }

    /// Whom the selectors among some peers mean that name labels of Pods.
    pub(crate) fn named(&self, peers: &[Peer]) -> Arc<IdentitySet> {
        let named = peers.iter().filter_map(|peer| match peer {
            Peer::Pods(pods) if !pods.pods.is_empty() => self.selectors.get(pods),
            _ => None,
        });
        union(&named.collect::<Vec<_>>())
    }

    /// Blocks of addresses that rules of a direction tell apart.
    pub(crate) fn address_sets(&self, direction: Direction) -> impl Iterator<Item = &AddressSet> {
        self.rules.iter().flat_map(move |of| &of[direction as usize]).filter_map(CompiledRule::addresses)
    }

    /// Whether a rule means ports by their names and those who have them by blocks of addresses.
    pub(crate) fn names_ports_by_address(&self) -> bool {
        let egress = self.rules.iter().flat_map(|of| &of[Direction::Egress as usize]);
        egress.into_iter().any(|rule| !rule.named.is_empty() && rule.addresses().is_some())
    }

    fn compile_rules(&self, policy: &Policy) -> [Vec<CompiledRule>; 2] {
        Direction::ALL.map(|direction| {
            policy.rules(direction).unwrap_or(&[]).iter().map(|rule| self.compile_rule(rule)).collect()
        })
    }

    /// A rule with a peer that is not known fails closed, by the words of the specification: one that accepts matches
    /// nothing, any other denies everything.
    fn compile_rule(&self, rule: &Rule) -> CompiledRule {
        let with = |peers| CompiledRule::new(rule.action, peers, &rule.ports);
        match (&rule.peers, rule.action) {
            (Peers::Everyone, _) => with(CompiledPeers::Everyone),
            (Peers::AnyOf(peers), Action::Accept) if peers.contains(&Peer::Unknown) => with(CompiledPeers::nobody()),
            (Peers::AnyOf(peers), Action::Deny | Action::Pass) if peers.contains(&Peer::Unknown) => {
                CompiledRule::new(Action::Deny, CompiledPeers::Everyone, &Ports::All)
            }
            (Peers::AnyOf(peers), _) => with(self.compile_peers(peers)),
        }
    }

    fn compile_peers(&self, peers: &[Peer]) -> CompiledPeers {
        let (mut sets, mut blocks, mut nodes, mut domains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for peer in peers {
            match peer {
                Peer::Pods(pods) => sets.extend(self.selectors.get(pods)),
                Peer::Block(block, holes) => blocks.push((block, holes.as_slice())),
                Peer::Nodes(selector) => {
                    let matching = self.state().nodes.iter().filter(|node| node.labels.match_selector(selector));
                    nodes.extend(matching.flat_map(|node| node.addresses.iter().copied()));
                }
                Peer::Domain(name) => domains.push(name.clone()),
                Peer::Unknown => {}
            }
        }
        let addresses = AddressSet::union([&AddressSet::of_blocks(blocks), &AddressSet::of_addresses(nodes)]);
        let every_pod = peers.iter().any(|peer| matches!(peer, Peer::Pods(pods) if pods.means_all()));
        CompiledPeers::AnyOf { identities: union(&sets), every_pod, addresses, domains }
    }

    /// Of a node's policies, which select few of all identities.
    fn build_tables(&self) -> (Vec<[Table; 2]>, Vec<u32>) {
        let mut tables = vec![<[Table; 2]>::default()];
        let mut table_of = vec![0; self.census.identities.len()];
        for (id, policy) in self.policies() {
            let Some(subject) = self.selectors.get(&policy.subject) else { continue };
            for direction in Direction::ALL {
                if policy.rules(direction).is_none() {
                    continue;
                }
                for identity in subject.iter() {
                    let place = &mut table_of[identity.0 as usize];
                    if *place == 0 {
                        *place = tables.len() as u32;
                        tables.push(Default::default());
                    }
                    let table = &mut tables[*place as usize][direction as usize];
                    match policy.tier {
                        Tier::Admin => table.admin.push(id),
                        Tier::Network => table.network.push(id),
                        Tier::Baseline => table.baseline.push(id),
                    }
                }
            }
        }
        (tables, table_of)
    }
}

fn union(sets: &[&Arc<IdentitySet>]) -> Arc<IdentitySet> {
    if let [one] = sets {
        return Arc::clone(one);
    }
    let mut all = IdentitySet::default();
    for set in sets {
        all.add(set);
    }
    Arc::new(all)
}

// === impl Matched ===

impl Matched {
    /// With an index, for a census that stays.
    pub(crate) fn indexed() -> Self {
        Self { known: HashMap::new(), index: Some(LabelIndex::default()) }
    }

    /// Whom each selector of some policies means. It is remembered as long as one of them has it.
    fn match_all(
        &mut self,
        policies: &[Arc<Policy>],
        census: &Census,
    ) -> Result<HashMap<Pods, Arc<IdentitySet>>, TooMuch> {
        let mut distinct: HashMap<Pods, Arc<IdentitySet>> = HashMap::new();
        for pods in policies.iter().flat_map(|policy| selectors(policy)) {
            if !distinct.contains_key(pods) {
                distinct.insert(pods.clone(), Arc::default());
            }
        }
        let Census { state, identities } = census;
        if distinct.len().saturating_mul(identities.len()) > MAX_MATCHES {
            return Err(TooMuch::Matches { selectors: distinct.len(), identities: identities.len() });
        }
        for (pods, set) in &mut distinct {
            *set = match self.known.get(pods) {
                Some(known) => Arc::clone(known),
                None => Arc::new(identities.matching(state, pods, self.index.as_mut())),
            };
        }
        self.known.clone_from(&distinct);
        Ok(distinct)
    }
}

/// Selectors of Pods of a policy.
pub(crate) fn selectors(policy: &Policy) -> impl Iterator<Item = &Pods> {
    let rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
    let peers = rules.flat_map(|rule| match &rule.peers {
        Peers::AnyOf(peers) => peers.as_slice(),
        Peers::Everyone => &[],
    });
    let of_peers = peers.filter_map(|peer| match peer {
        Peer::Pods(pods) => Some(pods),
        _ => None,
    });
    of_peers.chain([&policy.subject])
}

// === impl Table ===

impl Table {
    /// Whether no policy is about it.
    pub(crate) fn is_empty(&self) -> bool {
        self.admin.is_empty() && self.network.is_empty() && self.baseline.is_empty()
    }
}
