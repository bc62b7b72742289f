//! Whether an image is trusted: what a registry holds of it, who signed that, and what was attested.

mod back_off;
pub mod credentials;
mod expiring;
#[cfg(test)]
mod fake;
pub mod gather;
mod in_hand;
pub mod registry;
mod shares;
pub mod verify;

pub use back_off::BackOff;
pub use gather::Images;
pub use in_hand::InHand;
pub use shares::{Places, Shares};
