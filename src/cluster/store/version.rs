//! All objects at one moment, and what is let go of when they are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bumpalo::Bump;
use rpds::RedBlackTreeMapSync;

use super::NotReady;
use crate::object::Text;

/// Most objects that are kept by one watch: twice the Pods of the largest cluster that Kubernetes supports is beyond
/// anything that policies should read.
const MAX_OBJECTS: usize = 200_000;

/// Most bytes of JSON that are kept by one watch of many namespaces. What the process may need in all is this times the
/// kinds that policies read, so it must hold the largest honest kind and no more: 24,700 objects of the usual size are
/// 35 MB.
const MAX_BYTES: usize = 128 << 20;

/// The same for a watch of one namespace: a thousand policies with params of 32 KiB.
const MAX_NAMESPACE_BYTES: usize = 32 << 20;

/// Most namespaces that are let go of. Where so many take too much, nothing is said of the kind.
const MAX_CUT: usize = 1_000;

/// Beside its JSON an object costs about this much: key, entry and node of the tree.
pub(super) const OVERHEAD_BYTES: usize = 200;

/// All objects at one moment.
#[derive(Clone, Default)]
pub(crate) struct Version {
    /// By `namespace/name`: neither can contain the slash.
    pub(super) objects: RedBlackTreeMapSync<Box<str>, Text>,
    bytes: usize,
    /// Namespaces that took too much: nothing is said of them.
    pub(super) cut: Arc<BTreeSet<Box<str>>>,
}

/// What a store may hold.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(super) objects: usize,
    pub(super) bytes: usize,
    /// Whether one namespace may be let go of for the sake of others.
    pub(super) many_namespaces: bool,
}

/// How much is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Objects.
    pub(crate) objects: usize,
    /// Bytes that they take, about.
    pub(crate) bytes: usize,
    /// Namespaces that were let go of.
    pub(crate) cut: usize,
}

// === impl Limits ===

impl Limits {
    /// Of objects in many namespaces, or in none.
    pub(crate) const MANY_NAMESPACES: Self = Self { objects: MAX_OBJECTS, bytes: MAX_BYTES, many_namespaces: true };

    /// Of objects in one namespace.
    pub(crate) const ONE_NAMESPACE: Self =
        Self { objects: MAX_OBJECTS, bytes: MAX_NAMESPACE_BYTES, many_namespaces: false };
}

// === impl Version ===

impl Version {
    /// The JSON of one object; `namespace` is empty for a cluster-scoped kind. The key is made in the arena.
    pub(crate) fn get(&self, namespace: &str, name: &str, arena: &Bump) -> Option<&[u8]> {
        let key = bumpalo::format!(in arena, "{}/{}", namespace, name);
        self.objects.get(key.as_str()).map(Text::json)
    }

    /// The JSON of all objects of a namespace, or of all when it is empty, ordered by `namespace/name`.
    pub(crate) fn list<'v>(&'v self, namespace: &str, arena: &'v Bump) -> impl Iterator<Item = &'v [u8]> {
        let prefix = match namespace {
            "" => "",
            _ => bumpalo::format!(in arena, "{}/", namespace).into_bump_str(),
        };
        let from = (Bound::Included(prefix), Bound::<&str>::Unbounded);
        let in_namespace = self.objects.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix));
        in_namespace.map(|(_, text)| text.json())
    }

    /// Whether the answers for a namespace are whole; for all, when it is empty.
    pub(crate) fn is_whole(&self, namespace: &str) -> bool {
        self.cut.is_empty() || (!namespace.is_empty() && !self.cut.contains(namespace))
    }

    /// Whether there is an object with this key, `namespace/name`.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    /// How many objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.size()
    }

    /// What it takes.
    pub(super) fn size(&self) -> Size {
        Size { objects: self.len(), bytes: self.bytes, cut: self.cut.len() }
    }

    pub(super) fn insert(&mut self, key: Box<str>, text: Text) {
        self.bytes += size(&text);
        self.bytes -= self.objects.get(&*key).map_or(0, size);
        self.objects.insert_mut(key, text);
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.bytes -= self.objects.get(key).map_or(0, size);
        self.objects.remove_mut(key)
    }

    fn exceeds(&self, limits: Limits) -> bool {
        self.len() > limits.objects || self.bytes > limits.bytes
    }

    /// Lets go of the namespaces that take most when a bound is passed, and gives them. A quarter becomes free, so that
    /// the next object does not pass it again.
    ///
    /// # Errors
    /// Nothing can be let go of for the sake of others.
    pub(super) fn fit(&mut self, limits: Limits) -> Result<Vec<Box<str>>, NotReady> {
        if !self.exceeds(limits) {
            return Ok(Vec::new());
        }
        if !limits.many_namespaces {
            return Err(NotReady::TooMany);
        }
        let roomy = Limits { objects: limits.objects / 4 * 3, bytes: limits.bytes / 4 * 3, ..limits };
        let is_heavy = self.bytes > limits.bytes;
        let mut cut = Vec::new();
        for (namespace, _) in self.by_share(is_heavy) {
            if !self.exceeds(roomy) {
                break;
            }
            if namespace.is_empty() || self.cut.len() >= MAX_CUT {
                return Err(NotReady::TooMany);
            }
            self.clear(&namespace);
            Arc::make_mut(&mut self.cut).insert(namespace.clone());
            cut.push(namespace);
        }
        Ok(cut)
    }

    /// Namespaces with the bytes or the objects that they take, the greatest first.
    fn by_share(&self, in_bytes: bool) -> Vec<(Box<str>, usize)> {
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, text) in &self.objects {
            *shares.entry(namespace_of(key)).or_default() += if in_bytes { size(text) } else { 1 };
        }
        let mut shares: Vec<_> = shares.into_iter().map(|(namespace, share)| (namespace.into(), share)).collect();
        shares.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
        shares
    }

    fn clear(&mut self, namespace: &str) {
        let prefix = format!("{namespace}/");
        let from = (Bound::Included(&*prefix), Bound::<&str>::Unbounded);
        let in_namespace = self.objects.range::<str, _>(from).take_while(|(key, _)| key.starts_with(&prefix));
        let keys: Vec<Box<str>> = in_namespace.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&key);
        }
    }
}

pub(super) fn size(text: &Text) -> usize {
    text.json().len() + OVERHEAD_BYTES
}

pub(super) fn namespace_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(namespace, _)| namespace)
}
