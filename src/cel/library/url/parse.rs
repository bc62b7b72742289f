//! Takes a URL apart and puts it together.

use std::borrow::Cow;

use super::escape::{FRAGMENT, HOST, PATH, USER, ZONE, escape, is_valid, unescape_bytes};
use crate::library::ip;
use crate::library::support::Quoted;

/// A URL taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::library) struct Parts<'t> {
    /// Lower case.
    pub(super) scheme: String,
    /// With port, escapes resolved.
    pub(super) host: String,
    pub(super) escaped_path: Cow<'t, str>,
    pub(super) query: &'t str,
    /// The whole, written anew.
    pub(super) text: String,
}

/// Reads a URL with its fragment.
///
/// # Errors
/// In the words of Go's `url.Parse`.
pub(super) fn parse(text: &str) -> Result<Parts<'_>, String> {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut parts = read(url, false).map_err(|why| format!("parse {}: {why}", Quoted(url)))?;
    if !fragment.is_empty() {
        let bytes = unescape_bytes(fragment, FRAGMENT).map_err(|why| format!("parse {}: {why}", Quoted(text)))?;
        parts.text.push('#');
        parts.text.push_str(&reescaped(fragment, &bytes, FRAGMENT));
    }
    Ok(parts)
}

/// Reads an absolute URL or an absolute path; `#` has no meaning in it.
///
/// # Errors
/// In the words of Go's `url.ParseRequestURI`.
pub(in crate::library) fn parse_request_uri(text: &str) -> Result<Parts<'_>, String> {
    read(text, true).map_err(|why| format!("parse {}: {why}", Quoted(text)))
}

/// As written if that is a valid way to write it, else as Go would write it.
fn reescaped<'t>(written: &'t str, bytes: &[u8], part: super::escape::Part) -> Cow<'t, str> {
    if is_valid(written, part) { Cow::Borrowed(written) } else { Cow::Owned(escape(bytes, part)) }
}

fn fault<T>(why: &str) -> Result<T, String> {
    Err(why.to_owned())
}

fn read(text: &str, request: bool) -> Result<Parts<'_>, String> {
    if text.bytes().any(|b| b.is_ascii_control()) {
        return fault("net/url: invalid control character in URL");
    }
    if text.is_empty() && request {
        return fault("empty url");
    }
    let star = Cow::Borrowed("*");
    if text == "*" {
        return Ok(Parts {
            scheme: String::new(),
            host: String::new(),
            escaped_path: star,
            query: "",
            text: "*".to_owned(),
        });
    }
    let (scheme, rest) = split_scheme(text)?;
    let scheme = scheme.to_lowercase();
    let (mut rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let mut out = if scheme.is_empty() { String::new() } else { format!("{scheme}:") };
    let mut host = String::new();
    let mut escaped_path = Cow::Borrowed("");
    if !rest.starts_with('/') && !scheme.is_empty() {
        // What has no slash behind the scheme is not taken apart.
        out.push_str(rest);
    } else {
        if !rest.starts_with('/') {
            if request {
                return fault("invalid URI for request");
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return fault("first path segment in URL cannot contain colon");
            }
        }
        let mut user = None;
        let authority = rest.strip_prefix("//");
        let with_authority = !scheme.is_empty() || (!request && !rest.starts_with("///"));
        if let (Some(authority), true) = (authority, with_authority) {
            let end = authority.find('/').unwrap_or(authority.len());
            rest = &authority[end..];
            (user, host) = read_authority(&scheme, &authority[..end])?;
            if !host.is_empty() || user.is_some() || (!scheme.is_empty() && !rest.is_empty()) {
                out.push_str("//");
            }
        }
        let path = unescape_bytes(rest, PATH)?;
        escaped_path = reescaped(rest, &path, PATH);
        if let Some(user) = user {
            out.push_str(&user);
            out.push('@');
        }
        out.push_str(&escape_host(&host));
        out.push_str(&escaped_path);
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
        // `?` alone is kept only when it is the only one, which it is here; an empty query otherwise reads as none.
    }
    Ok(Parts { scheme, host, escaped_path, query: query.unwrap_or(""), text: out })
}

fn escape_host(host: &str) -> String {
    escape(host.as_bytes(), HOST)
}

/// `https:` and what follows; an empty scheme when there is none.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')));
    match end {
        Some(0) if text.starts_with(':') => fault("missing protocol scheme"),
        Some(end) if text[end..].starts_with(':') && text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((&text[..end], &text[end + 1..]))
        }
        _ => Ok(("", text)),
    }
}

/// User information written anew, and the host.
fn read_authority(scheme: &str, authority: &str) -> Result<(Option<String>, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Ok((None, read_host(scheme, authority)?));
    };
    let host = read_host(scheme, host)?;
    if !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b)) {
        return fault("net/url: invalid userinfo");
    }
    let rewrite = |text| unescape_bytes(text, USER).map(|bytes| escape(&bytes, USER));
    let user = match user.split_once(':') {
        None => rewrite(user)?,
        Some((name, password)) => format!("{}:{}", rewrite(name)?, rewrite(password)?),
    };
    Ok((Some(user), host))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_host(scheme: &str, host: &str) -> Result<String, String> {
    match host.rfind('[') {
        Some(0) => return read_ip_literal(host),
        Some(_) => return fault("invalid IP-literal"),
        None => {}
    }
    if let (Some(first), Some(last)) = (host.find(':'), host.rfind(':')) {
        // Some databases list several hosts with ports; Go is strict for the web only.
        let colon = if scheme == "http" || scheme == "https" { first } else { last };
        check_port(&host[colon..])?;
    }
    Ok(lossy(&unescape_bytes(host, HOST)?))
}

/// `[fe80::1%25en0]:80`
fn read_ip_literal(host: &str) -> Result<String, String> {
    let Some(end) = host.rfind(']') else { return fault("missing ']' in host") };
    let port = &host[end + 1..];
    check_port(port)?;
    let name = &host[1..end];
    let mut bytes;
    match name.find("%25") {
        Some(zone) => {
            bytes = unescape_bytes(&name[..zone], HOST)?.into_owned();
            bytes.extend_from_slice(&unescape_bytes(&name[zone..], ZONE)?);
        }
        None => bytes = unescape_bytes(name, HOST)?.into_owned(),
    }
    let name = lossy(&bytes);
    match ip::parse(&name) {
        Err(why) => Err(format!("invalid host: {why}")),
        Ok(address) if address.ip.is_ipv4() => fault("invalid IP-literal"),
        Ok(_) => Ok(format!("[{name}]{port}")),
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

fn check_port(text: &str) -> Result<(), String> {
    if is_port(text) { Ok(()) } else { Err(format!("invalid port {} after host", Quoted(text))) }
}

/// Host without brackets, and port.
pub(super) fn split_host_port(host: &str) -> (&str, &str) {
    let (name, port) = match host.rfind(':') {
        Some(colon) if is_port(&host[colon..]) => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    (name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name), port)
}
