//! Rules for names and labels with the API server's words for what breaks them.

use std::borrow::Cow;

/// A rule for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Dns1123Label,
    Dns1123Subdomain,
    Dns1035Label,
}

const LABEL_PATTERN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const KEY_PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

const KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character";

fn too_long(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

/// Upstream's older validators count bytes too but say otherwise.
fn too_long_a_name(most: usize) -> String {
    format!("must be no more than {most} characters")
}

/// `what` with examples and the pattern.
fn mismatch(what: &str, pattern: &str, examples: &str) -> String {
    format!("{what} (e.g. {examples}, regex used for validation is '{pattern}')")
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &[u8]) -> bool {
    let ends =
        matches!((text.first(), text.last()), (Some(&a), Some(&b)) if is_lower_or_digit(a) && is_lower_or_digit(b));
    ends && text.iter().all(|&b| is_lower_or_digit(b) || b == b'-')
}

fn is_subdomain(text: &[u8]) -> bool {
    text.split(|&b| b == b'.').all(is_label)
}

impl Rule {
    /// Longest name.
    fn most(self) -> usize {
        if self == Rule::Dns1123Subdomain { 253 } else { 63 }
    }

    /// What is wrong with a name.
    pub(super) fn faults(self, name: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        if name.len() > self.most() {
            faults.push(too_long_a_name(self.most()));
        }
        match self {
            Rule::Dns1123Label if is_label(name) => {}
            Rule::Dns1123Label if is_subdomain(name) => faults.push("must not contain dots".to_owned()),
            Rule::Dns1123Label => faults.push(mismatch(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
                LABEL_PATTERN,
                "'my-name',  or '123-abc'",
            )),
            Rule::Dns1123Subdomain if is_subdomain(name) => {}
            Rule::Dns1123Subdomain => faults.push(mismatch(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                 must start and end with an alphanumeric character",
                &format!("{LABEL_PATTERN}(\\.{LABEL_PATTERN})*"),
                "'example.com'",
            )),
            Rule::Dns1035Label if is_label(name) && name[0].is_ascii_lowercase() => {}
            Rule::Dns1035Label => faults.push(mismatch(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character",
                "[a-z]([-a-z0-9]*[a-z0-9])?",
                "'my-name',  or 'abc-123'",
            )),
        }
        faults
    }
}

/// A prefix may end with a hyphen, because something follows: upstream replaces its last two bytes by a letter.
pub(super) fn without_trailing_dash(name: &[u8]) -> Cow<'_, [u8]> {
    match name {
        [start @ .., _, b'-'] => Cow::Owned([start, b"a"].concat()),
        _ => Cow::Borrowed(name),
    }
}

/// The name of a label, without prefix.
fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = matches!((bytes.first(), bytes.last()), (Some(a), Some(b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric());
    ends && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

const KEY_EXAMPLES: &str = "'MyName',  or 'my.name',  or '123-abc'";

/// What is wrong with a label's key: an optional domain, a slash and a name.
pub(super) fn label_key(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let rule = Rule::Dns1123Subdomain;
                let named = too_long_a_name(rule.most());
                for wrong in rule.faults(prefix.as_bytes()) {
                    let wrong = if wrong == named { too_long(rule.most()) } else { wrong };
                    faults.push(format!("prefix part {wrong}"));
                }
            }
            name
        }
        _ => {
            let what = mismatch(KEY, KEY_PATTERN, KEY_EXAMPLES);
            return vec![format!(
                "a valid label key {what} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", too_long(63)));
    }
    if !is_key(name) {
        faults.push(format!("name part {}", mismatch(KEY, KEY_PATTERN, KEY_EXAMPLES)));
    }
    faults
}

/// What is wrong with a label's value.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push(too_long(63));
    }
    if !value.is_empty() && !is_key(value) {
        faults.push(mismatch(
            &format!("a valid label must be an empty string or {}", KEY.trim_start_matches("must ")),
            &format!("({KEY_PATTERN})?"),
            "'MyValue',  or 'my_value',  or '12345'",
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_dots_is_told_so() {
        assert_eq!(Rule::Dns1123Label.faults(b"a.b"), ["must not contain dots"]);
        assert_eq!(Rule::Dns1123Label.faults(b"a-b"), Vec::<String>::new());
    }

    #[test]
    fn a_long_name_has_two_faults_when_it_is_wrong_too() {
        let name = format!("{}_", "a".repeat(63));
        let expected = [
            "must be no more than 63 characters",
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ];
        assert_eq!(Rule::Dns1035Label.faults(name.as_bytes()), expected);
    }

    #[test]
    fn a_prefix_may_end_with_a_hyphen() {
        assert_eq!(*without_trailing_dash(b"abc-"), *b"aba");
        assert_eq!(*without_trailing_dash(b"a-"), *b"a");
        assert_eq!(*without_trailing_dash(b"-"), *b"-");
    }

    #[test]
    fn both_parts_of_a_key_are_checked() {
        assert_eq!(label_key("example.com/name"), Vec::<String>::new());
        assert_eq!(
            label_key("/"),
            [
                "prefix part must be non-empty".to_owned(),
                "name part must be non-empty".to_owned(),
                format!("name part {}", mismatch(KEY, KEY_PATTERN, KEY_EXAMPLES)),
            ]
        );
    }
}
