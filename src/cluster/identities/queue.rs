//! Which namespaces are to be looked at, and when: what changes together is written together, and none waits for long.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a first change waits for others. A Deployment's Pods get their addresses within tenths of a second.
const SETTLE: Duration = Duration::from_millis(50);

/// Between two looks at one namespace: a write of a slice goes to every node, so one that changes all the time costs four
/// of them a second.
const SPACING: Duration = Duration::from_millis(250);

/// Shortest and longest wait after a write that failed, doubled from one to the next.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Namespaces that wait.
#[derive(Default)]
pub(super) struct Queue {
    due: BTreeSet<(Instant, Arc<str>)>,
    waiting: HashMap<Arc<str>, Waiting>,
    /// Those that were looked at a moment ago, and until when they are left alone.
    resting: BTreeMap<Arc<str>, Instant>,
    failures: HashMap<Arc<str>, Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: Instant,
    since: Instant,
}

// === impl Queue ===

impl Queue {
    /// Says that a namespace has to be looked at.
    pub(super) fn mark(&mut self, namespace: &str, now: Instant) {
        if self.waiting.contains_key(namespace) {
            return;
        }
        let rests = self.resting.get(namespace).copied().unwrap_or(now);
        self.wait(namespace.into(), Waiting { due: rests.max(now + SETTLE), since: now });
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The one that is due, and since when it has waited.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Arc<str>, Instant)> {
        if self.next()? > now {
            return None;
        }
        let (_, namespace) = self.due.pop_first()?;
        let waited = self.waiting.remove(&namespace)?;
        self.resting.retain(|_, until| *until > now);
        self.resting.insert(Arc::clone(&namespace), now + SPACING);
        Some((namespace, waited.since))
    }

    /// All of a namespace was written.
    pub(super) fn done(&mut self, namespace: &str) {
        self.failures.remove(namespace);
    }

    /// Not all of a namespace was written that has waited since then.
    pub(super) fn again(&mut self, namespace: Arc<str>, since: Instant, now: Instant) {
        let pause = self.failures.get(&namespace).map_or(AGAIN.0, |last| (*last * 2).min(AGAIN.1));
        self.failures.insert(Arc::clone(&namespace), pause);
        if let Some(waiting) = self.waiting.remove(&namespace) {
            self.due.remove(&(waiting.due, Arc::clone(&namespace)));
        }
        self.wait(namespace, Waiting { due: now + pause, since });
    }

    fn wait(&mut self, namespace: Arc<str>, waiting: Waiting) {
        self.due.insert((waiting.due, Arc::clone(&namespace)));
        self.waiting.insert(namespace, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &mut Queue, now: Instant) -> Option<(String, Duration)> {
        queue.take(now).map(|(namespace, since)| (namespace.to_string(), now - since))
    }

    #[test]
    fn what_changes_together_is_looked_at_once_and_soon() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.mark("a", start);
        queue.mark("b", start + SETTLE / 2);
        queue.mark("a", start + SETTLE / 2);
        assert_eq!(queue.next(), Some(start + SETTLE));
        assert_eq!(taken(&mut queue, start), None);
        assert_eq!(taken(&mut queue, start + SETTLE), Some(("a".to_owned(), SETTLE)));
        assert_eq!(taken(&mut queue, start + SETTLE), None);
        // One that changes all the time is left alone for a while.
        queue.mark("a", start + SETTLE);
        assert_eq!(taken(&mut queue, start + SETTLE * 3 / 2), Some(("b".to_owned(), SETTLE)));
        assert_eq!(queue.next(), Some(start + SETTLE + SPACING));
        assert_eq!(taken(&mut queue, start + SETTLE + SPACING), Some(("a".to_owned(), SPACING)));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn what_was_not_written_is_tried_again_later_and_later() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.mark("a", start);
        let (mut now, mut pauses) = (start + SETTLE, Vec::new());
        for _ in 0..9 {
            let (namespace, since) = queue.take(now).unwrap();
            queue.mark("a", now);
            queue.again(namespace, since, now);
            pauses.push((queue.next().unwrap() - now).as_millis());
            now = queue.next().unwrap();
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(taken(&mut queue, now), Some(("a".to_owned(), now - start)));
        queue.done("a");
        queue.mark("a", now + SPACING);
        assert_eq!(queue.next(), Some(now + SPACING + SETTLE));
    }
}
