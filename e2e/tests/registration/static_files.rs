//! The registration as files of a control-plane host.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use stockade_e2e::certificates::Authority;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::webhook::{Webhook, binary, eventually, write_certificate};

use super::{CONFIGURATIONS, asks, can_be_had, refuses, write_state};

#[test]
fn an_api_server_asks_from_its_files_with_nothing_registered_in_it() {
    if !can_be_had() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [policies, certs, host, state] = ["policies", "certs", "host", "state"].map(|sub| folder.path().join(sub));
    for folder in [&policies, &certs, &state] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let authority = Authority::mint("static");
    write_certificate(&certs, &authority, &authority.server());
    let configurations =
        refuses("registrations", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "CREATE");
    let privileged = refuses("pods", "''", "pods", "CREATE").replace(
        "!('refuse' in object.metadata.?labels.orValue({}))",
        "object.spec.containers.all(c, c.?securityContext.?privileged.orValue(false) == false)",
    );
    std::fs::write(policies.join("policies.yaml"), privileged + &configurations).unwrap();

    write_state(&state);

    // The port is known before the webhook listens.
    let port = stockade_e2e::cluster::free_ports::<1>()[0];
    let written = Command::new(binary().unwrap())
        .args(["static", "--quiet", "--url", &format!("https://127.0.0.1:{port}"), "--policies"])
        .arg(&policies)
        .arg("--ca")
        .arg(certs.join("ca.crt"))
        .arg(&host)
        .output()
        .unwrap();
    assert_eq!(written.status.code(), Some(0), "{}", String::from_utf8_lossy(&written.stderr));
    let names = ["mutating/stockade.json", "validating/stockade.json", "admission.json"];
    let paths = names.map(|name| format!("{}\n", host.join(name).display())).concat();
    assert_eq!(String::from_utf8(written.stdout).unwrap(), paths);

    let cluster = Cluster::start_with(&[
        "--feature-gates=ManifestBasedAdmissionControlConfig=true",
        &format!("--admission-control-config-file={}", host.join("admission.json").display()),
    ]);
    let plain = json!({});
    let privileged = json!({ "containers": [
        { "name": "web", "image": "i:1", "securityContext": { "privileged": true } },
    ] });
    let closed = asks(&cluster, "default", &plain);
    assert!(closed.message().contains("failed calling webhook \"validate.stockade.dev\""), "{}", closed.message());

    let _webhook = Webhook::start_at(&cluster, "webhook", port, &certs, &[&policies], &state);
    let refused = eventually(|| asks(&cluster, "default", &privileged), |a| a.message().contains("told to refuse"));
    assert_eq!(refused.code, 422, "{}", refused.message());
    assert!(asks(&cluster, "default", &plain).ok());
    assert_eq!(CONFIGURATIONS.map(|path| cluster.client.get(path).code), [404, 404]);

    // What no webhook that is registered in etcd is ever asked about.
    let registration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "stockade", "labels": { "refuse": "yes" } },
    });
    let answer = cluster.client.post(CONFIGURATIONS[0].trim_end_matches("/stockade"), &registration);
    assert!(answer.message().contains("told to refuse"), "{} {}", answer.code, answer.message());
}

#[test]
fn files_that_are_watched_follow_authorities_and_policies_and_stay_while_these_cannot_be_used() {
    if !can_be_had() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [policies, ca, host] = ["policies.yaml", "ca.crt", "host"].map(|name| folder.path().join(name));
    let [old, new] = ["old", "new"].map(Authority::mint);
    let pods = refuses("pods", "''", "pods", "CREATE");
    std::fs::write(&policies, &pods).unwrap();
    std::fs::write(&ca, &old.pem).unwrap();
    let mut command = Command::new(binary().unwrap());
    command.args(["static", "--watch", "--quiet", "--policies"]).arg(&policies).arg("--ca").arg(&ca).arg(&host);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();

    // The bundle and the resources of the first entry; nothing while there is no file yet.
    let written = || {
        let text = std::fs::read(host.join("validating/stockade.json")).ok()?;
        let webhook = serde_json::from_slice::<Value>(&text).unwrap()["webhooks"][0].take();
        let bundle = BASE64_STANDARD.decode(webhook["clientConfig"]["caBundle"].as_str().unwrap()).unwrap();
        Some((String::from_utf8(bundle).unwrap(), webhook["rules"][0]["resources"].clone()))
    };
    eventually(written, |w| *w == Some((old.pem.clone(), json!(["pods"]))));
    let both = format!("{}{}", new.pem, old.pem);
    std::fs::write(&ca, &both).unwrap();
    eventually(written, |w| *w == Some((both.clone(), json!(["pods"]))));
    std::fs::write(&policies, pods.replace("object.metadata", "objct.metadata")).unwrap();
    let mut told = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    assert!(told.contains("error: the last files stay:"), "{told}");
    assert_eq!(written(), Some((both.clone(), json!(["pods"]))));
    std::fs::write(&policies, refuses("pods", "''", "services", "CREATE")).unwrap();
    eventually(written, |w| *w == Some((both.clone(), json!(["services"]))));
    child.kill().unwrap();
    child.wait().unwrap();
}
