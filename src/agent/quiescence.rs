//! When the programs that ran at some moment have ended: asked for beside all else, for the kernel takes some 20 ms to tell.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::apply::Programs;

/// Asks the kernel, from a thread of its own that ends with it.
#[derive(Debug)]
pub struct Quiescence {
    /// Room for one: who asks while an earlier question waits to be put has the answer to that.
    ask: SyncSender<()>,
    since: Arc<Mutex<Option<Instant>>>,
}

// === impl Quiescence ===

impl Quiescence {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn watch<K: Programs + Send + Sync + 'static>(kernel: Arc<K>) -> std::io::Result<Self> {
        let (ask, asked) = sync_channel(1);
        let since = Arc::new(Mutex::new(None));
        let told = Arc::clone(&since);
        let wait = move || {
            for () in asked {
                let begin = Instant::now();
                if kernel.wait_for_running() {
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(begin);
                }
            }
        };
        std::thread::Builder::new().name("quiescence".to_owned()).spawn(wait)?;
        Ok(Self { ask, since })
    }

    /// Has it be known soon of this moment.
    pub fn ask(&self) {
        // Where there is no room it will be asked anyway, and later than now.
        let _ = self.ask.try_send(());
    }

    /// The last moment of which it is known that no program is running which ran then; none where the kernel does not tell.
    pub fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
