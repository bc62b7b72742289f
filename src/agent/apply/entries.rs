//! Two versions of the same entries beside each other, each in the order of its keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::kernel::{Entries, KernelError};

/// Entries of a map.
pub(super) fn copied<K: Copy, V: Copy>(map: &BTreeMap<K, V>) -> impl Iterator<Item = (K, V)> {
    map.iter().map(|(key, value)| (*key, *value))
}

/// What is wanted and not there, or with another value.
pub(super) fn missing<K: Ord, V: PartialEq>(
    held: impl Iterator<Item = (K, V)>,
    wanted: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = (K, V)> {
    beside(held, wanted).filter(|(_, held, wanted)| held != wanted).filter_map(|(key, _, wanted)| Some((key, wanted?)))
}

/// What is there and not wanted.
pub(super) fn besides<K: Ord, V>(
    held: impl Iterator<Item = (K, V)>,
    wanted: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = (K, V)> {
    beside(held, wanted).filter(|(.., wanted)| wanted.is_none()).filter_map(|(key, held, _)| Some((key, held?)))
}

/// Both at once: what is missing, and keys of what is not wanted.
pub(super) fn changes<K: Ord, V: PartialEq>(
    held: impl Iterator<Item = (K, V)>,
    wanted: impl Iterator<Item = (K, V)>,
) -> (Vec<(K, V)>, Vec<K>) {
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    for (key, held, wanted) in beside(held, wanted) {
        match wanted {
            None => gone.push(key),
            Some(value) if held.as_ref() != Some(&value) => new.push((key, value)),
            Some(_) => {}
        }
    }
    (new, gone)
}

/// Keys whose values differ, or that only one has.
pub(super) fn differing<K: Ord, V: PartialEq>(
    a: impl Iterator<Item = (K, V)>,
    b: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = K> {
    beside(a, b).filter(|(_, a, b)| a != b).map(|(key, ..)| key)
}

/// All keys in their order, with the values of both: a walk costs less than looking each of them up.
fn beside<K: Ord, V>(
    a: impl Iterator<Item = (K, V)>,
    b: impl Iterator<Item = (K, V)>,
) -> impl Iterator<Item = (K, Option<V>, Option<V>)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next().map(|(key, a)| (key, Some(a), None)),
            Ordering::Greater => b.next().map(|(key, b)| (key, None, Some(b))),
            Ordering::Equal => a.next().zip(b.next()).map(|((key, a), (_, b))| (key, Some(a), Some(b))),
        }
    })
}

/// Writes what is not there.
pub(super) fn put<K: Ord + Copy, V: PartialEq + Copy>(
    entries: &dyn Entries<K, V>,
    held: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Result<(), KernelError> {
    let new: Vec<(K, V)> = missing(copied(held), copied(wanted)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let written = entries.set(&new);
    match written {
        Ok(()) => held.extend(new),
        // Some of them are written: which, the kernel tells.
        Err(_) => *held = entries.all()?,
    }
    written
}

/// Removes what is not wanted.
pub(super) fn keep_only<K: Ord + Copy, V: Copy>(
    entries: &dyn Entries<K, V>,
    held: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Result<(), KernelError> {
    let gone: Vec<K> = besides(copied(held), copied(wanted)).map(|(key, _)| key).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let removed = entries.remove(&gone);
    match removed {
        Ok(()) => held.retain(|key, _| wanted.contains_key(key)),
        Err(_) => *held = entries.all()?,
    }
    removed
}
