//! The objects of one kind, as one watch keeps them.
//!
//! One task writes ([`Writer`]); each of its changes is published as a whole new [`Version`], which readers take
//! without a lock and which does not change under them while a request is judged. The versions are persistent
//! red-black trees: a change copies the O(log n) nodes on its way and shares the rest, and unlike a hash trie the tree
//! is ordered, so that one structure answers for an object, for a namespace and for all, always in the same order.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bumpalo::Bump;
use kube::runtime::watcher::Event;
use rpds::RedBlackTreeMapSync;
use tokio::sync::watch;

use crate::object::{Object, Text};

/// Most objects that are kept of one kind: twice the Pods of the largest cluster that Kubernetes supports is beyond
/// anything that policies should read.
pub(crate) const MAX_OBJECTS: usize = 200_000;

/// Most bytes of JSON that are kept of one kind. What the process may need in all is this times the kinds that policies
/// read, so it must hold the largest honest kind and no more: 24,700 objects of the usual size are 35 MB.
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// Beside its JSON an object costs about this much: key, entry and node of the tree.
const OVERHEAD_BYTES: usize = 200;

/// What is kept of one kind.
pub(crate) struct Store {
    state: ArcSwap<State>,
    changed: watch::Sender<()>,
}

/// What can be said of the kind's objects.
pub(crate) enum State {
    /// Nothing yet.
    NotReady(NotReady),
    /// These exist.
    Ready(Version),
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Nobody asked for the kind to be held.
    #[error("the kind is not watched")]
    NotHeld,
    /// The first list is not complete.
    #[error("the first list is not complete")]
    Listing,
    /// The API server does not serve the kind.
    #[error("the API server does not serve this kind")]
    NotServed,
    /// A bound was passed. Part of the objects would be a wrong answer, so there is none.
    #[error("there are more than {MAX_OBJECTS} objects or {MAX_BYTES} bytes of this kind")]
    TooMany,
}

/// All objects of the kind at one moment.
#[derive(Clone, Default)]
pub(crate) struct Version {
    /// By `namespace/name`: neither can contain the slash.
    objects: RedBlackTreeMapSync<Box<str>, Text>,
    bytes: usize,
}

/// The one who may change a store.
pub(crate) struct Writer {
    store: Arc<Store>,
    limits: Limits,
    /// The list that is being read. The version before stays in force until it is complete.
    listing: Option<Version>,
}

#[derive(Clone, Copy)]
struct Limits {
    objects: usize,
    bytes: usize,
}

/// What happened to one object, or to the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Created,
    /// It changed; whether its labels did.
    Updated {
        /// Labels are what selectors read.
        labels: bool,
    },
    /// It is gone.
    Deleted,
    /// Everything of the kind may have changed: it is ready for the first time, or it no longer is.
    All,
}

// === impl Store ===

impl Store {
    /// An empty store that is not ready, and who writes it.
    pub(crate) fn new() -> (Arc<Self>, Writer) {
        Self::with_limits(Limits { objects: MAX_OBJECTS, bytes: MAX_BYTES })
    }

    fn with_limits(limits: Limits) -> (Arc<Self>, Writer) {
        let state = ArcSwap::from_pointee(State::NotReady(NotReady::Listing));
        let store = Arc::new(Self { state, changed: watch::Sender::new(()) });
        (Arc::clone(&store), Writer { store, limits, listing: None })
    }

    /// What can be said now.
    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Waits until something can be said and the condition holds of it. Ends only then: bound the wait.
    pub(crate) async fn wait_until(&self, mut holds: impl FnMut(&Version) -> bool) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if matches!(&**self.state(), State::Ready(version) if holds(version)) {
                return;
            }
            if changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn publish(&self, state: State) {
        self.state.store(Arc::new(state));
        self.changed.send_replace(());
    }
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

    /// Whether there is an object with this key, `namespace/name`.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    /// How many objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.size()
    }

    /// Bytes that they take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, key: Box<str>, text: Text) {
        self.bytes += size(&text);
        self.bytes -= self.objects.get(&*key).map_or(0, size);
        self.objects.insert_mut(key, text);
    }

    fn remove(&mut self, key: &str) -> bool {
        self.bytes -= self.objects.get(key).map_or(0, size);
        self.objects.remove_mut(key)
    }

    fn exceeds(&self, limits: Limits) -> bool {
        self.len() > limits.objects || self.bytes > limits.bytes
    }
}

fn size(text: &Text) -> usize {
    text.json().len() + OVERHEAD_BYTES
}

fn key_of(object: &Object) -> Box<str> {
    format!("{}/{}", object.namespace(), object.name()).into()
}

// === impl Writer ===

impl Writer {
    /// Takes one event of the watch and tells what it changed, with the key `namespace/name`.
    ///
    /// # Errors
    /// A bound is passed: the store is not ready any more, has let go of its objects, and the watch has to begin anew
    /// some time later.
    pub(crate) fn take(&mut self, event: Event<Object>, tell: impl FnMut(&str, What)) -> Result<(), NotReady> {
        let taken = match event {
            Event::Init => {
                self.listing = Some(Version::default());
                Ok(())
            }
            Event::InitApply(object) => self.list(object),
            Event::InitDone => {
                self.replace(tell);
                Ok(())
            }
            Event::Apply(object) => self.apply(object, tell),
            Event::Delete(object) => {
                self.delete(&key_of(&object), tell);
                Ok(())
            }
        };
        if let Err(why) = taken {
            self.not_ready(why);
        }
        taken
    }

    /// Says that nothing can be said any more, and lets go of all objects.
    pub(crate) fn not_ready(&mut self, why: NotReady) {
        self.listing = None;
        self.store.publish(State::NotReady(why));
    }

    /// Objects in force and the bytes that they take; none when the store is not ready.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        match &**self.store.state() {
            State::Ready(version) => Some((version.len(), version.bytes())),
            State::NotReady(_) => None,
        }
    }

    /// An object of the list. One that did not change shares its bytes with the version in force.
    fn list(&mut self, object: Object) -> Result<(), NotReady> {
        let key = key_of(&object);
        let mut text = object.into_text();
        if let State::Ready(before) = &**self.store.state()
            && let Some(known) = before.objects.get(&*key).filter(|known| **known == text)
        {
            text = known.clone();
        }
        let listing = self.listing.get_or_insert_default();
        listing.insert(key, text);
        if listing.exceeds(self.limits) { Err(NotReady::TooMany) } else { Ok(()) }
    }

    /// The list is complete.
    fn replace(&mut self, mut tell: impl FnMut(&str, What)) {
        let after = self.listing.take().unwrap_or_default();
        let state = self.store.state.swap(Arc::new(State::Ready(after.clone())));
        self.store.changed.send_replace(());
        let State::Ready(before) = &*state else { return tell("", What::All) };
        for (key, _) in before.objects.iter().filter(|(key, _)| !after.objects.contains_key(&***key)) {
            tell(key, What::Deleted);
        }
        for (key, text) in &after.objects {
            match before.objects.get(&**key) {
                None => tell(key, What::Created),
                Some(known) if known != text => tell(key, What::Updated { labels: !known.has_labels_of(text) }),
                Some(_) => {}
            }
        }
    }

    fn apply(&mut self, object: Object, mut tell: impl FnMut(&str, What)) -> Result<(), NotReady> {
        let Some(mut version) = self.in_force() else { return Ok(()) };
        let key = key_of(&object);
        let text = object.into_text();
        let what = match version.objects.get(&*key) {
            None => What::Created,
            Some(known) => What::Updated { labels: !known.has_labels_of(&text) },
        };
        version.insert(key.clone(), text);
        if version.exceeds(self.limits) {
            return Err(NotReady::TooMany);
        }
        self.store.publish(State::Ready(version));
        tell(&key, what);
        Ok(())
    }

    fn delete(&mut self, key: &str, mut tell: impl FnMut(&str, What)) {
        let Some(mut version) = self.in_force() else { return };
        if version.remove(key) {
            self.store.publish(State::Ready(version));
            tell(key, What::Deleted);
        }
    }

    /// The version in force; none before the first list, whose events say all that those before it could.
    fn in_force(&self) -> Option<Version> {
        match &**self.store.state() {
            State::Ready(version) => Some(version.clone()),
            State::NotReady(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
