use std::path::PathBuf;

use prometheus_client::registry::Registry;
use stockade_cni::ask::ask;
use stockade_cni::gate::{Interface, Pod};
use tokio::task::JoinHandle;

use super::*;
use crate::hold::{Ask, Asked, GateError, Held, channel};

/// Long enough for any machine; what is waited for comes at once.
const SOON: Duration = Duration::from_secs(120);

struct Running {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    registry: Registry,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start() -> (Running, Held) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/agent.sock");
    let mut registry = Registry::default();
    let metrics = StartMetrics::register(&mut registry);
    let (holder, held) = channel(SOON);
    let stop = CancellationToken::new();
    let task = tokio::spawn(Gate::new(holder, metrics).serve(bind(&socket).unwrap(), stop.clone()));
    (Running { _folder: folder, socket, registry, stop, task }, held)
}

fn request(command: Command, container_id: &str) -> Request {
    let interface = (command != Command::Del).then(|| Interface { index: 7, name: "veth7".to_owned() });
    Request {
        version: VERSION,
        command,
        container_id: container_id.to_owned(),
        ifname: "eth0".to_owned(),
        pod: Pod { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "42".to_owned() },
        interface,
        addresses: vec!["10.0.0.1".parse().unwrap()],
    }
}

fn asked_request() -> PodRequest {
    PodRequest {
        pod: PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "42".to_owned() },
        interface: HostInterface { index: 7, name: "veth7".to_owned() },
        addresses: vec!["10.0.0.1".parse().unwrap()],
    }
}

// === impl Running ===

impl Running {
    /// Asks as the plugin does.
    fn ask(&self, request: Request) -> JoinHandle<Answer> {
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || ask(&socket, &request, SOON).unwrap())
    }

    async fn says(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn requests(&self) -> Vec<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let mut lines: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("stockade_agent_gate_requests_total"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }
}

#[tokio::test]
async fn a_pod_is_held_until_the_agent_has_answered() {
    let (gate, mut held) = start();
    let answer = gate.ask(request(Command::Add, "a"));
    let Asked { ask, answer: to } = held.recv().await.unwrap();
    assert!(matches!(ask, Ask::Hold(asked) if asked == asked_request()));
    assert!(!answer.is_finished());
    to.send(Ok(())).unwrap();
    assert_eq!(answer.await.unwrap(), Answer::done());

    let answer = gate.ask(request(Command::Check, "a"));
    let Asked { ask, answer: to } = held.recv().await.unwrap();
    assert!(matches!(ask, Ask::Check(asked) if asked == asked_request()));
    to.send(Err(GateError::NoInterface { index: 7 })).unwrap();
    assert_eq!(answer.await.unwrap(), Answer::refused("interface 7 is not the Pod's"));
    let counted = [r#"{command="ADD",outcome="Done"} 1"#, r#"{command="CHECK",outcome="Refused"} 1"#];
    assert_eq!(gate.requests(), counted);
}

#[tokio::test]
async fn taking_down_an_earlier_sandbox_does_not_release_the_present_one() {
    let (gate, mut held) = start();
    for sandbox in ["a", "b"] {
        let answer = gate.ask(request(Command::Add, sandbox));
        held.recv().await.unwrap().answer.send(Ok(())).unwrap();
        assert_eq!(answer.await.unwrap(), Answer::done());
    }
    assert_eq!(gate.ask(request(Command::Del, "a")).await.unwrap(), Answer::done());
    assert!(held.try_recv().is_err());

    let answer = gate.ask(request(Command::Del, "b"));
    let Asked { ask, answer: to } = held.recv().await.unwrap();
    assert!(matches!(ask, Ask::Release(pod) if pod == asked_request().pod));
    to.send(Ok(())).unwrap();
    assert_eq!(answer.await.unwrap(), Answer::done());
}

#[tokio::test]
async fn who_stops_waiting_holds_nothing() {
    let (gate, mut held) = start();
    let mut line = serde_json::to_vec(&request(Command::Add, "a")).unwrap();
    line.push(b'\n');
    let mut stream = UnixStream::connect(&gate.socket).await.unwrap();
    stream.write_all(&line).await.unwrap();
    let Asked { answer: mut to, .. } = held.recv().await.unwrap();
    drop(stream);
    timeout(SOON, to.closed()).await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_reaches_nobody() {
    let (gate, mut held) = start();
    let mut other_version = request(Command::Add, "a");
    other_version.version = 2;
    let mut nameless = request(Command::Add, "a");
    nameless.pod.name = "x".repeat(MAX_NAME + 1);
    let mut without_interface = request(Command::Add, "a");
    without_interface.interface = None;
    let line = |request: &Request| serde_json::to_string(request).unwrap() + "\n";
    let said = [
        gate.says(b"").await,
        gate.says(b"{}\n").await,
        gate.says(&[b'x'; MAX_REQUEST + 1]).await,
        gate.says(line(&other_version).as_bytes()).await,
        gate.says(line(&nameless).as_bytes()).await,
        gate.ask(without_interface).await.unwrap().message,
    ];
    insta::assert_snapshot!(said.join(""), @r#"
    {"ok":false,"message":"the request ended early"}
    {"ok":false,"message":"missing field `version` at line 1 column 2"}
    {"ok":false,"message":"the request has more than 16384 bytes"}
    {"ok":false,"message":"the request is of version 2, not 1"}
    {"ok":false,"message":"a name has more than 253 bytes"}
    the request does not say which interface is the Pod's
    "#);
    assert!(held.try_recv().is_err());
}

#[tokio::test]
async fn an_agent_that_ends_lets_whoever_waits_ask_the_next_one() {
    let (gate, mut held) = start();
    let answer = gate.ask(request(Command::Add, "a"));
    let waiting = held.recv().await.unwrap();
    gate.stop.cancel();
    gate.task.await.unwrap();
    assert!(!answer.is_finished());
    drop(waiting);

    let (holder, mut held) = channel(SOON);
    let metrics = StartMetrics::register(&mut Registry::default());
    let next = Gate::new(holder, metrics).serve(bind(&gate.socket).unwrap(), CancellationToken::new());
    let next = tokio::spawn(next);
    held.recv().await.unwrap().answer.send(Ok(())).unwrap();
    assert_eq!(answer.await.unwrap(), Answer::done());
    next.abort();
}
