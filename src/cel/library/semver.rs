//! Semantic versions (`kubernetes.Semver`), as blang/semver 4 reads and orders them.

use std::cmp::Ordering;
use std::fmt;

use super::support::{Answer, Quoted, fail, native, traverse_once};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// A version.
#[derive(Debug, Clone, Copy)]
pub struct Semver<'a> {
    major: u64,
    minor: u64,
    patch: u64,
    /// What follows the hyphen, dots included; every part has been checked.
    prerelease: &'a str,
    /// What follows the plus sign.
    build: &'a str,
}

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native(
            "semver",
            &[
                ("string_to_semver", "(string) -> kubernetes.Semver"),
                ("string_bool_to_semver", "(string, bool) -> kubernetes.Semver"),
            ],
            semver,
            traverse_once,
        ),
        native(
            "isSemver",
            &[("is_semver_string", "(string) -> bool"), ("is_semver_string_bool", "(string, bool) -> bool")],
            is_semver,
            traverse_once,
        ),
        native(
            "isGreaterThan",
            &[("semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver) -> bool")],
            |_, args| Ok(Value::Bool(ordering(args)? == Ordering::Greater)),
            constant_cost,
        ),
        native(
            "isLessThan",
            &[("semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver) -> bool")],
            |_, args| Ok(Value::Bool(ordering(args)? == Ordering::Less)),
            constant_cost,
        ),
        native(
            "compareTo",
            &[("semver_compare_to", "kubernetes.Semver.(kubernetes.Semver) -> int")],
            |_, args| Ok(Value::Int(ordering(args)? as i64)),
            constant_cost,
        ),
        native(
            "major",
            &[("semver_major", "kubernetes.Semver.() -> int")],
            |_, args| part(args, |v| v.major),
            constant_cost,
        ),
        native(
            "minor",
            &[("semver_minor", "kubernetes.Semver.() -> int")],
            |_, args| part(args, |v| v.minor),
            constant_cost,
        ),
        native(
            "patch",
            &[("semver_patch", "kubernetes.Semver.() -> int")],
            |_, args| part(args, |v| v.patch),
            constant_cost,
        ),
    ]
}

fn text_and_normalize<'a>(args: &[Value<'a>]) -> Result<(&'a str, bool), ErrorKind<'a>> {
    match *args {
        [Value::String(text)] => Ok((text, false)),
        [Value::String(text), Value::Bool(normalize)] => Ok((text, normalize)),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn semver<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, normalize) = text_and_normalize(args)?;
    let text = if normalize { normalized(text).map(|text| &*scope.arena.alloc_str(&text)) } else { Ok(text) };
    let parsed = text.and_then(Semver::parse);
    match parsed {
        Ok(version) => Ok(Value::Opaque(scope.arena.alloc(Opaque::Semver(version)))),
        Err(fault) => Err(fail(scope, format_args!("{fault}"))),
    }
}

fn is_semver<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (text, normalize) = text_and_normalize(args)?;
    let valid = if normalize {
        normalized(text).is_ok_and(|text| Semver::parse(&text).is_ok())
    } else {
        Semver::parse(text).is_ok()
    };
    Ok(Value::Bool(valid))
}

fn ordering<'a>(args: &[Value<'a>]) -> Result<Ordering, ErrorKind<'a>> {
    let [Value::Opaque(Opaque::Semver(a)), Value::Opaque(Opaque::Semver(b))] = args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    Ok(a.compare(b))
}

fn part<'a>(args: &[Value<'a>], part: fn(&Semver<'a>) -> u64) -> Answer<'a> {
    let [Value::Opaque(Opaque::Semver(version))] = args else { return Err(ErrorKind::NoSuchOverload) };
    // Upstream converts without a check.
    Ok(Value::Int(part(version) as i64))
}

/// Without `v` in front, with three numbers, none of them with zeros in front.
fn normalized(text: &str) -> Result<String, Fault<'_>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<&str> = text.splitn(3, '.').collect();
    if parts.len() < 3 && parts.last().is_some_and(|p| p.contains(['+', '-'])) {
        return Err(Fault::Short);
    }
    parts.resize(3, "0");
    let mut out = String::with_capacity(text.len() + 4);
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        let trimmed = if part.len() > 1 { part.trim_start_matches('0') } else { part };
        if part.len() > 1 && !trimmed.starts_with(|c: char| c.is_ascii_digit()) {
            // What does not start with a number is given one.
            out.push('0');
        }
        out.push_str(trimmed);
    }
    Ok(out)
}

/// Why a text is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault<'t> {
    Empty,
    TooFewParts,
    Short,
    /// A number (`major`, `minor`, `patch`) with other characters.
    Characters(&'static str, &'t str),
    /// A number (`Major`, `Minor`, `Patch`) with zeros in front.
    Zeros(&'static str, &'t str),
    /// A number that is none, or beyond 64 bits.
    Number(&'t str),
    PrereleaseEmpty,
    PrereleaseZeros(&'t str),
    PrereleaseCharacters(&'t str),
    BuildEmpty,
    BuildCharacters(&'t str),
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::Empty => f.write_str("Version string empty"),
            Fault::TooFewParts => f.write_str("No Major.Minor.Patch elements found"),
            Fault::Short => f.write_str("short version cannot contain PreRelease/Build meta data"),
            Fault::Characters(which, text) => {
                write!(f, "Invalid character(s) found in {which} number {}", Quoted(text))
            }
            Fault::Zeros(which, text) => {
                write!(f, "{which} number must not contain leading zeroes {}", Quoted(text))
            }
            Fault::Number(text) => {
                let why = if text.is_empty() { "invalid syntax" } else { "value out of range" };
                write!(f, "strconv.ParseUint: parsing {}: {why}", Quoted(text))
            }
            Fault::PrereleaseEmpty => f.write_str("Prerelease is empty"),
            Fault::PrereleaseZeros(text) => {
                write!(f, "Numeric PreRelease version must not contain leading zeroes {}", Quoted(text))
            }
            Fault::PrereleaseCharacters(text) => {
                write!(f, "Invalid character(s) found in prerelease {}", Quoted(text))
            }
            Fault::BuildEmpty => f.write_str("Build meta data is empty"),
            Fault::BuildCharacters(text) => {
                write!(f, "Invalid character(s) found in build meta data {}", Quoted(text))
            }
        }
    }
}

/// One of the three numbers.
fn number<'t>(text: &'t str, lower: &'static str, upper: &'static str) -> Result<u64, Fault<'t>> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Characters(lower, text));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(Fault::Zeros(upper, text));
    }
    text.parse().map_err(|_| Fault::Number(text))
}

fn only_identifier_characters(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// An identifier between the dots of a prerelease: numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'t> {
    Number(u64),
    Word(&'t str),
}

fn identifier(text: &str) -> Result<Identifier<'_>, Fault<'_>> {
    if text.is_empty() {
        return Err(Fault::PrereleaseEmpty);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(Fault::PrereleaseZeros(text));
        }
        return text.parse().map(Identifier::Number).map_err(|_| Fault::Number(text));
    }
    if only_identifier_characters(text) { Ok(Identifier::Word(text)) } else { Err(Fault::PrereleaseCharacters(text)) }
}

// === impl Semver ===

impl<'a> Semver<'a> {
    fn parse(text: &'a str) -> Result<Self, Fault<'a>> {
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Fault::TooFewParts);
        };
        let major = number(major, "major", "Major")?;
        let minor = number(minor, "minor", "Minor")?;
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (patch, prerelease) = match rest.split_once('-') {
            Some((patch, prerelease)) => (patch, Some(prerelease)),
            None => (rest, None),
        };
        let patch = number(patch, "patch", "Patch")?;
        for part in prerelease.iter().flat_map(|p| p.split('.')) {
            identifier(part)?;
        }
        for part in build.iter().flat_map(|b| b.split('.')) {
            if part.is_empty() {
                return Err(Fault::BuildEmpty);
            }
            if !only_identifier_characters(part) {
                return Err(Fault::BuildCharacters(part));
            }
        }
        Ok(Self { major, minor, patch, prerelease: prerelease.unwrap_or(""), build: build.unwrap_or("") })
    }

    /// Order of precedence; the build does not count.
    pub(crate) fn compare(&self, other: &Semver<'_>) -> Ordering {
        let numbers = (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch));
        numbers.then_with(|| match (self.prerelease, other.prerelease) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            // All identifiers have been read before.
            (a, b) => a.split('.').map(identifier).map(Result::ok).cmp(b.split('.').map(identifier).map(Result::ok)),
        })
    }
}

impl fmt::Display for Semver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Semver::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn versions_are_ordered_by_precedence() {
        let ordered = [
            "1.0.0-1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "2.0.0-x",
            "10.0.0",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                let (a, b) = (Semver::parse(a).unwrap(), Semver::parse(b).unwrap());
                assert_eq!(a.compare(&b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(Semver::parse("1.0.0+a").unwrap().compare(&Semver::parse("1.0.0+b").unwrap()), Ordering::Equal);
    }

    #[test]
    fn faults_are_named_as_upstream_names_them() {
        let rows = [
            ("", "Version string empty"),
            ("1.2", "No Major.Minor.Patch elements found"),
            ("v1.2.3", "Invalid character(s) found in major number \"v1\""),
            ("01.2.3", "Major number must not contain leading zeroes \"01\""),
            ("1..3", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("1.2.99999999999999999999", "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"),
            ("1.2.3-", "Prerelease is empty"),
            ("1.2.3-01", "Numeric PreRelease version must not contain leading zeroes \"01\""),
            ("1.2.3-a_b", "Invalid character(s) found in prerelease \"a_b\""),
            ("1.2.3+", "Build meta data is empty"),
            ("1.2.3+a+b", "Invalid character(s) found in build meta data \"a+b\""),
        ];
        for (text, expected) in rows {
            assert_eq!(fault(text), expected);
        }
    }

    #[test]
    fn normalizing_fills_up_and_strips_zeros() {
        let rows = [("v1", "1.0.0"), ("1.02", "1.2.0"), ("001.0.00", "1.0.0"), ("1.2.03-a", "1.2.3-a"), ("a", "a.0.0")];
        for (text, expected) in rows {
            assert_eq!(normalized(text), Ok(expected.to_owned()));
        }
        assert_eq!(normalized("1.2-a"), Err(Fault::Short));
    }
}
