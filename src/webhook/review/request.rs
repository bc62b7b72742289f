//! The request half: decoded once, every field checked, strings borrowed from the body.

use std::fmt;

use bumpalo::Bump;
use serde::Deserialize;
use stockade_cel::value::Object;
use stockade_cel::{Symbols, Value, document};

use crate::limits::{MAX_LOGGED_CHARS, MAX_UID_BYTES};
use crate::reviewer::BadReview;

/// `request` of an AdmissionReview.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRequest<'a> {
    /// Names this request in the answer and in logs. Never empty.
    pub uid: &'a str,
    /// Kind of `object`, possibly converted for the webhook (matchPolicy Equivalent).
    pub kind: GroupVersionKind<'a>,
    /// Resource in the version the webhook registered for.
    pub resource: GroupVersionResource<'a>,
    /// `status`, `scale`, `exec`, `ephemeralcontainers`, …; empty for the object itself.
    pub sub_resource: &'a str,
    /// Kind of the original request; equals `kind` when the caller sends none.
    pub request_kind: GroupVersionKind<'a>,
    /// Resource of the original request; equals `resource` when the caller sends none.
    pub request_resource: GroupVersionResource<'a>,
    /// Subresource of the original request.
    pub request_sub_resource: &'a str,
    /// Name of the object; empty on a CREATE that leaves it to the server.
    pub name: &'a str,
    /// Namespace of the request; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// What is being done.
    pub operation: Operation,
    /// Who asks.
    pub user: UserInfo<'a>,
    /// The new object; absent on DELETE.
    pub object: Option<&'a Object<'a>>,
    /// The existing object; present on UPDATE and DELETE.
    pub old_object: Option<&'a Object<'a>>,
    /// Whether nothing will be persisted.
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions, DeleteOptions or the options of a connect.
    pub options: Option<&'a Object<'a>>,
    /// The whole `request`, as expressions see it.
    pub document: &'a Object<'a>,
}

/// A group, version and kind; the group is empty for the core API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupVersionKind<'a> {
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
}

/// A group, version and resource; the group is empty for the core API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupVersionResource<'a> {
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Resource, plural.
    pub resource: &'a str,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object removed.
    Delete,
    /// `exec`, `attach`, `portforward`, `proxy`.
    Connect,
}

/// Who asks (`k8s.io/api/authentication/v1` UserInfo).
#[derive(Debug, Clone, Copy, Default)]
pub struct UserInfo<'a> {
    /// User name.
    pub username: &'a str,
    /// Unique id of the user.
    pub uid: &'a str,
    /// Groups, every element a [`Value::String`].
    pub groups: &'a [Value<'a>],
    /// Further attributes, every member a list of strings.
    pub extra: Option<&'a Object<'a>>,
}

/// Decodes and checks a body.
///
/// Names of the fault are paths as a user writes them (`request.kind.version`). Fields that this version does not
/// know are left alone, as the API server's clients do.
///
/// # Errors
/// Anything that [`document::decode`] refuses (malformed or truncated JSON, invalid UTF-8, duplicate keys, nesting);
/// a wrong kind or version; a missing request or uid; a member of the wrong type.
pub fn decode<'a>(body: &'a [u8], arena: &'a Bump, symbols: &Symbols) -> Result<AdmissionRequest<'a>, BadReview> {
    let root = document::decode(body, arena, symbols)
        .map_err(|e| BadReview { message: format!("the body is not a JSON document: {e}"), uid: peek_uid(body) })?;
    envelope(root).map_err(|fault| {
        let uid = root.path(&["request", "uid"]).and_then(Value::as_str).filter(|uid| usable_uid(uid));
        BadReview { message: fault.to_string(), uid: uid.map(str::to_owned) }
    })
}

/// The uid of a body that cannot be decoded otherwise, or whose review panicked: reads nothing but the way to it,
/// without recursion.
pub fn peek_uid(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Review {
        request: Request,
    }
    #[derive(Deserialize)]
    struct Request {
        uid: String,
    }
    serde_json::from_slice::<Review>(body).ok().map(|r| r.request.uid).filter(|uid| usable_uid(uid))
}

fn usable_uid(uid: &str) -> bool {
    !uid.is_empty() && uid.len() <= MAX_UID_BYTES
}

/// What is wrong with an envelope.
#[derive(Debug)]
enum Fault<'a> {
    Type { path: Path, want: &'static str, got: Value<'a> },
    Missing { path: Path },
    Unexpected { path: Path, want: &'static str, got: &'a str },
    LongUid { length: usize },
}

/// A member of a member; the parent may be empty.
#[derive(Debug, Clone, Copy)]
struct Path(&'static str, &'static str);

fn envelope(root: Value<'_>) -> Result<AdmissionRequest<'_>, Fault<'_>> {
    let Value::Object(root) = root else {
        return Err(Fault::Type { path: Path("", ""), want: "an AdmissionReview object", got: root });
    };
    expect(root, Path("", "kind"), "AdmissionReview")?;
    expect(root, Path("", "apiVersion"), "admission.k8s.io/v1")?;
    let path = Path("", "request");
    let request = object(root, path)?.ok_or(Fault::Missing { path })?;
    let at = |name| Path("request", name);
    let uid = required(request, at("uid"))?;
    if uid.len() > MAX_UID_BYTES {
        return Err(Fault::LongUid { length: uid.len() });
    }
    let kind = group_version_kind(request, "kind", "request.kind")?.ok_or(Fault::Missing { path: at("kind") })?;
    let resource = group_version_resource(request, "resource", "request.resource")?
        .ok_or(Fault::Missing { path: at("resource") })?;
    let sub_resource = string(request, at("subResource"))?;
    let request_resource = group_version_resource(request, "requestResource", "request.requestResource")?;
    Ok(AdmissionRequest {
        uid,
        kind,
        resource,
        sub_resource,
        request_kind: group_version_kind(request, "requestKind", "request.requestKind")?.unwrap_or(kind),
        request_resource: request_resource.unwrap_or(resource),
        request_sub_resource: match string(request, at("requestSubResource"))? {
            "" if request_resource.is_none() => sub_resource,
            given => given,
        },
        name: string(request, at("name"))?,
        namespace: string(request, at("namespace"))?,
        operation: operation(request)?,
        user: user(request)?,
        object: object(request, at("object"))?,
        old_object: object(request, at("oldObject"))?,
        dry_run: boolean(request, at("dryRun"))?,
        options: object(request, at("options"))?,
        document: request,
    })
}

fn operation<'a>(request: &'a Object<'a>) -> Result<Operation, Fault<'a>> {
    let path = Path("request", "operation");
    match required(request, path)? {
        "CREATE" => Ok(Operation::Create),
        "UPDATE" => Ok(Operation::Update),
        "DELETE" => Ok(Operation::Delete),
        "CONNECT" => Ok(Operation::Connect),
        got => Err(Fault::Unexpected { path, want: "CREATE, UPDATE, DELETE or CONNECT", got }),
    }
}

fn user<'a>(request: &'a Object<'a>) -> Result<UserInfo<'a>, Fault<'a>> {
    let Some(info) = object(request, Path("request", "userInfo"))? else { return Ok(UserInfo::default()) };
    let at = |name| Path("request.userInfo", name);
    let groups = match info.get("groups") {
        None | Some(Value::Null) => &[][..],
        Some(groups) => strings(groups).ok_or(Fault::Type { path: at("groups"), want: LIST, got: groups })?,
    };
    let extra = object(info, at("extra"))?;
    for entry in extra.map(|e| e.entries()).unwrap_or_default() {
        if entry.value.as_list().is_some() && strings(entry.value).is_none() || entry.value.as_list().is_none() {
            return Err(Fault::Type { path: at("extra"), want: "lists of strings", got: entry.value });
        }
    }
    Ok(UserInfo { username: string(info, at("username"))?, uid: string(info, at("uid"))?, groups, extra })
}

const LIST: &str = "a list of strings";

fn strings(value: Value<'_>) -> Option<&[Value<'_>]> {
    value.as_list().filter(|items| items.iter().all(|item| item.as_str().is_some()))
}

fn group_version_kind<'a>(
    request: &'a Object<'a>,
    name: &'static str,
    path: &'static str,
) -> Result<Option<GroupVersionKind<'a>>, Fault<'a>> {
    let Some(of) = object(request, Path("request", name))? else { return Ok(None) };
    let group = string(of, Path(path, "group"))?;
    let version = required(of, Path(path, "version"))?;
    Ok(Some(GroupVersionKind { group, version, kind: required(of, Path(path, "kind"))? }))
}

fn group_version_resource<'a>(
    request: &'a Object<'a>,
    name: &'static str,
    path: &'static str,
) -> Result<Option<GroupVersionResource<'a>>, Fault<'a>> {
    let Some(of) = object(request, Path("request", name))? else { return Ok(None) };
    let group = string(of, Path(path, "group"))?;
    let version = required(of, Path(path, "version"))?;
    Ok(Some(GroupVersionResource { group, version, resource: required(of, Path(path, "resource"))? }))
}

fn expect<'a>(of: &'a Object<'a>, path: Path, want: &'static str) -> Result<(), Fault<'a>> {
    match required(of, path)? {
        got if got == want => Ok(()),
        got => Err(Fault::Unexpected { path, want, got }),
    }
}

fn required<'a>(of: &'a Object<'a>, path: Path) -> Result<&'a str, Fault<'a>> {
    match string(of, path)? {
        "" => Err(Fault::Missing { path }),
        text => Ok(text),
    }
}

/// Absent and null are empty, as the API server's decoder makes them.
fn string<'a>(of: &'a Object<'a>, path: Path) -> Result<&'a str, Fault<'a>> {
    match of.get(path.1) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(got) => Err(Fault::Type { path, want: "a string", got }),
    }
}

fn boolean<'a>(of: &'a Object<'a>, path: Path) -> Result<bool, Fault<'a>> {
    match of.get(path.1) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(b)) => Ok(b),
        Some(got) => Err(Fault::Type { path, want: "true or false", got }),
    }
}

fn object<'a>(of: &'a Object<'a>, path: Path) -> Result<Option<&'a Object<'a>>, Fault<'a>> {
    match of.get(path.1) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(o)) => Ok(Some(o)),
        Some(got) => Err(Fault::Type { path, want: "an object", got }),
    }
}

// === impl AdmissionRequest ===

impl AdmissionRequest<'_> {
    /// Records who and what in the request's span. Texts are cut; the subscriber escapes them.
    pub fn record_in(&self, span: &tracing::Span) {
        if span.is_disabled() {
            return;
        }
        span.record("uid", bounded(self.uid));
        span.record("operation", self.operation.as_str());
        span.record("kind", bounded(self.kind.kind));
        span.record("namespace", bounded(self.namespace));
        span.record("name", bounded(self.name));
        span.record("user", bounded(self.user.username));
    }
}

/// The first [`MAX_LOGGED_CHARS`] characters.
pub(crate) fn bounded(text: &str) -> &str {
    text.char_indices().nth(MAX_LOGGED_CHARS).map_or(text, |(end, _)| &text[..end])
}

// === impl Operation ===

impl Operation {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

// === impl Fault ===

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Type { path, want, got } => write!(f, "{path}: want {want}, got {}", type_name(*got)),
            Fault::Missing { path } => write!(f, "{path}: missing or empty"),
            Fault::Unexpected { path, want, got } => write!(f, "{path}: want {want}, got {:?}", bounded(got)),
            Fault::LongUid { length } => write!(f, "request.uid: {length} bytes, at most {MAX_UID_BYTES} are taken"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path("", "") => f.write_str("the body"),
            Path("", name) => f.write_str(name),
            Path(parent, name) => write!(f, "{parent}.{name}"),
        }
    }
}

/// As a JSON author knows it.
fn type_name(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        _ => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXEC: &str = r#"{
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "unknown": [1],
        "request": {
            "uid": "u-1", "operation": "CONNECT", "name": "web", "namespace": "prod", "subResource": "exec",
            "kind": {"group": "", "version": "v1", "kind": "PodExecOptions"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {"kind": "PodExecOptions"}, "oldObject": null, "options": null, "dryRun": true,
            "userInfo": {"username": "ann", "uid": "7", "groups": ["dev"], "extra": {"k": ["v"]}}
        }
    }"#;

    fn decoded<R>(body: &str, f: impl FnOnce(AdmissionRequest<'_>) -> R) -> R {
        let arena = Bump::new();
        f(decode(body.as_bytes(), &arena, &Symbols::new()).unwrap())
    }

    #[test]
    fn every_field_of_a_request_is_read() {
        decoded(EXEC, |r| {
            let kind = GroupVersionKind { group: "", version: "v1", kind: "PodExecOptions" };
            let resource = GroupVersionResource { group: "", version: "v1", resource: "pods" };
            assert_eq!((r.uid, r.operation, r.name, r.namespace), ("u-1", Operation::Connect, "web", "prod"));
            assert_eq!((r.kind, r.resource, r.sub_resource), (kind, resource, "exec"));
            assert_eq!((r.dry_run, r.old_object.is_none(), r.options.is_none()), (true, true, true));
            assert_eq!(r.object.and_then(|o| o.get("kind")).and_then(Value::as_str), Some("PodExecOptions"));
            assert_eq!((r.user.username, r.user.uid, r.user.groups.len()), ("ann", "7", 1));
            assert_eq!(r.user.extra.map(Object::len), Some(1));
            assert_eq!(r.document.len(), 12);
        });
    }

    #[test]
    fn the_original_kind_and_resource_are_those_given_or_the_matched_ones() {
        decoded(EXEC, |r| {
            let original = (r.request_kind, r.request_resource, r.request_sub_resource);
            assert_eq!(original, (r.kind, r.resource, "exec"));
        });
        let other = r#""requestKind": {"group": "apps", "version": "v1beta1", "kind": "Deployment"},
            "requestResource": {"group": "apps", "version": "v1beta1", "resource": "deployments"},
            "requestSubResource": "scale", "uid""#;
        decoded(&EXEC.replacen(r#""uid""#, other, 1), |r| {
            let kind = GroupVersionKind { group: "apps", version: "v1beta1", kind: "Deployment" };
            let resource = GroupVersionResource { group: "apps", version: "v1beta1", resource: "deployments" };
            let original = (r.request_kind, r.request_resource, r.request_sub_resource);
            assert_eq!(original, (kind, resource, "scale"));
        });
    }

    #[test]
    fn the_uid_is_found_in_a_body_that_cannot_be_decoded() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let cases = [
            (format!(r#"{{"x":{deep},"request":{{"object":{deep},"uid":"u"}}}}"#), Some("u")),
            (r#"{"request":{"uid":""}}"#.to_owned(), None),
            (r#"{"request":{"uid":"u"},"request":{"uid":"v"}}"#.to_owned(), None),
            (r#"{"request":{"uid":"u"}"#.to_owned(), None),
        ];
        let got: Vec<_> = cases.iter().map(|(body, _)| peek_uid(body.as_bytes())).collect();
        let want: Vec<_> = cases.iter().map(|(_, uid)| uid.map(str::to_owned)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn an_arena_is_reused_and_dropped_when_large_or_after_a_panic() {
        use crate::review::with_arena;
        with_arena(|a| a.alloc_slice_fill_copy(100_000, 0u8).len());
        let kept = with_arena(|a| a.allocated_bytes());
        with_arena(|a| a.alloc_slice_fill_copy(4 << 20, 0u8).len());
        let fresh = with_arena(|a| a.allocated_bytes());
        let panicked = std::panic::catch_unwind(|| with_arena(|_| panic!("scripted")));
        assert_eq!((kept >= 100_000, fresh, panicked.is_err()), (true, 0, true));
    }
}
