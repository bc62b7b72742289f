//! The real webhook: our binary as a process, registered with the API server by URL.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::certificates::{Authority, Leaf};
use crate::cluster::{Cluster, free_ports, logged};

/// How long anything may take that must come in the end: a webhook to listen, a registration to act, a process to end.
/// Far more than a slow and busy machine needs; where all is well nobody waits for it.
pub const WITHIN: Duration = Duration::from_secs(120);

/// Seconds for which API servers wait for a webhook: the most that the API takes. What fails in a test fails, and is not
/// merely late.
const PATIENCE: &str = "30";

/// The binary that `cargo build` made beside this test. None when there is none.
///
/// # Panics
/// When there is none and `CI` is set.
pub fn binary() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).map(|profile| profile.join("stockade")).filter(|path| path.is_file());
    if path.is_none() {
        let hint = format!("no stockade binary beside {}: run cargo build (or make e2e)", test.display());
        assert!(std::env::var_os("CI").is_none(), "{hint}");
        eprintln!("left out: {hint}");
    }
    path
}

/// A running `stockade serve`.
pub struct Webhook {
    /// Port of the HTTPS listener on loopback.
    pub port: u16,
    /// Port of the plain HTTP listener.
    pub health_port: u16,
    child: Mutex<Child>,
}

impl Webhook {
    /// Starts one that judges by folders and waits until it is ready.
    ///
    /// # Panics
    /// With the end of its log, when it is not.
    pub fn start(cluster: &Cluster, name: &str, certs: &Path, policies: &[&Path], state: &Path) -> Webhook {
        Self::start_at(cluster, name, free_ports::<1>()[0], certs, policies, state)
    }

    /// The same at a port that was told to the API server before.
    ///
    /// # Panics
    /// As [`Webhook::start`].
    pub fn start_at(
        cluster: &Cluster,
        name: &str,
        port: u16,
        certs: &Path,
        policies: &[&Path],
        state: &Path,
    ) -> Webhook {
        let flags = ["--certs".as_ref(), certs.as_os_str(), "--cluster-state".as_ref(), state.as_os_str()];
        let webhook = Self::spawn(&binary().unwrap(), cluster, name, port, policies, &flags);
        webhook.wait_until_ready(cluster, name);
        webhook
    }

    /// Starts the replica of this name that judges by the policies of the cluster, which it does not wait for to be
    /// ready. The namespace is its own: there its certificate is.
    pub fn start_in(cluster: &Cluster, namespace: &str, name: &str, policies: &[&Path]) -> Webhook {
        Self::start_with(cluster, namespace, name, policies, &[])
    }

    /// As [`Webhook::start_in`], with further flags.
    pub fn start_with(cluster: &Cluster, namespace: &str, name: &str, policies: &[&Path], more: &[&str]) -> Webhook {
        let kubeconfig = cluster.kubeconfig();
        let port = free_ports::<1>()[0];
        let url = format!("https://127.0.0.1:{port}");
        let mut flags: Vec<&OsStr> = vec![
            "--cluster".as_ref(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
            "--namespace".as_ref(),
            namespace.as_ref(),
            "--name".as_ref(),
            name.as_ref(),
            "--url".as_ref(),
            url.as_ref(),
            "--webhook-timeout".as_ref(),
            PATIENCE.as_ref(),
        ];
        flags.extend(more.iter().map(OsStr::new));
        Self::spawn(&binary().unwrap(), cluster, name, port, policies, &flags)
    }

    fn spawn(binary: &Path, cluster: &Cluster, name: &str, port: u16, policies: &[&Path], flags: &[&OsStr]) -> Webhook {
        let [health_port] = free_ports();
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port)).to_string();
        let mut command = logged(Command::new(binary), cluster.folder(), name);
        command.arg("serve").args(flags);
        command.args(["--listen", &address(port), "--listen-health", &address(health_port), "--log", "json"]);
        for folder in policies {
            command.arg("--policies").arg(folder);
        }
        let child = cluster.reaper.spawn(&mut command);
        Webhook { port, health_port, child: Mutex::new(child) }
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// With the end of its log, when it is not in time.
    pub fn wait_until_ready(&self, cluster: &Cluster, name: &str) {
        let deadline = Instant::now() + WITHIN;
        while self.health("readyz").is_none_or(|(code, _)| code != 200) {
            let ended = self.child.lock().unwrap().try_wait().unwrap().is_some();
            assert!(!ended && Instant::now() < deadline, "not ready:\n{}", cluster.log(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and text of `livez`, `readyz` or `metrics`.
    pub fn health(&self, path: &str) -> Option<(u16, String)> {
        plain(self.health_port, path)
    }

    /// The number of a metric that has no labels, or exactly those that `name` ends with; 0 while there is none.
    ///
    /// # Panics
    /// When it has ended.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.health("metrics").unwrap();
        let number = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(number).unwrap_or(0.0)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends it as a node does that loses its power.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it where it stands, as a node does that hangs, until [`Webhook::resume`].
    ///
    /// # Panics
    /// When it has ended.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.lock().unwrap()), signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end; gives the exit code.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn terminate(&self) -> Option<i32> {
        let mut child = self.child.lock().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Status and text of what a plain HTTP listener on loopback says; none while it does not.
pub fn plain(port: u16, path: &str) -> Option<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(WITHIN))
        .build()
        .into();
    let mut response = agent.get(format!("http://127.0.0.1:{port}/{path}")).call().ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), text))
}

/// Writes a certificate as the webhook's folder holds it; the last file is renamed into place.
pub fn write_certificate(folder: &Path, authority: &Authority, leaf: &Leaf) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in [("ca.crt", &authority.pem), ("tls.crt", &leaf.certificate_pem), ("tls.key", &leaf.key_pem)] {
        let new = folder.join(format!(".{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, folder.join(name)).unwrap();
    }
}

/// Registers `/mutate` and `/validate` at a port of loopback for namespaces with the label `e2e: NAME`, and waits
/// until the API server asks.
///
/// # Panics
/// When it never does.
pub fn register(cluster: &Cluster, name: &str, port: u16, authority: &Authority) {
    for (kind, path) in [("Mutating", "mutate"), ("Validating", "validate")] {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}WebhookConfiguration"),
            "metadata": { "name": name },
            "webhooks": [{
                "name": format!("{path}.{name}.stockade.dev"),
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{port}/{path}"),
                    "caBundle": BASE64_STANDARD.encode(&authority.pem),
                },
                "namespaceSelector": { "matchLabels": { "e2e": name } },
                "rules": [{
                    "operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": ["*"], "apiVersions": ["*"],
                    "resources": ["pods", "configmaps", "networkpolicies"], "scope": "Namespaced",
                }],
                "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 30,
            }],
        });
        let plural = format!("{}webhookconfigurations", kind.to_lowercase());
        cluster.client.post(&format!("/apis/admissionregistration.k8s.io/v1/{plural}"), &configuration).expect_ok();
    }
}

/// Makes a namespace that the webhook of this name is asked about.
pub fn namespace(cluster: &Cluster, name: &str) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "e2e": name } },
    });
    cluster.client.post("/api/v1/namespaces", &namespace).expect_ok();
}

/// Repeats a request until its answer is as wanted; registrations and reloads take a moment.
///
/// # Panics
/// With the last answer, when it never is.
#[track_caller]
pub fn eventually<T: std::fmt::Debug>(mut ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A Pod with one container.
pub fn pod(name: &str, spec: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "registry.example.com/web:1.0.0" }] },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}
