//! One table from the policies that select a kind of Pod.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::classes::{Classes, PartId};
use super::content::TableContent;
use super::leaf::Leaf;
use super::limits::{DoesNotFit, Limits, What};
use super::numbers::{Collision, Numbers};
use super::port_sets::{self, PortSets};
use super::selected::Selected;
use super::table::{RuleName, Table, TableDirection};
use super::{blocks, peers};
use crate::compile::{Compiled, CompiledPeers, CompiledRule, PolicyId};
use crate::policy::Direction;
use crate::ports::Connections;
use crate::state::ContainerPort;

/// A table with the port sets that it refers to.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) table: Arc<Table>,
    pub(super) port_sets: PortSets,
    /// Rules that name domains.
    pub(super) not_enforced: BTreeSet<RuleName>,
    /// The policy that took most to plan, as it is shown.
    pub(super) largest: String,
}

/// Why there is no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotBuilt {
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    #[error(transparent)]
    Collision(#[from] Collision),
}

/// A rule of the direction that is being built.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderedRule<'c> {
    pub(super) policy: PolicyId,
    pub(super) leaf: Leaf,
    pub(super) written: &'c crate::policy::Rule,
    pub(super) rule: &'c CompiledRule,
}

/// A rule about ports that are numbers by now.
#[derive(Debug)]
struct Part<'c> {
    policy: PolicyId,
    leaf: Leaf,
    connections: Cow<'c, Connections>,
}

/// A table while it is built.
pub(super) struct Builder<'c> {
    pub(super) compiled: &'c Compiled,
    pub(super) numbers: &'c Numbers,
    limits: &'c Limits,
    /// Named ports of the Pod itself, which its ingress rules refer to.
    own_ports: &'c [ContainerPort],
    parts: Vec<Part<'c>>,
    port_sets: PortSets,
    /// What was done for each policy; see [`Limits::steps_per_table`].
    steps: BTreeMap<PolicyId, usize>,
    total_steps: usize,
}

/// Builds the table of a kind of Pod.
pub(super) fn build(
    compiled: &Compiled,
    numbers: &Numbers,
    limits: &Limits,
    selected: &Selected,
    content: &TableContent,
) -> Result<Built, NotBuilt> {
    let mut builder = Builder {
        compiled,
        numbers,
        limits,
        own_ports: &selected.own_ports,
        parts: Vec::new(),
        port_sets: PortSets::new(),
        steps: BTreeMap::new(),
        total_steps: 0,
    };
    let mut rules = Vec::new();
    let mut not_enforced = BTreeSet::new();
    let mut directions = [TableDirection::default(), TableDirection::default()];
    for direction in Direction::ALL {
        let ordered = builder.order(selected, direction, &mut rules, &mut not_enforced)?;
        directions[direction as usize] = builder.direction(direction, &ordered)?;
        let policies = &selected.policies[direction as usize];
        directions[direction as usize].judged = !policies.is_empty();
        directions[direction as usize].isolated = selected.isolated[direction as usize];
    }
    let table = Arc::new(Table { id: content.id, digest: content.digest, rules: rules.into(), directions });
    let largest = builder.largest();
    let port_sets = std::mem::take(&mut builder.port_sets);
    let built = Built { table, port_sets, not_enforced, largest };
    builder.bound(What::PeersOfTable, built.peers(), limits.peers_per_table)?;
    builder.bound(What::BlocksOfTable, built.blocks(), limits.blocks_per_table)?;
    Ok(built)
}

// === impl Built ===

impl Built {
    pub(super) fn peers(&self) -> usize {
        self.table.directions.iter().map(|direction| direction.peers.len()).sum()
    }

    pub(super) fn blocks(&self) -> usize {
        self.table.directions.iter().map(|direction| direction.blocks.len()).sum()
    }

    /// Entries of its port sets.
    pub(super) fn ports(&self) -> usize {
        self.port_sets.values().map(|set| set.len()).sum()
    }

    /// Everything that it holds.
    pub(super) fn size(&self) -> usize {
        self.peers() + self.blocks() + self.ports()
    }
}

// === impl Builder ===

impl<'c> Builder<'c> {
    /// Rules of a direction in the order in which they are asked; their names are added to those of the table.
    fn order(
        &mut self,
        selected: &Selected,
        direction: Direction,
        names: &mut Vec<RuleName>,
        not_enforced: &mut BTreeSet<RuleName>,
    ) -> Result<Vec<OrderedRule<'c>>, DoesNotFit> {
        let mut ordered = Vec::new();
        for id in &selected.policies[direction as usize] {
            let policy = self.compiled.policy(*id);
            for (rule_id, rule) in self.compiled.rules_of(*id, direction) {
                let written = self.compiled.rule(rule_id);
                let name = RuleName {
                    namespace: policy.namespace.clone(),
                    policy: policy.name.clone(),
                    direction,
                    index: rule_id.index,
                    name: written.name.clone(),
                };
                if matches!(&rule.peers, CompiledPeers::AnyOf { domains, .. } if !domains.is_empty()) {
                    not_enforced.insert(name.clone());
                }
                self.step(*id, 1)?;
                let leaf = Leaf::of_rule(policy.tier, rule.action, names.len() as u32);
                names.push(name);
                ordered.push(OrderedRule { policy: *id, leaf, written, rule });
            }
            self.bound(What::RulesOfTable, names.len(), self.limits.rules_per_table)?;
        }
        Ok(ordered)
    }

    fn direction(&mut self, direction: Direction, rules: &[OrderedRule<'c>]) -> Result<TableDirection, NotBuilt> {
        Ok(TableDirection {
            everyone: self.port_set_of(direction, rules, |peers| *peers == CompiledPeers::Everyone)?,
            every_pod: self
                .port_set_of(direction, rules, |peers| matches!(peers, CompiledPeers::AnyOf { every_pod: true, .. }))?,
            has_blocks: rules.iter().any(|rule| blocks::is_by_address(rule.written)),
            peers: peers::plan(self, direction, rules)?.into(),
            blocks: blocks::plan(self, direction, rules)?.into(),
            ..TableDirection::default()
        })
    }

    /// What the rules about some peers say, as far as it is the same for all of these.
    fn port_set_of(
        &mut self,
        direction: Direction,
        rules: &[OrderedRule<'c>],
        is_meant: impl Fn(&CompiledPeers) -> bool,
    ) -> Result<Option<u64>, NotBuilt> {
        let mut parts = Vec::new();
        for rule in rules.iter().filter(|rule| is_meant(&rule.rule.peers)) {
            parts.extend(self.part(rule, self.near(direction)));
        }
        self.port_set(&parts)
    }

    /// Ports that names mean whoever the peer is: the Pod's own, of what comes to it.
    pub(super) fn near(&self, direction: Direction) -> &'c [ContainerPort] {
        match direction {
            Direction::Ingress => self.own_ports,
            Direction::Egress => &[],
        }
    }

    /// A rule about a destination with these ports; none when it is about no port of it.
    pub(super) fn part(&mut self, rule: &OrderedRule<'c>, ports: &[ContainerPort]) -> Option<PartId> {
        let connections = rule.rule.connections(ports);
        if connections.is_empty() {
            return None;
        }
        self.parts.push(Part { policy: rule.policy, leaf: rule.leaf, connections });
        Some(self.parts.len() as PartId - 1)
    }

    /// The port set of each class; 0 of those that have no ports and of the first, about which nothing is said.
    pub(super) fn port_sets_of(&mut self, classes: &Classes) -> Result<Vec<u64>, NotBuilt> {
        let mut ids = vec![0; classes.len()];
        for (class, _) in classes.inhabited().iter().enumerate().filter(|(_, inhabited)| **inhabited) {
            let parts: Vec<PartId> = classes.parts(class).collect();
            ids[class] = self.port_set(&parts)?.unwrap_or(0);
        }
        Ok(ids)
    }

    fn port_set(&mut self, parts: &[PartId]) -> Result<Option<u64>, NotBuilt> {
        for part in parts {
            let Part { policy, connections, .. } = &self.parts[*part as usize];
            let (policy, ranges) = (*policy, connections.ranges());
            self.step(policy, ranges)?;
        }
        let of = |part: &PartId| &self.parts[*part as usize];
        let set = port_sets::entries(parts.iter().map(|part| (of(part).leaf, &*of(part).connections)));
        if set.is_empty() {
            return Ok(None);
        }
        if set.len() > self.limits.ports_per_set {
            let policy = parts.iter().map(of).max_by_key(|part| part.connections.ranges()).map(|part| part.policy);
            let policy = policy.map(|id| self.compiled.policy(id).to_string()).unwrap_or_default();
            let (count, bound) = (set.len(), self.limits.ports_per_set);
            return Err(DoesNotFit { policy, what: What::PortsOfSet, count, bound }.into());
        }
        let id = port_sets::id(&set);
        if id == 0 || self.port_sets.get(&id).is_some_and(|known| **known != set) {
            return Err(Collision::of_port_sets(id).into());
        }
        self.port_sets.insert(id, Arc::new(set));
        Ok(Some(id))
    }

    /// Something is done for a policy.
    pub(super) fn step(&mut self, policy: PolicyId, steps: usize) -> Result<(), DoesNotFit> {
        *self.steps.entry(policy).or_default() += steps;
        self.total_steps += steps;
        self.bound(What::Steps, self.total_steps, self.limits.steps_per_table)
    }

    fn bound(&self, what: What, count: usize, bound: usize) -> Result<(), DoesNotFit> {
        if count <= bound {
            return Ok(());
        }
        Err(DoesNotFit { policy: self.largest(), what, count, bound })
    }

    /// The policy for which most was done, as it is shown.
    fn largest(&self) -> String {
        let largest = self.steps.iter().max_by_key(|(_, steps)| **steps);
        largest.map(|(policy, _)| self.compiled.policy(*policy).to_string()).unwrap_or_default()
    }
}

/// Which part of a rule a destination is about, by what the rule's names mean on it: alike for most destinations.
#[derive(Debug, Default)]
pub(super) struct Variants(HashMap<Vec<ContainerPort>, Option<PartId>>);

// === impl Variants ===

impl Variants {
    /// The part of a rule on a destination with these ports.
    pub(super) fn part<'c>(
        &mut self,
        builder: &mut Builder<'c>,
        rule: &OrderedRule<'c>,
        ports: &[ContainerPort],
    ) -> Option<PartId> {
        let mut meant: Vec<ContainerPort> = rule.rule.named_on(ports).cloned().collect();
        meant.sort_unstable();
        meant.dedup();
        *self.0.entry(meant).or_insert_with_key(|meant| builder.part(rule, meant))
    }
}
