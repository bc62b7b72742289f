//! Objects of one kind, as one watch keeps them.
//!
//! One task writes ([`Writer`]); each of its changes is published as a whole new [`Version`], which readers take
//! without a lock and which does not change under them while a request is judged. The versions are persistent
//! red-black trees: a change copies the O(log n) nodes on its way and shares the rest, and unlike a hash trie the tree
//! is ordered, so that one structure answers for an object, for a namespace and for all, always in the same order.
//!
//! Whoever may make objects in a namespace must not be able to blind the policies of others. So where a watch is about
//! many namespaces and a bound is passed, those that take most are let go of, until the rest fits: they alone are "not
//! ready", and a namespace that takes no more than its share never is.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use crate::object::Object;

use self::version::namespace_of;
pub(crate) use self::version::{Limits, Size, Version};

mod version;

/// What one watch keeps.
pub(crate) struct Store {
    state: ArcSwap<State>,
    changed: watch::Sender<()>,
}

/// What can be said of the objects.
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
    /// The API server does not serve the kind, or not in a namespace.
    #[error("the API server does not serve this kind there")]
    NotServed,
    /// A bound was passed. Part of the objects would be a wrong answer, so there is none.
    #[error("there are more objects, or more bytes of them, than are kept")]
    TooMany,
}

/// The one who may change a store.
pub(crate) struct Writer {
    store: Arc<Store>,
    limits: Limits,
    /// The list that is being read. The version before stays in force until it is complete.
    listing: Option<Version>,
}

/// What happened to one object, or to all.
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
    /// Everything of the kind may have changed: it, or a namespace of it, is ready for the first time or no longer is.
    All,
}

// === impl Store ===

impl Store {
    /// An empty store that is not ready, and who writes it.
    pub(crate) fn new(limits: Limits) -> (Arc<Self>, Writer) {
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

fn key_of(object: &Object) -> Box<str> {
    format!("{}/{}", object.namespace(), object.name()).into()
}

// === impl Writer ===

impl Writer {
    /// Takes one event of the watch and tells what it changed, with the key `namespace/name`. Gives the namespaces
    /// that were let go of, because with this object they take too much.
    ///
    /// # Errors
    /// A bound is passed: the store is not ready any more, has let go of its objects, and the watch has to begin anew
    /// some time later.
    pub(crate) fn take(
        &mut self,
        event: Event<Object>,
        tell: impl FnMut(&str, What),
    ) -> Result<Vec<Box<str>>, NotReady> {
        let taken = match event {
            Event::Init => {
                self.listing = Some(Version::default());
                Ok(Vec::new())
            }
            Event::InitApply(object) => self.list(object),
            Event::InitDone => {
                self.replace(tell);
                Ok(Vec::new())
            }
            Event::Apply(object) => self.apply(object, tell),
            Event::Delete(object) => {
                self.delete(&key_of(&object), tell);
                Ok(Vec::new())
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

    /// What is in force; none when the store is not ready.
    pub(crate) fn size(&self) -> Option<Size> {
        match &**self.store.state() {
            State::Ready(version) => Some(version.size()),
            State::NotReady(_) => None,
        }
    }

    /// An object of the list. One that did not change shares its bytes with the version in force.
    fn list(&mut self, object: Object) -> Result<Vec<Box<str>>, NotReady> {
        let key = key_of(&object);
        let mut text = object.into_text();
        if let State::Ready(before) = &**self.store.state()
            && let Some(known) = before.objects.get(&*key).filter(|known| **known == text)
        {
            text = known.clone();
        }
        let listing = self.listing.get_or_insert_default();
        if listing.cut.contains(namespace_of(&key)) {
            return Ok(Vec::new());
        }
        listing.insert(key, text);
        listing.fit(self.limits)
    }

    /// The list is complete.
    fn replace(&mut self, mut tell: impl FnMut(&str, What)) {
        let after = self.listing.take().unwrap_or_default();
        let state = self.store.state.swap(Arc::new(State::Ready(after.clone())));
        self.store.changed.send_replace(());
        let State::Ready(before) = &*state else { return tell("", What::All) };
        if before.cut != after.cut {
            return tell("", What::All);
        }
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

    fn apply(&mut self, object: Object, mut tell: impl FnMut(&str, What)) -> Result<Vec<Box<str>>, NotReady> {
        let key = key_of(&object);
        let Some(mut version) = self.in_force().filter(|version| !version.cut.contains(namespace_of(&key))) else {
            return Ok(Vec::new());
        };
        let text = object.into_text();
        let what = match version.objects.get(&*key) {
            None => What::Created,
            Some(known) => What::Updated { labels: !known.has_labels_of(&text) },
        };
        version.insert(key.clone(), text);
        let cut = version.fit(self.limits)?;
        self.store.publish(State::Ready(version));
        match cut.is_empty() {
            true => tell(&key, what),
            false => tell("", What::All),
        }
        Ok(cut)
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
