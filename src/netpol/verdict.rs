//! Whether a connection is allowed, and which rule says so.
//!
//! A connection needs the leave of both ends: of the sender by its egress rules, of the receiver by its ingress rules.
//! Only what begins a connection is judged; its answers pass. Two exceptions that the documentation of Kubernetes
//! makes hold whatever rules say: a Pod reaches itself, and a Pod and the node it runs on reach each other.

use std::net::IpAddr;

use crate::addresses::Family;
use crate::compile::{Compiled, CompiledRule, Far, PolicyId, RuleId};
use crate::identities::IdentityId;
use crate::policy::{Action, Direction};
use crate::ports::{Connections, Protocol};
use crate::state::{ContainerPort, PodId};

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// A Pod of the state, by its address of this family; with none given, by its first.
    Pod(PodId, Option<Family>),
    /// Somebody else.
    Outside {
        /// The address; none when nothing is known of it.
        address: Option<IpAddr>,
        /// Domain names that were resolved to it.
        names: &'a [&'a str],
    },
}

/// What is decided about one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the sender's policies say.
    pub egress: Decision,
    /// What the receiver's policies say.
    pub ingress: Decision,
}

/// What one end's policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed: this rule accepts it.
    Accepted(RuleId),
    /// Denied: this rule denies it.
    Denied(RuleId),
    /// Denied: these NetworkPolicies select the Pod, and no rule of theirs accepts it.
    Isolated(Vec<PolicyId>),
    /// Allowed: no policy decides.
    NotSelected,
    /// Allowed: this end is no Pod that policies are about.
    NoPod,
    /// Allowed: a Pod reaches itself.
    Itself,
    /// Allowed: a Pod and its node reach each other.
    OwnNode,
}

// === impl Decision ===

impl Decision {
    /// Whether it may pass.
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Self::Denied(_) | Self::Isolated(_))
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether both ends let it pass.
    pub fn is_allowed(&self) -> bool {
        self.egress.is_allowed() && self.ingress.is_allowed()
    }

    /// What one direction's end says.
    pub fn of(&self, direction: Direction) -> &Decision {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

// === impl Compiled ===

impl Compiled {
    /// Judges one connection.
    pub fn verdict(&self, from: Endpoint<'_>, to: Endpoint<'_>, protocol: Protocol, port: u16) -> Verdict {
        if let Some(by) = self.exempt(from, to) {
            return Verdict { egress: by.clone(), ingress: by };
        }
        let named = self.container_ports(to);
        let judge = |near, far, direction| match self.judged(near) {
            Some(identity) => self.decide(identity, direction, &self.far(far), named, protocol, port),
            None => Decision::NoPod,
        };
        Verdict { egress: judge(from, to, Direction::Egress), ingress: judge(to, from, Direction::Ingress) }
    }

    /// Everything that is allowed from one end to another, for all ports at once: the same as asking
    /// [`Self::verdict`] for each.
    pub fn allowed(&self, from: Endpoint<'_>, to: Endpoint<'_>) -> Connections {
        if self.exempt(from, to).is_some() {
            return Connections::all();
        }
        let egress = self.allowed_by(Direction::Egress, from, to);
        egress.intersection(&self.allowed_by(Direction::Ingress, from, to))
    }

    /// Everything that the policies of one direction's end allow.
    pub fn allowed_by(&self, direction: Direction, from: Endpoint<'_>, to: Endpoint<'_>) -> Connections {
        let (near, far) = match direction {
            Direction::Egress => (from, to),
            Direction::Ingress => (to, from),
        };
        match self.judged(near) {
            Some(identity) => self.accepted(identity, direction, &self.far(far), self.container_ports(to)),
            None => Connections::all(),
        }
    }

    /// What holds whatever rules say.
    fn exempt(&self, from: Endpoint<'_>, to: Endpoint<'_>) -> Option<Decision> {
        if let (Endpoint::Pod(a, _), Endpoint::Pod(b, _)) = (from, to)
            && a == b
        {
            return Some(Decision::Itself);
        }
        (self.is_node_of(from, to) || self.is_node_of(to, from)).then_some(Decision::OwnNode)
    }

    /// Whether one end is the node of the other, or a Pod on its network.
    fn is_node_of(&self, node: Endpoint<'_>, pod: Endpoint<'_>) -> bool {
        let Endpoint::Pod(id, _) = pod else { return false };
        let (state, pod) = (self.state(), self.state().pod(id));
        match node {
            Endpoint::Outside { address, .. } => address.is_some_and(|address| state.is_own_node(pod, address)),
            Endpoint::Pod(other, _) => {
                let other = state.pod(other);
                other.host_network && other.node.is_some() && other.node == pod.node
            }
        }
    }

    /// Whom policies may select at an end.
    fn judged(&self, end: Endpoint<'_>) -> Option<IdentityId> {
        match end {
            Endpoint::Pod(id, _) => self.identity(id),
            Endpoint::Outside { .. } => None,
        }
    }

    pub(crate) fn far<'a>(&self, end: Endpoint<'a>) -> Far<'a> {
        match end {
            Endpoint::Pod(id, family) => {
                let address = Some(self.state().pod(id)).filter(|pod| !pod.finished).and_then(|p| p.address(family));
                Far { identity: self.identity(id), address, names: &[] }
            }
            Endpoint::Outside { address, names } => Far { identity: None, address, names },
        }
    }

    pub(crate) fn container_ports(&self, to: Endpoint<'_>) -> &[ContainerPort] {
        match to {
            Endpoint::Pod(id, _) => Some(self.state().pod(id)).filter(|p| !p.finished).map_or(&[], |p| &p.ports),
            Endpoint::Outside { .. } => &[],
        }
    }

    fn decide(
        &self,
        identity: IdentityId,
        direction: Direction,
        far: &Far<'_>,
        named: &[ContainerPort],
        protocol: Protocol,
        port: u16,
    ) -> Decision {
        let table = self.table(identity, direction);
        let first = |policies: &[PolicyId]| {
            let mut rules = policies.iter().flat_map(|policy| self.rules_of(*policy, direction));
            let matches = |r: &CompiledRule| r.is_about(far) && r.is_about_port(protocol, port, named);
            rules.find(|(_, rule)| matches(rule)).map(|(id, rule)| (id, rule.action))
        };
        let ordered = |policies: &[PolicyId]| match first(policies) {
            Some((rule, Action::Accept)) => Some(Decision::Accepted(rule)),
            Some((rule, Action::Deny)) => Some(Decision::Denied(rule)),
            Some((_, Action::Pass)) | None => None,
        };
        if let Some(decided) = ordered(&table.admin) {
            return decided;
        }
        if !table.network.is_empty() {
            let isolated = || Decision::Isolated(table.network.clone());
            return first(&table.network).map_or_else(isolated, |(rule, _)| Decision::Accepted(rule));
        }
        ordered(&table.baseline).unwrap_or(Decision::NotSelected)
    }

    fn accepted(
        &self,
        identity: IdentityId,
        direction: Direction,
        far: &Far<'_>,
        named: &[ContainerPort],
    ) -> Connections {
        let table = self.table(identity, direction);
        let mut accepted = Connections::default();
        let rest = self.ordered(&table.admin, direction, far, named, Connections::all(), &mut accepted);
        if table.network.is_empty() {
            let rest = self.ordered(&table.baseline, direction, far, named, rest, &mut accepted);
            accepted.add(&rest);
            return accepted;
        }
        for (_, rule) in table.network.iter().flat_map(|policy| self.rules_of(*policy, direction)) {
            if rule.is_about(far) {
                accepted.add(&rule.connections(named).intersection(&rest));
            }
        }
        accepted
    }

    /// Takes what a tier of ordered rules accepts, and gives what it leaves to the next.
    fn ordered(
        &self,
        policies: &[PolicyId],
        direction: Direction,
        far: &Far<'_>,
        named: &[ContainerPort],
        mut rest: Connections,
        accepted: &mut Connections,
    ) -> Connections {
        let mut passed = Connections::default();
        for (_, rule) in policies.iter().flat_map(|policy| self.rules_of(*policy, direction)) {
            if rest.is_empty() {
                break;
            }
            if !rule.is_about(far) {
                continue;
            }
            let matched = rule.connections(named).intersection(&rest);
            match rule.action {
                Action::Accept => accepted.add(&matched),
                Action::Deny => {}
                Action::Pass => passed.add(&matched),
            }
            rest = rest.without(&matched);
        }
        rest.add(&passed);
        rest
    }
}
