//! Who signed, what was forged, and what the clock says.

use super::*;

const KEYS: &[Row] = &[
    (
        "nobody signed",
        |s| s.signature(Reply::status(404)),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: no signature was found",
    ),
    (
        "somebody else signed",
        |s| s.shelf.sign(&Key::new(), &s.image),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: 1 found, by another key, or changed after it was \
         signed",
    ),
    (
        "another image was signed",
        |s| s.shelf.sign_as(&s.key, &s.image, &digest("other")),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: its payload names another image",
    ),
    (
        "the tag was replaced after it was signed",
        |s| s.image = s.shelf.image("1", "another"),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: no signature was found",
    ),
    (
        "the signature is a page for people",
        |s| s.signature(Reply::ok("<html>")),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET http://HOST/v2/app/manifests/\
         sha256:b7d082ee12e91b756ea22e8513b8594eebcf5d39fab813da3cb55794dc888ad7: the answer is no manifest: it is not JSON",
    ),
    (
        "the signature cannot be had now",
        |s| s.signature(Reply::status(503).header("retry-after", "60")),
        "unavailable: the signatures of image HOST/app:1@sha256:HEX cannot be verified now: release: GET \
         http://HOST/v2/app/manifests/sha256-HEX.sig: answered 503",
    ),
    (
        "the key of the policy cannot be read now",
        |s| s.authorities[0]["key"] = json!({"secretRef": {"name": "keys", "key": "cosign.pub"}}),
        "unavailable: the signatures of image HOST/app:1@sha256:HEX cannot be verified now: release: Secret keys is not read: \
         there is no cluster",
    ),
];

const PEOPLE: &[Row] = &[
    ("the right one signed", |s| s.by_a_person(SIGNER, &SIGSTORE, None), "verified"),
    (
        "another one signed",
        |s| s.by_a_person("nobody@shop.example", &SIGSTORE, None),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by ci: 1 found, by nobody@shop.example (issuer \
         https://issuer.test.local)",
    ),
    (
        "somebody of another instance signed",
        |s| s.by_a_person(SIGNER, &Sigstore::new(jiff::Timestamp::now()), None),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by ci: 1 found, by release@shop.example (issuer \
         https://issuer.test.local), by a certificate of an unknown authority",
    ),
    (
        "the certificate had expired",
        |s| s.by_a_person(SIGNER, &SIGSTORE, Some(Forgery::Expired)),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: ci: it was signed at TIME, and its certificate was \
         valid from TIME to TIME; sign the image again",
    ),
    (
        "the log did not promise",
        |s| s.by_a_person(SIGNER, &SIGSTORE, Some(Forgery::Promise)),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: ci: the promise of its log entry is not the log's",
    ),
    (
        "the log's clock is ahead of this one",
        |s| s.by_a_person(SIGNER, &SIGSTORE, Some(Forgery::FutureEntry)),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: ci: its log entry is of TIME, which is in the future",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_did_not_sign_is_told_as_what_it_is() {
    assert_rows(KEYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_did_not_sign_is_told_as_what_it_is() {
    assert_rows(PEOPLE).await;
}
