//! Keys and certificates in PEM (RFC 7468). What holds a private key is never shown.

use std::sync::Arc;

use stockade_cel::source::Span;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::super::{Field, Reader};
use crate::images::registry::MAX_PEM_BYTES;

/// Most certificates of one bundle.
const MAX_CERTIFICATES: usize = 64;
/// Longest public key in PEM: RSA with 16,384 bits has some three thousand.
pub(super) const MAX_KEY_BYTES: usize = 8 << 10;

/// One public key.
pub(super) fn public_key(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
    let (text, blocks) = blocks(reader, field, MAX_KEY_BYTES)?;
    let fault = match blocks.as_slice() {
        [one] if one.label == "PUBLIC KEY" => match SubjectPublicKeyInfo::from_der(&one.contents) {
            Ok(([], _)) => return Some(text.into()),
            _ => "holds no public key that can be read",
        },
        [one] if one.label == "CERTIFICATE" => "is a certificate: `certificates` takes those",
        [_] => "must be a PEM block `PUBLIC KEY`",
        [] => "must be a public key in PEM: `-----BEGIN PUBLIC KEY-----` …",
        _ => "must be one PEM block: write an authority for each key",
    };
    reader.report(field, format!("Invalid value: {fault}"));
    None
}

/// One certificate or more.
pub(super) fn certificates(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
    let (text, blocks) = blocks(reader, field, MAX_PEM_BYTES)?;
    if blocks.is_empty() {
        reader.report(field, "Invalid value: must be certificates in PEM: `-----BEGIN CERTIFICATE-----` …");
        return None;
    }
    if blocks.len() > MAX_CERTIFICATES {
        let message = format!("Too many: {}: must have at most {MAX_CERTIFICATES} certificates", blocks.len());
        reader.report(field, message);
        return None;
    }
    for (number, block) in blocks.iter().enumerate() {
        let sound = block.label == "CERTIFICATE" && block.parse_x509().is_ok();
        if !sound {
            reader.report(field, format!("Invalid value: block {} is no certificate that can be read", number + 1));
            return None;
        }
    }
    Some(text.into())
}

/// The blocks of a text within a bound; a broken one is reported.
fn blocks<'n>(reader: &mut Reader<'_>, field: &Field<'n>, most: usize) -> Option<(&'n str, Vec<Pem>)> {
    let text = reader.string(field)?;
    if text.contains("PRIVATE KEY-----") {
        // Neither the value nor its lines: diagnostics end up in logs.
        let span = Span::new(field.node.span.start, field.node.span.start);
        let message = "Invalid value: this is a private key: whoever can read this policy can sign with it now";
        reader.report_hidden(span, &field.path, message);
        return None;
    }
    reader.bounded_string(field, most).filter(|t| !t.trim().is_empty() && t.len() <= most)?;
    let blocks: Result<Vec<_>, _> = Pem::iter_from_buffer(text.as_bytes()).take(MAX_CERTIFICATES + 1).collect();
    match blocks {
        Ok(blocks) => Some((text, blocks)),
        Err(fault) => {
            reader.report(field, format!("Invalid value: is no PEM: {fault}"));
            None
        }
    }
}
