//! Tags that move while a Pod is on its way: what was verified is what is admitted, whoever looked when.

use stockade_engine::{Decision, Engine, Verb};

use super::door::{asked, decided, engine, pod};
use super::*;

/// A registry, a policy about it, and two replicas of which neither knows what the other remembers.
struct Scene {
    shelf: Shelf,
    key: Key,
    registry: FakeRegistry,
    engine: Engine,
    replicas: [Images; 2],
}

impl Scene {
    async fn new(digest: Value) -> Self {
        let (shelf, key) = (Shelf::default(), Key::new());
        let registry = shelf.registry().await;
        let host = registry.host();
        let engine = engine(&json!({"images": [format!("{host}/**")], "digest": digest,
            "authorities": [{"name": "release", "key": {"data": key.pem()}}],
            "registries": [{"host": host, "plainHTTP": true, "allowPrivateAddresses": true}]}));
        Self { shelf, key, registry, engine, replicas: [images(), images()] }
    }

    /// The tag `1` means another image from now on.
    fn push(&self, user: &str, is_signed: bool) -> Digest {
        let image = self.shelf.image("1", user);
        if is_signed {
            self.shelf.sign(&self.key, &image);
        }
        image
    }

    fn pod(&self, image: &str) -> Value {
        pod(&format!("{}/app{image}", self.registry.host()))
    }

    /// What the mutating webhook makes of a Pod's image at one replica.
    async fn pinned(&self, replica: usize, pod: &Value) -> String {
        let decision = asked(&self.engine, &self.replicas[replica], Verb::Mutate, pod, None).await;
        let image = decision.patch.iter().find(|op| op["path"] == "/spec/containers/0/image");
        let image = image.and_then(|op| op["value"].as_str()).unwrap_or("as it was");
        image.replace(&format!("{}/app", self.registry.host()), "")
    }

    /// What the validating webhook says at one replica.
    async fn validated(&self, replica: usize, pod: &Value, old: Option<&Value>) -> String {
        self.said(asked(&self.engine, &self.replicas[replica], Verb::Validate, pod, old).await)
    }

    fn said(&self, decision: Decision) -> String {
        let Some(status) = decision.status else { return "admitted".to_owned() };
        status.message.replace(&self.registry.host(), "HOST")
    }
}

#[tokio::test]
async fn two_replicas_that_saw_different_digests_agree_on_the_one_that_was_pinned() {
    let scene = Scene::new(json!({})).await;
    let tagged = scene.pod(":1");
    let first = scene.push("first", true);
    assert_eq!(scene.pinned(0, &tagged).await, format!(":1@{first}"));
    let second = scene.push("second", true);
    assert_eq!(scene.pinned(1, &tagged).await, format!(":1@{second}"));
    // Each goes on with what it saw, and each admits what the other pinned, as that.
    assert_eq!(scene.pinned(0, &tagged).await, format!(":1@{first}"));
    for replica in [0, 1] {
        for digest in [&first, &second] {
            let pod = scene.pod(&format!(":1@{digest}"));
            assert_eq!(scene.validated(replica, &pod, None).await, "admitted");
            assert_eq!(scene.pinned(replica, &pod).await, "as it was");
        }
    }
}

#[tokio::test]
async fn a_tag_that_moves_between_the_two_webhooks_moves_nothing_that_is_on_its_way() {
    let scene = Scene::new(json!({})).await;
    let first = scene.push("first", true);
    let pinned = scene.pinned(0, &scene.pod(":1")).await;
    let second = scene.push("second", false);
    for replica in [0, 1] {
        assert_eq!(scene.validated(replica, &scene.pod(&pinned), None).await, "admitted");
    }
    // Whoever looks now sees what nobody signed; whoever looked before pins what was signed.
    let refused = format!(
        "ImagePolicy 'signed' denied request: image HOST/app:1@{second} is not signed by release: no signature was found"
    );
    let decision = decided(&scene.engine, &scene.replicas[1], &scene.pod(":1"), None).await;
    assert_eq!(scene.said(decision), refused);
    assert_eq!(scene.validated(0, &scene.pod(&format!(":1@{second}")), None).await, refused);
    assert_eq!(scene.pinned(0, &scene.pod(":1")).await, format!(":1@{first}"));
}

#[tokio::test]
async fn what_was_not_pinned_is_not_admitted_by_its_tag_however_well_it_is_signed() {
    let scene = Scene::new(json!({})).await;
    let image = scene.push("first", true);
    let not_pinned = format!(
        "ImagePolicy 'signed' denied request: image HOST/app:1 is verified as {image}, but was not pinned to it before: try \
         again, or write HOST/app:1@{image}"
    );
    assert_eq!(scene.validated(0, &scene.pod(":1"), None).await, not_pinned);
    let required = Scene::new(json!({"mutate": false, "required": true})).await;
    required.push("first", true);
    let no_digest = "ImagePolicy 'signed' denied request: image HOST/app:1 has no digest: a tag may mean another image \
                     tomorrow; write HOST/app:1@sha256:…";
    assert_eq!(required.validated(0, &required.pod(":1"), None).await, no_digest);
}

#[tokio::test]
async fn an_update_keeps_what_was_admitted_and_brings_nothing_in_by_a_tag_that_moved() {
    let scene = Scene::new(json!({})).await;
    let first = scene.push("first", true);
    let runs = scene.pod(&format!(":1@{first}"));
    let second = scene.push("second", false);
    // The same image in the same place is not looked at, wherever the tag leads.
    assert_eq!(scene.validated(0, &runs, Some(&runs)).await, "admitted");
    assert_eq!(scene.registry.seen(), []);
    let refused = format!(
        "ImagePolicy 'signed' denied request: image HOST/app:1@{second} is not signed by release: no signature was found"
    );
    for replica in &scene.replicas {
        let decision = decided(&scene.engine, replica, &scene.pod(":1"), Some(&runs)).await;
        assert_eq!(scene.said(decision), refused);
    }
    assert_eq!(scene.validated(0, &scene.pod(&format!(":1@{second}")), Some(&runs)).await, refused);
}
