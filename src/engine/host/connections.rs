//! Functions of the library `network` that judge connections: what exists is read into the same oracle that
//! `stockade net` asks.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use stockade_cel::functions::Scope;
use stockade_cel::{ErrorKind, Value};
use stockade_netpol::compile::Compiled;
use stockade_netpol::needs::{Need, Port, REQUIRES, To};
use stockade_netpol::plan::{Limits, fits};
use stockade_netpol::policy::{Namespaces, Peer, Peers, Pods, Policy};
use stockade_netpol::read::{ManifestReader, api};
use stockade_netpol::state::Labels;
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

use super::{Answer, FactsHost};
use crate::facts::{Kind, NAMESPACE};
use crate::network::NETWORK_POLICY;
use crate::pod_template;

const POD: Kind<'static> = Kind { api_version: "v1", kind: "Pod" };
const SERVICE: Kind<'static> = Kind { api_version: "v1", kind: "Service" };

/// Most sentences of one answer: nobody reads more.
const MAX_SENTENCES: usize = 20;

/// Where the Pod of the request is said to be read.
const REQUESTED: &str = "requested.json";

/// What exists in some namespaces, as far as connections go.
struct Gathered {
    reader: ManifestReader,
    policies: Vec<Policy>,
    namespaces: BTreeSet<String>,
    with_pods: BTreeSet<String>,
}

// === impl FactsHost ===

impl FactsHost<'_> {
    /// Why a Pod does not get what its annotation says that it needs. One on the host's network is no Pod that policies
    /// let out or in.
    pub(super) fn unmet_needs<'a>(&self, object: Value<'a>, scope: &Scope<'a>) -> Answer<'a> {
        let namespace = namespace_of(object).ok_or(NO_NAMESPACE)?;
        let pod = pod_template::of(object);
        let annotation = pod.path(&["metadata", "annotations", REQUIRES]).and_then(Value::as_str).unwrap_or("");
        let host_network = pod.path(&["spec", "hostNetwork"]).and_then(Value::as_bool).unwrap_or(false);
        if annotation.trim().is_empty() || host_network {
            return Ok(sentences(&[], scope));
        }
        let needs = match Need::parse_all(annotation) {
            Ok(needs) => needs,
            Err(fault) => return Ok(sentences(&[fault.to_string()], scope)),
        };
        let mut gathered = Gathered::new();
        gathered.add(self, namespace, false, scope)?;
        let mut resolved = Vec::new();
        for need in &needs {
            resolved.extend(self.resolve(need, scope)?);
        }
        for need in &resolved {
            if let To::Pods { namespace, .. } = &need.to {
                gathered.add(self, namespace, true, scope)?;
            }
        }
        gathered.add_requested(namespace, pod);
        let compiled = gathered.compile(scope)?;
        let requested = compiled.state().pods().find(|(_, pod)| &*pod.origin.file == REQUESTED);
        let Some((requested, _)) = requested else { return Err(NOT_READ) };
        let unmet: Vec<String> = resolved.iter().filter_map(|need| compiled.unmet(requested, need)).collect();
        Ok(sentences(&unmet, scope))
    }

    /// A need for a Service as one for its Pods; none of a Service that is not there or has no selector: its ends are
    /// not known.
    fn resolve<'a>(&self, need: &Need, scope: &Scope<'a>) -> Result<Option<Need>, ErrorKind<'a>> {
        let To::Service { namespace, name } = &need.to else { return Ok(Some(need.clone())) };
        let found = self.get([SERVICE.api_version, SERVICE.kind, namespace, name], scope)?;
        let Value::Optional(Some(service)) = found else { return Ok(None) };
        let Some(Value::Object(selector)) = service.path(&["spec", "selector"]) else { return Ok(None) };
        let requirement = |key: &str, value: &str| Requirement {
            key: key.to_owned(),
            operator: Operator::In,
            values: vec![value.to_owned()],
        };
        let requirements: Vec<Requirement> =
            selector.entries().iter().filter_map(|e| Some(requirement(e.key, e.value.as_str()?))).collect();
        let ports = service.path(&["spec", "ports"]).and_then(Value::as_list).unwrap_or(&[]);
        let port = ports.iter().find(|port| is_meant(port, need)).and_then(target_port);
        let (Some(port), false) = (port, requirements.is_empty()) else { return Ok(None) };
        let to = To::Pods { namespace: namespace.clone(), labels: LabelSelector { requirements } };
        Ok(Some(Need { to, port, ..need.clone() }))
    }

    /// What a NetworkPolicy lets pass between Pods and another forbids.
    pub(super) fn one_sided<'a>(&self, object: Value<'a>, scope: &Scope<'a>) -> Answer<'a> {
        let namespace = namespace_of(object).ok_or(NO_NAMESPACE)?;
        let Some(policy) = read_policy(object).policy else { return Ok(sentences(&[], scope)) };
        let mut gathered = Gathered::new();
        gathered.add(self, namespace, true, scope)?;
        let far: Vec<&Namespaces> = named(&policy).map(|pods| &pods.namespaces).collect();
        if far.iter().any(|one| matches!(one, Namespaces::Matching(_))) {
            for other in self.list(NAMESPACE, "", scope)? {
                let Some(name) = other.path(&["metadata", "name"]).and_then(Value::as_str) else { continue };
                let labels = namespace_labels(name, *other);
                let is_meant = |one: &&Namespaces| matches!(one, Namespaces::Matching(selector) if labels.match_selector(selector));
                if far.iter().any(is_meant) {
                    gathered.add(self, name, true, scope)?;
                }
            }
        }
        let name = policy.name.clone();
        gathered.replace(policy);
        let compiled = gathered.compile(scope)?;
        let findings = compiled.one_sided(namespace, &name);
        let findings = findings.map_err(|error| ErrorKind::Function(scope.arena.alloc_str(&error.to_string())))?;
        let told = findings.iter().map(|finding| match finding.help.as_str() {
            "" => finding.message.clone(),
            help => format!("{}: {help}", finding.message),
        });
        Ok(sentences(&told.collect::<Vec<_>>(), scope))
    }

    /// What of a NetworkPolicy is more than the tables of a node hold.
    pub(super) fn does_not_fit<'a>(object: Value<'a>, scope: &Scope<'a>) -> Value<'a> {
        let fault = read_policy(object).policy.and_then(|policy| fits(&policy, &Limits::default()).err());
        sentences(&fault.iter().map(ToString::to_string).collect::<Vec<_>>(), scope)
    }
}

const NO_NAMESPACE: ErrorKind<'static> =
    ErrorKind::Function("network functions need an object with metadata.namespace");
const NOT_READ: ErrorKind<'static> = ErrorKind::Function("the object has no Pod that can be read");

// === impl Gathered ===

impl Gathered {
    fn new() -> Self {
        Self {
            reader: ManifestReader::new(""),
            policies: Vec::new(),
            namespaces: BTreeSet::new(),
            with_pods: BTreeSet::new(),
        }
    }

    /// Adds the NetworkPolicies of a namespace and its labels, and its Pods too where they are asked for.
    fn add<'a>(
        &mut self,
        host: &FactsHost<'_>,
        namespace: &str,
        with_pods: bool,
        scope: &Scope<'a>,
    ) -> Result<(), ErrorKind<'a>> {
        if with_pods && self.with_pods.insert(namespace.to_owned()) {
            for pod in host.list(POD, namespace, scope)? {
                self.add_object("pods.json", *pod, "Pod");
            }
        }
        if self.namespaces.insert(namespace.to_owned()) {
            for policy in host.list(NETWORK_POLICY, namespace, scope)? {
                self.policies.extend(read_policy(*policy).policy);
            }
            let found = host.get([NAMESPACE.api_version, NAMESPACE.kind, "", namespace], scope)?;
            if let Value::Optional(Some(found)) = found {
                self.add_object("namespaces.json", *found, "Namespace");
            }
        }
        Ok(())
    }

    fn add_object(&mut self, file: &str, object: Value<'_>, kind: &str) {
        // An element of a list need not say what it is.
        let Ok(Json::Object(mut json)) = serde_json::to_value(object) else { return };
        json.insert("apiVersion".to_owned(), "v1".into());
        json.insert("kind".to_owned(), kind.into());
        self.reader.add(file, &Json::Object(json).to_string());
    }

    /// Adds the Pod of the request, whether it has a name or not.
    fn add_requested(&mut self, namespace: &str, pod: Value<'_>) {
        let json = |path: &[&str]| pod.path(path).and_then(|value| serde_json::to_value(value).ok());
        let metadata = json!({"name": "requested", "namespace": namespace, "labels": json(&["metadata", "labels"])});
        let requested = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": json(&["spec"])});
        self.reader.add(REQUESTED, &requested.to_string());
    }

    /// Puts a policy in the place of the one that has its name.
    fn replace(&mut self, policy: Policy) {
        let is_other = |other: &Policy| (&other.namespace, &other.name) != (&policy.namespace, &policy.name);
        self.policies.retain(is_other);
        self.policies.push(policy);
    }

    fn compile<'a>(self, scope: &Scope<'a>) -> Result<Compiled, ErrorKind<'a>> {
        let state = self.reader.finish().state;
        let compiled = Compiled::new(self.policies, state);
        compiled.map_err(|error| ErrorKind::Function(scope.arena.alloc_str(&error.to_string())))
    }
}

/// A NetworkPolicy as nodes read it: with what is not understood closed.
fn read_policy(object: Value<'_>) -> api::Read {
    api::network_policy(&serde_json::to_value(object).unwrap_or_default())
}

/// Pods that the rules of a policy name by labels of theirs.
fn named(policy: &Policy) -> impl Iterator<Item = &Pods> {
    let rules = policy.ingress.iter().chain(&policy.egress).flatten();
    let peers = rules.flat_map(|rule| match &rule.peers {
        Peers::AnyOf(peers) => peers.as_slice(),
        Peers::Everyone => &[],
    });
    peers.filter_map(|peer| match peer {
        Peer::Pods(pods) if !pods.pods.is_empty() => Some(pods),
        _ => None,
    })
}

fn namespace_labels(name: &str, namespace: Value<'_>) -> Labels {
    let labels = namespace.path(&["metadata", "labels"]).and_then(Value::as_object);
    let entries = labels.map_or(&[][..], |labels| labels.entries());
    Labels::of_namespace(name, entries.iter().filter_map(|e| Some((e.key, e.value.as_str()?))))
}

fn namespace_of<'a>(object: Value<'a>) -> Option<&'a str> {
    object.path(&["metadata", "namespace"]).and_then(Value::as_str).filter(|namespace| !namespace.is_empty())
}

/// Whether a port of a Service is the one that a need names.
fn is_meant(port: &Value<'_>, need: &Need) -> bool {
    let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    let by = match &need.port {
        Port::Number(number) => number_of(port.get("port")) == Some(Port::Number(*number)),
        Port::Name(name) => port.get("name").and_then(Value::as_str) == Some(name),
    };
    by && protocol == need.protocol.name()
}

/// Where a port of a Service leads: to the same one where it says nothing.
fn target_port(port: &Value<'_>) -> Option<Port> {
    number_of(port.get("targetPort")).or_else(|| number_of(port.get("port")))
}

/// A port by number or name.
fn number_of(value: Option<Value<'_>>) -> Option<Port> {
    match value? {
        Value::String(name) => Port::parse(name),
        number => Port::parse(&serde_json::to_value(number).ok()?.to_string()),
    }
}

/// The first of some sentences, and how many more there are.
fn sentences<'a>(told: &[String], scope: &Scope<'a>) -> Value<'a> {
    let mut list = bumpalo::collections::Vec::new_in(scope.arena);
    list.extend(told.iter().take(MAX_SENTENCES).map(|text| Value::String(scope.arena.alloc_str(text))));
    if told.len() > MAX_SENTENCES {
        let more = format!("{} more", told.len() - MAX_SENTENCES);
        list.push(Value::String(scope.arena.alloc_str(&more)));
    }
    Value::List(list.into_bump_slice())
}
