//! How a registry is spoken to.

use std::sync::Arc;

/// Most mirrors of one registry; they are tried in order, before the registry itself.
pub const MAX_MIRRORS: usize = 8;

/// Longest bundle of certificates, in bytes of PEM: about fifty.
pub const MAX_PEM_BYTES: usize = 128 << 10;

/// Settings of one host. All policies of a set say the same of it, or are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistrySettings {
    /// As [`super::ImageReference::registry`] has it.
    pub host: Arc<str>,
    /// Registries that hold copies, tried in order before the host; hosts in the same form.
    pub mirrors: Vec<Arc<str>>,
    /// Certificates in PEM that may have signed the registry's own, beside the public ones.
    pub ca_bundle: Option<Arc<str>>,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
    /// Whether addresses of private networks, loopback and link-local ones among them, may be connected to.
    pub allow_private_addresses: bool,
}
