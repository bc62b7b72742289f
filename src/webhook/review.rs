//! AdmissionReview v1 (`k8s.io/api/admission/v1`): JSON to a borrowed request, and an answer to JSON.

mod judge;
mod request;
mod response;

use std::cell::Cell;

use bumpalo::Bump;

pub use judge::{Judged, answer, judge};
pub(crate) use request::bounded;
pub use request::{decode, peek_uid, record};
pub use response::{AdmissionResponse, Status, Verdict, truncate_warnings};

/// An arena that grew beyond this is given back after its request, so that one large object does not stay resident
/// on every worker.
const MAX_KEPT_ARENA_BYTES: usize = 1 << 20;

thread_local! {
    static ARENA: Cell<Option<Bump>> = const { Cell::new(None) };
}

/// Calls `f` with an empty arena that is reused by the next request on this thread. Nothing is allocated once it has
/// grown to the usual size. After a panic in `f` the arena is dropped.
pub fn with_arena<R>(f: impl FnOnce(&Bump) -> R) -> R {
    let mut arena = ARENA.take().unwrap_or_default();
    let result = f(&arena);
    if arena.allocated_bytes() <= MAX_KEPT_ARENA_BYTES {
        arena.reset();
        ARENA.set(Some(arena));
    }
    result
}
