//! Replicas as processes: they wait for an API server, share a certificate, and say goodbye when they are asked to end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::webhook::{self, Webhook};
use stockade_e2e::{installed_kinds, tools};

use super::certificates::{bundle, handshake, trusting};
use super::{NAMESPACE, make_namespace, until};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/stockade-system/leases";
const NAMES: [&str; 3] = ["p0", "p1", "p2"];
/// How long one that is asked to end still accepts: long enough to look at it meanwhile on any machine.
const DRAIN_DELAY: Duration = Duration::from_secs(20);

/// Identities of the replicas that have a Lease which says ready.
pub(super) fn ready(cluster: &Cluster) -> Vec<String> {
    let selector = "app.kubernetes.io/component%3Dreplica";
    let leases = cluster.client.get(&format!("{LEASES}?labelSelector={selector}")).expect_ok();
    let is_ready = |lease: &&Value| text(lease, "/metadata/annotations/stockade.dev~1ready") == "true";
    let items = leases["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter(is_ready).map(|lease| text(lease, "/spec/holderIdentity").to_owned()).collect()
}

pub(super) fn leader(cluster: &Cluster) -> String {
    let lease = cluster.client.get(&format!("{LEASES}/stockade-leader")).body;
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn processes_wait_for_the_api_server_share_a_certificate_and_say_goodbye() {
    if !tools::present() || webhook::binary().is_none() {
        return;
    }
    let cluster = Cluster::start();
    make_namespace(&cluster, NAMESPACE);
    installed_kinds::own(&cluster);

    cluster.stop_server();
    let drain = DRAIN_DELAY.as_secs().to_string();
    let start = |name: &str| Webhook::start_with(&cluster, NAMESPACE, name, &[], &["--drain-delay", &drain]);
    let first = start(NAMES[0]);
    let is = |probe: &str, code: u16| first.health(probe).is_some_and(|(answer, _)| answer == code);
    until("alive without an API server", || is("livez", 200) && is("readyz", 503));
    cluster.start_server();
    let mut replicas = vec![first, start(NAMES[1]), start(NAMES[2])];
    let took = until("all ready", || ready(&cluster) == NAMES);
    eprintln!("with the API server back three processes are ready after {took:?}");
    let trust = trusting(&bundle(&cluster));
    for replica in &replicas {
        until("it serves with the shared certificate", || handshake(&trust, replica.port).is_ok());
        assert_eq!(replica.health("readyz").map(|(code, _)| code), Some(200));
    }

    let old = leader(&cluster);
    let at = NAMES.iter().position(|name| *name == old).unwrap();
    drop(replicas.remove(at));
    let another_leads = |old: &str| !leader(&cluster).is_empty() && leader(&cluster) != old;
    let took = until("another leads", || another_leads(&old));
    eprintln!("after kill -9 of the leader another leads after {took:?}");

    let old = leader(&cluster);
    let left: Vec<&str> = NAMES.into_iter().filter(|name| *name != NAMES[at]).collect();
    let leaving = replicas.remove(left.iter().position(|name| *name == old).unwrap());
    let began = Instant::now();
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| (leaving.terminate(), began.elapsed()));
        let gone = until("its Lease is gone", || !ready(&cluster).contains(&old));
        let taken = until("another leads", || another_leads(&old));
        handshake(&trust, leaving.port).expect("it accepts while endpoints go");
        let (code, took) = ended.join().unwrap();
        assert_eq!(code, Some(0));
        assert!(took >= DRAIN_DELAY);
        eprintln!(
            "asked to end, the leader's Lease is gone after {gone:?}, another leads {taken:?} later, it accepts \
                   all the while, and has ended after {took:?}"
        );
    });
}

/// Metrics that a text of Prometheus expressions names, without what a type adds to the name.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("stockade_"));
    words.map(|word| ["_total", "_bucket"].into_iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)).collect()
}

/// Refuses every Pod: a metric is told from its first sample on.
const REFUSES_ALL: &str = "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: all}\nspec:\n  \
                           matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], \
                           operations: [CREATE], resources: [pods]}]}\n  validations: [{expression: 'false'}]\n";

#[test]
fn what_alerts_and_the_dashboard_ask_for_is_measured() {
    if !tools::present() || webhook::binary().is_none() {
        return;
    }
    let cluster = Cluster::start();
    make_namespace(&cluster, NAMESPACE);
    installed_kinds::own(&cluster);
    let replica = Webhook::start_in(&cluster, NAMESPACE, "measured", &[]);
    replica.wait_until_ready(&cluster, "measured");
    cluster.apply(REFUSES_ALL);
    let mut asked = metrics(include_str!("../../../charts/stockade/templates/prometheusrule.yaml"));
    asked.extend(metrics(include_str!("../../../charts/stockade/files/dashboard.json")));
    // The watchdog is another process, whose own test reads these.
    asked.retain(|name| !name.starts_with("stockade_fail_safe"));
    assert!(asked.len() > 8, "{asked:?}");
    let missing = || {
        cluster.client.post("/api/v1/namespaces/default/pods?dryRun=All", &webhook::pod("refused", &Value::Null));
        let answer = replica.health("metrics").unwrap().1;
        let types: Vec<&str> = answer.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let told = types.join("\n");
        let told = metrics(&told);
        asked.iter().filter(|name| !told.contains(*name)).copied().collect::<Vec<_>>()
    };
    webhook::eventually(missing, Vec::is_empty);
}
