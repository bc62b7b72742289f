//! What the control plane and the node agents tell each other: kinds of `stockade.dev/v1alpha1`.
//!
//! An [`identity_slice::IdentitySlice`] says who has which address, so that no agent watches all Pods; a
//! [`node_enforcement::NodeEnforcement`] says what the kernel of one node really enforces.

pub mod identity_slice;
pub mod node_enforcement;
