//! Keeps the kernel equal to what is wanted: inputs and places in, writes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use stockade_netpol::plan::Limits;

use crate::apply::{Extent, Held, Programs, Writer};
use crate::contents::Contents;
use crate::desired::{Decider, Desired, Undecided, all_closed};
use crate::hold::PodRequest;
use crate::inputs::Inputs;
use crate::kernel::{KernelError, Tables};
use crate::places::Places;
use crate::quiescence::Quiescence;
use crate::stale::{Due, GRACE, Item, LONG_GRACE, Stale};

/// One node's kernel, and what it is to hold.
#[derive(Debug)]
pub struct Keeper<K> {
    kernel: Arc<K>,
    decider: Decider,
    held: Held,
    /// Shared with whoever looks on.
    desired: Arc<Desired>,
    stale: Stale,
    quiescence: Quiescence,
    /// The kernel does not hold what was wanted last: endpoints may use tables that nothing asks for.
    is_behind: bool,
}

/// Why the kernel does not hold what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is not known what that would be; nothing was changed, but that who is new is closed.
    #[error("{0}")]
    Undecided(#[from] Undecided),
    /// The kernel refuses.
    #[error("{0}")]
    Kernel(#[from] KernelError),
}

// === impl Keeper ===

impl<K: Tables + Programs + 'static> Keeper<K> {
    /// Reads what the kernel holds. Nothing is changed.
    ///
    /// # Errors
    /// The kernel's, of a thread too.
    pub fn open(kernel: Arc<K>, limits: Limits) -> Result<Self, KernelError> {
        let held = Held::read(&*kernel)?;
        let stale = Stale::new(if kernel.wait_for_running() { GRACE } else { LONG_GRACE });
        let quiescence = Quiescence::watch(Arc::clone(&kernel)).map_err(KernelError::Thread)?;
        Ok(Self {
            kernel,
            decider: Decider::new(limits),
            held,
            desired: Arc::default(),
            stale,
            quiescence,
            is_behind: false,
        })
    }

    /// Makes the kernel hold what inputs and places say.
    ///
    /// # Errors
    /// Nothing is decided, or the kernel refuses: then what is written is as good as what was there, who is new is closed,
    /// and a further call goes on.
    pub fn keep(&mut self, inputs: &Inputs, places: &Places, extent: Extent) -> Result<(), KeepError> {
        let desired = match self.decider.decide(inputs, places, &self.held.contents) {
            Ok(desired) => desired,
            Err(error) => {
                self.close_new(&all_closed(inputs, places));
                return Err(error.into());
            }
        };
        let written = Writer::new(&*self.kernel, &mut self.held).write(&desired.contents, extent);
        self.is_behind = written.is_err();
        if written.is_err() {
            self.close_new(&desired.contents);
        }
        // Where it failed too: what an earlier attempt has left may be what there is no room for.
        if extent == Extent::All {
            self.stale.find(self.held.unwanted(&desired.contents), Instant::now());
            if self.stale.next().is_some() {
                self.quiescence.ask();
            }
        }
        if written.is_ok() {
            self.desired = Arc::new(desired);
        }
        Ok(written?)
    }

    fn close_new(&mut self, wanted: &Contents) {
        // Where even that is refused there is no more to be told than why the first was.
        drop(Writer::new(&*self.kernel, &mut self.held).close_new(wanted));
    }

    /// When [`Keeper::remove_stale`] has something to do.
    pub fn next_removal(&self) -> Option<Instant> {
        self.stale.next()
    }

    /// Removes a part of what nothing has asked for during the grace period.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_stale(&mut self) -> Result<(), KernelError> {
        let now = Instant::now();
        let Due { items: mut gone, found } = self.stale.take(now, |item| self.held.entries_of(item));
        if self.is_behind {
            let used: BTreeSet<Item> = self.held.in_use(gone.iter());
            gone.retain(|item| !used.contains(item));
        }
        if gone.is_empty() {
            return Ok(());
        }
        // It mostly is known by now. Where the kernel does not tell at all, the grace period is longer.
        if found > self.quiescence.since() {
            self.kernel.wait_for_running();
        }
        let removed = Writer::new(&*self.kernel, &mut self.held).remove(&gone);
        if removed.is_err() {
            self.stale.put_back(gone, now);
        }
        removed
    }

    /// A Pod's network was set up on an interface just now: its programs are hung whatever is known of it.
    pub fn is_new(&mut self, interface: u32) {
        self.held.is_new(interface);
    }

    /// Whether [`Keeper::settle_one`] has something to do.
    pub fn is_unsettled(&self) -> bool {
        self.held.is_unsettled()
    }

    /// Hangs the programs of one Pod the way that is best in the long run ([`Programs::settle`]).
    ///
    /// # Errors
    /// The kernel's. They judge as they hang.
    pub fn settle_one(&mut self) -> Result<(), KernelError> {
        Writer::new(&*self.kernel, &mut self.held).settle_one()
    }

    /// What was decided last and written whole.
    pub fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// What the kernel holds, as it was written.
    pub fn held(&self) -> &Contents {
        &self.held.contents
    }

    /// Whether what was asked for a Pod is in the kernel: its endpoint with its addresses, and its programs.
    pub fn holds(&self, request: &PodRequest) -> bool {
        self.held.holds(request.interface.index, &request.addresses)
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<K> {
        &self.kernel
    }
}
