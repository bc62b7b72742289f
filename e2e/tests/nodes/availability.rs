//! Creates go on at a steady rate through the real API server while parts of Stockade are replaced, moved, killed and
//! edited: what is allowed is admitted and what is forbidden is refused, every time.

use std::time::Duration;

use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::load::{Expected, Load, Shot};
use stockade_e2e::nodes::Nodes;

/// Requests a second; every second one is forbidden.
const RATE: f64 = 30.0;
/// Before a fault, and after it was dealt with.
const CALM: Duration = Duration::from_secs(3);
/// How long a new authority may take until it signs. Two minutes of it the API servers have to read the bundle that
/// holds both.
const ROTATED: Duration = Duration::from_secs(200);
/// A policy that is edited while it judges.
const EDITED: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies/edited";

/// What may go wrong beside nothing at all.
enum Allowed {
    /// Every request is answered by policy.
    Nothing,
    /// Requests that were inside a process when it was killed, or met its closed port before its address was taken out
    /// of the Service: the API server does not send them again.
    FailedCalls(u64),
    /// No answer, since the API server itself is away; never a failed call of the webhook once it is back.
    NoServer,
}

/// One fault after the other, each with its counts printed.
pub(crate) fn nothing_fails_while_parts_fail(nodes: &Nodes) {
    let client = nodes.client();
    let kubectl = |line: &str| nodes.must(&format!("kubectl -n stockade-system {line}"));
    let ready = || kubectl("rollout status deployment/stockade --timeout=2m");
    create_edited(&client);
    let under = |fault: &str, allowed: Allowed, act: &dyn Fn()| under_load(&client, fault, &allowed, act);

    under("rolling update", Allowed::Nothing, &|| {
        kubectl("rollout restart deployment/stockade");
        ready();
    });
    under("node drained", Allowed::Nothing, &|| {
        kubectl("drain node1 --ignore-daemonsets --delete-emptydir-data --force --timeout=2m");
        kubectl("uncordon node1");
        ready();
    });
    under("100 policy edits, 10 a second", Allowed::Nothing, &|| edits(&client));
    under("certificates and authority rotated", Allowed::Nothing, &|| rotate(nodes));
    under("a replica killed (SIGKILL)", Allowed::FailedCalls(2), &|| {
        nodes.script("enter", &["node2", "pkill", "-KILL", "-o", "-x", "stockade"]);
        ready();
    });
    under("API server killed and started", Allowed::NoServer, &|| nodes.script("restart", &["apiserver"]));
    client.delete(EDITED).expect_ok();
}

fn under_load(client: &Client, fault: &str, allowed: &Allowed, act: &dyn Fn()) {
    let load = Load::start(client, RATE, shot);
    std::thread::sleep(CALM);
    act();
    std::thread::sleep(CALM);
    let tally = load.stop();
    eprintln!("          {fault}: {tally}");
    assert_eq!(tally.wrongly_admitted, 0, "{fault}: {tally}");
    let tolerated = match allowed {
        Allowed::Nothing => tally.failed == 0,
        Allowed::FailedCalls(most) => tally.failed <= *most,
        Allowed::NoServer => tally.told.iter().all(|told| is_of_the_server(told)),
    };
    assert!(tolerated, "{fault}: {tally}: {:#?}", tally.told);
}

/// Whether a failure is the API server's own: it is not there, or not yet ready.
fn is_of_the_server(told: &str) -> bool {
    !told.contains("webhook")
}

fn shot(number: u64) -> Shot {
    let privileged = number % 2 == 1;
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("load-{number}") },
        "spec": { "containers": [{
            "name": "c", "image": "localhost/busybox:1", "securityContext": { "privileged": privileged },
        }] },
    });
    let expected = if privileged { Expected::Refused } else { Expected::Admitted };
    Shot { path: "/api/v1/namespaces/default/pods?dryRun=All".to_owned(), object, expected }
}

/// A policy that refuses nothing the load sends.
fn create_edited(client: &Client) {
    let policy = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy", "metadata": { "name": "edited" },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
            }] },
            "validations": [{ "expression": "object.metadata.name != 'edit-0'" }],
        },
    });
    let answer = client.post(EDITED.trim_end_matches("/edited"), &policy);
    assert!(answer.ok() || answer.reason() == "AlreadyExists", "{answer:?}");
}

fn edits(client: &Client) {
    for number in 0..100 {
        let expression = format!("object.metadata.name != 'edit-{number}'");
        let patch: Value = json!({ "spec": { "validations": [{ "expression": expression }] } });
        client.merge(EDITED, &patch).expect_ok();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks the leader for a new authority, and waits until it signs what is served.
fn rotate(nodes: &Nodes) {
    let secret = "kubectl -n stockade-system get secret stockade-tls -o";
    let issuer = format!("{secret} jsonpath='{{.data.tls\\.crt}}' | base64 -d | openssl x509 -noout -serial");
    let before = nodes.must(&issuer);
    nodes.must("kubectl -n stockade-system annotate secret stockade-tls stockade.dev/rotate=now");
    nodes.until(ROTATED, &issuer, |said| said.ok && said.text != before);
}
