//! Keeps the kernel equal to what is wanted: inputs and places in, writes out.

use std::sync::Arc;
use std::time::Instant;

use stockade_netpol::plan::Limits;

use crate::apply::{Extent, GRACE, Held, Programs, Stale, Writer, stale};
use crate::contents::Contents;
use crate::desired::{Decider, Desired, Undecided, all_closed};
use crate::inputs::Inputs;
use crate::kernel::{KernelError, Tables};
use crate::places::Places;

/// One node's kernel, and what it is to hold.
#[derive(Debug)]
pub struct Keeper<K> {
    kernel: Arc<K>,
    decider: Decider,
    held: Held,
    /// Shared with whoever looks on.
    desired: Arc<Desired>,
    /// What is removed, and when.
    stale: Option<(Instant, Stale)>,
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

impl<K: Tables + Programs> Keeper<K> {
    /// Reads what the kernel holds. Nothing is changed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(kernel: Arc<K>, limits: Limits) -> Result<Self, KernelError> {
        let held = Held::read(&*kernel)?;
        Ok(Self { kernel, decider: Decider::new(limits), held, desired: Arc::default(), stale: None, is_behind: false })
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
        if extent == Extent::All && self.stale.is_none() {
            self.find_stale(&desired.contents);
        }
        if written.is_ok() {
            self.desired = Arc::new(desired);
        }
        Ok(written?)
    }

    /// Has removed what the kernel holds beside what is wanted, after [`GRACE`].
    fn find_stale(&mut self, wanted: &Contents) {
        let stale = stale(&self.held.contents, wanted);
        self.stale = (!stale.is_empty()).then(|| (Instant::now() + GRACE, stale));
    }

    fn close_new(&mut self, wanted: &Contents) {
        // Where even that is refused there is no more to be told than why the first was.
        drop(Writer::new(&*self.kernel, &mut self.held).close_new(wanted));
    }

    /// When [`Keeper::remove_stale`] has something to do.
    pub fn next_removal(&self) -> Option<Instant> {
        self.stale.as_ref().map(|(due, _)| *due)
    }

    /// Removes what nothing has asked for since [`GRACE`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_stale(&mut self) -> Result<(), KernelError> {
        let Some((_, mut gone)) = self.stale.take_if(|(due, _)| *due <= Instant::now()) else { return Ok(()) };
        if self.is_behind {
            gone.spare_used(&self.held.contents);
        }
        Writer::new(&*self.kernel, &mut self.held).remove(&gone, &self.desired.contents)?;
        if !self.is_behind {
            self.find_stale(&Arc::clone(&self.desired).contents);
        }
        Ok(())
    }

    /// What was decided last and written whole.
    pub fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// What the kernel holds, as it was written.
    pub fn held(&self) -> &Contents {
        &self.held.contents
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<K> {
        &self.kernel
    }
}
