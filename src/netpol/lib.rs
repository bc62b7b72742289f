//! What network policies say: who may reach whom, and which rule decides. Pure: no I/O, no clock, no cluster.
//!
//! Data flow: manifests → [`read::Manifests`] (policies and a [`state::State`] of Pods, namespaces and nodes) →
//! [`compile::Compiled`] (selectors → identities → ports) → [`verdict`], [`connectivity`], [`explain`],
//! [`lint`], [`needs`], and [`plan`] for the kernels of nodes.
//!
//! Sources: NetworkPolicy `networking.k8s.io/v1` as the API reference of Kubernetes 1.36 has it, and
//! ClusterNetworkPolicy `policy.networking.k8s.io/v1alpha2` of the Network Policy API. What both leave open is chosen
//! where it is decided, and said there.

pub mod addresses;
pub mod compile;
pub mod connectivity;
pub mod explain;
pub mod flows;
mod identities;
pub mod lint;
pub mod needs;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod read;
mod remedy;
pub mod state;
pub mod verdict;
