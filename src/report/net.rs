//! The reports of `stockade net`.

pub mod connectivity;
mod picture;

pub use picture::{dot, svg};
