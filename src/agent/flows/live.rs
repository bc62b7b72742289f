//! Streams of flows, to whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use stockade_netpol::flows::Flow;
use tokio::sync::broadcast;

/// Most flows that wait for a listener, and that one who comes later hears of: a slow one loses the oldest.
pub const MAX_BUFFERED: usize = 2_048;

/// A flow, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The flow.
    pub flow: Flow,
    /// As [`Flow::line`] has it.
    pub line: String,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A flow.
    Flow(Arc<Told>),
    /// So many connections and packets were not told.
    Missed(u64),
}

/// Tells whoever listens. Clones tell the same.
#[derive(Debug, Clone)]
pub struct Live {
    /// With the lock held, so that who begins to listen hears of each flow once.
    recent: Arc<Mutex<VecDeque<Arc<Told>>>>,
    sender: broadcast::Sender<Heard>,
}

/// One listener.
#[derive(Debug)]
pub struct Listener {
    before: VecDeque<Arc<Told>>,
    receiver: broadcast::Receiver<Heard>,
}

// === impl Live ===

impl Default for Live {
    fn default() -> Self {
        Self { recent: Arc::default(), sender: broadcast::Sender::new(MAX_BUFFERED) }
    }
}

impl Live {
    /// Tells a flow.
    pub fn tell(&self, told: Told) {
        let told = Arc::new(told);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_BUFFERED {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&told));
        // Nobody may listen.
        drop(self.sender.send(Heard::Flow(told)));
    }

    /// Tells how much is not told.
    pub fn missed(&self, count: u64) {
        drop(self.sender.send(Heard::Missed(count)));
    }

    /// Begins to listen; if asked so, with the last [`MAX_BUFFERED`] flows first.
    pub fn listen(&self, also_before: bool) -> Listener {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if also_before { recent.clone() } else { VecDeque::new() };
        Listener { before, receiver: self.sender.subscribe() }
    }
}

// === impl Listener ===

impl Listener {
    /// The next; none when nobody will tell any more. Who is too slow hears of how many flows that was.
    pub async fn next(&mut self) -> Option<Heard> {
        if let Some(told) = self.before.pop_front() {
            return Some(Heard::Flow(told));
        }
        match self.receiver.recv().await {
            Ok(heard) => Some(heard),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Heard::Missed(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::talks::tests::told;

    #[tokio::test]
    async fn a_listener_hears_the_last_flows_and_each_new_one_once() {
        let live = Live::default();
        live.tell(told(1));
        let mut listener = live.listen(true);
        live.tell(told(2));
        live.missed(3);
        for expected in [Heard::Flow(Arc::new(told(1))), Heard::Flow(Arc::new(told(2))), Heard::Missed(3)] {
            assert_eq!(listener.next().await, Some(expected));
        }
        drop(live);
        assert_eq!(listener.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_listener_loses_the_oldest_and_hears_how_many() {
        let live = Live::default();
        let mut listener = live.listen(false);
        (0..MAX_BUFFERED as u64 + 5).for_each(|count| live.tell(told(count + 1)));
        assert_eq!(listener.next().await, Some(Heard::Missed(5)));
        assert_eq!(listener.next().await, Some(Heard::Flow(Arc::new(told(6)))));
        assert_eq!(live.listen(true).before.len(), MAX_BUFFERED);
    }
}
