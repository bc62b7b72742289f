//! What the control plane and the node agents tell each other: kinds of `stockade.dev/v1alpha1`.
//!
//! An [`identity_slice::IdentitySlice`] says who has which address, so that no agent watches all Pods; a
//! [`node_enforcement::NodeEnforcement`] says what the kernel of one node really enforces, a
//! [`flow_summary::FlowSummary`] who passes to whom there. Both sides read a [`pod`] alike.

#![expect(unreachable_pub, reason = "the derive of a schema copies each type into a function")]
#![expect(clippy::duplicated_attributes, reason = "each printer column has a type")]

pub mod flow_summary;
pub mod identity_slice;
pub mod node_enforcement;
pub mod pod;
