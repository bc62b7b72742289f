//! Maps of the kernel, typed.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle, MapType};
use zerocopy::FromBytes;

use super::batches;
use super::error::KernelError;
use super::settings::Settings;
use super::tables::Entries;
use super::wire::Wire;

/// One map.
#[derive(Debug)]
pub(super) struct Map {
    name: &'static str,
    handle: MapHandle,
}

/// A map with the types of its entries.
#[derive(Debug)]
pub(super) struct Typed<K, V> {
    map: Map,
    /// Where a change is about open connections too: they are looked at again after it.
    changes: Option<Arc<Settings>>,
    /// What lies before a key in the map.
    before: &'static [u8],
    types: PhantomData<fn() -> (K, V)>,
}

/// Fewest entries that are worth a thread, which costs as much as some hundred of them.
const WORTH_A_THREAD: usize = 4_096;
/// Most threads that write at once: the kernel locks parts of a map, and a node's CPUs are its Pods'.
const MAX_THREADS: usize = 4;

/// Does the work by batches; in as many parts as there are CPUs, where it is much: Pods wait for it. Gives the first part's
/// error.
fn in_batches<T: Sync>(all: &[T], work: impl Fn(&[T]) -> Result<(), KernelError> + Sync) -> Result<(), KernelError> {
    let work = |part: &[T]| part.chunks(batches::BATCH as usize).try_for_each(&work);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let parts = cpus.min(all.len() / WORTH_A_THREAD);
    if parts < 2 {
        return work(all);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let parts = all.chunks(all.len().div_ceil(parts)).map(|part| scope.spawn(move || work(part)));
        let parts: Vec<_> = parts.collect();
        let done = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.fold(Ok(()), Result::and)
    })
}

// === impl Map ===

impl Map {
    pub(super) fn new(name: &'static str, handle: MapHandle) -> Self {
        Self { name, handle }
    }

    pub(super) fn handle(&self) -> &MapHandle {
        &self.handle
    }

    pub(super) fn unreadable(&self) -> KernelError {
        KernelError::Unreadable { map: self.name }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KernelError> {
        self.handle.lookup(key, MapFlags::ANY).map_err(KernelError::refused(format!("reading map {}", self.name)))
    }

    /// Every CPU's value; none where there is no such key.
    pub(super) fn per_cpu<T: FromBytes>(&self, key: &[u8]) -> Result<Option<Vec<T>>, KernelError> {
        let found = self.handle.lookup_percpu(key, MapFlags::ANY);
        let found = found.map_err(KernelError::refused(format!("reading map {}", self.name)))?;
        let Some(values) = found else { return Ok(None) };
        let read = |value: &Vec<u8>| T::read_from_prefix(value).map(|(value, _)| value).map_err(|_| self.unreadable());
        values.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), KernelError> {
        self.handle.update(key, value, MapFlags::ANY).map_err(|e| self.write_error(e))
    }

    /// Puts entries in their order. Keys and values lie side by side; there are at most [`batches::BATCH`], and at least
    /// one.
    fn put_many(&self, keys: &[u8], values: &[u8]) -> Result<(), KernelError> {
        let count = (keys.len() / self.handle.key_size() as usize) as u32;
        let put = self.handle.update_batch(keys, values, count, MapFlags::ANY, MapFlags::ANY);
        put.map_err(|e| self.write_error(e))
    }

    /// Removes entries, if they are there; as [`Map::put_many`].
    fn delete_many(&self, keys: &[u8]) -> Result<(), KernelError> {
        let size = self.handle.key_size() as usize;
        let count = (keys.len() / size) as u32;
        match self.handle.delete_batch(keys, count, MapFlags::ANY, MapFlags::ANY) {
            // It ends at one that is not there.
            Err(e) if e.kind() == ErrorKind::NotFound => keys.chunks_exact(size).try_for_each(|key| self.delete(key)),
            other => other.map_err(KernelError::refused(format!("removing from map {}", self.name))),
        }
    }

    /// Removes an entry, if it is there.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), KernelError> {
        match self.handle.delete(key) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(KernelError::refused(format!("removing from map {}", self.name))),
        }
    }

    /// Gives each key with its value, in no order.
    pub(super) fn for_each(&self, mut take: impl FnMut(&[u8], &[u8])) -> Result<(), KernelError> {
        if self.handle.map_type() != MapType::LpmTrie {
            let refused =
                |source: std::io::Error| KernelError::refused(format!("reading map {}", self.name))(source.into());
            return batches::for_each(&self.handle, take).map_err(refused);
        }
        // A trie's batches begin at its root again and again.
        for key in self.handle.keys() {
            if let Some(value) = self.get(&key)? {
                take(&key, &value);
            }
        }
        Ok(())
    }

    fn write_error(&self, source: libbpf_rs::Error) -> KernelError {
        // E2BIG of hash maps, ENOSPC of tries, ENOMEM of the kernel's memory.
        let raw = std::iter::successors(Some(&source as &dyn std::error::Error), |e| e.source())
            .find_map(|e| e.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error));
        let text = source.to_string();
        let full = matches!(raw, Some(libc::E2BIG | libc::ENOSPC))
            || text.contains(&format!("os error {}", libc::E2BIG))
            || text.contains(&format!("os error {}", libc::ENOSPC));
        if full {
            return KernelError::Full { map: self.name, bound: self.handle.max_entries() };
        }
        KernelError::Refused { doing: format!("writing map {}", self.name), source }
    }
}

// === impl Typed ===

impl<K, V> Typed<K, V> {
    pub(super) fn new(map: Map) -> Self {
        Self { map, changes: None, before: &[], types: PhantomData }
    }

    /// Has open connections looked at again after each change.
    pub(super) fn telling(self, changes: &Arc<Settings>) -> Self {
        Self { changes: Some(Arc::clone(changes)), ..self }
    }

    /// In a map whose keys begin with these bytes, all of them.
    pub(super) fn behind(self, before: &'static [u8]) -> Self {
        Self { before, ..self }
    }

    fn changed(&self) -> Result<(), KernelError> {
        self.changes.as_ref().map_or(Ok(()), |settings| settings.changed())
    }
}

impl<K: Wire, V> Typed<K, V> {
    /// Keys side by side, as they are in the map.
    fn keys<'a>(&self, keys: impl Iterator<Item = &'a K>) -> Vec<u8>
    where
        K: 'a,
    {
        let mut all = Vec::new();
        for key in keys {
            all.extend(self.before);
            key.encode(&mut all);
        }
        all
    }
}

impl<K: Wire + Ord + Sync, V: Wire + Sync> Entries<K, V> for Typed<K, V> {
    fn for_each(&self, take: &mut dyn FnMut(K, V)) -> Result<(), KernelError> {
        let mut is_readable = true;
        self.map.for_each(|key, value| {
            match key.strip_prefix(self.before).and_then(K::decode).zip(V::decode(value)) {
                Some((key, value)) => take(key, value),
                None => is_readable = false,
            }
        })?;
        if is_readable { Ok(()) } else { Err(self.map.unreadable()) }
    }

    fn all(&self) -> Result<BTreeMap<K, V>, KernelError> {
        // Sorted at once: to find each its place takes twice as long, and leaves half of the places empty.
        let mut all = Vec::new();
        self.for_each(&mut |key, value| all.push((key, value)))?;
        Ok(all.into_iter().collect())
    }

    fn get(&self, key: &K) -> Result<Option<V>, KernelError> {
        let value = self.map.get(&self.keys(std::iter::once(key)))?;
        value.map(|value| V::decode(&value).ok_or_else(|| self.map.unreadable())).transpose()
    }

    fn set(&self, entries: &[(K, V)]) -> Result<(), KernelError> {
        if entries.is_empty() {
            return Ok(());
        }
        let written = in_batches(entries, |entries| {
            let mut values = Vec::new();
            entries.iter().for_each(|(_, value)| value.encode(&mut values));
            self.map.put_many(&self.keys(entries.iter().map(|(key, _)| key)), &values)
        });
        self.changed().and(written)
    }

    fn remove(&self, keys: &[K]) -> Result<(), KernelError> {
        if keys.is_empty() {
            return Ok(());
        }
        let removed = in_batches(keys, |keys| self.map.delete_many(&self.keys(keys.iter())));
        self.changed().and(removed)
    }
}
