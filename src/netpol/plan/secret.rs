//! What ids depend on besides contents, so that nobody can look for two contents with one id.
//!
//! An id has 64 bits. By chance two of 20,000 identities share one in one cluster of 10^11; but who may name labels, ports
//! and rules and can compute their ids finds two that share one after 2^32 attempts, which are minutes. Who does not
//! know the secret can compute none.

use std::sync::OnceLock;

/// One for the process: it plans for one kernel.
static SECRET: OnceLock<Option<[u8; 32]>> = OnceLock::new();

/// There are ids already that do not depend on this secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ids were made before their secret was known")]
pub struct TooLate;

/// Has all ids of this process depend on a secret, which is that of the kernel whose tables they name: 32 random bytes, as
/// old as the tables. Without one ids are the same everywhere, which does where they leave no process.
///
/// # Errors
/// There are ids that do not depend on it.
pub fn keep_secret(secret: [u8; 32]) -> Result<(), TooLate> {
    match SECRET.get_or_init(|| Some(secret)) {
        Some(kept) if *kept == secret => Ok(()),
        _ => Err(TooLate),
    }
}

/// The secret; none from now on if none is known.
pub(super) fn secret() -> Option<&'static [u8; 32]> {
    SECRET.get_or_init(|| None).as_ref()
}
