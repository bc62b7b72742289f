//! What all policies share while one request is decided: facts, arena, deadline, the namespace and the variables.

use std::cell::OnceCell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bumpalo::Bump;
use stockade_cel::functions::Scope;
use stockade_cel::value::Timestamp;
use stockade_cel::{Symbols, Value};
use stockade_policy::compiled::Policy;
use stockade_policy::environment as slots;

use crate::authorizer;
use crate::conversion::{self, NoConversion};
use crate::engine::DecideOptions;
use crate::equivalents::Conversion;
use crate::facts::{ClusterFacts, Fact, Into, NAMESPACE};
use crate::images::asked::Asked;
use crate::images::library::ImageLibrary;
use crate::matcher::{Match, MatchError, NamespaceLabels};
use crate::params;
use crate::request::{Members, Request};

/// Values of the root variables, in slot order.
pub(crate) type Roots<'c> = [Value<'c>; slots::ROOTS.len()];

pub(crate) struct Context<'c> {
    pub(crate) facts: &'c dyn ClusterFacts,
    /// What evaluations may use; of one policy's it is [`Self::scope_of`].
    scope: Scope<'c>,
    /// What expressions were told of images.
    asked: &'c Asked<'c>,
    pub(crate) deadline: Option<Instant>,
    /// Seconds since 1970, the same for the whole decision.
    now: OnceCell<i64>,
    /// Whether an error in any policy admits ([`crate::essentials`]).
    pub(crate) is_essential: bool,
    /// Whether what passes is told.
    pub(crate) passes: bool,
    /// Params read so far.
    pub(crate) params: params::Memo<'c>,
    /// The namespace of the request, looked up when first needed.
    namespace: OnceCell<Fact<Option<Value<'c>>>>,
    /// The same as `namespaceObject` shows it.
    namespace_variable: OnceCell<Value<'c>>,
    /// `request` for policies that matched the request's own kind and resource, as nearly all do.
    request_variable: OnceCell<Value<'c>>,
    authorizer_variables: OnceCell<(Value<'c>, Value<'c>)>,
    namespace_name: &'c str,
}

/// A request as one policy sees it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'c> {
    object: Value<'c>,
    old_object: Value<'c>,
    request: Value<'c>,
    request_resource: Value<'c>,
    authorizer: Value<'c>,
}

/// The metadata of a Namespace that policies may see (upstream `CreateNamespaceObject`).
const NAMESPACE_METADATA: [&str; 12] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "finalizers",
];

// === impl Context ===

impl<'c> Context<'c> {
    pub(crate) fn new(
        facts: &'c dyn ClusterFacts,
        (scope, asked): (Scope<'c>, &'c Asked<'c>),
        options: &DecideOptions,
        request: &Request<'c>,
        is_essential: bool,
    ) -> Self {
        Self {
            facts,
            scope,
            asked,
            is_essential,
            deadline: options.deadline,
            now: options.now.map_or_else(OnceCell::new, OnceCell::from),
            passes: options.passes,
            params: params::Memo::default(),
            namespace: OnceCell::new(),
            namespace_variable: OnceCell::new(),
            request_variable: OnceCell::new(),
            authorizer_variables: OnceCell::new(),
            namespace_name: request.namespace,
        }
    }

    /// What the expressions of a policy may use.
    pub(crate) fn scope_of(&self, policy: &'c Policy, roots: &'c Roots<'c>) -> Scope<'c> {
        let Some(questions) = policy.image_questions.as_deref() else { return self.scope };
        let object = if matches!(roots[slots::OBJECT], Value::Null) { slots::OLD_OBJECT } else { slots::OBJECT };
        let library = ImageLibrary { asked: self.asked, questions, object: roots[object], others: self.scope.host };
        Scope { host: Some(self.scope.arena.alloc(library)), ..self.scope }
    }

    pub(crate) fn arena(&self) -> &'c Bump {
        self.scope.arena
    }

    pub(crate) fn symbols(&self) -> &'c Symbols {
        self.scope.symbols
    }

    pub(crate) fn into(&self) -> Into<'c> {
        Into { arena: self.scope.arena, symbols: self.scope.symbols }
    }

    /// Seconds since 1970. With a clock that is set before that every exception has expired.
    pub(crate) fn now(&self) -> i64 {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(i64::MAX, |d| d.as_secs() as i64);
        *self.now.get_or_init(clock)
    }

    pub(crate) fn deadline_passed(&self) -> bool {
        self.deadline.is_some_and(|d| Instant::now() >= d)
    }

    /// The request as a policy that matched it sees it.
    ///
    /// # Errors
    /// The objects cannot be had in the version that the policy matched.
    pub(crate) fn see(&self, request: &Request<'c>, matched: &Match<'c>) -> Result<Seen<'c>, NoConversion> {
        let (authorizer, request_resource) =
            *self.authorizer_variables.get_or_init(|| authorizer::variables(request, self.arena()));
        let convert = |object| match matched.conversion {
            Conversion::Webhook => conversion::by_webhook(object, request.kind, matched.kind),
            Conversion::Here => conversion::convert(object, request.kind, matched.kind, self.into()),
        };
        Ok(Seen {
            object: convert(request.object)?,
            old_object: convert(request.old_object)?,
            request: self.request_variable(request, matched),
            request_resource,
            authorizer,
        })
    }

    fn request_variable(&self, request: &Request<'c>, matched: &Match<'c>) -> Value<'c> {
        let make = || request.variable(matched.kind, matched.resource, self.arena(), self.symbols());
        if (matched.kind, matched.resource) == (request.kind, request.resource) {
            *self.request_variable.get_or_init(make)
        } else {
            make()
        }
    }

    /// `namespaceObject`: null for cluster-scoped objects and for Namespaces themselves.
    ///
    /// # Errors
    /// The namespace is not there, or not known.
    pub(crate) fn namespace_object(&self, request: &Request<'c>) -> Result<Value<'c>, MatchError> {
        if request.namespace.is_empty() || request.is_namespace() {
            return Ok(Value::Null);
        }
        let namespace = self.namespace(request.namespace)?;
        Ok(*self.namespace_variable.get_or_init(|| self.visible_namespace(namespace)))
    }

    fn visible_namespace(&self, namespace: Value<'c>) -> Value<'c> {
        let mut metadata = Members::new(self.arena(), self.symbols());
        for key in NAMESPACE_METADATA {
            if let Some(value) = namespace.path(&["metadata", key]).filter(|v| !matches!(v, Value::Null)) {
                metadata.push(key, value);
            }
        }
        let empty = Members::new(self.arena(), self.symbols()).finish();
        let part = |key| namespace.get(key).filter(|v| matches!(v, Value::Object(_))).unwrap_or(empty);
        let mut members = Members::new(self.arena(), self.symbols());
        members.push("metadata", metadata.finish());
        members.push("spec", part("spec"));
        members.push("status", part("status"));
        members.finish()
    }
}

impl<'c> NamespaceLabels<'c> for Context<'c> {
    fn namespace(&self, name: &str) -> Result<Value<'c>, MatchError> {
        let fact = match name == self.namespace_name {
            true => *self.namespace.get_or_init(|| self.facts.namespace_of_request(name, self.into())),
            false => self.facts.get(NAMESPACE, "", name, self.into()),
        };
        match fact {
            Fact::Known(Some(namespace)) => Ok(namespace),
            Fact::Known(None) => Err(MatchError::NamespaceNotFound { name: name.to_owned() }),
            Fact::NotReady => Err(MatchError::NotReady),
        }
    }
}

// === impl Seen ===

impl<'c> Seen<'c> {
    /// Values for the slots of [`stockade_policy::environment::ROOTS`].
    pub(crate) fn roots(&self, params: Value<'c>, namespace: Value<'c>, arena: &'c Bump) -> &'c Roots<'c> {
        let mut roots = [Value::Null; slots::ROOTS.len()];
        roots[slots::OBJECT] = self.object;
        roots[slots::OLD_OBJECT] = self.old_object;
        roots[slots::REQUEST] = self.request;
        roots[slots::NAMESPACE_OBJECT] = namespace;
        roots[slots::PARAMS] = params;
        roots[slots::AUTHORIZER] = self.authorizer;
        roots[slots::REQUEST_RESOURCE] = self.request_resource;
        arena.alloc(roots)
    }

    /// The same for the checks of an attestation, with `image`, `predicate`, `statement` and `now`.
    pub(crate) fn attestation_roots(
        &self,
        namespace: Value<'c>,
        [image, predicate, statement]: [Value<'c>; 3],
        context: &Context<'c>,
    ) -> &'c Roots<'c> {
        let arena = context.arena();
        let mut roots = *self.roots(Value::Null, namespace, arena);
        roots[slots::IMAGE] = image;
        roots[slots::PREDICATE] = predicate;
        roots[slots::STATEMENT] = statement;
        roots[slots::NOW] = Value::Timestamp(Timestamp::utc(context.now(), 0));
        arena.alloc(roots)
    }

    /// The same with another object: what the next mutation sees.
    pub(crate) fn with_object(self, object: Value<'c>) -> Self {
        Self { object, ..self }
    }

    pub(crate) fn object(&self) -> Value<'c> {
        self.object
    }

    pub(crate) fn old_object(&self) -> Value<'c> {
        self.old_object
    }
}
