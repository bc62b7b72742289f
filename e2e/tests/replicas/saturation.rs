//! More requests than a replica has places for, while the API server answers nothing: it sheds, and keeps its duty.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use h2::client::SendRequest;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::load::{Expected, Load, Shot};
use stockade_e2e::webhook::{self, Webhook};
use stockade_e2e::{installed_kinds, tools};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::bytes::Bytes;

use super::certificates::{bundle, trusting};
use super::{NAMESPACE, make_namespace, runtime, until};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/stockade-system/leases";
/// Connections of the flood, as of three API servers.
const CONNECTIONS: usize = 3;
/// Requests of the flood under way: more than the 256 that the webhook takes at once.
const UNDER_WAY: usize = 600;
/// Longest wait for an answer: as long as the webhook is given for a review.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Requests of the flood a second, whether or not those before have been answered.
const RATE: f64 = 1_500.0;
/// How long each keeps half of its body back, as over a slow link; the first keep it until one is not taken. So many are
/// under way at once as no webhook takes, however fast or slow the machine is.
const HALF_WAY: Duration = Duration::from_millis(300);
/// How long the flood lasts, and for how long of it the API server is frozen: longer than a leader goes without renewing.
const FLOOD: Duration = Duration::from_secs(18);
const FROZEN: Duration = Duration::from_secs(12);
/// Characters that each review carries for nothing.
const PADDING: usize = 16 << 10;

/// Refuses what has the label `refuse`.
const POLICY: &str = "
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: told}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
    namespaceSelector: {matchLabels: {e2e: judged}}
  validations: [{expression: \"!('refuse' in object.metadata.?labels.orValue({}))\", message: told to refuse}]
  actions: [Deny]
";

/// What came of a flood.
#[derive(Debug, Default)]
struct Flooded {
    admitted: u64,
    refused: u64,
    /// Admitted although the policy refuses it.
    wrong: u64,
    /// Refused although the policy admits it: it was too late to judge it.
    late: u64,
    /// Not sent: as many as may be are under way.
    held_back: u64,
    /// Neither an answer nor a refusal to take the request.
    cut: u64,
    /// From when a request was sent to the answer that it is not taken, sorted.
    shed_after: Vec<Duration>,
}

impl std::fmt::Display for Flooded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { admitted, refused, wrong, late, held_back, cut, .. } = self;
        write!(f, "{admitted} admitted, {refused} refused, {wrong} wrong, {late} late, {cut} cut, {held_back} not sent")
    }
}

#[test]
fn a_flood_beside_an_api_server_that_is_frozen_takes_no_replica_its_duty_and_admits_nothing_wrong() {
    if !tools::present() || webhook::binary().is_none() {
        return;
    }
    let cluster = Cluster::start();
    for name in [NAMESPACE, "judged"] {
        make_namespace(&cluster, name);
    }
    installed_kinds::own(&cluster);
    let replica = Webhook::start_in(&cluster, NAMESPACE, "s0", &[]);
    replica.wait_until_ready(&cluster, "s0");
    cluster.apply(POLICY);
    let create = |refuse: bool| cluster.client.post("/api/v1/namespaces/judged/configmaps?dryRun=All", &map(refuse));
    until("users' requests are judged", || create(true).message().contains("told to refuse"));
    until("it leads", || holder(&cluster) == "s0");
    let before = renewed(&cluster);

    let load = Load::start(&cluster.client, 20.0, |number| Shot {
        path: "/api/v1/namespaces/judged/configmaps?dryRun=All".to_owned(),
        object: map(number % 2 == 0),
        expected: if number % 2 == 0 { Expected::Refused } else { Expected::Admitted },
    });
    let trust = trusting(&bundle(&cluster));
    let runtime = runtime();
    let flood = runtime.spawn(flood(trust, replica.port));
    std::thread::sleep((FLOOD - FROZEN) / 2);
    let frozen = Frozen::new(&cluster);
    std::thread::sleep(FROZEN);
    drop(frozen);
    let flooded = runtime.block_on(flood).unwrap();
    let tally = load.stop();
    eprintln!("through the API server meanwhile: {tally}");
    let shed = flooded.shed_after.len();
    let at = |share: f64| flooded.shed_after.get((shed as f64 * share) as usize).copied();
    eprintln!("flood: {flooded}, {shed} shed after p50 {:?}, p99 {:?}", at(0.5), at(0.99));
    assert_eq!((flooded.wrong, tally.wrongly_admitted), (0, 0));
    assert!(flooded.refused > 0 && shed > 0, "it was no flood");

    let took = until("it leads", || holder(&cluster) == "s0" && renewed(&cluster) > before);
    eprintln!("it renews {took:?} after the flood, as the same process");
    until("it judges", || create(true).message().contains("told to refuse") && create(false).ok());
    assert_eq!(replica.health("readyz").map(|(code, _)| code), Some(200));
    assert_eq!(replica.terminate(), Some(0));
}

/// The API server, stopped as a debugger does, until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(cluster: &Cluster) -> Frozen {
        let pid = Pid::from_raw(i32::try_from(cluster.server_pid()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Frozen(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

fn map(refuse: bool) -> Value {
    let labels = if refuse { json!({ "refuse": "yes" }) } else { json!({}) };
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "judged", "labels": labels } })
}

fn holder(cluster: &Cluster) -> String {
    text(&cluster.client.get(&format!("{LEASES}/stockade-leader")).body, "/spec/holderIdentity").to_owned()
}

/// When the replica's own Lease was renewed.
fn renewed(cluster: &Cluster) -> String {
    text(&cluster.client.get(&format!("{LEASES}/stockade-replica-s0")).body, "/spec/renewTime").to_owned()
}

/// Reviews that are due at their own times, as streams of a few connections.
async fn flood(trust: Arc<ClientConfig>, port: u16) -> Flooded {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(&trust, port).await.unwrap());
    }
    let bodies = [false, true].map(|refuse| Bytes::from(review(refuse)));
    let (begin, places) = (tokio::time::Instant::now(), Arc::new(Semaphore::new(UNDER_WAY)));
    let full = Arc::new(watch::Sender::new(false));
    let (mut tasks, mut all) = (JoinSet::new(), Flooded::default());
    for number in 0..(FLOOD.as_secs_f64() * RATE) as usize {
        tokio::time::sleep_until(begin + Duration::from_secs_f64(number as f64 / RATE)).await;
        let Ok(place) = places.clone().try_acquire_owned() else {
            all.held_back += 1;
            continue;
        };
        let refuse = number % 2 == 0;
        let (connection, body) = (connections[number % CONNECTIONS].clone(), bodies[usize::from(refuse)].clone());
        let full = full.clone();
        tasks.spawn(async move {
            let answer = tokio::time::timeout(ANSWER_WITHIN, ask(connection, body, &full)).await;
            drop(place);
            (refuse, answer.map_err(|_| h2::Error::from(h2::Reason::CANCEL)).flatten())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let (refuse, answer) = ended.unwrap();
        match answer {
            Ok((200, body, _)) => match (body["response"]["allowed"] == true, refuse) {
                (true, false) => all.admitted += 1,
                (false, true) => all.refused += 1,
                (true, true) => all.wrong += 1,
                (false, false) => all.late += 1,
            },
            Ok((429 | 503 | 504, _, took)) => all.shed_after.push(took),
            Ok(_) | Err(_) => all.cut += 1,
        }
    }
    all.shed_after.sort_unstable();
    all
}

async fn connect(trust: &Arc<ClientConfig>, port: u16) -> io::Result<SendRequest<Bytes>> {
    let mut config = ClientConfig::clone(trust);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("stockade.stockade-system.svc").unwrap();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (requests, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(requests)
}

/// Status, body, and the time from sending to the status. `full` becomes true when this one is not taken.
async fn ask(
    connection: SendRequest<Bytes>,
    body: Bytes,
    full: &watch::Sender<bool>,
) -> Result<(u16, Value, Duration), h2::Error> {
    let uri = format!("https://stockade.stockade-system.svc/validate?timeout={}s", ANSWER_WITHIN.as_secs());
    let request = http::Request::post(uri).header("content-type", "application/json").body(()).unwrap();
    let mut connection = connection.ready().await?;
    let sent = Instant::now();
    let (response, mut stream) = connection.send_request(request, false)?;
    // A webhook that does not take the request resets the stream, whose answer is there all the same.
    let mut first = body;
    let rest = first.split_off(first.len() / 2);
    let _ = stream.send_data(first, false);
    let send_rest = async move {
        tokio::time::sleep(HALF_WAY).await;
        let _ = full.subscribe().wait_for(|full| *full).await;
        let _ = stream.send_data(rest, true);
    };
    let answered = async {
        let (response, took) = (response.await, sent.elapsed());
        if !response.as_ref().is_ok_and(|response| response.status() == http::StatusCode::OK) {
            full.send_replace(true);
        }
        (response, took)
    };
    let ((response, took), ()) = tokio::join!(answered, send_rest);
    let (head, mut body) = response?.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        let _ = body.flow_control().release_capacity(part.len());
        bytes.extend_from_slice(&part);
    }
    Ok((head.status.as_u16(), serde_json::from_slice(&bytes).unwrap_or_default(), took))
}

fn review(refuse: bool) -> String {
    let mut object = map(refuse);
    object["data"] = json!({ "padding": "x".repeat(PADDING) });
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": { "group": "", "version": "v1", "kind": "ConfigMap" },
            "resource": { "group": "", "version": "v1", "resource": "configmaps" }, "name": "m", "namespace": "judged",
            "operation": "CREATE", "userInfo": { "username": "flood" }, "object": object, "oldObject": null,
            "dryRun": true,
        },
    })
    .to_string()
}
