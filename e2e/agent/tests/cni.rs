//! The plugin as a container runtime runs it: chained behind Debian's `ptp` and `bridge`, on hosts and in Pods made of
//! network namespaces, with the real gate behind its socket.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use stockade_agent::gate::install::{Chain, Folders, Installer, Options};
use stockade_agent::gate::metrics::StartMetrics;
use stockade_agent::gate::{Gate, bind};
use stockade_agent::hold::{self, Ask, Asked};
use stockade_cni::call::OnTimeout;
use stockade_e2e_agent::netns::Netns;
use stockade_e2e_agent::runtime::{self, Runtime, Said, Sandbox, plugin};
use tokio_util::sync::CancellationToken;

#[path = "cni/faults.rs"]
mod faults;

/// A host with the gate, in a thread of its own, and an agent behind it that says yes to everybody.
struct Node {
    folder: tempfile::TempDir,
    host: Netns,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

// === impl Node ===

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(&socket, stopped))
        });
        Self { folder, host: Netns::new(), stop, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    fn list(&self, version: &str, kind: &str) -> Value {
        let ours = json!({ "type": "stockade-cni", "socket": self.socket(), "waitSeconds": 60 });
        runtime::list(version, kind, "10.77.0", &self.folder.path().join("ipam"), &ours)
    }

    /// What the agent was asked, in order.
    fn end(mut self) -> Vec<String> {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

async fn serve(socket: &Path, stop: CancellationToken) -> Vec<String> {
    let (holder, mut held) = hold::channel(Duration::from_secs(60));
    let gate = Gate::new(holder, StartMetrics::register(&mut Registry::default()));
    let mut told = Vec::new();
    let agent = async {
        while let Some(Asked { ask, answer }) = held.recv().await {
            told.push(match ask {
                Ask::Hold(asked) => format!("hold {}", of(&asked)),
                Ask::Check(asked) => format!("check {}", of(&asked)),
                Ask::Release(pod) => format!("release {}/{} {}", pod.namespace, pod.name, pod.uid),
            });
            drop(answer.send(Ok(())));
        }
    };
    tokio::select! {
        () = agent => {}
        () = gate.serve(bind(socket).unwrap(), stop) => {}
    }
    told
}

fn of(asked: &hold::PodRequest) -> String {
    let hold::PodRequest { pod, interface, addresses } = asked;
    let (namespace, name, uid) = (&pod.namespace, &pod.name, &pod.uid);
    format!("{namespace}/{name} {uid} {} {} {addresses:?}", interface.index, interface.name)
}

/// The host's end of a Pod's `eth0` as `ip` sees it: its index and name.
fn host_side(host: &Netns, pod: &Sandbox) -> (u64, String) {
    let inside: Value = serde_json::from_str(&pod.netns.ip("-j link show eth0")).unwrap();
    let index = inside[0]["link_index"].as_u64().unwrap();
    let all: Value = serde_json::from_str(&host.ip("-j link show")).unwrap();
    let link = all.as_array().unwrap().iter().find(|link| link["ifindex"] == index).unwrap();
    (index, link["ifname"].as_str().unwrap().to_owned())
}

fn addresses(result: &Value) -> String {
    let ips = result["ips"].as_array().unwrap().iter();
    let ips: Vec<_> = ips.map(|ip| ip["address"].as_str().unwrap().split('/').next().unwrap().to_owned()).collect();
    format!("[{}]", ips.join(", "))
}

fn a_pod_lives_and_ends(version: &str, kind: &str) {
    let node = Node::start();
    let list = node.list(version, kind);
    let runtime = Runtime::new(&node.host);
    let mut expected = Vec::new();
    // A second Pod, so that there is a wrong interface to be taken.
    let pods = ["web", "db"].map(Sandbox::new);
    let mut results = Vec::new();
    for pod in &pods {
        // What the Pod has besides is not the one that is asked about.
        pod.netns.ip("link add other type veth peer name another");
        let added = runtime.add(&list, pod);
        assert!(added.ok, "{added:?}");
        let (index, name) = host_side(&node.host, pod);
        let result = added.json();
        expected.push(format!("hold shop/{0} {0}-uid {index} {name} {1}", pod.name, addresses(&result)));
        results.push(result);
    }
    for (pod, result) in pods.iter().zip(&results) {
        let first = &list["plugins"][0];
        assert_eq!(result["cniVersion"], version);
        if version >= "0.4.0" {
            let said = runtime.check(&list, result, pod);
            assert!(said.ok, "{first}: {said:?}");
            let (index, name) = host_side(&node.host, pod);
            expected.push(format!("check shop/{0} {0}-uid {index} {name} {1}", pod.name, addresses(result)));
        }
    }
    for pod in &pods {
        let said = runtime.del(&list, pod);
        assert!(said.ok, "{said:?}");
        expected.push(format!("release shop/{0} {0}-uid", pod.name));
        // And once more, when nothing is left of it.
        assert!(runtime.del(&list, pod).ok);
    }
    assert_eq!(node.end(), expected);
}

#[test]
fn behind_ptp_each_pod_is_held_by_its_own_interface() {
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        a_pod_lives_and_ends(version, "ptp");
    }
}

#[test]
fn behind_a_bridge_each_pod_is_held_by_its_own_interface() {
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        a_pod_lives_and_ends(version, "bridge");
    }
}

#[test]
fn the_result_of_the_plugin_before_passes_unchanged() {
    let node = Node::start();
    let pod = Sandbox::new("web");
    let runtime = Runtime::new(&node.host);
    let list = node.list("1.0.0", "ptp");
    let before = runtime.call("ADD", &list, &list["plugins"][0], None, &pod);
    let mut result = before.json();
    // A newer plugin may say more, and all of it is for the runtime.
    result["cniVersion"] = json!("1.1.0");
    result["interfaces"][0]["socketPath"] = json!("/run/x");
    result["news"] = json!({ "b": 1.50, "a": [null, "\u{e9}"] });
    let list = node.list("1.1.0", "ptp");
    let after = runtime.call("ADD", &list, &list["plugins"][1], Some(&result), &pod);
    assert_eq!(after, Said { ok: true, output: result.to_string(), errors: String::new() });
}

#[test]
fn commands_that_are_about_no_pod_succeed_and_tell_versions() {
    let node = Node::start();
    let pod = Sandbox::new("web");
    let runtime = Runtime::new(&node.host);
    let list = node.list("1.1.0", "ptp");
    let said = ["STATUS", "GC", "VERSION"].map(|command| runtime.call(command, &list, &list["plugins"][1], None, &pod));
    let versions = r#"{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}"#;
    let ok = |output: &str| Said { ok: true, output: output.to_owned(), errors: String::new() };
    assert_eq!(said, [ok(""), ok(""), ok(versions)]);
}

#[test]
fn a_runtime_that_reads_the_installed_configuration_holds_pods_until_it_is_removed() {
    let node = Node::start();
    let folders = Folders { configurations: node.folder.path().join("net.d"), plugins: node.folder.path().join("bin") };
    for folder in [&folders.configurations, &folders.plugins] {
        std::fs::create_dir(folder).unwrap();
    }
    let mut list = node.list("1.0.0", "ptp");
    list["plugins"].as_array_mut().unwrap().pop();
    let file = folders.configurations.join("10-pods.conflist");
    let original = serde_json::to_string_pretty(&list).unwrap();
    std::fs::write(&file, &original).unwrap();
    let options =
        Options { socket: node.socket(), wait_seconds: 60, on_timeout: OnTimeout::Deny, exempt_namespaces: Vec::new() };
    let runtime = Runtime { host: &node.host, plugins: vec![folders.plugins.clone(), PathBuf::from("/usr/lib/cni")] };
    let mut installer = Installer::new(folders, &options).unwrap();
    let read = || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap();

    assert_eq!(installer.install(&plugin()).unwrap(), Chain::Chained("10-pods.conflist".to_owned()));
    let pods = ["web", "db"].map(Sandbox::new);
    assert!(runtime.add(&read(), &pods[0]).ok);
    assert!(runtime.del(&read(), &pods[0]).ok);
    installer.remove().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), original);
    assert!(runtime.add(&read(), &pods[1]).ok);
    assert!(runtime.del(&read(), &pods[1]).ok);
    let asked = node.end();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("hold shop/web ") && asked[1] == "release shop/web web-uid", "{asked:?}");
}

#[test]
fn how_long_the_gate_and_the_plugin_take_by_themselves() {
    let node = Node::start();
    let pod = Sandbox::new("web");
    let runtime = Runtime::new(&node.host);
    let list = node.list("1.0.0", "ptp");
    let result = runtime.call("ADD", &list, &list["plugins"][0], None, &pod).json();
    let median = |run: &dyn Fn()| {
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let begin = Instant::now();
                run();
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let nothing = median(&|| assert!(runtime::run(&mut node.host.command("true"), "").ok));
    let version = median(&|| assert!(runtime.call("VERSION", &list, &list["plugins"][1], None, &pod).ok));
    let add = median(&|| assert!(runtime.call("ADD", &list, &list["plugins"][1], Some(&result), &pod).ok));
    eprintln!("a process that does nothing {nothing:?}, VERSION {version:?}, ADD {add:?}");
}
