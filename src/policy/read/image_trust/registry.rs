//! `registries` of an ImagePolicy.
//!
//! ```yaml
//! registries:
//! - host: registry.example.com:5000
//!   mirrors: [mirror.example.com]      # hosts with copies, tried first, in order
//!   caBundle: |                        # PEM, trusted beside the public authorities
//!     -----BEGIN CERTIFICATE-----
//!   plainHTTP: false                   # without TLS
//!   allowPrivateAddresses: false       # may be at a private, loopback or link-local address
//! ```

use std::sync::Arc;

use super::super::{Field, Reader};
use super::pem;
use crate::images::MAX_REGISTRIES;
use crate::images::reference::registry_name;
use crate::images::registry::{MAX_MIRRORS, RegistrySettings};
use crate::source::Reference;

/// Longest host with its port: a DNS name and five digits.
const MAX_HOST_BYTES: usize = 259;

/// Reads the settings, each host once.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(Arc<RegistrySettings>, Reference)> {
    let mut list: Vec<(Arc<RegistrySettings>, Reference)> = Vec::new();
    for item in reader.bounded_list(field, MAX_REGISTRIES) {
        let Some(mut members) = reader.members(&item) else { continue };
        let host_field = members.require(reader, "host", "");
        let host = host_field.as_ref().and_then(|f| read_host(reader, f));
        let mirrors = members.get("mirrors").map(|f| read_mirrors(reader, &f)).unwrap_or_default();
        let ca_field = members.get("caBundle");
        let ca_bundle = ca_field.as_ref().and_then(|f| pem::certificates(reader, f));
        let plain_field = members.get("plainHTTP");
        let plain_http = plain_field.as_ref().and_then(|f| reader.boolean(f)).unwrap_or(false);
        if let (true, Some(f)) = (plain_http, &ca_field) {
            reader.forbidden(f, "not beside plainHTTP, which uses no certificates");
        }
        let private = members.get("allowPrivateAddresses").and_then(|f| reader.boolean(&f)).unwrap_or(false);
        members.finish(reader);
        let (Some(field), Some(host)) = (host_field, host) else { continue };
        if list.iter().any(|(known, _)| known.host == host) {
            reader.duplicate(&field);
        }
        let reference = field.reference(&host);
        let settings = RegistrySettings { host, mirrors, ca_bundle, plain_http, allow_private_addresses: private };
        list.push((Arc::new(settings), reference));
    }
    list
}

fn read_mirrors(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<Arc<str>> {
    let mut mirrors = Vec::new();
    for item in reader.bounded_list(field, MAX_MIRRORS) {
        let Some(host) = read_host(reader, &item) else { continue };
        if mirrors.contains(&host) {
            reader.duplicate(&item);
        }
        mirrors.push(host);
    }
    mirrors
}

fn read_host(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
    let text = reader.bounded_string(field, MAX_HOST_BYTES)?;
    match registry_name(text) {
        Ok(name) => Some(name.into()),
        Err(_) => {
            reader.invalid(field, "must be a host, with or without a port, as image references have it");
            None
        }
    }
}
