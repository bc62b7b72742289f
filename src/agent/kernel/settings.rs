//! What the programs are told beside the tables.

use std::sync::{Mutex, PoisonError};

use zerocopy::{FromBytes, IntoBytes};

use super::error::KernelError;
use super::layout::{CONFIG_KEEP, CONFIG_SERVICES, RawConfig};
use super::maps::Map;
use super::options::{Established, Options};

/// The one entry of map `config`.
#[derive(Debug)]
pub(super) struct Settings {
    map: Map,
    now: Mutex<RawConfig>,
}

// === impl Settings ===

impl Settings {
    /// Writes what is wanted. Connections are looked at again: a change may have been cut short.
    pub(super) fn open(map: Map, options: &Options) -> Result<Self, KernelError> {
        let before = map.get(&0_u32.to_ne_bytes())?.and_then(|bytes| RawConfig::read_from_bytes(&bytes).ok());
        let keep = if options.established == Established::Keep { CONFIG_KEEP } else { 0 };
        let services = before.map_or(0, |before| before.flags & CONFIG_SERVICES);
        let now = RawConfig {
            epoch: before.map_or(0, |before| before.epoch),
            retell: u64::try_from(options.retell.as_nanos()).unwrap_or(u64::MAX),
            flags: keep | services,
            events_per_second: options.events_per_second,
        };
        let settings = Self { map, now: Mutex::new(now) };
        settings.changed()?;
        Ok(settings)
    }

    /// Has the programs look again at whom open connections are with, and at their policy's generation.
    pub(super) fn changed(&self) -> Result<(), KernelError> {
        self.write(|_| ())
    }

    /// Whether packets to Services wait to be judged until their destination is known.
    pub(super) fn set_services(&self, on: bool) -> Result<(), KernelError> {
        self.write(|config| {
            config.flags = if on { config.flags | CONFIG_SERVICES } else { config.flags & !CONFIG_SERVICES }
        })
    }

    pub(super) fn services(&self) -> bool {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).flags & CONFIG_SERVICES != 0
    }

    /// Writes with another epoch. Epochs grow, and by no small steps: a program that reads one while it is written finds
    /// none that was, or will be.
    fn write(&self, change: impl FnOnce(&mut RawConfig)) -> Result<(), KernelError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let clock =
            u64::try_from(clock.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(clock.tv_nsec).unwrap_or(0);
        now.epoch = clock.max(now.epoch + 1);
        self.map.put(&0_u32.to_ne_bytes(), now.as_bytes())
    }
}
