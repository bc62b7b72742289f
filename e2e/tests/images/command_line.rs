//! `stockade verify-image` against a registry, as somebody at a terminal.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stockade_e2e::registry::Registry;
use stockade_e2e::{tools, webhook};

use super::{APP, Key, image, sign_by_tag};

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

#[test]
fn an_image_is_verified_refused_or_unknown_and_the_exit_code_says_which() {
    let Some(binary) = webhook::binary().filter(|_| tools::all_present(&["docker-registry"])) else { return };
    let registry = Registry::debian();
    let key = Key::new();
    let signed = image(&registry, "signed", "1");
    sign_by_tag(&registry, &key, &signed);
    image(&registry, "unsigned", "2");

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| std::fs::write(folder.path().join(name), content).unwrap();
    let policy = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "ImagePolicy", "metadata": {"name": "signed-by-release"},
        "spec": {
            "images": [format!("{}/**", registry.host)],
            "authorities": [{"name": "release", "key": {"data": key.pem()}}],
            "registries": [{"host": registry.host, "caBundle": registry.ca_pem, "allowPrivateAddresses": true}],
        },
    });
    write("policy.yaml", policy.to_string());
    write("config.json", registry.docker_config());

    let verify = |tag: &str| {
        let (code, report) = verify(&binary, folder.path(), &format!("{}/{APP}:{tag}", registry.host));
        let answer = &report["policies"][0]["authorities"][0]["answer"];
        (code, report["verdict"].clone(), answer.clone(), report["digest"].clone())
    };
    assert_eq!(verify("signed"), (0, json!("verified"), json!("verified"), json!(signed.digest)));
    let (code, verdict, answer, _) = verify("unsigned");
    assert_eq!((code, verdict, answer), (1, json!("refused"), json!("not_signed")));
    write("config.json", "{}".to_owned());
    let (code, verdict, answer, digest) = verify("signed");
    assert_eq!((code, verdict, answer, digest), (2, json!("unknown"), json!("unauthorized"), Value::Null));
}
