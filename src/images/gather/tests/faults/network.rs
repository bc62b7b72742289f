//! Registries that cannot be asked, and who must not be.

use super::*;

const ROWS: &[Row] = &[
    ("nothing", |_| {}, "verified"),
    (
        "it hangs",
        |s| s.tag(Reply::ok("").fault(Fault::Hang)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: no answer within 2500 ms",
    ),
    (
        "it hangs in the middle of an answer",
        |s| s.tag(Reply::ok("{\"config\": 1}").fault(Fault::HangInBody)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: no answer within 2500 ms",
    ),
    (
        "it ends the connection",
        |s| s.tag(Reply::ok("").fault(Fault::Reset)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: no answer: connection \
         closed before message completed",
    ),
    (
        "half an answer",
        |s| s.tag(Reply::ok("{\"config\": 1}").fault(Fault::Cut)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: the answer was cut off: \
         end of file before message length reached",
    ),
    (
        "429 with Retry-After",
        |s| s.tag(Reply::status(429).header("retry-after", "60")),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: answered 429, too many \
         requests; credentials or a mirror raise the limit",
    ),
    (
        "503 with Retry-After",
        |s| s.tag(Reply::status(503).header("retry-after", "60")),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: answered 503",
    ),
    (
        "500, and again",
        |s| s.tag(Reply::status(500)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/v2/app/manifests/1: answered 500",
    ),
    (
        "a redirect to where clouds keep secrets",
        |s| s.tag(Reply::status(307).header("location", "http://169.254.169.254/latest/?token=x")),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://169.254.169.254/latest/: \
         169.254.169.254 is where clouds keep their machines' secrets: nothing is asked there",
    ),
    (
        "redirects without an end",
        |s| s.tag(Reply::status(307).header("location", "/v2/app/manifests/1")),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: more than 5 \
         redirects",
    ),
    (
        "it is on loopback, which nobody allowed",
        |s| s.registry["allowPrivateAddresses"] = false.into(),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: 127.0.0.1 is a \
         loopback address: nothing is asked there; set allowPrivateAddresses for this registry in the policy if it is meant",
    ),
    (
        "it wants a password",
        |s| s.tag(Reply::status(401).header("www-authenticate", "Basic realm=x")),
        "unauthorized: image HOST/app:1 cannot be looked up: GET http://HOST/v2/app/manifests/1: answered 401 and no \
         credentials were found; add a pull secret to the Pod or to its service account",
    ),
    (
        "it forbids",
        |s| s.tag(Reply::status(403)),
        "unauthorized: image HOST/app:1 cannot be looked up: GET http://HOST/v2/app/manifests/1: answered 403 and no \
         credentials were found; add a pull secret to the Pod or to its service account",
    ),
    (
        "its token service hangs",
        |s| s.first = |seen| token(seen, Reply::ok("").fault(Fault::Hang)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/token: no answer within 2500 ms",
    ),
    (
        "its token service is not there",
        |s| s.first = |seen| token(seen, Reply::status(404)),
        "unavailable: image HOST/app:1 cannot be looked up now: GET http://HOST/token: answered 404",
    ),
    (
        "its token service is a page for people",
        |s| s.first = |seen| token(seen, Reply::ok("<html>").header("content-type", "text/html")),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/token: the answer is no token: not \
         JSON of a token",
    ),
];

const TLS: &[Row] = &[
    ("TLS of an authority that is trusted", |s| s.behind_tls("127.0.0.1", 4000, true), "verified"),
    (
        "TLS of an unknown authority",
        |s| s.behind_tls("127.0.0.1", 4000, false),
        "unavailable: image HOST/app:1 cannot be looked up now: GET https://HOST/v2/app/manifests/1: no trusted TLS \
         connection: an unknown authority signed its certificate; set caBundle for this registry in the policy if that \
         authority is to be trusted",
    ),
    (
        "TLS with a certificate that has expired",
        |s| s.behind_tls("127.0.0.1", 2020, true),
        "unavailable: image HOST/app:1 cannot be looked up now: GET https://HOST/v2/app/manifests/1: no trusted TLS \
         connection: its certificate was valid until TIME",
    ),
    (
        "TLS with a certificate for another host",
        |s| s.behind_tls("other.example", 4000, true),
        "unavailable: image HOST/app:1 cannot be looked up now: GET https://HOST/v2/app/manifests/1: no trusted TLS \
         connection: its certificate is not for 127.0.0.1",
    ),
];

/// A registry that wants a token, which this answer to the question for one does not bring.
fn token(seen: &Seen, answer: Reply) -> Option<Reply> {
    if seen.target.starts_with("/token") {
        return Some(answer);
    }
    let challenge = format!("Bearer realm=\"http://{}/token\",service=x", seen.headers["host"]);
    Some(Reply::status(401).header("www-authenticate", challenge))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_does_not_say_is_unavailable_and_where_it_must_not_lead_is_invalid() {
    assert_rows(ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_whose_certificate_is_not_good_is_unavailable() {
    assert_rows(TLS).await;
}
