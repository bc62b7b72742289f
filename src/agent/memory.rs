//! Memory that is given back: what lists of the API server took while they were read is not needed any more, and would
//! stay the process's.

/// Heaps of the C library. Each thread would have its own, of which all that was once needed stays.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 1;

/// Has all threads share one heap. Before any other is started.
#[expect(unsafe_code, reason = "no crate wraps it")]
pub fn share_heaps() {
    // SAFETY: an option that is set, with a value that is allowed.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Gives back whole pages that are free: some ms.
#[expect(unsafe_code, reason = "no crate wraps it")]
pub fn give_back() {
    // SAFETY: it touches nothing that is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
