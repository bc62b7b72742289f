//! Whether an image is trusted: what a registry holds of it, who signed that, and what was attested.

pub mod credentials;
mod expiring;
#[cfg(test)]
mod fake;
pub mod gather;
mod in_hand;
pub mod registry;
mod shares;
pub mod verify;

pub use gather::Images;
pub use in_hand::InHand;
pub use shares::{Places, Shares};
