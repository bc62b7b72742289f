//! Reading a whole hash map, many entries a system call.
//!
//! libbpf-rs reads on only while batches are full, but the kernel ends one early where the next bucket would not fit: of a
//! map of 100,000 entries it gave a fifth.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr;

use libbpf_rs::{MapCore as _, MapHandle};

/// Entries in one system call. A bucket must fit, and in a map that is full one has a handful.
pub(super) const BATCH: u32 = 4_096;

/// Where the next batch of a hash map begins; the kernel's own (`__htab_map_lookup_and_delete_batch`).
type Position = u32;

/// Gives each key with its value, in no order. What is written meanwhile is given or not.
///
/// # Errors
/// The kernel's: `ENOSPC` where a bucket does not fit, `EINVAL` or `ENOTSUPP` of maps of another kind.
pub(super) fn for_each(map: &MapHandle, mut take: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let (key_size, value_size) = (map.key_size() as usize, map.value_size() as usize);
    let mut keys = vec![0_u8; key_size * BATCH as usize];
    let mut values = vec![0_u8; value_size * BATCH as usize];
    let mut from: Option<Position> = None;
    loop {
        let (mut next, mut count): (Position, u32) = (0, BATCH);
        let ended = match lookup(map, from.as_mut(), &mut next, (&mut keys, &mut values), &mut count) {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let entries = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size));
        entries.take(count as usize).for_each(|(key, value)| take(key, value));
        if ended {
            return Ok(());
        }
        from = Some(next);
    }
}

/// One batch: `count` is how many there is room for, then how many there are.
#[expect(unsafe_code, reason = "the library's own ends early")]
fn lookup(
    map: &MapHandle,
    from: Option<&mut Position>,
    next: &mut Position,
    (keys, values): (&mut [u8], &mut [u8]),
    count: &mut u32,
) -> io::Result<()> {
    let from = from.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: positions are as large as the kernel's, keys and values have room for `count` of the map's sizes, and all
    // live until the call returns. No options are given, which is allowed.
    let returned = unsafe {
        libbpf_sys::bpf_map_lookup_batch(
            map.as_fd().as_raw_fd(),
            from.cast(),
            ptr::from_mut(next).cast(),
            keys.as_mut_ptr().cast(),
            values.as_mut_ptr().cast(),
            count,
            ptr::null(),
        )
    };
    // The error's number, negative.
    if returned == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-returned)) }
}
