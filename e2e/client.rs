//! What a Kubernetes client sees: status, body and warnings of each request.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;
use ureq::http::request::Builder;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::documents::text;

/// Longest wait for an answer: an API server takes a minute for a request at most, and some time to say so.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Requests of [`Client::make_all`] under way at once: more than that only wait for each other in a small API server.
const AT_ONCE: usize = 8;

/// Requests to one API server as one user. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
    /// More headers of every request: names and values.
    headers: Vec<(String, String)>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// The object, or a `Status`.
    pub body: Value,
    /// Texts of the `Warning` headers, in order.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// `message` of a `Status`; empty for an object.
    pub fn message(&self) -> &str {
        if self.ok() { "" } else { text(&self.body, "/message") }
    }

    /// `reason` of a `Status`; empty for an object.
    pub fn reason(&self) -> &str {
        if self.ok() { "" } else { text(&self.body, "/reason") }
    }

    /// The body.
    ///
    /// # Panics
    /// When the request failed.
    #[track_caller]
    pub fn expect_ok(self) -> Value {
        assert!(self.ok(), "{} {}", self.code, self.body);
        self.body
    }
}

impl Client {
    /// A client for `base` (`https://127.0.0.1:1234`) that trusts only `ca` and shows `token`.
    pub fn new(base: &str, ca_pem: &str, token: &str) -> Client {
        let certificate = Certificate::from_pem(ca_pem.as_bytes()).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![certificate])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .max_idle_connections_per_host(64)
            .proxy(None)
            .build();
        Client { agent: config.into(), base: base.to_owned(), token: token.to_owned(), headers: Vec::new() }
    }

    /// The same server as another user.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Client {
        Client { token: token.to_owned(), ..self.clone() }
    }

    /// The same with more headers.
    #[must_use]
    pub fn with_headers(&self, headers: Vec<(String, String)>) -> Client {
        Client { headers, ..self.clone() }
    }

    /// One request. `body` is sent as JSON, a patch as `application/merge-patch+json` or what `media` says.
    pub fn request(&self, method: &str, path: &str, media: &str, body: Option<&Value>) -> Answer {
        let (code, warnings, text) = match self.exchange(method, path, media, body) {
            Ok(answered) => answered,
            Err(error) => return Answer::unreachable(&error.to_string()),
        };
        // Only an unknown path is answered in plain text.
        let body = serde_json::from_str(&text).unwrap_or_else(|_| serde_json::json!({ "message": text.trim() }));
        Answer { code, body, warnings }
    }

    /// Status, warnings and text.
    fn exchange(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<String>, String), ureq::Error> {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let request = self.asking(method, path).header("Content-Type", media);
        let mut response = self.agent.run(request.body(bytes).unwrap())?;
        let warnings = response
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|header| warning_text(&String::from_utf8_lossy(header.as_bytes())))
            .collect();
        let code = response.status().as_u16();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap_or_default();
        Ok((code, warnings, text))
    }

    /// Who asks for what.
    fn asking(&self, method: &str, path: &str) -> Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Accept", "application/json");
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Asks for something that goes on, and hands over how many bytes come until it ends.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn count(&self, path: &str, mut came: impl FnMut(usize)) {
        let request = self.agent.configure_request(self.asking("GET", path).body(()).unwrap());
        let mut response = self.agent.run(request.timeout_global(None).build()).unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let (mut body, mut buffer) = (response.body_mut().as_reader(), vec![0; 64 << 10]);
        while let Some(bytes) = body.read(&mut buffer).ok().filter(|bytes| *bytes > 0) {
            came(bytes);
        }
    }

    /// What a watch of a collection tells since a resourceVersion until it ends after a second: its events, in order.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn events_since(&self, collection: &str, version: &str) -> Vec<Value> {
        let path = format!("{collection}?watch=true&timeoutSeconds=1&resourceVersion={version}");
        let (_, _, text) = self.exchange("GET", &path, "application/json", None).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// GET
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "application/json", None)
    }

    /// POST of an object.
    pub fn post(&self, path: &str, object: &Value) -> Answer {
        self.request("POST", path, "application/json", Some(object))
    }

    /// Makes many objects, a few at once: each number below `count` becomes the path of a collection and an object.
    ///
    /// # Panics
    /// When one is not made.
    pub fn make_all(&self, count: usize, object: impl Fn(usize) -> (String, Value) + Sync) {
        self.do_all(count, |number| {
            let (path, object) = object(number);
            self.post(&path, &object).expect_ok();
        });
    }

    /// Does something for each number below `count`, as [`Client::make_all`] does.
    ///
    /// # Panics
    /// When that does.
    pub fn do_all(&self, count: usize, act: impl Fn(usize) + Sync) {
        let next = AtomicUsize::new(0);
        let act = || {
            while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&number| number < count) {
                act(number);
            }
        };
        std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(act))));
    }

    /// PUT of an object.
    pub fn put(&self, path: &str, object: &Value) -> Answer {
        self.request("PUT", path, "application/json", Some(object))
    }

    /// PATCH by JSON merge.
    pub fn merge(&self, path: &str, patch: &Value) -> Answer {
        self.request("PATCH", path, "application/merge-patch+json", Some(patch))
    }

    /// DELETE
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, "application/json", None)
    }
}

impl Answer {
    /// No HTTP answer at all: code 0 and the transport's message.
    fn unreachable(message: &str) -> Answer {
        Answer { code: 0, body: serde_json::json!({ "message": message }), warnings: Vec::new() }
    }
}

/// The quoted text of `299 - "text"`, unescaped.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.split_once('"')?.1;
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            '"' => return Some(text),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::warning_text;

    #[test]
    fn a_warning_header_is_read_with_its_escapes() {
        assert_eq!(warning_text(r#"299 - "say \"no\" \\ here""#), Some(r#"say "no" \ here"#.to_owned()));
        assert_eq!(warning_text("299 - none"), None);
    }
}
