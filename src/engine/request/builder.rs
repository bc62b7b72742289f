//! Requests made from plain objects, as a client of the API server would cause them: for the command line and tests.

use serde_json::{Value as Json, json};
use stockade_schema::{Kinds, Scope};

use super::{GroupVersionKind, Operation};

/// Collects what a request is about; [`RequestBuilder::review`] makes the AdmissionReview from it.
///
/// What is not said is filled as the API server fills it: the operation from which objects are there, the resource
/// from the kind, the namespace `default` for namespaced objects without one, the options of the operation.
#[derive(Debug, Clone, Default)]
pub struct RequestBuilder {
    operation: Option<Operation>,
    object: Option<Json>,
    old_object: Option<Json>,
    resource: Option<(String, String, String)>,
    sub_resource: String,
    scope: Option<Scope>,
    name: Option<String>,
    namespace: Option<String>,
    user_info: Option<Json>,
    dry_run: bool,
    options: Option<Json>,
}

/// Nothing says what a request is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownResource {
    /// Neither object was given.
    #[error("a request needs an object or an old object")]
    NoObject,
    /// The object does not say what it is.
    #[error("the object has no {member}")]
    NoKind {
        /// `apiVersion` or `kind`
        member: &'static str,
    },
}

/// Who asks when nobody is named: the administrator that kubeadm makes.
fn default_user() -> Json {
    json!({"username": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"]})
}

// === impl RequestBuilder ===

impl RequestBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is done. Without it: UPDATE when both objects are there, DELETE when only the old one is, else CREATE.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// The object. With DELETE it is taken as the old one. With UPDATE and no old one, the old one is a copy.
    #[must_use]
    pub fn object(mut self, object: Json) -> Self {
        self.object = Some(object);
        self
    }

    /// The object as stored.
    #[must_use]
    pub fn old_object(mut self, object: Json) -> Self {
        self.old_object = Some(object);
        self
    }

    /// Group, version and resource, where the kind does not tell: custom resources with an irregular plural, and
    /// subresources whose object is of another kind (`pods/exec`).
    #[must_use]
    pub fn resource(mut self, group: &str, version: &str, resource: &str) -> Self {
        self.resource = Some((group.to_owned(), version.to_owned(), resource.to_owned()));
        self
    }

    /// Subresource.
    #[must_use]
    pub fn sub_resource(mut self, name: &str) -> Self {
        name.clone_into(&mut self.sub_resource);
        self
    }

    /// Whether a custom resource is namespaced. Without it one without a namespace is put into `default`, unless its
    /// kind begins with `Cluster`.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Name, where it is not that of the object (`pods/exec`).
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Namespace of an object that has none of its own.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// `username`, `uid`, `groups`, `extra`.
    #[must_use]
    pub fn user_info(mut self, user: Json) -> Self {
        self.user_info = Some(user);
        self
    }

    /// Whether the change will be thrown away.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Options of the operation.
    #[must_use]
    pub fn options(mut self, options: Json) -> Self {
        self.options = Some(options);
        self
    }

    /// The AdmissionReview. Decode it with [`stockade_cel::document::from_json`] and read it with
    /// [`super::Request::from_review`].
    ///
    /// # Errors
    /// No object, or one without apiVersion or kind.
    pub fn review(mut self) -> Result<Json, UnknownResource> {
        let operation = self.operation.unwrap_or(match (&self.object, &self.old_object) {
            (Some(_), Some(_)) => Operation::Update,
            (None, Some(_)) => Operation::Delete,
            _ => Operation::Create,
        });
        match operation {
            Operation::Delete if self.old_object.is_none() => self.old_object = self.object.take(),
            Operation::Update if self.old_object.is_none() => self.old_object.clone_from(&self.object),
            _ => {}
        }
        let about = self.object.as_ref().or(self.old_object.as_ref()).ok_or(UnknownResource::NoObject)?;
        let member = |name| text(about, name).ok_or(UnknownResource::NoKind { member: name }).map(str::to_owned);
        let (api_version, kind) = (member("apiVersion")?, member("kind")?);
        let gvk = GroupVersionKind::from_api_version(&api_version, &kind);

        let known = Kinds::builtin().resource_of_kind(gvk.group, gvk.version, gvk.kind);
        let (group, version, resource) = match (self.resource.take(), known) {
            (Some(given), _) => given,
            (None, Some(r)) => (r.group.to_owned(), r.version.to_owned(), r.resource.to_owned()),
            (None, None) => (gvk.group.to_owned(), gvk.version.to_owned(), plural(gvk.kind)),
        };
        let by_resource = Kinds::builtin().by_resource(&group, &version, &resource);
        let scope = self.scope.or(by_resource.map(|r| r.scope)).unwrap_or(guess_scope(gvk.kind));
        let name = self.name.take().or_else(|| meta(about, "name")).unwrap_or_default();
        let namespace = match scope {
            Scope::Cluster if resource == "namespaces" && group.is_empty() => name.clone(),
            Scope::Cluster => String::new(),
            Scope::Namespaced => {
                meta(about, "namespace").or_else(|| self.namespace.take()).unwrap_or_else(|| "default".to_owned())
            }
        };
        for object in [&mut self.object, &mut self.old_object].into_iter().flatten() {
            stamp(object, scope, &namespace, &resource);
        }
        let kind = json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
        let resource = json!({"group": group, "version": version, "resource": resource});
        let mut request = json!({
            "uid": "00000000-0000-0000-0000-000000000000",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": name,
            "namespace": namespace,
            "operation": operation.name(),
            "userInfo": self.user_info.take().unwrap_or_else(default_user),
            "object": self.object.take().unwrap_or(Json::Null),
            "oldObject": self.old_object.take().unwrap_or(Json::Null),
            "dryRun": self.dry_run,
            "options": self.options.take().unwrap_or_else(|| options_of(operation)),
        });
        if !self.sub_resource.is_empty() {
            request["subResource"] = json!(self.sub_resource);
            request["requestSubResource"] = json!(self.sub_resource);
        }
        Ok(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}))
    }
}

fn text<'j>(object: &'j Json, key: &str) -> Option<&'j str> {
    object.get(key)?.as_str().filter(|s| !s.is_empty())
}

fn meta(object: &Json, key: &str) -> Option<String> {
    text(object.get("metadata")?, key).map(str::to_owned)
}

/// Writes what the API server writes into an object before admission: its namespace, and a Namespace's name label.
fn stamp(object: &mut Json, scope: Scope, namespace: &str, resource: &str) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if scope == Scope::Namespaced {
        metadata.entry("namespace").or_insert_with(|| json!(namespace));
    } else if resource == "namespaces" && !namespace.is_empty() {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.entry("kubernetes.io/metadata.name").or_insert_with(|| json!(namespace));
        }
    }
}

fn options_of(operation: Operation) -> Json {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Json::Null,
    };
    json!({"apiVersion": "meta.k8s.io/v1", "kind": kind})
}

/// The plural that a custom resource most likely has, as `kubectl` guesses it.
pub(crate) fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    if lower.ends_with(['s', 'x']) || lower.ends_with("ch") || lower.ends_with("sh") {
        return lower + "es";
    }
    match lower.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => lower + "s",
    }
}

pub(crate) fn guess_scope(kind: &str) -> Scope {
    if kind.starts_with("Cluster") { Scope::Cluster } else { Scope::Namespaced }
}
