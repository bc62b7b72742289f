//! The certificate in its Secret: shared, rotated and repaired while the API server calls, without a failed request.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use stockade_cluster::certificates::{self, CertificateMetrics, Issued, Options, Ownership, Times};
use stockade_cluster::policies::Observed;
use stockade_cluster::replicas::{self, Inputs, Leadership};
use stockade_e2e::client::Client;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::load::{Expected, Load, Shot};
use stockade_e2e::tools;
use stockade_webhook::certs::{certificate_blocks, serving_names};
use stockade_webhook::{
    BadReview, Certificates, Limits, Metrics, Outcome, Readiness, Review, Reviewed, Reviewer, Server, Verb,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;
use tokio_util::sync::CancellationToken;

use super::{NAMESPACE, access, access_as, install, make_namespace, runtime, until};

const SECRET: &str = "/api/v1/namespaces/stockade-system/secrets/stockade-tls";
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
/// Creates a second during everything.
const RATE: f64 = 30.0;
/// As in a cluster, but for the waits: there an API server has two minutes to read what it is to trust. Here it has so many
/// seconds as no machine on which tests end at all keeps it from doing so.
const TIMES: Times = Times {
    validity: Duration::from_secs(30 * 24 * 3600),
    authority_validity: Duration::from_secs(365 * 24 * 3600),
    settle: Duration::from_secs(8),
    retire: Duration::from_secs(8),
    check: Duration::from_millis(200),
};

/// Allows everything.
struct Allow;

impl Reviewer for Allow {
    fn review(&self, _: Verb, body: &[u8], _: Instant) -> Result<Review, BadReview> {
        let review: Value = serde_json::from_slice(body).unwrap();
        let answer = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": { "uid": review["request"]["uid"], "allowed": true },
        });
        Ok(Reviewed { body: answer.to_string().into_bytes(), outcome: Outcome::Allowed }.into())
    }

    fn readiness(&self) -> Readiness {
        Readiness::ready()
    }
}

/// One replica: Leases, certificate, webhook.
struct Node {
    leadership: Leadership,
    issued: Issued,
    port: u16,
    election: Task<()>,
}

fn options(secret: &str, ownership: Ownership) -> Options {
    Options {
        secret: secret.to_owned(),
        ownership,
        names: serving_names(Some(("stockade", NAMESPACE))),
        registration: "stockade".to_owned(),
        times: TIMES,
    }
}

async fn start(cluster: &Cluster, identity: &str) -> Node {
    let access = access(cluster, identity).await;
    let (_, ready) = watch::channel(true);
    let (_, observed) = watch::channel(Observed::default());
    let inputs = Inputs { ready, observed, pod_uid: None };
    let times = replicas::Times {
        lease: Duration::from_secs(10),
        renew_deadline: Duration::from_secs(6),
        retry: Duration::from_secs(1),
        ..replicas::Times::default()
    };
    let (leadership, _, election) = replicas::run(&access, inputs, times, CancellationToken::new());
    let election = tokio::spawn(election);
    let mut registry = Registry::default();
    let metrics = CertificateMetrics::register(&mut registry);
    let options = options("stockade-tls", Ownership::Ours);
    let (issued, keep) = certificates::run(&access, leadership.clone(), options, metrics);
    tokio::spawn(keep);
    issued.serving.clone().wait_for(Option::is_some).await.unwrap();

    let serving = Arc::new(Certificates::published(issued.serving.clone(), None));
    let metrics = Metrics::register(&mut registry, "e2e");
    let limits = Limits { certificate_poll: Duration::from_millis(100), ..Limits::default() };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let builder = Server::builder(Arc::new(Allow), metrics, registry).limits(limits);
    let bound = builder.bind(any, any, serving).await.unwrap();
    let port = bound.https_addr().unwrap().port();
    tokio::spawn(bound.serve(std::future::pending()));
    Node { leadership, issued, port, election }
}

/// What a leader's registration does: whenever the bundle changes, all webhooks get it.
async fn register(
    client: Client,
    leadership: Leadership,
    mut bundle: watch::Receiver<Option<Arc<str>>>,
    ports: Vec<u16>,
) {
    loop {
        let pem = bundle.borrow_and_update().clone().unwrap();
        if *leadership.borrow() {
            let (client, ports) = (client.clone(), ports.clone());
            tokio::task::spawn_blocking(move || put_registration(&client, &pem, &ports)).await.unwrap();
        }
        let _ = tokio::time::timeout(Duration::from_millis(300), bundle.changed()).await;
    }
}

fn put_registration(client: &Client, bundle: &str, ports: &[u16]) {
    let webhook = |port: &u16| {
        json!({
            "name": format!("p{port}.e2e.stockade.dev"),
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/validate"), "caBundle": BASE64_STANDARD.encode(bundle),
            },
            "namespaceSelector": { "matchLabels": { "e2e": "judged" } },
            "rules": [{
                "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
            }],
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 30,
        })
    };
    let webhooks: Vec<Value> = ports.iter().map(webhook).collect();
    let path = format!("{REGISTRATION}/stockade");
    let there = client.get(&path);
    let mut object = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "stockade" }, "webhooks": webhooks,
    });
    if there.ok() {
        object["metadata"]["resourceVersion"] = there.body["metadata"]["resourceVersion"].clone();
        // Two may lead for a moment as this stub sees it; the next round puts it right.
        let _ = client.put(&path, &object);
    } else {
        let _ = client.post(REGISTRATION, &object);
    }
}

/// A client that comes anew each time and trusts what the registration said up to a second before, as an API server does
/// that has just connected.
struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Probed>,
}

/// What came of its handshakes.
#[derive(Default)]
struct Probed {
    handshakes: u64,
    failures: Vec<String>,
    /// Those that failed when what was trusted was older than an API server's knowledge ever is: nobody was wrong.
    outdated: u64,
}

impl Prober {
    fn start(client: &Client, ports: Vec<u16>) -> Prober {
        let (client, stop) = (client.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let probe = move || {
            let mut probed = Probed::default();
            while !stopped.load(Ordering::Relaxed) {
                let read = Instant::now();
                let config = trusting(&registered(&client));
                for port in ports.iter().cycle().take_while(|_| read.elapsed() < Duration::from_secs(1)) {
                    probed.handshakes += 1;
                    match handshake(&config, *port) {
                        Ok(()) => {}
                        Err(_) if read.elapsed() >= TIMES.settle => probed.outdated += 1,
                        Err(error) => probed.failures.push(format!("{port}: {error}")),
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            probed
        };
        Prober { stop, thread: std::thread::spawn(probe) }
    }
}

/// The bundle that the API servers are told to trust.
fn registered(client: &Client) -> String {
    let object = client.get(&format!("{REGISTRATION}/stockade")).expect_ok();
    let encoded = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

/// Trusts these authorities (PEM).
pub(super) fn trusting(bundle: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Connects as an API server does, to a port of loopback.
pub(super) fn handshake(config: &Arc<ClientConfig>, port: u16) -> io::Result<()> {
    let name = ServerName::try_from("stockade.stockade-system.svc").unwrap();
    let mut connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

/// The Secret's authorities, as they stand in the bundle.
fn authorities(cluster: &Cluster) -> Vec<String> {
    certificate_blocks(&bundle(cluster)).map(str::to_owned).collect()
}

/// `ca.crt` of the Secret; empty when there is none.
pub(super) fn bundle(cluster: &Cluster) -> String {
    let secret = cluster.client.get(SECRET);
    let encoded = secret.body["data"]["ca.crt"].as_str().unwrap_or_default();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

/// Does something to the Secret and waits until one authority is left, which is another than before.
fn rotated(cluster: &Cluster, what: &str, begin: impl FnOnce()) {
    let before = authorities(cluster);
    assert_eq!(before.len(), 1, "{what}");
    begin();
    let took = until(what, || {
        let now = authorities(cluster);
        now.len() == 1 && now != before
    });
    eprintln!("{what}: another authority signs, the old one is gone after {took:?}");
}

fn leader(nodes: &[Node]) -> &Node {
    until("one leads", || nodes.iter().any(|node| *node.leadership.borrow()));
    nodes.iter().find(|node| *node.leadership.borrow()).unwrap()
}

#[test]
fn authorities_change_under_load_without_a_failed_request() {
    if !tools::present() {
        return;
    }
    let (cluster, runtime) = (Cluster::start(), runtime());
    install(&cluster);
    make_namespace(&cluster, "judged");
    let nodes = three(&runtime, &cluster);
    let served: Vec<_> = nodes.iter().map(|node| node.issued.serving.borrow().clone().unwrap()).collect();
    assert!(served.windows(2).all(|two| two[0].certificate == two[1].certificate), "replicas serve different ones");
    let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
    for node in &nodes {
        let bundle = node.issued.bundle.clone();
        runtime.spawn(register(cluster.client.clone(), node.leadership.clone(), bundle, ports.clone()));
    }
    until("registered", || cluster.client.get(&format!("{REGISTRATION}/stockade")).ok());

    let prober = Prober::start(&cluster.client, ports);
    let load = Load::start(&cluster.client, RATE, |number| Shot {
        path: "/api/v1/namespaces/judged/configmaps?dryRun=All".to_owned(),
        object: json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("c{number}") } }),
        expected: Expected::Admitted,
    });
    let admin = runtime.block_on(access_as(&cluster, "kubeconfig", "admin"));
    rotated(&cluster, "a person asks", || {
        runtime.block_on(certificates::request_rotation(&admin, "stockade-tls")).unwrap();
    });
    rotated(&cluster, "a person asks, and the leader dies in the middle", || {
        runtime.block_on(certificates::request_rotation(&admin, "stockade-tls")).unwrap();
        until("begun", || authorities(&cluster).len() == 2);
        leader(&nodes).election.abort();
    });
    rotated(&cluster, "the Secret is deleted", || {
        cluster.client.request("DELETE", SECRET, "application/json", None).expect_ok();
        until("it is there again", || authorities(&cluster).len() == 2);
    });
    let nonsense = BASE64_STANDARD.encode("nonsense");
    rotated(&cluster, "its keys are damaged", || {
        let damage = json!({ "data": { "tls.key": nonsense, "ca.key": nonsense } });
        cluster.client.merge(SECRET, &damage).expect_ok();
    });
    rotated(&cluster, "its authorities are damaged", || {
        cluster.client.merge(SECRET, &json!({ "data": { "ca.crt": nonsense } })).expect_ok();
        until("they are there again", || authorities(&cluster).len() == 2);
    });
    prober.stop.store(true, Ordering::Relaxed);
    let (tally, probed) = (load.stop(), prober.thread.join().unwrap());
    let Probed { handshakes, failures, outdated } = &probed;
    eprintln!("five changes of authority: {tally}; {handshakes} new connections, {outdated} by who knew too little");
    assert_eq!((tally.failed, tally.told, &failures[..]), (0, BTreeMap::new(), &[][..]));
    runtime.shutdown_background();
}

/// Three replicas that start at once.
fn three(runtime: &Runtime, cluster: &Cluster) -> Vec<Node> {
    runtime.block_on(async {
        let (a, b, c) = tokio::join!(start(cluster, "a"), start(cluster, "b"), start(cluster, "c"));
        vec![a, b, c]
    })
}

#[test]
fn a_secret_of_somebody_else_is_followed_and_never_written() {
    if !tools::present() {
        return;
    }
    let (cluster, runtime) = (Cluster::shared(), runtime());
    install(cluster);
    let (_leading, leadership) = watch::channel(true);
    let access = runtime.block_on(access_as(cluster, "kubeconfig", "foreign"));
    let metrics = CertificateMetrics::register(&mut Registry::default());
    let (issued, keep) = certificates::run(&access, leadership, options("others-tls", Ownership::Foreign), metrics);
    runtime.spawn(keep);

    let authority = stockade_e2e::certificates::Authority::mint("somebody");
    let content = |leaf: &stockade_e2e::certificates::Leaf| {
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        json!({ "tls.crt": encode(&leaf.certificate_pem), "tls.key": encode(&leaf.key_pem),
            "ca.crt": encode(&authority.pem) })
    };
    let (first, second) = (authority.server(), authority.server());
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "others-tls" },
        "type": "kubernetes.io/tls", "data": content(&first) });
    cluster.client.post(&secrets, &secret).expect_ok();
    let path = format!("{secrets}/others-tls");
    let serves = |wanted: &str| issued.serving.borrow().as_ref().is_some_and(|pair| pair.certificate == wanted);
    until("the first", || serves(&first.certificate_pem));
    let trusted = issued.bundle.borrow().clone().unwrap();
    assert_eq!(
        certificate_blocks(&trusted).collect::<Vec<_>>(),
        certificate_blocks(&authority.pem).collect::<Vec<_>>()
    );

    let took = until("the second", || {
        cluster.client.merge(&path, &json!({ "data": content(&second) })).expect_ok();
        serves(&second.certificate_pem)
    });
    eprintln!("a changed Secret is taken after {took:?}");
    let damaged = json!({ "data": { "tls.key": content(&first)["tls.key"] } });
    let version = cluster.client.merge(&path, &damaged).expect_ok()["metadata"]["resourceVersion"].clone();
    // Its keeper looks five times a second; what it must not do it would have done by then.
    std::thread::sleep(Duration::from_secs(2));
    assert!(serves(&second.certificate_pem));
    assert_eq!(cluster.client.get(&path).expect_ok()["metadata"]["resourceVersion"], version);
    runtime.shutdown_background();
}

#[test]
fn who_starts_when_somebody_else_has_changed_the_authority_keeps_the_registered_one_and_serves_when_both_are() {
    if !tools::present() {
        return;
    }
    let (cluster, runtime) = (Cluster::with_default_apis(), runtime());
    make_namespace(&cluster, NAMESPACE);
    let [old, new] = ["old", "new"].map(stockade_e2e::certificates::Authority::mint);
    let configuration = |bundle: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "restarted" },
            "webhooks": [{
                "name": "a.restarted.stockade.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": "https://127.0.0.1:1", "caBundle": BASE64_STANDARD.encode(bundle) },
            }],
        })
    };
    cluster.client.post(REGISTRATION, &configuration(&old.pem)).expect_ok();
    let leaf = new.server();
    let texts = [("tls.crt", &leaf.certificate_pem), ("tls.key", &leaf.key_pem), ("ca.crt", &new.pem)];
    let data: serde_json::Map<String, Value> =
        texts.iter().map(|(key, text)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(text)))).collect();
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "restarted-tls" },
        "type": "kubernetes.io/tls", "data": data });
    cluster.client.post(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"), &secret).expect_ok();

    let (_leading, leadership) = watch::channel(true);
    let access = runtime.block_on(access_as(&cluster, "kubeconfig", "restarted"));
    let metrics = CertificateMetrics::register(&mut Registry::default());
    let options = Options { registration: "restarted".to_owned(), ..options("restarted-tls", Ownership::Foreign) };
    let (issued, keep) = certificates::run(&access, leadership, options, metrics);
    runtime.spawn(keep);
    let trusted = |authorities: &[&str]| {
        let bundle = issued.bundle.borrow().clone().unwrap_or_default();
        let wanted = authorities.concat();
        certificate_blocks(&bundle).collect::<Vec<_>>() == certificate_blocks(&wanted).collect::<Vec<_>>()
    };
    until("both are to be registered", || trusted(&[&new.pem, &old.pem]));
    assert!(issued.serving.borrow().is_none(), "nobody would trust it yet");
    let both = format!("{}{}", new.pem, old.pem);
    cluster.client.merge(&format!("{REGISTRATION}/restarted"), &configuration(&both)).expect_ok();
    let serves = || issued.serving.borrow().as_ref().is_some_and(|pair| pair.certificate == leaf.certificate_pem);
    until("it serves", serves);
    assert!(trusted(&[&new.pem, &old.pem]), "others may serve the one before");
    until("the old one has left", || trusted(&[&new.pem]));
    runtime.shutdown_background();
}
