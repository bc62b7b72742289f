//! What has to be judged again, coalesced and bounded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::facts::Change;

/// How long a namespace waits for further changes: a rollout changes many Pods within a moment.
const SETTLE: Duration = Duration::from_millis(500);
/// Most namespaces of one resource that wait one by one. More are judged faster by listing all of them.
const MAX_UNITS_OF_RESOURCE: usize = 200;
/// Most changes of facts that wait to be looked up. More of them count as a change of everything.
const MAX_CHANGES: usize = 1_000;

/// Shared by those who find out that something changed and the one who judges.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Resources to be listed whole.
    resources: BTreeSet<Arc<str>>,
    /// Resources in one namespace, with the time from which they may be judged; those that wait longest first.
    units: VecDeque<(Key, Instant)>,
    waiting: BTreeSet<Key>,
    by_resource: HashMap<Arc<str>, usize>,
    changes: Vec<Change>,
    everything: bool,
}

/// Resource and namespace.
type Key = (Arc<str>, Arc<str>);

// === impl Queue ===

impl Queue {
    /// A resource in one namespace has to be judged.
    pub(crate) fn unit(&self, resource: &Arc<str>, namespace: &Arc<str>) {
        let mut state = self.lock();
        let key = (Arc::clone(resource), Arc::clone(namespace));
        if state.resources.contains(resource) || state.waiting.contains(&key) {
            return;
        }
        let waiting = state.by_resource.entry(Arc::clone(resource)).or_default();
        *waiting += 1;
        if *waiting > MAX_UNITS_OF_RESOURCE {
            state.whole(Arc::clone(resource));
        } else {
            state.waiting.insert(key.clone());
            state.units.push_back((key, Instant::now() + SETTLE));
        }
        self.news.notify_one();
    }

    /// A resource has to be judged in all namespaces.
    pub(crate) fn resource(&self, resource: Arc<str>) {
        self.lock().whole(resource);
        self.news.notify_one();
    }

    /// What policies read has changed; who read it is looked up by the one who judges.
    pub(crate) fn change(&self, change: Change) {
        let mut state = self.lock();
        if state.changes.len() >= MAX_CHANGES {
            state.everything = true;
            state.changes.clear();
        } else if !state.everything && !state.changes.contains(&change) {
            state.changes.push(change);
        }
        self.news.notify_one();
    }

    /// Anything may have changed.
    pub(crate) fn everything(&self) {
        let mut state = self.lock();
        state.everything = true;
        state.changes.clear();
        self.news.notify_one();
    }

    /// Changes since the last time; none when anything may have changed.
    pub(crate) fn take_changes(&self) -> Option<Vec<Change>> {
        let mut state = self.lock();
        let changes = std::mem::take(&mut state.changes);
        (!std::mem::take(&mut state.everything)).then_some(changes)
    }

    /// The resource and namespace that waited long enough.
    pub(crate) fn take_unit(&self) -> Option<Key> {
        let mut state = self.lock();
        let (_, due) = state.units.front()?;
        if *due > Instant::now() {
            return None;
        }
        let (key, _) = state.units.pop_front()?;
        state.waiting.remove(&key);
        if let Some(waiting) = state.by_resource.get_mut(&key.0) {
            *waiting -= 1;
        }
        Some(key)
    }

    /// A resource to be listed whole.
    pub(crate) fn take_resource(&self) -> Option<Arc<str>> {
        self.lock().resources.pop_first()
    }

    /// Whether some resource waits to be listed whole.
    pub(crate) fn has_resources(&self) -> bool {
        !self.lock().resources.is_empty()
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state.resources.len() + state.units.len() + state.changes.len()
    }

    /// Waits for news, or until a namespace has waited long enough.
    pub(crate) async fn wait(&self) {
        let due = self.lock().units.front().map(|(_, due)| *due);
        match due {
            Some(due) => tokio::select! {
                () = self.news.notified() => {}
                () = tokio::time::sleep_until(due) => {}
            },
            None => self.news.notified().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn whole(&mut self, resource: Arc<str>) {
        self.units.retain(|((r, _), _)| *r != resource);
        self.waiting.retain(|(r, _)| *r != resource);
        self.by_resource.remove(&resource);
        self.resources.insert(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize) -> Arc<str> {
        format!("team-{n}").into()
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_one_namespace_within_a_moment_are_one() {
        let (queue, pods): (_, Arc<str>) = (Queue::default(), "pods".into());
        for n in [1, 2, 1, 1] {
            queue.unit(&pods, &text(n));
        }
        assert_eq!((queue.take_unit(), queue.len()), (None, 2));
        queue.wait().await;
        queue.wait().await;
        let taken = [queue.take_unit(), queue.take_unit(), queue.take_unit()];
        assert_eq!(taken, [Some((pods.clone(), text(1))), Some((pods, text(2))), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_namespaces_of_a_resource_become_one_list_of_it() {
        let (queue, pods): (_, Arc<str>) = (Queue::default(), "pods".into());
        for n in 0..1_000 {
            queue.unit(&pods, &text(n));
        }
        assert_eq!(queue.len(), 1);
        assert_eq!((queue.take_resource(), queue.take_resource()), (Some(pods), None));
    }
}
