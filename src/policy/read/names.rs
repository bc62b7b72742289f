//! Forms of names, in the words of k8s.io/apimachinery `validation`. Each function lists what is wrong; empty is good.

use stockade_cel::ast::RESERVED_WORDS;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
                          must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used \
                          for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                          alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
                          regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Words of the CEL grammar that no variable may have, beside those that are merely reserved.
const CEL_LITERALS: [&str; 4] = ["true", "false", "null", "in"];

/// Names of objects are limited in "characters", parts of labels in "bytes": upstream words one limit in two ways.
fn too_long(limit: usize, unit: &str) -> String {
    format!("must be no more than {limit} {unit}")
}

/// `example.com`, up to 253 bytes.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    subdomain(name, "characters")
}

fn subdomain(name: &str, unit: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 253 {
        faults.push(too_long(253, unit));
    }
    if !name.split('.').all(is_lower_label) {
        faults.push(SUBDOMAIN.to_owned());
    }
    faults
}

fn is_lower_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = label.bytes().next().is_some_and(inner) && label.bytes().last().is_some_and(inner);
    ends && label.bytes().all(|b| inner(b) || b == b'-')
}

/// `my-name`, up to 63 bytes: the name of a Namespace.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 63 {
        faults.push(too_long(63, "bytes"));
    }
    if !is_lower_label(name) {
        faults.push(LABEL_1123.to_owned());
    }
    faults
}

/// `my-name`, up to 63 bytes, starting with a letter.
pub(crate) fn dns1035_label(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 63 {
        faults.push(too_long(63, "characters"));
    }
    if !is_lower_label(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push(LABEL_1035.to_owned());
    }
    faults
}

/// `example.com/MyName`, as label keys, annotation keys and condition names are.
pub(crate) fn qualified_name(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut parts = name.split('/');
    let (first, second) = (parts.next().unwrap_or(""), parts.next());
    if parts.next().is_some() {
        let form = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
        return vec![format!("a valid label key {QUALIFIED} {form}")];
    }
    let local = match second {
        Some(local) => {
            if first.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(subdomain(first, "bytes").into_iter().map(|m| format!("prefix part {m}")));
            }
            local
        }
        None => first,
    };
    if local.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if local.len() > 63 {
        faults.push(format!("name part {}", too_long(63, "bytes")));
    }
    if !is_label_text(local) {
        faults.push(format!("name part {QUALIFIED}"));
    }
    faults
}

/// A label's value: up to 63 bytes, may be empty.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push(too_long(63, "bytes"));
    }
    if !value.is_empty() && !is_label_text(value) {
        faults.push(LABEL_VALUE.to_owned());
    }
    faults
}

fn is_label_text(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A name that can stand in a URL path.
pub(crate) fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// `IDENT` of the CEL grammar.
pub(crate) fn is_cel_identifier(name: &str) -> bool {
    let start = |c: char| c == '_' || c.is_ascii_alphabetic();
    let word = CEL_LITERALS.contains(&name) || RESERVED_WORDS.contains(&name);
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit()) && !word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_have_no_faults() {
        let none: Vec<String> = Vec::new();
        assert_eq!(dns_subdomain("a.b-c.1"), none);
        assert_eq!(dns1035_label("v1beta1"), none);
        assert_eq!(dns1123_label("1-shop"), none);
        assert_eq!(qualified_name("example.com/My_Name.1"), none);
        assert_eq!([label_value(""), label_value("a_B.c")], [none.clone(), none.clone()]);
        assert_eq!(path_segment("a:b"), none);
        assert!(is_cel_identifier("_a1"));
    }

    #[test]
    fn bad_names_say_what_they_must_be() {
        for bad in ["", "A", "-a", "a..b", "a-", "a_b", "ü"] {
            assert_eq!(dns_subdomain(bad), [SUBDOMAIN], "{bad}");
        }
        assert_eq!(dns_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
        assert_eq!(dns1035_label("1a"), [LABEL_1035]);
        assert_eq!(dns1123_label("a.b"), [LABEL_1123]);
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert_eq!(path_segment("a/%"), ["may not contain '/'", "may not contain '%'"]);
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert!(["1a", "namespace", "a-b", "", "in"].iter().all(|n| !is_cel_identifier(n)));
    }
}
