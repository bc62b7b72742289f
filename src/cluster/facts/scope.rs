//! Which objects of a kind are watched, so that nobody else's objects cost memory or fill a bound.

use std::fmt;
use std::sync::Arc;

use kube::core::{ApiResource, DynamicResourceScope};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use stockade_policy::compiled::{KindRead, ParamKind, ParamRef, ParamSource};
use stockade_policy::selector::LabelSelector;

/// Longest label selector that is put into a query, in bytes. All objects of the place are watched for a longer one.
const MAX_SELECTOR_BYTES: usize = 4_096;

/// What somebody reads of the cluster: objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    /// Their kind.
    pub kind: Arc<ParamKind>,
    /// Which of them.
    pub scope: Scope,
}

/// Some objects of a kind. Each is kept by a watch of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// None: those of all namespaces, and those that are in none.
    namespace: Option<Box<str>>,
    objects: Objects,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Objects {
    All,
    Named(Box<str>),
    Labelled(LabelSelector),
}

/// What a request asks for, in one namespace or, when that is empty, in all or none.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    All,
    Named(&'a str),
    Labelled(&'a LabelSelector),
}

// === impl Read ===

impl Read {
    /// All objects of a kind.
    pub fn all(kind: impl Into<Arc<ParamKind>>) -> Self {
        Self { kind: kind.into(), scope: Scope::ALL }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.kind.api_version, self.kind.kind, self.scope)
    }
}

// === impl Scope ===

impl Scope {
    /// Every object.
    pub const ALL: Self = Self { namespace: None, objects: Objects::All };

    /// What a `paramRef` can give. One without a namespace is about the namespace of the request, which may be any.
    pub fn of_params(reference: &ParamRef) -> Self {
        let objects = match &reference.source {
            ParamSource::Name(name) => Objects::Named(name.as_str().into()),
            ParamSource::Selector(selector) if selector.is_empty() => Objects::All,
            ParamSource::Selector(selector) if selector.to_string().len() > MAX_SELECTOR_BYTES => Objects::All,
            ParamSource::Selector(selector) => Objects::Labelled(selector.clone()),
        };
        Self { namespace: reference.namespace.as_deref().map(Into::into), objects }
    }

    /// What expressions name.
    pub fn of_read(read: &KindRead) -> Self {
        let objects = read.name.as_deref().map_or(Objects::All, |name| Objects::Named(name.into()));
        Self { namespace: read.namespace.as_deref().map(Into::into), objects }
    }

    /// All objects of the same place.
    pub(super) fn widened(&self) -> Self {
        Self { namespace: self.namespace.clone(), objects: Objects::All }
    }

    /// All scopes that can cover it, itself perhaps among them.
    pub(super) fn wider(&self) -> [Self; 3] {
        [Self::ALL, Self { namespace: None, objects: self.objects.clone() }, self.widened()]
    }

    /// The one namespace that it is about.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether all that another one holds is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        let asked = match &other.objects {
            Objects::All => Asked::All,
            Objects::Named(name) => Asked::Named(name),
            Objects::Labelled(selector) => Asked::Labelled(selector),
        };
        self.answers(other.namespace().unwrap_or(""), asked)
    }

    /// Whether all that is asked for is in it.
    pub(super) fn answers(&self, namespace: &str, asked: Asked<'_>) -> bool {
        let in_place = self.namespace.as_deref().is_none_or(|own| own == namespace);
        in_place
            && match (&self.objects, asked) {
                (Objects::All, _) => true,
                (Objects::Named(own), Asked::Named(name)) => **own == *name,
                (Objects::Labelled(own), Asked::Labelled(selector)) => own == selector,
                (Objects::Named(_) | Objects::Labelled(_), _) => false,
            }
    }

    /// Where to watch.
    pub(super) fn api<K>(&self, client: Client, resource: &ApiResource) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        }
    }

    /// What to watch for.
    pub(super) fn config(&self) -> Config {
        match &self.objects {
            Objects::All => Config::default(),
            Objects::Named(name) => Config::default().fields(&format!("metadata.name={}", escaped(name))),
            Objects::Labelled(selector) => Config::default().labels(&selector.to_string()),
        }
    }
}

/// ` shop/limits`, ` in shop, labelled team in (a)`; nothing for all objects.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, &self.objects) {
            (None, Objects::All) => Ok(()),
            (None, Objects::Named(name)) => write!(f, " {name} in any namespace"),
            (None, Objects::Labelled(selector)) => write!(f, " labelled {selector}"),
            (Some(namespace), Objects::All) => write!(f, " in {namespace}"),
            (Some(namespace), Objects::Named(name)) => write!(f, " {namespace}/{name}"),
            (Some(namespace), Objects::Labelled(selector)) => write!(f, " in {namespace} labelled {selector}"),
        }
    }
}

/// As `fields.EscapeValue` of apimachinery has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use stockade_policy::compiled::ParameterNotFoundAction;
    use stockade_policy::selector::{Operator, Requirement};

    use super::*;

    fn selector(values: &[&str]) -> LabelSelector {
        let requirement = |key: &str, operator, values: &[&str]| Requirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|&v| v.to_owned()).collect(),
        };
        let requirements = vec![
            requirement("team", Operator::In, values),
            requirement("tier", Operator::NotIn, &["x"]),
            requirement("on", Operator::Exists, &[]),
            requirement("old", Operator::DoesNotExist, &[]),
        ];
        LabelSelector { requirements }
    }

    fn scope(namespace: &str, source: ParamSource) -> Scope {
        let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
        Scope::of_params(&ParamRef { source, namespace, not_found: ParameterNotFoundAction::Deny })
    }

    fn named(namespace: &str, name: &str) -> Scope {
        scope(namespace, ParamSource::Name(name.to_owned()))
    }

    fn labelled(namespace: &str, values: &[&str]) -> Scope {
        scope(namespace, ParamSource::Selector(selector(values)))
    }

    #[test]
    fn a_watch_asks_for_no_more_than_a_reference_names() {
        let asked = |scope: &Scope| {
            let config = scope.config();
            (scope.namespace().map(str::to_owned), config.field_selector, config.label_selector)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(asked(&named("shop", "limits")), (text("shop"), text("metadata.name=limits"), None));
        assert_eq!(asked(&named("", "a,b=c\\")), (None, text(r"metadata.name=a\,b\=c\\"), None));
        let labels = text("team in (a,b),tier notin (x),on,!old");
        assert_eq!(asked(&labelled("shop", &["a", "b"])), (text("shop"), None, labels));
        assert_eq!(asked(&scope("shop", ParamSource::Selector(LabelSelector::default()))), (text("shop"), None, None));
        let long = "x".repeat(MAX_SELECTOR_BYTES);
        assert_eq!(asked(&labelled("", &[&long])), (None, None, None));
    }

    /// One of each form.
    fn scopes() -> [Scope; 6] {
        [
            Scope::ALL,
            named("", "limits"),
            named("shop", "limits").widened(),
            named("shop", "limits"),
            labelled("shop", &["a"]),
            labelled("", &["a"]),
        ]
    }

    #[test]
    fn only_what_is_wholly_inside_of_a_scope_is_answered_by_it() {
        let scopes = scopes();
        let covered = |scope: &Scope| scopes.each_ref().map(|other| u8::from(scope.covers(other)));
        assert_eq!(
            scopes.each_ref().map(covered),
            [
                [1, 1, 1, 1, 1, 1],
                [0, 1, 0, 1, 0, 0],
                [0, 0, 1, 1, 1, 0],
                [0, 0, 0, 1, 0, 0],
                [0, 0, 0, 0, 1, 0],
                [0, 0, 0, 0, 1, 1],
            ]
        );
        let shop = named("shop", "limits");
        let answers = [("shop", "limits"), ("shop", "other"), ("bank", "limits"), ("", "limits")];
        assert_eq!(answers.map(|(s, n)| shop.answers(s, Asked::Named(n))), [true, false, false, false]);
        assert!(
            !shop.answers("shop", Asked::All) && !labelled("", &["a"]).answers("", Asked::Labelled(&selector(&["b"])))
        );
    }

    #[test]
    fn a_read_is_shown_for_people() {
        let kind = Arc::new(ParamKind { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() });
        let shown = scopes().map(|scope| Read { kind: kind.clone(), scope }.to_string());
        assert_eq!(
            shown,
            [
                "v1 ConfigMap",
                "v1 ConfigMap limits in any namespace",
                "v1 ConfigMap in shop",
                "v1 ConfigMap shop/limits",
                "v1 ConfigMap in shop labelled team in (a),tier notin (x),on,!old",
                "v1 ConfigMap labelled team in (a),tier notin (x),on,!old",
            ]
        );
    }
}
