//! What is judged again though nothing changed: resources in namespaces of which some image could not be looked at. A
//! registry that is away for a moment is soon known to be back, and one that is away for long is asked now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stockade_images::BackOff;
use tokio::time::Instant;

/// First and longest wait.
const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(30), longest: Duration::from_secs(900) };

/// Those that wait: never more than there are results of.
#[derive(Debug, Default)]
pub(crate) struct Again(BTreeMap<(Arc<str>, Arc<str>), Wait>);

#[derive(Debug, Clone, Copy)]
struct Wait {
    /// How often in a row.
    failures: u32,
    /// None once it is being judged again.
    due: Option<Instant>,
}

// === impl Again ===

impl Again {
    /// Takes what became of a resource in a namespace: whether something of it could not be found out.
    pub(crate) fn judged(&mut self, resource: &Arc<str>, namespace: &Arc<str>, unavailable: bool) {
        let key = (Arc::clone(resource), Arc::clone(namespace));
        if !unavailable {
            self.0.remove(&key);
            return;
        }
        let wait = self.0.entry(key).or_insert(Wait { failures: 0, due: None });
        if wait.due.is_none() {
            let failures = wait.failures + 1;
            *wait = Wait { failures, due: Some(Instant::now() + BACK_OFF.after(failures)) };
        }
    }

    /// Those that have waited long enough.
    pub(crate) fn take_due(&mut self) -> Vec<(Arc<str>, Arc<str>)> {
        let now = Instant::now();
        let due = self.0.iter_mut().filter(|(_, wait)| wait.due.is_some_and(|due| due <= now));
        let take = |(key, wait): (&(Arc<str>, Arc<str>), &mut Wait)| {
            wait.due = None;
            key.clone()
        };
        due.map(take).collect()
    }

    /// When the next of them has.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|wait| wait.due).min()
    }

    /// Forgets those that are not judged here any more.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.0.retain(|(resource, namespace), _| keep(resource, namespace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_fails_again_waits_longer_and_who_succeeds_does_not_wait_any_more() {
        let (mut again, pods, shop) = (Again::default(), Arc::from("pods"), Arc::from("shop"));
        let mut waits = Vec::new();
        for _ in 0..7 {
            again.judged(&pods, &shop, true);
            // Judged because something changed: that is no reason to wait longer.
            again.judged(&pods, &shop, true);
            waits.push(again.next().unwrap().duration_since(Instant::now()).as_secs());
            assert_eq!(again.take_due(), []);
            tokio::time::sleep_until(again.next().unwrap()).await;
            assert_eq!(again.take_due(), [(Arc::clone(&pods), Arc::clone(&shop))]);
            assert_eq!(again.next(), None);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900]);
        again.judged(&pods, &shop, false);
        again.judged(&pods, &shop, true);
        assert_eq!(again.next().unwrap().duration_since(Instant::now()), BACK_OFF.first);
    }
}
