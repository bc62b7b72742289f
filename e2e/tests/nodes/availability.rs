//! Creates go on at a steady rate through the real API server while parts of Stockade are replaced, moved, killed and
//! edited: what is allowed is admitted and what is forbidden is refused, every time.

use std::time::Duration;

use serde_json::{Value, json};
use stockade_e2e::client::Client;
use stockade_e2e::load::{Expected, Load, Shot};
use stockade_e2e::nodes::Nodes;

use super::{HEAL, UPGRADE};

/// Requests a second; every second one is forbidden.
const RATE: f64 = 30.0;
/// Before a fault, and after it was dealt with.
const CALM: Duration = Duration::from_secs(3);
/// How long a new authority may take until it signs. Two minutes of it the API servers have to read the bundle that
/// holds both.
const ROTATED: Duration = Duration::from_secs(400);
/// The webhook is waited for as long as the API allows: what fails here fails, and is not merely late.
const PATIENCE: &str = "--set webhook.timeoutSeconds=30";
/// A policy that is edited while it judges.
const EDITED: &str = "/apis/stockade.dev/v1alpha1/admissionpolicies/edited";

/// What may go wrong beside nothing at all.
enum Allowed {
    /// Every request is answered by policy.
    Nothing,
    /// Calls of a replica that was killed, see [`nothing_fails_while_parts_fail`].
    CallsOfTheDead,
    /// No answer, since the API server itself is away; never a failed call of the webhook once it is back.
    NoServer,
}

/// One fault after the other, each with its counts printed.
///
/// Of a replica that is killed, and so has no time to say goodbye, two kinds of calls fail, and nothing that a webhook does
/// can save them; what is certain is that they are refused and never admitted, and that none fails once the Pod is out of
/// the Service or serves again:
///
/// - Those inside the process. The API server does not send a call again: `client-go` sends only GET again
///   (`rest/request.go`, `isErrRetryableFunc`), a call of a webhook is a POST, and `net/http` sends a POST again only when
///   nothing of it was written (`transport.go`, `shouldRetryRequest`). They are told as `EOF` or `connection reset`. There
///   are as many as were under way there.
/// - Those that dial the dead Pod. The container is gone but the Pod's address is not, so its port answers with a reset:
///   `connection refused`, which nobody tries again either (`transport.go`, `roundTrip` gives the error of `getConn`). Until
///   the kubelet has seen that the process is gone (it looks each second), the EndpointSlice was written and kube-proxy has
///   read it, one in three *new* connections meets it. Connections that are kept to other replicas are not concerned, so it
///   is few: those without an idle connection to take.
///
/// A process in the container that keeps the listening socket while the webhook is started again would save only the
/// second kind, and only where somebody kills that one process by hand: the kernel ends a container that is out of memory
/// as a whole (the kubelet sets `memory.oom.group`), the kubelet ends PID 1 and with it all, and a node takes both along.
/// So there is none.
pub(crate) fn nothing_fails_while_parts_fail(nodes: &Nodes) {
    let client = nodes.client();
    let kubectl = |line: &str| nodes.must(&format!("kubectl -n stockade-system {line}"));
    let ready = || drop(kubectl("rollout status deployment/stockade --timeout=10m"));
    nodes.must(&format!("{UPGRADE} {PATIENCE}"));
    create_edited(&client);
    let under = |fault: &str, allowed: Allowed, act: &dyn Fn()| under_load(&client, fault, &allowed, act);

    under("rolling update", Allowed::Nothing, &|| {
        kubectl("rollout restart deployment/stockade");
        ready();
    });
    under("node drained", Allowed::Nothing, &|| {
        kubectl("drain node1 --ignore-daemonsets --delete-emptydir-data --force --timeout=10m");
        kubectl("uncordon node1");
        ready();
    });
    under("100 policy edits, 10 a second", Allowed::Nothing, &|| edits(&client));
    under("certificates and authority rotated", Allowed::Nothing, &|| rotate(nodes));
    under("a replica killed (SIGKILL)", Allowed::CallsOfTheDead, &|| kill_a_replica(nodes));
    under("after it was started again", Allowed::Nothing, &|| {});
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
    for (told, count) in &tally.told {
        eprintln!("            {count} × {told}");
    }
    assert_eq!(tally.wrongly_admitted, 0, "{fault}: {tally}");
    let tolerated = match allowed {
        Allowed::Nothing => tally.failed == 0,
        Allowed::CallsOfTheDead => tally.all_failed_as(is_call_of_the_dead),
        Allowed::NoServer => tally.all_failed_as(is_of_the_server),
    };
    assert!(tolerated, "{fault}: {tally}: {:#?}", tally.told);
}

/// Whether a failure is that of a connection to a process that is no more.
fn is_call_of_the_dead(told: &str) -> bool {
    let ends = ["EOF", "connection reset by peer", "broken pipe", "connect: connection refused"];
    told.contains("failed calling webhook") && ends.iter().any(|end| told.ends_with(end))
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

/// Kills the process of one replica, and waits until it was started again and is ready.
fn kill_a_replica(nodes: &Nodes) {
    let pods = "kubectl -n stockade-system get pods -l app.kubernetes.io/component=webhook";
    let first = "jsonpath='{.items[0].metadata.name} {.items[0].spec.nodeName} \
        {.items[0].status.containerStatuses[0].containerID} {.items[0].status.containerStatuses[0].restartCount}'";
    let told = nodes.must(&format!("{pods} -o {first}"));
    let told: Vec<&str> = told.split_whitespace().collect();
    let (pod, node, container, restarts) = (told[0], told[1], told[2].trim_start_matches("containerd://"), told[3]);
    nodes.script("enter", &[node, "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container]);
    let state = "jsonpath='{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}'";
    let again = format!("{} true", restarts.parse::<u32>().unwrap() + 1);
    nodes.until(HEAL, &format!("kubectl -n stockade-system get pod {pod} -o {state}"), |said| said.text == again);
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
