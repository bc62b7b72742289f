//! Registries that answer, and what no sound one does.

use super::*;

const MANIFESTS: &[Row] = &[
    (
        "there is no such image",
        |s| s.reference = ":none".into(),
        "not_found: image HOST/app:none does not exist: GET http://HOST/v2/app/manifests/none: not found",
    ),
    (
        "a huge manifest",
        |s| s.tag(Reply::ok(vec![b' '; MAX_MANIFEST_BYTES + 1])),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: the answer is \
         larger than 4194304 bytes, which is the most that is read of it",
    ),
    (
        "a manifest that never ends",
        |s| s.tag(Reply::ok("").fault(Fault::Endless(2 * MAX_MANIFEST_BYTES))),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: the answer is \
         larger than 4194304 bytes, which is the most that is read of it",
    ),
    (
        "a manifest that is a zip bomb",
        |s| s.tag(Reply::ok([0x1f, 0x8b, 8, 0]).header("content-encoding", "gzip")),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: the answer is \
         compressed, and was asked for as it is",
    ),
    (
        "a layer that is a zip bomb",
        |s| {
            let bomb = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 10_u64 << 40,
                "digest": digest("bomb").as_str()});
            s.image = s.shelf.manifest("1", &json!({"config": s.shelf.blob("{}"), "layers": [bomb]}));
            s.shelf.sign(&s.key, &s.image);
        },
        "verified",
    ),
    (
        "a manifest of another digest than its header says",
        |s| s.tag(Reply::ok("{}").header("docker-content-digest", digest("x").to_string())),
        "invalid: image HOST/app:1 is not what its registry says it is: GET http://HOST/v2/app/manifests/1: the header \
         Docker-Content-Digest is not the digest of the content",
    ),
    (
        "another manifest under the digest of this one",
        |s| {
            s.reference = format!("@{}", s.image);
            s.shelf.put(format!("/manifests/{}", s.image), Reply::ok("{}"));
        },
        "invalid: image HOST/app@sha256:HEX is not what its registry says it is: GET \
         http://HOST/v2/app/manifests/sha256:HEX: the content is not sha256:HEX but \
         sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a; what lies there was replaced, or damaged \
         on its way",
    ),
    (
        "a page for people",
        |s| s.image = put(s, "<html>"),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/manifests/sha256:HEX: the answer is no manifest: it is not JSON",
    ),
    (
        "a manifest of Docker's first schema",
        |s| s.image = put(s, r#"{"schemaVersion": 1, "fsLayers": []}"#),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/manifests/sha256:HEX: the answer is no manifest: it is not exactly one of manifest and index",
    ),
    (
        "a manifest that says it is an index",
        |s| {
            let index = "application/vnd.oci.image.index.v1+json";
            s.image = s.shelf.manifest("1", &json!({"mediaType": index, "config": s.shelf.blob("{}"), "layers": []}));
        },
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/manifests/sha256:HEX: the answer is no manifest: it says that it is of the type \
         \"application/vnd.oci.image.index.v1+json\", and is not",
    ),
    (
        "a digest by an unknown algorithm",
        |s| {
            let config = json!({"mediaType": "c", "size": 2, "digest": "md5:d41d8cd98f00b204e9800998ecf8427e"});
            s.image = s.shelf.manifest("1", &json!({"config": config, "layers": []}));
        },
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/manifests/sha256:HEX: the answer is no manifest: \
         \"md5:d41d8cd98f00b204e9800998ecf8427e\" is no digest",
    ),
    (
        "an image that is named by an unknown algorithm",
        |s| s.reference = "@md5:d41d8cd98f00b204e9800998ecf8427e".into(),
        "error: \"HOST/app@md5:d41d8cd98f00b204e9800998ecf8427e\" is no image reference",
    ),
];

const INDEXES: &[Row] = &[
    ("an index of which each platform is signed", |s| s.image = s.shelf.index("1", &[("amd64", &s.image)]), "verified"),
    (
        "an index with a platform that nobody signed",
        |s| {
            let other = s.shelf.image("other", "other");
            s.image = s.shelf.index("1", &[("amd64", &s.image), ("arm64", &other)]);
        },
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: 1 of its 2 platforms are not signed",
    ),
    (
        "an index without a platform",
        |s| s.image = s.shelf.index("1", &[("unknown", &s.image)]),
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: no signature was found",
    ),
    (
        "an index without the platform that is wanted",
        |s| {
            s.image = s.shelf.index("1", &[("amd64", &s.image)]);
            wants_a_platform(s, "arm64");
        },
        "does_not_hold: attestation built of image HOST/app:1@sha256:HEX: it is not for arm64",
    ),
    (
        "an index with it",
        |s| {
            s.image = s.shelf.index("1", &[("amd64", &s.image)]);
            wants_a_platform(s, "amd64");
        },
        "verified",
    ),
    (
        "an index in an index in an index",
        |s| {
            let inner = s.shelf.index("inner", &[("amd64", &s.image)]);
            let middle = s.shelf.index("middle", &[("amd64", &inner)]);
            s.image = s.shelf.index("1", &[("amd64", &middle)]);
        },
        "not_signed: image HOST/app:1@sha256:HEX is not signed by release: no signature was found",
    ),
    (
        "the same, where its platforms are asked for",
        |s| {
            let inner = s.shelf.index("inner", &[("amd64", &s.image)]);
            s.image = s.shelf.index("1", &[("amd64", &inner)]);
            s.shelf.sign(&s.key, &s.image);
            wants_a_platform(s, "amd64");
        },
        "invalid: attestation built of image HOST/app:1@sha256:HEX: the configuration of the image cannot be read: HOST/app: \
         the answer is no configuration of an image: it is an index in an index",
    ),
];

/// Which platforms there are is told by configurations.
const CONFIGURATIONS: &[Row] = &[
    (
        "a configuration that cannot be had now",
        |s| {
            wants_a_platform(s, "amd64");
            let manifest = s.shelf.0.lock().unwrap()["/manifests/1"].body.clone();
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            let config = manifest["config"]["digest"].as_str().unwrap();
            s.shelf.put(format!("/blobs/{config}"), Reply::status(503).header("retry-after", "60"));
        },
        "unavailable: attestation built of image HOST/app:1@sha256:HEX: the configuration of the image cannot be read now: \
         GET http://HOST/v2/app/blobs/sha256:9d0d0f83ae094c9bd49e2397866f2446f6e7795ef2415b3831b697b4566158d5: \
         answered 503",
    ),
    (
        "a configuration that is a bomb of text",
        |s| {
            let bomb = descriptor("c", vec![b' '; 2 << 20]);
            s.image = s.shelf.manifest("1", &json!({"config": bomb, "layers": []}));
            s.shelf.sign(&s.key, &s.image);
            wants_a_platform(s, "amd64");
        },
        "invalid: attestation built of image HOST/app:1@sha256:HEX: the configuration of the image cannot be read: GET \
         http://HOST/v2/app/blobs/sha256:77425418f716d4eb9761d512c835f387fc660f924588e08b360746fb9dd677f0: the answer is \
         larger than 1048576 bytes, which is the most that is read of it",
    ),
];

const LISTS: &[Row] = &[
    ("no referrers API: 404", |s| s.referrers(Reply::status(404)), "verified"),
    ("no referrers API: 400", |s| s.referrers(Reply::status(400)), "verified"),
    ("no referrers API: 406", |s| s.referrers(Reply::status(406)), "verified"),
    (
        "no referrers API: a page for people",
        |s| s.referrers(Reply::ok("<html>").header("content-type", "text/html; charset=utf-8")),
        "verified",
    ),
    (
        "a referrers API that fails",
        |s| s.referrers(Reply::status(500)),
        "unavailable: the signatures of image HOST/app:1@sha256:HEX cannot be verified now: release: GET \
         http://HOST/v2/app/referrers/sha256:HEX: answered 500",
    ),
    (
        "a referrers API that says nonsense",
        |s| s.referrers(Reply::ok("{\"manifests\": 1}")),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/referrers/sha256:HEX: the answer is no index: invalid type: integer `1`, expected a sequence at \
         line 1 column 15",
    ),
    (
        "a list that never ends",
        |s| {
            s.first = |seen| {
                let (path, page) = seen.target.split_once('?').unwrap_or((&seen.target, "0"));
                let next = format!("<{path}?{}>; rel=next", page.parse::<u32>().ok()? + 1);
                path.contains("/referrers/").then(|| Reply::ok(r#"{"manifests": []}"#).header("link", next))
            };
        },
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/referrers/sha256:HEX: a list does not end after 8 pages, or goes on at another host",
    ),
    (
        "a list that goes on where it must not",
        |s| {
            let link = "<http://169.254.169.254/>; rel=next";
            s.referrers(Reply::ok(r#"{"manifests": []}"#).header("link", link));
        },
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/referrers/sha256:HEX: a list does not end after 8 pages, or goes on at another host",
    ),
    (
        "a list of very many",
        |s| {
            let all: Vec<Value> = (0..=MAX_REFERRERS).map(|i| descriptor("m", i.to_string())).collect();
            s.referrers(Reply::ok(json!({"manifests": all}).to_string()));
        },
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET \
         http://HOST/v2/app/referrers/sha256:HEX: more than 128 referrers",
    ),
    (
        "a list that names what is not there",
        |s| s.referrers(Reply::ok(json!({"manifests": [descriptor("m", "nowhere")]}).to_string())),
        "invalid: image HOST/app:1@sha256:HEX has an invalid signature: release: GET http://HOST/v2/app/manifests/\
         sha256:20aeff0494e828d188c704e1f488a589b15ae01d11f6cb129f62129caa6cc543: not found, though the registry names it",
    ),
];

/// Under the tag, whatever it is.
fn put(scene: &Scene, content: &'static str) -> Digest {
    let digest = digest(content);
    scene.tag(Reply::ok(content));
    scene.shelf.put(format!("/manifests/{digest}"), Reply::ok(content));
    digest
}

/// A policy that asks by expression for a platform, and an attestation beside which it may ask.
fn wants_a_platform(scene: &mut Scene, architecture: &str) {
    scene.shelf.attest(&scene.key, &scene.image, "https://slsa.dev/provenance/v1");
    let expression = format!("image.platforms.exists(p, p.architecture == '{architecture}')");
    let message = format!("it is not for {architecture}");
    scene.attestations = Some(json!([{"name": "built", "predicateType": "https://slsa.dev/provenance/v1",
        "validations": [{"expression": expression, "message": message}]}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sound_manifest_is_invalid() {
    assert_rows(MANIFESTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_what_its_platforms_are_and_no_deeper() {
    assert_rows(INDEXES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_not_known_is_told_as_that() {
    assert_rows(CONFIGURATIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_referrers_has_signatures_by_tag_and_one_whose_list_is_not_sound_is_invalid() {
    assert_rows(LISTS).await;
}
