//! What the engine may ask of the cluster. Implementations: a folder of objects here, the live cluster in
//! `stockade-cluster`.

use bumpalo::Bump;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::{Symbols, Value};
use stockade_policy::selector::LabelSelector;

use crate::images::ImageFacts;

/// Objects that exist in the cluster. Synchronous: answers come from memory.
pub trait ClusterFacts: Sync {
    /// One object; `namespace` is empty for a cluster-scoped kind.
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>>;

    /// The Namespace in which the request takes place. It was there a moment ago, or the API server would not have
    /// asked: who keeps a copy of the cluster that may be behind has to make sure before it says that there is none.
    fn namespace_of_request<'a>(&self, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        self.get(NAMESPACE, "", name, into)
    }

    /// All objects of a kind in one namespace, or in all when `namespace` is empty. One more than [`MAX_LISTED`] is
    /// enough: whoever reads more than that errs.
    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]>;

    /// As [`ClusterFacts::list`], for somebody who looks only at what the selector selects: others may be left out, and
    /// need not be.
    fn select<'a>(
        &self,
        kind: Kind<'_>,
        namespace: &str,
        selector: &LabelSelector,
        into: Into<'a>,
    ) -> Fact<&'a [Value<'a>]> {
        let _ = selector;
        self.list(kind, namespace, into)
    }

    /// Whether objects of a kind live in namespaces; none when that is not known. Only asked for kinds that are not
    /// built in.
    fn namespaced(&self, kind: Kind<'_>) -> Option<bool> {
        let _ = kind;
        None
    }

    /// What is known of images; none where nobody looks at registries, which is an error of policies that need it.
    fn images(&self) -> Option<&dyn ImageFacts> {
        None
    }

    /// Answers the `authorizer` variable; none when there is no cluster to ask, which errors where it is used.
    fn authorizer(&self) -> Option<&dyn Authorizer>;
}

/// Most objects that one read of a list may give.
pub const MAX_LISTED: usize = 10_000;

/// Namespaces.
pub const NAMESPACE: Kind<'static> = Kind { api_version: "v1", kind: "Namespace" };

/// A kind by apiVersion and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind<'k> {
    /// `v1`, `networking.k8s.io/v1`
    pub api_version: &'k str,
    /// `NetworkPolicy`
    pub kind: &'k str,
}

/// Where documents are decoded to.
#[derive(Clone, Copy)]
pub struct Into<'a> {
    /// The request's arena.
    pub arena: &'a Bump,
    /// The policy set's field numbers.
    pub symbols: &'a Symbols,
}

/// An answer, or the admission that it is not known yet. A read of something not yet synced is never "absent".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<T> {
    /// Known.
    Known(T),
    /// The cache behind it has not synced.
    NotReady,
}
