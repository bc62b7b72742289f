//! `stockade verify-image` and `stockade audit` against a registry, as somebody at a terminal.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stockade_e2e::registry::Registry;
use stockade_e2e::{tools, webhook};

use super::{APP, Key, Pushed, image, sign_by_tag};

/// Exit code and report.
fn verify(binary: &Path, folder: &Path, image: &str) -> (i32, Value) {
    let mut command = Command::new(binary);
    command.args(["verify-image", image, "--output", "json", "--policy"]).arg(folder.join("policy.yaml"));
    command.env("DOCKER_CONFIG", folder).current_dir(folder);
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    assert!(report.is_ok(), "{image}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), report.unwrap())
}

/// A registry with an image that is signed, `signed`, and one that is not, `unsigned`; a policy about them in a folder.
fn scene() -> (Registry, tempfile::TempDir, Pushed) {
    let registry = Registry::debian();
    let key = Key::new();
    let signed = image(&registry, "signed", "1");
    sign_by_tag(&registry, &key, &signed);
    image(&registry, "unsigned", "2");
    let folder = tempfile::tempdir().unwrap();
    let policy = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": "signed-by-release"},
        "spec": {
            "images": [format!("{}/**", registry.host)],
            "authorities": [{"name": "release", "key": {"data": key.pem()}}],
            "registries": [{"host": registry.host, "caBundle": registry.ca_pem, "allowPrivateAddresses": true}],
        },
    });
    std::fs::write(folder.path().join("policy.yaml"), policy.to_string()).unwrap();
    std::fs::write(folder.path().join("config.json"), registry.docker_config()).unwrap();
    (registry, folder, signed)
}

#[test]
fn an_image_is_verified_refused_or_unknown_and_the_exit_code_says_which() {
    let Some(binary) = webhook::binary().filter(|_| tools::all_present(&["docker-registry"])) else { return };
    let (registry, folder, signed) = scene();
    let verify = |tag: &str| {
        let (code, report) = verify(&binary, folder.path(), &format!("{}/{APP}:{tag}", registry.host));
        let answer = &report["policies"][0]["authorities"][0]["answer"];
        (code, report["verdict"].clone(), answer.clone(), report["digest"].clone())
    };
    assert_eq!(verify("signed"), (0, json!("verified"), json!("verified"), json!(signed.digest)));
    let (code, verdict, answer, _) = verify("unsigned");
    assert_eq!((code, verdict, answer), (1, json!("refused"), json!("not_signed")));
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let (code, verdict, answer, digest) = verify("signed");
    assert_eq!((code, verdict, answer, digest), (2, json!("unknown"), json!("unauthorized"), Value::Null));
}

#[test]
fn a_folder_is_audited_by_what_is_found_of_images_where_that_is_asked_for() {
    let Some(binary) = webhook::binary().filter(|_| tools::all_present(&["docker-registry"])) else { return };
    let (registry, folder, _) = scene();
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    for tag in ["signed", "unsigned"] {
        let container = json!({"name": "c", "image": format!("{}/{APP}:{tag}", registry.host)});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": tag, "namespace": "shop"},
            "spec": {"containers": [container]}});
        std::fs::write(objects.join(format!("{tag}.json")), pod.to_string()).unwrap();
    }
    let audit = |flags: &[&str]| -> (i32, Value) {
        let mut command = Command::new(&binary);
        command.args(["audit", "--output", "json", "--policies", "policy.yaml", "--from", "objects"]).args(flags);
        let output = command.env("DOCKER_CONFIG", folder.path()).current_dir(folder.path()).output().unwrap();
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    };
    let (code, report) = audit(&[]);
    assert_eq!((code, &report["unjudged"]), (0, &json!([{"name": "signed-by-release", "reason": "images"}])));
    let (code, report) = audit(&["--verify-images"]);
    let found = &report["violations"];
    assert_eq!((code, &report["summary"]["pass"], &report["summary"]["fail"]), (1, &json!(1), &json!(1)), "{report}");
    assert_eq!((&found[0]["name"], &found[0]["result"]), (&json!("unsigned"), &json!("fail")), "{report}");
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let (code, report) = audit(&["--verify-images"]);
    assert_eq!((code, &report["summary"]["error"]), (1, &json!(2)), "{report}");
}
