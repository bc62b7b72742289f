//! One admission request, borrowed from its decoded AdmissionReview.

use bumpalo::Bump;
use stockade_cel::value::{Entry, Object};
use stockade_cel::{Symbols, Value};

mod builder;

pub use builder::{RequestBuilder, UnknownResource};
pub(crate) use builder::{guess_scope, plural};

/// One admission request. Everything borrows from the review's bytes or the arena; copying it is cheap.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Returned in the answer.
    pub uid: &'a str,
    /// Kind of [`Request::object`]: what the API server converted it to.
    pub kind: GroupVersionKind<'a>,
    /// Resource of [`Request::kind`].
    pub resource: GroupVersionResource<'a>,
    /// `exec`, `scale`, …; empty for the object itself.
    pub sub_resource: &'a str,
    /// Kind as the client sent it.
    pub request_kind: GroupVersionKind<'a>,
    /// Resource as the client sent it.
    pub request_resource: GroupVersionResource<'a>,
    /// Subresource as the client sent it.
    pub request_sub_resource: &'a str,
    /// Name of the object; empty while the API server has yet to generate it.
    pub name: &'a str,
    /// Namespace of the object; a Namespace's own name for a Namespace; empty for other cluster-scoped objects.
    pub namespace: &'a str,
    /// What is being done.
    pub operation: Operation,
    /// `username`, `uid`, `groups`, `extra`: an object, possibly empty.
    pub user_info: Value<'a>,
    /// The object as it would be stored; null on DELETE.
    pub object: Value<'a>,
    /// The object as it is stored; null on CREATE and CONNECT.
    pub old_object: Value<'a>,
    /// Whether the change will be thrown away.
    pub dry_run: bool,
    /// `CreateOptions`, `UpdateOptions`, …; null when not sent.
    pub options: Value<'a>,
}

/// Group, version and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupVersionKind<'a> {
    /// Empty for core.
    pub group: &'a str,
    /// `v1`
    pub version: &'a str,
    /// `Pod`
    pub kind: &'a str,
}

/// Group, version and plural resource name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupVersionResource<'a> {
    /// Empty for core.
    pub group: &'a str,
    /// `v1`
    pub version: &'a str,
    /// `pods`
    pub resource: &'a str,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object; patches too.
    Update,
    /// A removed object.
    Delete,
    /// A connection (`pods/exec`, `services/proxy`).
    Connect,
}

/// Why a review is not a request. Answered with HTTP 400; never admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A member that every AdmissionReview has is not there.
    #[error("{path} is missing")]
    Missing {
        /// `request.uid`
        path: &'static str,
    },
    /// A member has the wrong JSON type.
    #[error("{path} must be {expected}, not {found}")]
    WrongType {
        /// `request.kind.group`
        path: String,
        /// `a string`
        expected: &'static str,
        /// `a number`
        found: &'static str,
    },
    /// The document is no AdmissionReview of `admission.k8s.io/v1`.
    #[error("expected apiVersion admission.k8s.io/v1 and kind AdmissionReview, not {api_version:?} and {kind:?}")]
    NotAReview {
        /// As sent, shortened.
        api_version: String,
        /// As sent, shortened.
        kind: String,
    },
    /// Not one of the four operations.
    #[error("request.operation must be CREATE, UPDATE, DELETE or CONNECT, not {found:?}")]
    UnknownOperation {
        /// As sent, shortened.
        found: String,
    },
    /// The operation is about an object that is not there.
    #[error("{path} is missing, which {operation} needs")]
    NoObject {
        /// `request.object`
        path: &'static str,
        /// `CREATE`
        operation: &'static str,
    },
}

// === impl Request ===

impl<'a> Request<'a> {
    /// Reads a decoded AdmissionReview.
    ///
    /// # Errors
    /// The first member that is missing or has the wrong type, in the order of the API.
    pub fn from_review(review: Value<'a>) -> Result<Self, BadRequest> {
        let review = object_of(review, "AdmissionReview")?;
        let api_version = string(review, "", "apiVersion")?.unwrap_or("");
        let kind = string(review, "", "kind")?.unwrap_or("");
        if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
            return Err(BadRequest::NotAReview { api_version: shortened(api_version), kind: shortened(kind) });
        }
        match review.get("request") {
            None | Some(Value::Null) => Err(BadRequest::Missing { path: "request" }),
            Some(request) => Self::from_request(object_of(request, "request")?),
        }
    }

    /// Reads the `request` member of a review.
    fn from_request(r: &'a Object<'a>) -> Result<Self, BadRequest> {
        let uid = string(r, "request.", "uid")?.filter(|u| !u.is_empty());
        let uid = uid.ok_or(BadRequest::Missing { path: "request.uid" })?;
        let kind = gvk(r, "kind")?.ok_or(BadRequest::Missing { path: "request.kind" })?;
        let resource = gvr(r, "resource")?.ok_or(BadRequest::Missing { path: "request.resource" })?;
        let sub_resource = string(r, "request.", "subResource")?.unwrap_or("");
        let operation = string(r, "request.", "operation")?;
        let operation = operation.ok_or(BadRequest::Missing { path: "request.operation" })?;
        let operation =
            Operation::parse(operation).ok_or_else(|| BadRequest::UnknownOperation { found: shortened(operation) })?;
        let request = Self {
            uid,
            kind,
            resource,
            sub_resource,
            request_kind: gvk(r, "requestKind")?.unwrap_or(kind),
            request_resource: gvr(r, "requestResource")?.unwrap_or(resource),
            request_sub_resource: string(r, "request.", "requestSubResource")?.unwrap_or(sub_resource),
            name: string(r, "request.", "name")?.unwrap_or(""),
            namespace: string(r, "request.", "namespace")?.unwrap_or(""),
            operation,
            user_info: user_info(r)?,
            object: object_or_null(r, "object")?,
            old_object: object_or_null(r, "oldObject")?,
            dry_run: dry_run(r)?,
            options: object_or_null(r, "options")?,
        };
        request.check_objects()?;
        Ok(request)
    }

    /// A CREATE or UPDATE without an object would satisfy every policy that begins with `object == null ||`.
    fn check_objects(&self) -> Result<(), BadRequest> {
        let missing = |path| Err(BadRequest::NoObject { path, operation: self.operation.name() });
        match self.operation {
            Operation::Create | Operation::Update if matches!(self.object, Value::Null) => missing("request.object"),
            Operation::Update if matches!(self.old_object, Value::Null) => missing("request.oldObject"),
            _ => Ok(()),
        }
    }

    /// Whether the request is about a Namespace itself.
    pub fn is_namespace(&self) -> bool {
        self.kind == GroupVersionKind { group: "", version: "v1", kind: "Namespace" }
    }

    /// Whether no policy is ever about it (upstream `policy/generic` and `kubeapiserver/admission/exclusion`): reviews
    /// of access and identity, which a cluster cannot do without, and the policies of the API server themselves.
    pub fn is_exempt(&self) -> bool {
        match self.resource.group {
            "authentication.k8s.io" => matches!(self.resource.resource, "selfsubjectreviews" | "tokenreviews"),
            "authorization.k8s.io" => matches!(
                self.resource.resource,
                "localsubjectaccessreviews"
                    | "selfsubjectaccessreviews"
                    | "selfsubjectrulesreviews"
                    | "subjectaccessreviews"
            ),
            "admissionregistration.k8s.io" => matches!(
                self.resource.resource,
                "validatingadmissionpolicies"
                    | "validatingadmissionpolicybindings"
                    | "mutatingadmissionpolicies"
                    | "mutatingadmissionpolicybindings"
            ),
            _ => false,
        }
    }

    /// Name for messages, as the API server finds it: the request's, the object's, its `generateName`, `Unknown`.
    pub fn display_name(&self) -> &'a str {
        let of_object = |key| self.object.path(&["metadata", key]).and_then(Value::as_str).filter(|n| !n.is_empty());
        Some(self.name)
            .filter(|n| !n.is_empty())
            .or_else(|| of_object("name"))
            .or_else(|| of_object("generateName"))
            .unwrap_or("Unknown")
    }

    /// `deployments.apps "web" is forbidden: `: what the API server puts before the message of a refusal by a
    /// ValidatingAdmissionPolicy. A webhook's message gets another prefix from the API server, so this one is only
    /// for the command line.
    pub fn forbidden_prefix(&self) -> String {
        let dot = if self.request_resource.group.is_empty() { "" } else { "." };
        let GroupVersionResource { group, resource, .. } = self.request_resource;
        format!("{resource}{dot}{group} {:?} is forbidden: ", self.display_name())
    }

    /// The `request` variable: what the API server's conversion of its own AdmissionRequest holds for a policy that
    /// matched as `kind` and `resource`. Empty optional strings are absent, `dryRun` is always there, the objects
    /// are null because they are variables of their own.
    pub fn variable(
        &self,
        kind: GroupVersionKind<'a>,
        resource: GroupVersionResource<'a>,
        arena: &'a Bump,
        symbols: &Symbols,
    ) -> Value<'a> {
        let mut members: Members<'a, '_> = Members::new(arena, symbols);
        members.push("uid", Value::String(""));
        members.push("kind", kind.value(arena, symbols));
        members.push("resource", resource.value(arena, symbols));
        members.push_text("subResource", self.sub_resource);
        members.push("requestKind", self.request_kind.value(arena, symbols));
        members.push("requestResource", self.request_resource.value(arena, symbols));
        members.push_text("requestSubResource", self.request_sub_resource);
        members.push_text("name", self.name);
        members.push_text("namespace", self.namespace);
        members.push("operation", Value::String(self.operation.name()));
        members.push("userInfo", self.user_variable(arena, symbols));
        members.push("object", Value::Null);
        members.push("oldObject", Value::Null);
        members.push("dryRun", Value::Bool(self.dry_run));
        members.push("options", self.options);
        members.finish()
    }

    fn user_variable(&self, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
        let mut members = Members::new(arena, symbols);
        for key in ["username", "uid", "groups", "extra"] {
            match self.user_info.get(key) {
                None | Some(Value::Null | Value::String("") | Value::List([])) => {}
                Some(Value::Object(o)) if o.is_empty() => {}
                Some(value) => members.push(key, value),
            }
        }
        members.finish()
    }
}

/// `metadata.labels` of an object.
pub fn labels<'a>(object: Value<'a>) -> Option<&'a Object<'a>> {
    object.path(&["metadata", "labels"])?.as_object()
}

// === impl GroupVersionKind ===

impl<'a> GroupVersionKind<'a> {
    /// From the `apiVersion` and `kind` of an object.
    pub fn from_api_version(api_version: &'a str, kind: &'a str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group, version, kind }
    }

    /// `apps/v1`, `v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    fn value(self, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
        let mut members = Members::new(arena, symbols);
        members.push("group", Value::String(self.group));
        members.push("version", Value::String(self.version));
        members.push("kind", Value::String(self.kind));
        members.finish()
    }
}

impl std::fmt::Display for GroupVersionKind<'_> {
    /// As Go prints it: `apps/v1, Kind=Deployment`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

// === impl GroupVersionResource ===

impl<'a> GroupVersionResource<'a> {
    fn value(self, arena: &'a Bump, symbols: &Symbols) -> Value<'a> {
        let mut members = Members::new(arena, symbols);
        members.push("group", Value::String(self.group));
        members.push("version", Value::String(self.version));
        members.push("resource", Value::String(self.resource));
        members.finish()
    }
}

impl std::fmt::Display for GroupVersionResource<'_> {
    /// As Go prints it: `apps/v1, Resource=deployments`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}

// === impl Operation ===

impl Operation {
    /// From `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect].into_iter().find(|o| o.name() == name)
    }

    /// `CREATE`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// An object under construction in the arena.
pub(crate) struct Members<'a, 's> {
    entries: bumpalo::collections::Vec<'a, Entry<'a>>,
    arena: &'a Bump,
    symbols: &'s Symbols,
}

impl<'a, 's> Members<'a, 's> {
    pub(crate) fn new(arena: &'a Bump, symbols: &'s Symbols) -> Self {
        Self { entries: bumpalo::collections::Vec::with_capacity_in(16, arena), arena, symbols }
    }

    pub(crate) fn push(&mut self, key: &'a str, value: Value<'a>) {
        self.entries.push(Entry { symbol: self.symbols.lookup(key), key, value });
    }

    fn push_text(&mut self, key: &'a str, text: &'a str) {
        if !text.is_empty() {
            self.push(key, Value::String(text));
        }
    }

    /// The object. A key pushed twice, which no caller does, leaves it empty.
    pub(crate) fn finish(self) -> Value<'a> {
        let object = Object::new(self.entries.into_bump_slice(), self.arena).unwrap_or(Object::EMPTY);
        Value::Object(self.arena.alloc(object))
    }
}

// === reading members ===

fn object_of<'a>(value: Value<'a>, path: &str) -> Result<&'a Object<'a>, BadRequest> {
    value.as_object().ok_or_else(|| wrong(path, "an object", value))
}

fn object_or_null<'a>(o: &Object<'a>, key: &str) -> Result<Value<'a>, BadRequest> {
    match o.get(key) {
        None => Ok(Value::Null),
        Some(v @ (Value::Null | Value::Object(_))) => Ok(v),
        Some(v) => Err(wrong(&format!("request.{key}"), "an object or null", v)),
    }
}

fn string<'a>(o: &Object<'a>, prefix: &str, key: &str) -> Result<Option<&'a str>, BadRequest> {
    match o.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s)),
        Some(v) => Err(wrong(&format!("{prefix}{key}"), "a string", v)),
    }
}

fn gvk<'a>(o: &Object<'a>, key: &'static str) -> Result<Option<GroupVersionKind<'a>>, BadRequest> {
    let Some((group, version, kind)) = triple(o, key, "kind")? else { return Ok(None) };
    Ok(Some(GroupVersionKind { group, version, kind }))
}

fn gvr<'a>(o: &Object<'a>, key: &'static str) -> Result<Option<GroupVersionResource<'a>>, BadRequest> {
    let Some((group, version, resource)) = triple(o, key, "resource")? else { return Ok(None) };
    Ok(Some(GroupVersionResource { group, version, resource }))
}

type Triple<'a> = (&'a str, &'a str, &'a str);

fn triple<'a>(o: &Object<'a>, key: &'static str, last: &'static str) -> Result<Option<Triple<'a>>, BadRequest> {
    let value = object_or_null(o, key)?;
    let Some(members) = value.as_object() else { return Ok(None) };
    let prefix = format!("request.{key}.");
    let member = |name| Ok(string(members, &prefix, name)?.unwrap_or(""));
    let triple = (member("group")?, member("version")?, member(last)?);
    match (key, triple) {
        ("kind", (_, _, "")) => Err(BadRequest::Missing { path: "request.kind.kind" }),
        ("kind", (_, "", _)) => Err(BadRequest::Missing { path: "request.kind.version" }),
        ("resource", (_, _, "")) => Err(BadRequest::Missing { path: "request.resource.resource" }),
        ("resource", (_, "", _)) => Err(BadRequest::Missing { path: "request.resource.version" }),
        (_, ("", "", "")) => Ok(None),
        _ => Ok(Some(triple)),
    }
}

fn user_info<'a>(o: &Object<'a>) -> Result<Value<'a>, BadRequest> {
    let value = object_or_null(o, "userInfo")?;
    let Some(user) = value.as_object() else { return Ok(Value::Object(&Object::EMPTY)) };
    string(user, "request.userInfo.", "username")?;
    string(user, "request.userInfo.", "uid")?;
    match user.get("groups") {
        None | Some(Value::Null) => {}
        Some(v) => strings(v, "request.userInfo.groups")?,
    }
    match user.get("extra") {
        None | Some(Value::Null) => {}
        Some(Value::Object(extra)) => {
            for e in extra.entries() {
                strings(e.value, &format!("request.userInfo.extra[{:?}]", shortened(e.key)))?;
            }
        }
        Some(v) => return Err(wrong("request.userInfo.extra", "an object", v)),
    }
    Ok(value)
}

fn strings(value: Value<'_>, path: &str) -> Result<(), BadRequest> {
    let list = value.as_list().ok_or_else(|| wrong(path, "a list of strings", value))?;
    match list.iter().find(|v| v.as_str().is_none()) {
        Some(v) => Err(wrong(path, "a list of strings", *v)),
        None => Ok(()),
    }
}

fn dry_run(o: &Object<'_>) -> Result<bool, BadRequest> {
    match o.get("dryRun") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(b)) => Ok(b),
        Some(v) => Err(wrong("request.dryRun", "a boolean", v)),
    }
}

fn wrong(path: &str, expected: &'static str, found: Value<'_>) -> BadRequest {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        _ => "an object",
    };
    BadRequest::WrongType { path: path.to_owned(), expected, found }
}

/// What a client sent, short enough for a message.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
