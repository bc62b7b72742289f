//! Types of what the library `images` answers.

use super::fields::{Fields, Shape};
use crate::image_library::{ATTESTATION, CONFIG, PLATFORM, SIGNER};

/// The fields of a type.
pub(super) fn fields(structure: &str) -> Option<Fields> {
    use Shape::{Any, Struct, Text, TextMap, Texts, Time};
    Some(match structure {
        CONFIG => &[("user", Text), ("labels", TextMap), ("entrypoint", Texts), ("cmd", Texts)],
        PLATFORM => {
            &[("os", Text), ("architecture", Text), ("variant", Text), ("created", Text), ("config", Struct(CONFIG))]
        }
        SIGNER => {
            &[("format", Text), ("issuer", Text), ("subject", Text), ("claims", TextMap), ("key", Text), ("time", Time)]
        }
        ATTESTATION => &[("predicateType", Text), ("predicate", Any), ("statement", Any), ("signer", Struct(SIGNER))],
        _ => return None,
    })
}
