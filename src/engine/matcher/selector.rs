//! Faults of label selectors. The API server refuses them when a policy is written; a file has nobody to refuse it.

use stockade_policy::selector::{LabelSelector, Operator};

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The first fault, in the words of the API server's label validation.
pub(crate) fn fault(selector: &LabelSelector) -> Option<String> {
    selector.requirements.iter().find_map(|r| {
        if let Some(why) = key_fault(&r.key) {
            return Some(format!("key: Invalid value: {:?}: {why}", r.key));
        }
        let needs_values = matches!(r.operator, Operator::In | Operator::NotIn);
        if needs_values && r.values.is_empty() {
            return Some(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".to_owned(),
            );
        }
        if !needs_values && !r.values.is_empty() {
            return Some("values: Invalid value: values set must be empty for exists and does not exist".to_owned());
        }
        r.values.iter().enumerate().find_map(|(i, value)| {
            let why = value_fault(value)?;
            Some(format!("values[{i}][{}]: Invalid value: {value:?}: {why}", r.key))
        })
    })
}

fn key_fault(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(str::is_empty) {
        return Some("prefix part must be non-empty");
    }
    if name.is_empty() {
        return Some("name part must be non-empty");
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes");
    }
    if prefix.is_some_and(|p| p.len() > 253) {
        return Some("prefix part must be no more than 253 bytes");
    }
    if prefix.is_some_and(|p| !is_subdomain(p)) {
        return Some(
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        );
    }
    (!is_name(name)).then_some(NAME_RULE)
}

fn value_fault(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some("must be no more than 63 bytes");
    }
    (!value.is_empty() && !is_name(value)).then_some(VALUE_RULE)
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let ok = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(ok) && bytes.last().is_some_and(ok) && bytes.iter().all(|b| ok(b) || *b == b'-')
    })
}
