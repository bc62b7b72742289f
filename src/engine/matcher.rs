//! `matchConstraints` and `matchResources` against a request, with the API server's results.

use stockade_cel::Value;
use stockade_policy::matching::{MatchPolicy, MatchResources, RuleWithOperations, Scope};
use stockade_policy::selector::LabelSelector;

use crate::equivalents::{Conversion, Equivalents};
use crate::request::{GroupVersionKind, GroupVersionResource, Operation, Request, labels};

pub(crate) mod selector;

/// [`MatchResources`] prepared for many requests: nothing is allocated or parsed when one is matched.
#[derive(Debug)]
pub struct Matcher {
    namespace_selector: Selector,
    object_selector: Selector,
    rules: Vec<Rule>,
    exclude: Vec<Rule>,
    equivalent: bool,
}

#[derive(Debug)]
struct Selector {
    selector: LabelSelector,
    /// Why it can select nothing, as the API server says it where it uses the selector.
    fault: Option<String>,
}

#[derive(Debug)]
struct Rule {
    rule: RuleWithOperations,
    /// `resources` split at the first `/`.
    resources: Vec<(String, String)>,
}

/// As what a request matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    /// Resource that the rules name; another version than the request's under `matchPolicy: Equivalent`.
    pub resource: GroupVersionResource<'a>,
    /// Kind of that resource.
    pub kind: GroupVersionKind<'a>,
    /// How the request's objects become objects of that kind.
    pub conversion: Conversion,
}

/// Why it cannot be said whether a request matches. Counts under failurePolicy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// An equivalent resource whose kind is not known.
    #[error("unable to convert to {resource}: unknown kind")]
    UnknownKind {
        /// `apps/v1beta1, Resource=deployments`
        resource: String,
    },
    /// A selector with a malformed key or value.
    #[error("Internal error occurred: {fault}")]
    Selector {
        /// In the words of the API server's validation.
        fault: String,
    },
    /// The namespace of the request is not there.
    #[error("namespaces {name:?} not found")]
    NamespaceNotFound {
        /// Which.
        name: String,
    },
    /// A NamespaceGroup that the policy names is not there.
    #[error("namespacegroups.stockade.dev {name:?} not found")]
    GroupNotFound {
        /// Which.
        name: String,
    },
    /// It is not known yet whether the namespace is there.
    #[error("Internal error occurred: namespaces are not yet synced to use for admission")]
    NotReady,
}

/// Labels of the request's namespace, asked only where a namespace selector needs them.
pub trait NamespaceLabels<'a> {
    /// The Namespace object.
    ///
    /// # Errors
    /// Not there, or not known.
    fn namespace(&self, name: &str) -> Result<Value<'a>, MatchError>;
}

// === impl Match ===

impl<'a> Match<'a> {
    /// As what it is.
    pub(crate) fn of(request: &Request<'a>) -> Self {
        Self { resource: request.resource, kind: request.kind, conversion: Conversion::Here }
    }
}

// === impl Matcher ===

impl Matcher {
    /// Prepares for matching.
    pub fn new(resources: &MatchResources) -> Self {
        Self {
            namespace_selector: Selector::new(&resources.namespace_selector),
            object_selector: Selector::new(&resources.object_selector),
            rules: resources.resource_rules.iter().map(Rule::new).collect(),
            exclude: resources.exclude_resource_rules.iter().map(Rule::new).collect(),
            equivalent: resources.match_policy == MatchPolicy::Equivalent,
        }
    }

    /// Whether the request matches, and as what.
    ///
    /// # Errors
    /// Only of a request that is not ruled out by anything else, as upstream: a policy that does not apply never
    /// fails a request.
    pub fn matches<'a>(
        &self,
        request: &Request<'a>,
        namespaces: &dyn NamespaceLabels<'a>,
        equivalents: &'a Equivalents,
    ) -> Result<Option<Match<'a>>, MatchError> {
        // The rules are looked at first because they are cheap; the order in which errors win is upstream's.
        let rules = self.match_rules(request, equivalents);
        if let Ok(None) = rules {
            return Ok(None);
        }
        let namespace = self.match_namespace(request, namespaces);
        if let Ok(false) = namespace {
            return Ok(None);
        }
        let object = self.match_object(request);
        if let Ok(false) = object {
            return Ok(None);
        }
        let matched = rules?;
        namespace?;
        object?;
        Ok(matched)
    }

    fn match_rules<'a>(
        &self,
        request: &Request<'a>,
        equivalents: &'a Equivalents,
    ) -> Result<Option<Match<'a>>, MatchError> {
        if self.first_match(&self.exclude, request, equivalents)?.is_some() {
            return Ok(None);
        }
        if self.rules.is_empty() {
            return Ok(Some(Match::of(request)));
        }
        self.first_match(&self.rules, request, equivalents)
    }

    fn first_match<'a>(
        &self,
        rules: &[Rule],
        request: &Request<'a>,
        equivalents: &'a Equivalents,
    ) -> Result<Option<Match<'a>>, MatchError> {
        // A webhook that is registered for equivalent versions is sent the object as one that its registration names;
        // the API server itself would have compared an Exact rule with what the client sent.
        let as_sent = |r: &Rule| self.equivalent || r.matches(request, request.request_resource);
        if rules.iter().any(|r| r.matches(request, request.resource) && as_sent(r) && r.names(request.name)) {
            return Ok(Some(Match::of(request)));
        }
        if !self.equivalent {
            return Ok(None);
        }
        let equivalents = equivalents.of(request.resource.group, request.resource.resource, request.sub_resource);
        for rule in rules {
            for other in equivalents.iter().filter(|e| e.resource() != request.resource) {
                let resource = other.resource();
                if !rule.matches(request, resource) {
                    continue;
                }
                let Some(kind) = other.kind() else {
                    return Err(MatchError::UnknownKind { resource: resource.to_string() });
                };
                if rule.names(request.name) {
                    return Ok(Some(Match { resource, kind, conversion: other.conversion() }));
                }
            }
        }
        Ok(None)
    }

    fn match_namespace<'a>(
        &self,
        request: &Request<'a>,
        namespaces: &dyn NamespaceLabels<'a>,
    ) -> Result<bool, MatchError> {
        if !has_namespace(request) {
            return Ok(true);
        }
        self.namespace_selector.check()?;
        if self.namespace_selector.selector.is_empty() {
            return Ok(true);
        }
        Ok(self.namespace_selector.selector.matches(labels(selected_namespace(request, namespaces)?)))
    }

    fn match_object(&self, request: &Request<'_>) -> Result<bool, MatchError> {
        self.object_selector.check()?;
        if self.object_selector.selector.is_empty() {
            return Ok(true);
        }
        // The options of a connection have no metadata: nothing selects them, not even for want of a label.
        if request.operation == Operation::Connect {
            return Ok(false);
        }
        let selected = |object: Value<'_>| {
            matches!(object, Value::Object(_)) && self.object_selector.selector.matches(labels(object))
        };
        Ok(selected(request.object) || selected(request.old_object))
    }
}

/// Whether namespace selectors are about the request at all: they are not about cluster-scoped objects, Namespaces
/// excepted.
pub(crate) fn has_namespace(request: &Request<'_>) -> bool {
    !request.namespace.is_empty() || request.resource.resource == "namespaces"
}

/// The Namespace that namespace selectors are about. One that is being written is judged as it will be; a deleted one,
/// or one whose subresource is written, as it is.
pub(crate) fn selected_namespace<'a>(
    request: &Request<'a>,
    namespaces: &dyn NamespaceLabels<'a>,
) -> Result<Value<'a>, MatchError> {
    let of_namespaces = request.resource.resource == "namespaces" && request.sub_resource.is_empty();
    match request.operation {
        Operation::Create | Operation::Update if of_namespaces => Ok(request.object),
        _ => namespaces.namespace(request.namespace),
    }
}

// === impl Selector ===

impl Selector {
    fn new(selector: &LabelSelector) -> Self {
        Self { selector: selector.clone(), fault: selector::fault(selector) }
    }

    fn check(&self) -> Result<(), MatchError> {
        match &self.fault {
            Some(fault) => Err(MatchError::Selector { fault: fault.clone() }),
            None => Ok(()),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn new(rule: &RuleWithOperations) -> Self {
        let split = |r: &String| {
            let (resource, sub) = r.split_once('/').unwrap_or((r, ""));
            (resource.to_owned(), sub.to_owned())
        };
        Self { rule: rule.clone(), resources: rule.resources.iter().map(split).collect() }
    }

    fn matches(&self, request: &Request<'_>, as_resource: GroupVersionResource<'_>) -> bool {
        let rule = &self.rule;
        self.scope(request, as_resource)
            && named(&rule.operations, request.operation.name())
            && named(&rule.api_groups, as_resource.group)
            && named(&rule.api_versions, as_resource.version)
            && self.resources.iter().any(|(resource, sub)| {
                (resource == "*" || resource == as_resource.resource) && (sub == "*" || sub == request.sub_resource)
            })
    }

    fn scope(&self, request: &Request<'_>, as_resource: GroupVersionResource<'_>) -> bool {
        // The namespace of a Namespace's own request is its name, yet it is cluster-scoped.
        let namespace_itself = as_resource == GroupVersionResource { group: "", version: "v1", resource: "namespaces" };
        let cluster = namespace_itself || request.namespace.is_empty();
        match self.rule.scope {
            Scope::All => true,
            Scope::Cluster => cluster,
            Scope::Namespaced => !cluster,
        }
    }

    fn names(&self, name: &str) -> bool {
        self.rule.resource_names.is_empty() || self.rule.resource_names.iter().any(|n| n == name)
    }
}

fn named(items: &[String], wanted: &str) -> bool {
    items.iter().any(|i| i == "*" || i == wanted)
}

#[cfg(test)]
mod tests;
