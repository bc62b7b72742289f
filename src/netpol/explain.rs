//! Why a connection is allowed or denied, and what to write so that it is otherwise.

use crate::compile::{Compiled, PolicyId, RuleId};
use crate::policy::{Direction, Policy, Tier};
use crate::ports::{Connections, PortSet, Protocol};
use crate::remedy::{self, Whom};
use crate::state::Pod;
use crate::verdict::{Decision, Endpoint, Verdict};

/// One connection, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is decided.
    pub verdict: Verdict,
    /// The sender's side, then the receiver's.
    pub sides: [Side; 2],
}

/// One end's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Which.
    pub direction: Direction,
    /// What its policies say.
    pub decision: Decision,
    /// Rules of the policies that isolate the Pod, when none of them accepts the connection.
    pub missed: Vec<Missed>,
    /// What to write so that this side decides otherwise.
    pub remedy: Option<Remedy>,
}

/// A rule that does not accept a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Which.
    pub rule: RuleId,
    /// Why.
    pub why: Why,
}

/// Why a rule does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is about others.
    OtherPeers,
    /// It is about this peer, but other ports.
    OtherPorts(Connections),
}

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What to do with it: `add to spec.ingress of NetworkPolicy shop/web`
    pub what: String,
    /// The YAML; empty where none can say it.
    pub yaml: String,
}

impl Compiled {
    /// Explains one connection.
    pub fn explain(&self, from: Endpoint<'_>, to: Endpoint<'_>, protocol: Protocol, port: u16) -> Explanation {
        let verdict = self.verdict(from, to, protocol, port);
        let side = |direction: Direction, near, far| {
            let decision = verdict.of(direction).clone();
            let wanted = only(protocol, port);
            Side {
                direction,
                missed: self.missed(direction, &decision, far, to),
                // An end that lets it pass is to be changed only when both do: else that would change nothing.
                remedy: match decision.is_allowed() {
                    true if verdict.is_allowed() => self.to_deny(direction, &decision, near),
                    true => None,
                    false => self.to_allow(direction, &decision, (near, far), &wanted),
                },
                decision,
            }
        };
        let sides = [side(Direction::Egress, from, to), side(Direction::Ingress, to, from)];
        Explanation { verdict, sides }
    }

    fn missed(&self, direction: Direction, decision: &Decision, far: Endpoint<'_>, to: Endpoint<'_>) -> Vec<Missed> {
        let Decision::Isolated(policies) = decision else { return Vec::new() };
        let far = self.far(far);
        let rules = policies.iter().flat_map(|policy| self.rules_of(*policy, direction));
        rules
            .map(|(rule, compiled)| {
                let why = if compiled.is_about(&far) {
                    Why::OtherPorts(compiled.connections(self.container_ports(to)).into_owned())
                } else {
                    Why::OtherPeers
                };
                Missed { rule, why }
            })
            .collect()
    }

    /// What lets a connection pass that the near end's side denies.
    pub(crate) fn to_allow(
        &self,
        direction: Direction,
        decision: &Decision,
        (near, far): (Endpoint<'_>, Endpoint<'_>),
        wanted: &Connections,
    ) -> Option<Remedy> {
        let whom = self.whom(far);
        let list = direction.rules();
        match decision {
            Decision::Isolated(policies) => {
                let Endpoint::Pod(id, _) = near else { return None };
                let pod = self.state().pod(id);
                let rule = remedy::network_rule(direction, &pod.namespace, whom?, wanted);
                Some(self.accepting(direction, policies, pod, rule))
            }
            Decision::Denied(rule) => {
                let number = rule.index + 1;
                let what = format!("put before rule {number} of spec.{list} of {}", self.policy(rule.policy));
                match whom.and_then(|whom| remedy::cluster_rule(direction, whom, wanted)) {
                    Some(yaml) => Some(Remedy { what, yaml }),
                    None => {
                        let what = format!("narrow rule {number} of spec.{list} of {}", self.policy(rule.policy));
                        Some(Remedy { what, yaml: String::new() })
                    }
                }
            }
            _ => None,
        }
    }

    /// Where a rule belongs that a Pod is to have.
    pub(crate) fn accepting(&self, direction: Direction, policies: &[PolicyId], pod: &Pod, rule: String) -> Remedy {
        match self.most_about(policies) {
            Some(policy) => Remedy { what: format!("add to spec.{} of {policy}", direction.rules()), yaml: rule },
            None => Remedy { what: format!("add a policy for {pod}"), yaml: remedy::policy(direction, pod, &rule) },
        }
    }

    /// The one that names most labels; none when all of them select every Pod of the namespace, which a rule would open
    /// with the one that is meant.
    pub(crate) fn most_about(&self, policies: &[PolicyId]) -> Option<&Policy> {
        let requirements = |policy: &&Policy| policy.subject.pods.requirements.len();
        policies.iter().map(|id| self.policy(*id)).max_by_key(requirements).filter(|policy| requirements(policy) > 0)
    }

    fn to_deny(&self, direction: Direction, decision: &Decision, near: Endpoint<'_>) -> Option<Remedy> {
        match (decision, near) {
            (Decision::Accepted(rule), _) => {
                let policy = self.policy(rule.policy);
                let more = if policy.tier == Tier::Network { ", and every other that accepts it" } else { "" };
                let number = rule.index + 1;
                let what = format!("narrow rule {number} of spec.{} of {policy}{more}", direction.rules());
                Some(Remedy { what, yaml: String::new() })
            }
            (Decision::NotSelected, Endpoint::Pod(id, _)) => {
                let pod = self.state().pod(id);
                let what = format!("isolate {pod}, and accept in rules what it needs");
                Some(Remedy { what, yaml: remedy::policy(direction, pod, "") })
            }
            _ => None,
        }
    }

    /// Whom a rule can name.
    fn whom(&self, end: Endpoint<'_>) -> Option<Whom<'_>> {
        match end {
            Endpoint::Pod(id, family) => {
                let pod = self.state().pod(id);
                if pod.host_network { pod.address(family).map(Whom::Address) } else { Some(Whom::Pod(pod)) }
            }
            Endpoint::Outside { address, .. } => address.map(Whom::Address),
        }
    }
}

/// One port.
fn only(protocol: Protocol, port: u16) -> Connections {
    let mut only = Connections::default();
    only.add_ports(protocol, &PortSet::range(port, port));
    only
}

#[cfg(test)]
mod tests;
