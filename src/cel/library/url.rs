//! URLs (`kubernetes.URL`), read as Go's `net/url` reads them.

mod escape;
mod parse;

use bumpalo::collections::Vec as ArenaVec;

pub(super) use parse::parse_request_uri;
use parse::{Parts, parse};

use super::support::{Answer, fail, native, reserve, traverse_once};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::{Entry, Object, Value};

/// Most parameters of a query that Go reads (`urlmaxqueryparams`); of a query with more it reads none.
const MAX_PARAMETERS: usize = 10_000;

/// A URL.
#[derive(Debug, Clone, Copy)]
pub struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    escaped_path: &'a str,
    query: &'a str,
    /// Written anew; two URLs are equal when these are.
    text: &'a str,
}

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("url", &[("string_to_url", "(string) -> kubernetes.URL")], url, traverse_once),
        native("isURL", &[("is_url_string", "(string) -> bool")], is_url, constant_cost),
        native(
            "getScheme",
            &[("url_get_scheme", "kubernetes.URL.() -> string")],
            |_, args| Ok(Value::String(receiver(args)?.scheme)),
            constant_cost,
        ),
        native(
            "getHost",
            &[("url_get_host", "kubernetes.URL.() -> string")],
            |_, args| Ok(Value::String(receiver(args)?.host)),
            constant_cost,
        ),
        native(
            "getHostname",
            &[("url_get_hostname", "kubernetes.URL.() -> string")],
            |_, args| Ok(Value::String(parse::split_host_port(receiver(args)?.host).0)),
            constant_cost,
        ),
        native(
            "getPort",
            &[("url_get_port", "kubernetes.URL.() -> string")],
            |_, args| Ok(Value::String(parse::split_host_port(receiver(args)?.host).1)),
            constant_cost,
        ),
        native(
            "getEscapedPath",
            &[("url_get_escaped_path", "kubernetes.URL.() -> string")],
            |_, args| Ok(Value::String(receiver(args)?.escaped_path)),
            constant_cost,
        ),
        native(
            "getQuery",
            &[("url_get_query", "kubernetes.URL.() -> map(string, list(string))")],
            query,
            constant_cost,
        ),
    ]
}

impl Url<'_> {
    /// The URL written anew.
    pub(crate) fn text(&self) -> &str {
        self.text
    }
}

fn receiver<'a>(args: &[Value<'a>]) -> Result<&'a Url<'a>, ErrorKind<'a>> {
    match *args {
        [Value::Opaque(Opaque::Url(url))] => Ok(url),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn url<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    // The first reading wants an absolute URL, the second one knows fragments.
    let parsed = parse_request_uri(text).and_then(|_| parse(text));
    let Parts { scheme, host, escaped_path, query, text } =
        parsed.map_err(|why| fail(scope, format_args!("URL parse error during conversion from string: {why}")))?;
    let store = |text: &str| &*scope.arena.alloc_str(text);
    Ok(Value::Opaque(scope.arena.alloc(Opaque::Url(Url {
        scheme: store(&scheme),
        host: store(&host),
        escaped_path: store(&escaped_path),
        query: store(query),
        text: store(&text),
    }))))
}

fn is_url<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Bool(parse_request_uri(text).is_ok()))
}

/// Parameters by name; those that are written wrongly are left out.
fn query<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let query = receiver(args)?.query;
    let mut pairs = ArenaVec::new_in(scope.arena);
    if query.matches('&').count() < MAX_PARAMETERS {
        reserve(query.len().saturating_mul(8))?;
        for part in query.split('&').filter(|part| !part.is_empty() && !part.contains(';')) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (Ok(name), Ok(value)) = (escape::unescape(name, escape::QUERY), escape::unescape(value, escape::QUERY))
            else {
                continue;
            };
            pairs.push((&*scope.arena.alloc_str(&name), &*scope.arena.alloc_str(&value)));
        }
    }
    // Equal names together, their values in the order of the query.
    pairs.sort_by_key(|(name, _)| *name);
    let mut entries = ArenaVec::new_in(scope.arena);
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let values = scope.arena.alloc_slice_fill_iter(group.iter().map(|(_, value)| Value::String(value)));
        let key = group[0].0;
        entries.push(Entry { symbol: scope.symbols.lookup(key), key, value: Value::List(values) });
    }
    let object = Object::new(entries.into_bump_slice(), scope.arena)
        .map_err(|key| fail(scope, format_args!("key {key:?} occurs twice in a query")))?;
    Ok(Value::Object(scope.arena.alloc(object)))
}

#[cfg(test)]
mod tests;
