//! What rules of both kinds are made of: selectors, blocks of addresses, ports.

use stockade_policy::read::{Field, Reader, labels};
use stockade_policy::selector::LabelSelector;

use crate::addresses::Cidr;
use crate::ports::Protocol;

const PROTOCOLS: [(&str, Protocol); 3] = [("SCTP", Protocol::Sctp), ("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];

/// A selector that is there; with faults, one that would mean less is no answer, so it is none.
pub(super) fn selector(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<LabelSelector> {
    let before = reader.diagnostics.len();
    let selector = labels::read_selector(reader, field)?;
    (reader.diagnostics.len() == before).then_some(selector)
}

pub(super) fn cidr(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Cidr> {
    match Cidr::parse(reader.string(field)?) {
        Ok(cidr) => Some(cidr),
        Err(fault) => {
            reader.invalid(field, &fault.to_string());
            None
        }
    }
}

pub(super) fn protocol(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Protocol> {
    reader.choice(field, &PROTOCOLS)
}

/// A port's number.
pub(super) fn port(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<u16> {
    let number = reader.integer(field, 1..=65_535)?;
    u16::try_from(number).ok()
}

/// `IsValidPortName`: up to 15 lower case letters, digits and dashes, with a letter.
pub(super) fn port_name(reader: &mut Reader<'_>, field: &Field<'_>, name: &str) {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = !name.is_empty()
        && name.len() <= 15
        && name.bytes().all(|b| alphanumeric(b) || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return;
    }
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        let help = format!("write the number without quotes: {name}");
        reader.report_with_help(field, format!("Invalid value: {name:?}: a port in quotes is a port's name"), help);
        return;
    }
    reader.invalid(
        field,
        "a port's name must be at most 15 lower case letters, digits and single dashes inside, with at least one letter",
    );
}
