//! Images of what runs already.

use serde_json::{Value, json};
use stockade_e2e::images::{Repository, Signers, policy};
use stockade_e2e::registry::Registry;
use stockade_e2e::tools;
use stockade_mint::Forgery;

use super::Scene;

#[test]
fn who_signed_the_images_of_what_runs_is_reported_and_that_nobody_could_be_asked_is_another_thing() {
    if !tools::all_present(&["docker-registry"]) {
        return;
    }
    let Some(scene) = Scene::new() else { return };
    let (registry, signers, stranger) = (Registry::debian(), Signers::new(), Signers::new());
    scene.namespace("shop");
    let account = json!({"metadata": {"name": "default"}});
    scene.cluster.client.post("/api/v1/namespaces/shop/serviceaccounts", &account).expect_ok();
    let push = |name: &str| Repository { registry: &registry, name: &format!("shop/{name}") }.push_label("1", name);
    let sign = |name: &str, digest: &str, forgery| {
        let repository = format!("shop/{name}");
        let repository = Repository { registry: &registry, name: &repository };
        repository.push_signatures(digest, &[signers.with_key(digest, forgery)]);
    };
    sign("signed", &push("signed"), None);
    sign("forged", &push("forged"), Some(Forgery::Signature));
    push("unsigned");
    // Nobody listens there.
    let away = "127.0.0.1:1";
    for (name, host) in
        [("signed", &*registry.host), ("forged", &registry.host), ("unsigned", &registry.host), ("away", away)]
    {
        let container = json!({"name": "c", "image": format!("{host}/shop/{name}:1")});
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
        scene.cluster.client.post("/api/v1/namespaces/shop/pods", &pod).expect_ok();
    }

    let policies = |authority: &Value| {
        let mut policy = policy("signed", &registry, &registry.host, "shop/**", authority);
        policy["spec"]["images"] = json!([format!("{}/**", registry.host), format!("{away}/**")]);
        let other = json!({"host": away, "plainHTTP": true, "allowPrivateAddresses": true});
        policy["spec"]["registries"].as_array_mut().unwrap().push(other);
        json!({"metadata": {"name": "images", "labels": {"stockade.dev/policies": "true"}},
            "data": {"images.yaml": policy.to_string()}})
    };
    let maps = "/api/v1/namespaces/stockade-system/configmaps";
    scene.cluster.client.post(maps, &policies(&signers.release())).expect_ok();
    let config = tempfile::tempdir().unwrap();
    let config = config.path().join("config.json");
    std::fs::write(&config, registry.docker_config()).unwrap();
    let _webhook = scene.replica_with("one", &["--docker-config", config.to_str().unwrap()]);
    let row = |name, result| ["Pod", name, "signed", result];
    let report = scene.reported("shop", &[row("forged", "fail"), row("unsigned", "fail"), row("away", "error")]);
    assert_eq!(report["summary"], json!({"pass": 1, "fail": 2, "warn": 0, "error": 1, "skip": 0}));
    let message = report["results"][2]["message"].as_str().unwrap();
    assert!(message.contains("cannot be looked up now"), "{message}");

    // Another key counts at once: all that exists is judged again.
    scene.cluster.client.put(&format!("{maps}/images"), &policies(&stranger.release())).expect_ok();
    let fails = ["forged", "signed", "unsigned"].map(|name| row(name, "fail"));
    scene.reported("shop", &[&fails[..], &[row("away", "error")]].concat());
}
