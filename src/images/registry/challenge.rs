//! `WWW-Authenticate` (RFC 9110, section 11.6.1), as far as registries use it.

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// With a token from elsewhere (Docker registry token authentication).
    Bearer {
        /// URL that gives tokens.
        realm: String,
        /// Audience; empty for none.
        service: String,
    },
    /// With name and password.
    Basic,
}

/// Longest header that is read.
const MAX_BYTES: usize = 4 << 10;

// === impl Challenge ===

impl Challenge {
    /// The best challenge of all header values: a token is liked better than a password, which goes to the realm once
    /// instead of to the registry with each request. None when there is none that is understood.
    pub(crate) fn choose<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Self> {
        let mut basic = None;
        for challenge in headers.filter(|h| h.len() <= MAX_BYTES).flat_map(parse) {
            match challenge {
                Self::Bearer { .. } => return Some(challenge),
                Self::Basic => basic = Some(challenge),
            }
        }
        basic
    }
}

/// The challenges of one header value that are understood.
fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start();
    while let Some((scheme, after)) = token(rest) {
        let (params, after) = parameters(after.trim_start());
        let of = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if scheme.eq_ignore_ascii_case("bearer") {
            found.extend(
                of("realm").map(|realm| Challenge::Bearer { realm, service: of("service").unwrap_or_default() }),
            );
        } else if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        }
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    found
}

/// `name=value` pairs up to the next scheme, and what follows.
fn parameters(mut rest: &str) -> (Vec<(&str, String)>, &str) {
    let mut found = Vec::new();
    while let Some((name, after)) = token(rest.trim_start_matches([',', ' ', '\t'])) {
        // A token that no `=` follows is the next scheme.
        let Some(after) = after.trim_start().strip_prefix('=') else { break };
        let Some((value, after)) = value(after.trim_start()) else { return (found, "") };
        found.push((name, value));
        rest = after;
    }
    (found, rest)
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or a quoted string.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else { return token(text).map(|(v, rest)| (v.to_owned(), rest)) };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_however_they_are_written() {
        let bearer =
            |realm: &str, service: &str| Some(Challenge::Bearer { realm: realm.into(), service: service.into() });
        let table: &[(&[&str], Option<Challenge>)] = &[
            (
                &[r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull""#],
                bearer("https://auth.example.com/token", "registry"),
            ),
            (&[r#"bearer   realm = "https://a/t" , SERVICE=x"#], bearer("https://a/t", "x")),
            (&[r#"Basic realm="a, b", Bearer realm="https://a/\"t\"""#], bearer(r#"https://a/"t""#, "")),
            (&["Basic", r#"Bearer realm="https://a/t""#], bearer("https://a/t", "")),
            (&["Negotiate, Basic realm=x"], Some(Challenge::Basic)),
            (&["Basic"], Some(Challenge::Basic)),
            (&["Bearer service=x"], None),
            (&[r#"Bearer realm="https://a"#], None),
            (&[",,,", "=", ""], None),
        ];
        for (headers, wanted) in table {
            assert_eq!(Challenge::choose(headers.iter().copied()), *wanted, "{headers:?}");
        }
    }
}
