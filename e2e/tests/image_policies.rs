//! Images of a registry that wants a password, at the door of a real API server: who signed decides, and what users read
//! tells whether somebody did not, somebody else did, or nobody could be asked.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stockade_e2e::cluster::{Cluster, Kubectl};
use stockade_e2e::documents::text;
use stockade_e2e::images::{LATE, Repository, SIGNER, Signers, policy};
use stockade_e2e::recorder::Recorder;
use stockade_e2e::registry::Registry;
use stockade_e2e::webhook::{self, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};
use stockade_mint::Forgery;

/// Stockade's own namespace.
const OWN: &str = "stockade-system";
/// Where users are whose Pods may pull.
const SHOP: &str = "shop";

/// A cluster whose images come from one registry.
struct Scene {
    cluster: Cluster,
    /// None once it is away.
    registry: Option<Registry>,
    host: String,
    signers: Signers,
    _webhook: Webhook,
}

impl Scene {
    /// With policies about what is below `shop/`, which has to be signed with a key, `ci/`, by a person, and `spare/`, with
    /// a key unless the registry is away. None when it cannot be had here.
    fn new() -> Option<Scene> {
        let scene = Scene::with(|registry, signers| {
            let about = |name: &str, authority: &Value| {
                policy(name, registry, &registry.host, &format!("{name}/**"), authority).to_string()
            };
            let mut spare = policy("spare", registry, &registry.host, "spare/**", &signers.release());
            spare["spec"]["unavailable"] = json!("Allow");
            json!({"shop.yaml": about("shop", &signers.release()), "ci.yaml": about("ci", &signers.ci()),
                "spare.yaml": spare.to_string()})
        })?;
        // Until the API server asks for both: whether an image may run, and by which digest.
        let digest = scene.repository("shop/first").push_label("1", "first");
        scene.repository("shop/first").push_signatures(&digest, &[scene.signers.with_key(&digest, None)]);
        eventually(|| scene.run("shop/none:1"), |said| said.contains("does not exist"));
        eventually(|| scene.run("shop/first:1"), |said| said == "HOST/shop/first:1@sha256:…");
        Some(scene)
    }

    /// With these files of policies. None when it cannot be had here.
    fn with(policies: impl FnOnce(&Registry, &Signers) -> Value) -> Option<Scene> {
        if !tools::present() || !tools::all_present(&["docker-registry"]) || webhook::binary().is_none() {
            return None;
        }
        let (registry, signers) = (Registry::debian(), Signers::new());
        let cluster = Cluster::with_default_apis();
        installed_kinds::own(&cluster);
        for name in [OWN, SHOP] {
            webhook::namespace(&cluster, name);
        }
        let secret = json!({"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": registry.docker_config()}});
        cluster.client.post("/api/v1/namespaces/shop/secrets", &secret).expect_ok();
        let account = json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]});
        cluster.client.post("/api/v1/namespaces/shop/serviceaccounts", &account).expect_ok();
        let policies = json!({"metadata": {"name": "images", "labels": {"stockade.dev/policies": "true"}},
            "data": policies(&registry, &signers)});
        cluster.client.post(&format!("/api/v1/namespaces/{OWN}/configmaps"), &policies).expect_ok();
        let webhook = Webhook::start_with(&cluster, OWN, "stockade", &[], &["--image-pull-secrets"]);
        webhook.wait_until_ready(&cluster, "stockade");
        let host = registry.host.clone();
        Some(Scene { cluster, registry: Some(registry), host, signers, _webhook: webhook })
    }

    fn repository<'s>(&'s self, name: &'s str) -> Repository<'s> {
        Repository { registry: self.registry.as_ref().unwrap(), name }
    }

    /// What `kubectl run` of an image says to a user, with the image that would run.
    fn run(&self, image: &str) -> String {
        let image = format!("--image={}/{image}", self.host);
        let output = "--output=jsonpath={.spec.containers[0].image}";
        self.kubectl(&["run", "web", &image, "--dry-run=server", output, "--namespace=shop"])
    }

    /// What `kubectl` says in the end, with names for the registry and for times, and nothing of digests but how they
    /// begin.
    fn kubectl(&self, arguments: &[&str]) -> String {
        let say = || {
            let Kubectl { stdout, stderr, .. } = self.cluster.kubectl(arguments, "");
            stdout + &stderr
        };
        let said = eventually(say, |said| !LATE.iter().any(|late| said.contains(late))).replace(&self.host, "HOST");
        let mut parts = said.trim().split("sha256:");
        let first = parts.next().unwrap_or_default().to_owned();
        let short =
            |said: String, part: &str| said + "sha256:…" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        without_times(&parts.fold(first, short))
    }
}

/// The text with `TIME` for each word that is one.
fn without_times(text: &str) -> String {
    let word = |word: &str| {
        let time = word.trim_end_matches([',', ';']);
        if time.parse::<jiff::Timestamp>().is_ok() { word.replace(time, "TIME") } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_what_the_right_ones_signed_may_run_and_users_read_why() {
    let Some(scene) = Scene::new() else { return };
    let Scene { signers, .. } = &scene;
    let stranger = Signers::new();
    let shop = |name: &str| format!("shop/{name}");
    let push = |name: &str| scene.repository(name).push_label("1", name);
    let sign = |name: &str, digest: &str, signature| scene.repository(name).push_signatures(digest, &[signature]);

    let signed = push(&shop("signed"));
    sign(&shop("signed"), &signed, signers.with_key(&signed, None));
    assert_eq!(scene.run("shop/signed:1"), "HOST/shop/signed:1@sha256:…");
    push(&shop("unsigned"));
    let foreign = push(&shop("foreign"));
    sign(&shop("foreign"), &foreign, stranger.with_key(&foreign, None));
    let forged = push(&shop("forged"));
    sign(&shop("forged"), &forged, signers.with_key(&forged, Some(Forgery::Signature)));
    // Signatures of another image, in the place of its own.
    let borrowed = push(&shop("borrowed"));
    sign(&shop("borrowed"), &borrowed, signers.with_key(&signed, None));
    let replaced = push(&shop("replaced"));
    sign(&shop("replaced"), &replaced, signers.with_key(&replaced, None));
    scene.repository(&shop("replaced")).push_label("1", "another");
    let told =
        ["unsigned", "foreign", "forged", "borrowed", "replaced", "none"].map(|n| scene.run(&format!("shop/{n}:1")));
    insta::assert_snapshot!(told.join("\n"));

    for (name, who, forgery) in [
        ("right", SIGNER, None),
        ("other", "nobody@shop.example", None),
        ("expired", SIGNER, Some(Forgery::Expired)),
        ("unlogged", SIGNER, Some(Forgery::Promise)),
    ] {
        let name = format!("ci/{name}");
        let digest = push(&name);
        sign(&name, &digest, signers.keyless(&digest, who, forgery));
    }
    let digest = push("ci/elsewhere");
    sign("ci/elsewhere", &digest, stranger.keyless(&digest, SIGNER, None));
    assert_eq!(scene.run("ci/right:1"), "HOST/ci/right:1@sha256:…");
    let told = ["other", "expired", "unlogged", "elsewhere"].map(|name| scene.run(&format!("ci/{name}:1")));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_runs_already_gets_no_other_image_either() {
    let Some(scene) = Scene::new() else { return };
    let digest = scene.repository("shop/web").push_label("1", "web");
    scene.repository("shop/web").push_signatures(&digest, &[scene.signers.with_key(&digest, None)]);
    scene.repository("shop/web").push_label("2", "not signed");
    let [good, bad] = ["1", "2"].map(|tag| format!("{}/shop/web:{tag}", scene.host));
    let shop = "--namespace=shop";
    let kubectl = |arguments: &[&str]| scene.kubectl(&[arguments, &[shop]].concat());
    let image = |of: &str| kubectl(&["get", of, "--output=jsonpath={..image}"]);

    let [with_good, with_bad] = [&good, &bad].map(|image| format!("--image={image}"));
    assert_eq!(kubectl(&["run", "web", &with_good]), "pod/web created");
    assert_eq!(kubectl(&["create", "deployment", "web", &with_good]), "deployment.apps/web created");
    assert_eq!([image("pod/web"), image("deployment/web")], ["HOST/shop/web:1@sha256:…", "HOST/shop/web:1@sha256:…"]);
    let [set_good, set_bad] = [&good, &bad].map(|image| format!("web={image}"));
    let debug = ["debug", "web", "--profile=general", "--attach=false"];
    let told = [
        kubectl(&["set", "image", "pod/web", &set_bad]),
        kubectl(&["set", "image", "deployment/web", &set_bad]),
        kubectl(&["create", "job", "once", &with_bad]),
        kubectl(&[&debug[..], &["--container=bad", &with_bad]].concat()),
    ];
    insta::assert_snapshot!(told.join("\n"));
    kubectl(&[&debug[..], &["--container=good", &with_good]].concat());
    let ephemeral = "--output=jsonpath={.spec.ephemeralContainers[*].image}";
    assert_eq!(kubectl(&["get", "pod/web", ephemeral]), "HOST/shop/web:1@sha256:…");
    kubectl(&["set", "image", "deployment/web", &set_good]);
    assert_eq!(image("deployment/web"), "HOST/shop/web:1@sha256:…");
}

/// The tag is pushed anew once Stockade has pinned it, and before it validates.
#[test]
fn a_tag_that_moves_between_verification_and_admission_moves_nothing_that_is_admitted() {
    let Some(scene) = Scene::new() else { return };
    let moving = scene.repository("shop/moving");
    let first = moving.push_label("1", "first");
    moving.push_signatures(&first, &[scene.signers.with_key(&first, None)]);
    let again = Registry::running(scene.host.clone(), moving.registry.ca_pem.clone(), Box::new(()));
    let (again, moved) = (Mutex::new(again), Arc::new(AtomicBool::new(false)));
    let (pinned, is_moved) = (format!("{}/shop/moving:1@{first}", scene.host), Arc::clone(&moved));
    let seen = pinned.clone();
    Recorder::acting(&scene.cluster.client, move |review| {
        if text(review, "/request/object/spec/containers/0/image") == seen {
            let repository = Repository { registry: &again.lock().unwrap(), name: "shop/moving" };
            repository.push_label("1", "second");
            is_moved.store(true, Ordering::SeqCst);
        }
    });
    let (tag, shop) = (format!("{}/shop/moving:1", scene.host), "--namespace=shop");
    assert_eq!(scene.kubectl(&["run", "web", &format!("--image={tag}"), shop]), "pod/web created");
    assert!(moved.load(Ordering::SeqCst), "nothing moved in between");
    let runs = || scene.cluster.kubectl(&["get", "pod/web", "--output=jsonpath={..image}", shop], "").stdout;
    assert_eq!(runs(), pinned);
    // Whether the tag is asked for anew or not, it brings nothing else in; nor does the digest that it has now.
    scene.kubectl(&["set", "image", "pod/web", &format!("web={tag}"), shop]);
    assert_eq!(runs(), pinned);
    let second = moving.push_label("1", "second");
    let refused = "Error from server (Forbidden): admission webhook \"validate.stockade.dev\" denied the request: ImagePolicy \
                   'shop' denied request: image HOST/shop/moving:1@sha256:… is not signed by release: no signature was found";
    let by_digest = format!("shop/moving:1@{second}");
    assert_eq!(scene.run(&by_digest), refused);
    let set = scene.kubectl(&["set", "image", "pod/web", &format!("web={}/{by_digest}", scene.host), shop]);
    assert!(set.ends_with("is not signed by release: no signature was found"), "{set}");
    assert_eq!(runs(), pinned);
}

#[test]
fn a_registry_that_is_away_or_wants_a_password_is_told_as_that_and_never_as_no_signature() {
    let Some(mut scene) = Scene::new() else { return };
    let repository = scene.repository("shop/web");
    let digest = repository.push_label("1", "web");
    repository.push_signatures(&digest, &[scene.signers.with_key(&digest, None)]);
    repository.push_label("2", "not signed");
    let pinned = format!("shop/web:1@{digest}");
    assert_eq!(scene.run(&pinned), "HOST/shop/web:1@sha256:…");

    // Who may not pull is not told what is there.
    let image = format!("--image={}/shop/web:2", scene.host);
    let elsewhere = scene.kubectl(&["run", "web", &image, "--dry-run=server", "--namespace=default"]);
    // Nobody gets past a policy that lets pass what is unavailable by bringing that about.
    let useless = json!({"auths": {&scene.host: {"username": "nobody", "password": "wrong"}}}).to_string();
    let secret = json!({"metadata": {"name": "useless"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": useless}});
    scene.cluster.client.post("/api/v1/namespaces/shop/secrets", &secret).expect_ok();
    let image = format!("--image={}/spare/web:2", scene.host);
    let with_useless = r#"--overrides={"spec":{"imagePullSecrets":[{"name":"useless"}]}}"#;
    let brought_about = scene.kubectl(&["run", "web", &image, with_useless, "--dry-run=server", "--namespace=shop"]);
    scene.registry = None;
    let away = scene.run("shop/web:2");
    let denied = |reason: &str, policy: &str, how: &str| {
        format!(
            "Error from server ({reason}): admission webhook \"validate.stockade.dev\" denied the request: ImagePolicy \
             '{policy}' denied request: image HOST/{policy}/web:2 cannot be looked up{how}: "
        )
    };
    assert!(away.starts_with(&denied("ServiceUnavailable", "shop", " now")), "{away}");
    let no_credentials = "GET https://HOST/v2/shop/web/manifests/2: answered 401 and no credentials were found; add a pull \
                          secret to the Pod or to its service account";
    assert_eq!(elsewhere, denied("Forbidden", "shop", "") + no_credentials);
    let useless = "GET https://HOST/v2/spare/web/manifests/2: answered 401 to the credentials that were found; do they allow a \
                   pull of this repository?";
    assert_eq!(brought_about, denied("Forbidden", "spare", "") + useless);
    assert_eq!(scene.run("spare/web:2"), "HOST/spare/web:2");
    assert_eq!(scene.run(&pinned), "HOST/shop/web:1@sha256:…");
}

/// The policy about images and their Pods that the documentation shows, for a registry and signers of one's own.
fn documented(registry: &Registry, signers: &Signers) -> Value {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/README.md")).unwrap();
    let after = readme.split_once("<!-- example: images/policy.yaml -->").unwrap().1;
    let text = after.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let mut policy: Value = serde_saphyr::from_str(text).unwrap();
    policy["spec"]["authorities"] = json!([signers.release()]);
    let Registry { host, ca_pem, .. } = registry;
    policy["spec"]["registries"] = json!([{"host": host, "caBundle": ca_pem, "allowPrivateAddresses": true}]);
    json!({"policy.yaml": policy.to_string()})
}

#[test]
fn a_rule_joins_what_an_image_says_of_itself_with_its_pod() {
    let Some(mut scene) = Scene::with(documented) else { return };
    let push = |name: &str, user: &str, is_signed: bool| {
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"User": user},
            "rootfs": {"type": "layers", "diff_ids": []}});
        let repository = scene.repository(name);
        let digest = repository.push("1", &config, &[]);
        if is_signed {
            repository.push_signatures(&digest, &[scene.signers.with_key(&digest, None)]);
        }
    };
    push("shop/root", "", true);
    push("shop/user", "10", true);
    push("shop/unsigned", "10", false);
    push("debug/shell", "10", false);
    eventually(|| scene.run("shop/none:1"), |said| said.contains("does not exist"));

    let as_user = |image: &str, user: u32| {
        let image = format!("{}/{image}", scene.host);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": SHOP},
            "spec": {"containers": [{"name": "web", "image": image, "securityContext": {"runAsUser": user}}]}});
        let Kubectl { stdout, stderr, .. } =
            scene.cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &pod.to_string());
        (stdout + &stderr).replace(&scene.host, "HOST")
    };
    let images = ["shop/root:1", "shop/user:1", "shop/unsigned:1", "debug/shell:1"];
    let cold = images.map(|image| scene.run(image));
    insta::assert_snapshot!(cold.join("\n"));
    assert_eq!(images.map(|image| scene.run(image)), cold);
    assert_eq!(as_user("shop/root:1", 10), "pod/web created (server dry run)\n");

    // A Pod that is there is not looked at again: its registry may be away.
    let run = ["run", "web", "--namespace=shop"];
    let image = format!("--image={}/shop/user:1", scene.host);
    assert_eq!(scene.kubectl(&[&run[..], &[&image]].concat()), "pod/web created");
    scene.registry = None;
    assert_eq!(scene.kubectl(&["label", "pod/web", "a=b", "--namespace=shop"]), "pod/web labeled");
    let away = scene.run("shop/another:1");
    assert!(away.contains("image HOST/shop/another:1 cannot be looked up now: "), "{away}");
}
