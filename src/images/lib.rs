//! Whether an image is trusted: what a registry holds of it, who signed that, and what was attested.

pub mod verify;
