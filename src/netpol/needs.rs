//! What a Pod says it has to reach, and why policies do not let it.
//!
//! The annotation [`REQUIRES`] of a Pod lists connections, apart by white space:
//!
//! | written | means |
//! |---|---|
//! | `shop/db:5432` | the Pods of a Service, by a port of the Service (its number or name) |
//! | `shop/app=db,tier=back:5432` | Pods of a namespace by all of these labels, by a port of theirs (number or name) |
//! | `192.0.2.1:443`, `[2001:db8::1]:443` | an address outside of the cluster |
//!
//! `/UDP` or `/SCTP` behind the port names another protocol than TCP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stockade_policy::selector::{LabelSelector, Operator, Requirement};

use crate::compile::{Compiled, PolicyId};
use crate::policy::Direction;
use crate::ports::Protocol;
use crate::state::{Pod, PodId};
use crate::verdict::{Decision, Endpoint, Verdict};

/// Annotation of Pods.
pub const REQUIRES: &str = "stockade.dev/requires";

/// Most connections of one Pod.
pub const MAX_NEEDS: usize = 32;

/// Most policies that a reason names.
const MAX_NAMED: usize = 3;

/// One connection that a Pod has to be able to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// As it is written.
    pub written: String,
    /// To whom.
    pub to: To,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which port.
    pub port: Port,
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The Pods of a Service, by one of its ports.
    Service {
        /// Of the Service.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// Pods.
    Pods {
        /// Of the Pods.
        namespace: Arc<str>,
        /// Which.
        labels: LabelSelector,
    },
    /// Somebody outside of the cluster.
    Address(IpAddr),
}

/// A port by number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// From 1.
    Number(u16),
    /// As a container of the destination, or the Service, calls it.
    Name(Arc<str>),
}

/// An annotation that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNeed {
    /// Not a connection.
    #[error("{REQUIRES}: {0:?} must be written as in shop/db:5432, shop/app=db:5432/TCP or 192.0.2.1:443")]
    Form(String),
    /// See [`MAX_NEEDS`].
    #[error("{REQUIRES}: {0} connections are more than {MAX_NEEDS}")]
    TooMany(usize),
}

// === impl Need ===

impl Need {
    /// Reads the annotation.
    ///
    /// # Errors
    /// The first part that is no connection, or too many of them.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, BadNeed> {
        let count = text.split_whitespace().count();
        if count > MAX_NEEDS {
            return Err(BadNeed::TooMany(count));
        }
        let shown = |one: &str| BadNeed::Form(one.chars().take(100).collect());
        text.split_whitespace().map(|one| Self::parse(one).ok_or_else(|| shown(one))).collect()
    }

    fn parse(written: &str) -> Option<Self> {
        let by_name = |name: &str| Protocol::ALL.into_iter().find(|protocol| protocol.name() == name);
        let (rest, protocol) = match written.rsplit_once('/') {
            Some((rest, last)) if by_name(last).is_some() => (rest, by_name(last)?),
            _ => (written, Protocol::Tcp),
        };
        let with = |to, port| Some(Self { written: written.to_owned(), to, protocol, port });
        if let Ok(address) = rest.parse::<SocketAddr>() {
            return with(To::Address(address.ip()), Port::parse(&address.port().to_string())?);
        }
        let (target, port) = rest.rsplit_once(':')?;
        let (namespace, target) = target.split_once('/')?;
        if namespace.is_empty() || target.is_empty() {
            return None;
        }
        let to = if target.contains('=') {
            let requirements = target.split(',').map(requirement).collect::<Option<_>>()?;
            To::Pods { namespace: namespace.into(), labels: LabelSelector { requirements } }
        } else if target.contains('/') {
            return None;
        } else {
            To::Service { namespace: namespace.into(), name: target.into() }
        };
        with(to, Port::parse(port)?)
    }
}

/// `app=db`
fn requirement(text: &str) -> Option<Requirement> {
    let (key, value) = text.split_once('=')?;
    let requirement = Requirement { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] };
    (!key.is_empty() && !value.contains('=')).then_some(requirement)
}

// === impl Port ===

impl Port {
    /// Reads a number from 1, or a name.
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse::<u16>() {
            Ok(0) => None,
            Ok(number) => Some(Self::Number(number)),
            Err(_) => {
                let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let is_name = text.bytes().all(is_inner) && text.bytes().any(|b| b.is_ascii_lowercase());
                is_name.then(|| Self::Name(text.into()))
            }
        }
    }

    /// Its number on a Pod; none when the Pod has no port of this name.
    fn on(&self, pod: &Pod, protocol: Protocol) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => {
                pod.ports.iter().find(|port| port.name == *name && port.protocol == protocol).map(|port| port.port)
            }
        }
    }
}

// === impl Compiled ===

impl Compiled {
    /// Why a Pod cannot reach any of those that a need means; none when it can reach one of them, when nobody is there
    /// who is meant, and where addresses decide that nobody knows yet. Of a need for a Service, resolve the Service first.
    pub fn unmet(&self, pod: PodId, need: &Need) -> Option<String> {
        let from = Endpoint::Pod(pod, None);
        match &need.to {
            To::Service { .. } => None,
            To::Address(address) => {
                let Port::Number(port) = need.port else { return None };
                let verdict =
                    self.verdict(from, Endpoint::Outside { address: Some(*address), names: &[] }, need.protocol, port);
                let reason = self.reason(&verdict, &address.to_string())?;
                Some(format!("{}: {reason}", need.written))
            }
            To::Pods { namespace, labels } => {
                let mut first = None;
                let means = |other: &Pod| other.namespace == *namespace && other.labels.match_selector(labels);
                for (target, other) in self.state().pods().filter(|(_, other)| means(other) && !other.finished) {
                    let Some(port) = need.port.on(other, need.protocol) else { continue };
                    let verdict = self.verdict(from, Endpoint::Pod(target, None), need.protocol, port);
                    let what = (need.protocol, port);
                    if verdict.is_allowed() || self.may_yet_pass(&verdict, (pod, target), what) {
                        return None;
                    }
                    first = first.or_else(|| self.reason(&verdict, &other.to_string()));
                }
                first.map(|reason| format!("{}: {reason}", need.written))
            }
        }
    }

    /// Whether an end is isolated by policies that mean the other by an address, which it has not got yet.
    fn may_yet_pass(&self, verdict: &Verdict, (from, to): (PodId, PodId), (protocol, port): (Protocol, u16)) -> bool {
        Direction::ALL.into_iter().all(|direction| {
            let decision = verdict.of(direction);
            let far = if direction == Direction::Ingress { from } else { to };
            let by_address = |policies: &[PolicyId]| {
                let named = self.container_ports(Endpoint::Pod(to, None));
                let mut rules = policies.iter().flat_map(|policy| self.rules_of(*policy, direction));
                rules.any(|(_, rule)| rule.addresses().is_some() && rule.is_about_port(protocol, port, named))
            };
            match decision {
                Decision::Isolated(policies) => self.state().pod(far).addresses.is_empty() && by_address(policies),
                decision => decision.is_allowed(),
            }
        })
    }

    /// Who denies a connection to somebody; none when nobody does.
    fn reason(&self, verdict: &Verdict, to: &str) -> Option<String> {
        let direction = [Direction::Egress, Direction::Ingress].into_iter().find(|d| !verdict.of(*d).is_allowed())?;
        let (where_to, list) = match direction {
            Direction::Egress => ("out to", direction.rules()),
            Direction::Ingress => ("in to", direction.rules()),
        };
        Some(match verdict.of(direction) {
            Decision::Denied(rule) => format!("{} denies it {where_to} {to}", self.policy(rule.policy)),
            Decision::Isolated(policies) => {
                let names = policies.iter().take(MAX_NAMED).map(|id| self.policy(*id).to_string());
                let names = names.collect::<Vec<_>>().join(", ");
                let more = if policies.len() > MAX_NAMED { " and others" } else { "" };
                format!("no {list} rule of {names}{more} lets it {where_to} {to}")
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::ManifestReader;

    fn compiled(text: &str) -> Compiled {
        let mut reader = ManifestReader::new("shop");
        reader.add("a.yaml", text);
        let read = reader.finish();
        assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
        Compiled::new(read.policies, read.state).unwrap()
    }

    const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: data, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
status: {podIP: 10.0.0.9}
---
";

    /// What the Pod shop/web lacks.
    fn unmet(policies: &str, needs: &str) -> Vec<String> {
        let compiled = compiled(&format!("{PODS}{policies}"));
        let web = compiled.state().pods().find(|(_, pod)| &*pod.name == "web").unwrap().0;
        Need::parse_all(needs).unwrap().iter().filter_map(|need| compiled.unmet(web, need)).collect()
    }

    fn policy(name: &str, namespace: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n---\n"
        )
    }

    #[test]
    fn a_need_is_a_service_pods_or_an_address() {
        let parsed = |text: &str| Need::parse_all(text).unwrap().remove(0);
        let need = parsed("shop/db:sql/UDP");
        assert_eq!(need.to, To::Service { namespace: "shop".into(), name: "db".into() });
        assert_eq!((need.protocol, need.port), (Protocol::Udp, Port::Name("sql".into())));
        let need = parsed("shop/app.kubernetes.io/name=db,tier=:5432");
        let requirements = ["app.kubernetes.io/name=db", "tier="].map(|text| requirement(text).unwrap()).to_vec();
        assert_eq!(need.to, To::Pods { namespace: "shop".into(), labels: LabelSelector { requirements } });
        assert_eq!((need.protocol, need.port), (Protocol::Tcp, Port::Number(5432)));
        assert_eq!(parsed("[2001:db8::1]:443/TCP").to, To::Address("2001:db8::1".parse().unwrap()));
        assert_eq!(Need::parse_all(" a/b:1\n\tc/d:2 ").unwrap().len(), 2);
        let bad = [
            "x",
            "db:5432",
            "shop/db",
            "shop/db:0",
            "shop/db:70000",
            "shop/:1",
            "/db:1",
            "shop/a=b=c:1",
            "shop/=b:1",
            "shop/a=b,c:1",
            "a/b/c:1",
            "192.0.2.1:0",
            "2001:db8::1:443:x",
            "shop/db:80/tcp",
            "shop/db:",
        ];
        for text in bad {
            assert_eq!(Need::parse_all(text), Err(BadNeed::Form(text.to_owned())), "{text}");
        }
        assert_eq!(Need::parse_all(&"a/b:1 ".repeat(33)), Err(BadNeed::TooMany(33)));
    }

    #[test]
    fn what_either_end_denies_is_told_with_the_policies_that_do() {
        let isolated = policy(
            "web",
            "shop",
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
        );
        assert_eq!(
            unmet(&isolated, "data/app=db:5432 192.0.2.1:443 198.51.100.1:443 data/app=gone:1"),
            [
                "data/app=db:5432: no egress rule of NetworkPolicy shop/web lets it out to data/db-0",
                "198.51.100.1:443: no egress rule of NetworkPolicy shop/web lets it out to 198.51.100.1",
            ]
        );
        let db =
            policy("db", "data", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]}]}");
        assert_eq!(
            unmet(&db, "data/app=db:sql"),
            ["data/app=db:sql: no ingress rule of NetworkPolicy data/db lets it in to data/db-0"]
        );
        let from_shop =
            "{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}], ports: [{port: sql}]}";
        let db = policy("db", "data", &format!("{{podSelector: {{}}, ingress: [{from_shop}]}}"));
        assert_eq!(unmet(&db, "data/app=db:sql data/app=db:5432"), [""; 0]);
        assert_eq!(unmet(&db, "data/app=db:80").len(), 1);
    }

    #[test]
    fn an_address_that_a_pod_has_not_got_yet_may_be_the_one_that_is_let_in() {
        let db = |ports: &str| {
            policy(
                "db",
                "data",
                &format!(
                    "{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/8}}}}], ports: [{ports}]}}]}}"
                ),
            )
        };
        assert_eq!(unmet(&db("{port: 5432}"), "data/app=db:5432"), [""; 0]);
        assert_eq!(unmet(&db("{port: 80}"), "data/app=db:5432").len(), 1);
        // That of the other end is known.
        let web = policy(
            "web",
            "shop",
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.1.0/24}}]}]}",
        );
        assert_eq!(unmet(&web, "data/app=db:5432").len(), 1);
    }
}
