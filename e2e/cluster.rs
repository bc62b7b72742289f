//! A real etcd and kube-apiserver on loopback, in a temporary folder.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::certificates::Authority;
use crate::client::Client;
use crate::reaper::Reaper;
use crate::tools;
use crate::webhook::eventually;

/// How long etcd and the API server may take to become ready: some 5 s on two idle cores, 20 s under load, and more where
/// both are slow.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// Ports of servers that are told theirs before they listen. Below those that the system gives to connections and to
/// whoever asks for any (Linux: 32768 and up), so that nobody is given one between now and then.
const SERVER_PORTS: Range<u16> = 20_000..30_000;

/// Versions of the policy kinds that are off by default.
const POLICY_VERSIONS: &str =
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true,admissionregistration.k8s.io/v1alpha1=true";

/// Bearer token of the cluster's administrator (`system:masters`).
const ADMIN_TOKEN: &str = "admin-token";

/// Bearer token of `alice`, who may do nothing but what RBAC gives her.
pub const ALICE_TOKEN: &str = "alice-token";

/// A running control plane. Dropping it, or the end of the process, ends it and removes its folder.
pub struct Cluster {
    /// As the administrator.
    pub client: Client,
    /// `https://127.0.0.1:PORT`
    pub url: String,
    folder: PathBuf,
    /// etcd, then the API server.
    children: Mutex<Vec<Child>>,
    server_flags: Vec<String>,
    /// Ends further processes with the cluster: the webhook, recorders.
    pub reaper: Reaper,
}

/// Exit status and output of one `kubectl`.
#[derive(Debug)]
pub struct Kubectl {
    /// Exit code, -1 when killed.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cluster {
    /// The cluster that all tests of one test binary share. It ends with the process.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    /// Starts one that serves policies in all their versions, and waits until it is ready.
    ///
    /// # Panics
    /// With the end of the logs, when it does not become ready.
    pub fn start() -> Cluster {
        Self::start_with(&[POLICY_VERSIONS])
    }

    /// Starts one that serves what a server serves by default.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn with_default_apis() -> Cluster {
        Self::start_with(&[])
    }

    /// Starts one with further flags of the API server.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with(flags: &[&str]) -> Cluster {
        let folder = tempfile::Builder::new().prefix("stockade-e2e-").tempdir().unwrap().keep();
        let reaper = Reaper::start(&folder);
        let authority = Authority::mint("stockade-e2e");
        write_files(&folder, &authority);
        let [etcd_port, peer_port, api_port] = free_ports();
        let url = format!("https://127.0.0.1:{api_port}");
        write_kubeconfig(&folder, &url);
        let etcd = reaper.spawn(
            logged(Command::new(tools::path("etcd")), &folder, "etcd")
                .arg(format!("--data-dir={}", folder.join("etcd").display()))
                .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"))
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"))
                .args(["--unsafe-no-fsync", "--log-level=warn"]),
        );
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let server_flags: Vec<String> = server_flags(&folder, etcd_port, api_port).into_iter().chain(flags).collect();
        let server = spawn_server(&reaper, &folder, &server_flags);
        let cluster = Cluster {
            client: Client::new(&url, &authority.pem, ADMIN_TOKEN),
            url,
            folder,
            children: Mutex::new(vec![etcd, server]),
            server_flags,
            reaper,
        };
        cluster.wait_until_ready();
        cluster
    }

    /// Kills the API server; [`Cluster::start_server`] starts it again. What is stored stays.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn stop_server(&self) {
        let server = &mut self.children.lock().unwrap()[1];
        server.kill().unwrap();
        server.wait().unwrap();
        self.reaper.forget(server);
    }

    /// Starts the API server that was stopped, and waits until it is ready.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_server(&self) {
        self.children.lock().unwrap()[1] = spawn_server(&self.reaper, &self.folder, &self.server_flags);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.client.get("/readyz").ok() || !self.client.get("/api/v1/namespaces/default").ok() {
            let ended = self.children.lock().unwrap().iter_mut().any(|child| child.try_wait().unwrap().is_some());
            if ended || Instant::now() > deadline {
                panic!("the control plane is not ready:\n{}\n{}", self.log("etcd"), self.log("kube-apiserver"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All that a component has logged so far.
    pub fn whole_log(&self, component: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{component}.log"))).unwrap_or_default()
    }

    /// The end of a component's log.
    pub fn log(&self, component: &str) -> String {
        let text = self.whole_log(component);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Process of the API server.
    pub fn server_pid(&self) -> u32 {
        self.children.lock().unwrap()[1].id()
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The audit log: one JSON event a line, `ResponseComplete` stage only.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// `kubectl apply`, again until it succeeds: where somebody is slow, a person tries again as well.
    ///
    /// # Panics
    /// With what it said last, when it never does.
    #[track_caller]
    pub fn apply(&self, objects: &str) {
        eventually(|| self.kubectl(&["apply", "-f", "-"], objects), |applied| applied.code == 0);
    }

    /// Runs the real `kubectl` with the administrator's kubeconfig.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> Kubectl {
        let mut child = Command::new(tools::path("kubectl"))
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .arg(format!("--cache-dir={}", self.folder.join("kubectl-cache").display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let _ = pipe.write_all(stdin.as_bytes());
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        Kubectl {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.lock().unwrap().iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
            self.reaper.forget(child);
        }
    }
}

fn spawn_server(reaper: &Reaper, folder: &Path, flags: &[String]) -> Child {
    reaper.spawn(logged(Command::new(tools::path("kube-apiserver")), folder, "kube-apiserver").args(flags))
}

/// Sends a child's output to `NAME.log` in the folder.
pub fn logged(mut command: Command, folder: &Path, name: &str) -> Command {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log"))).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log).current_dir(folder);
    command
}

/// Ports of loopback on which nobody listens, each given to one caller of this process.
pub fn free_ports<const N: usize>() -> [u16; N] {
    /// Where to look next. Processes beside this one look elsewhere first.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    let next = || SERVER_PORTS.start + (NEXT.fetch_add(1, Ordering::Relaxed) % SERVER_PORTS.len() as u32) as u16;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    [(); N].map(|()| std::iter::repeat_with(next).take(SERVER_PORTS.len()).find(is_free).unwrap())
}

fn write_files(folder: &Path, authority: &Authority) {
    let server = authority.server();
    let account = rcgen::KeyPair::generate().unwrap();
    let audit = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            // Connections are also made by GET.
            { "level": "Metadata", "resources": [{ "group": "", "resources": [
                "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy",
            ] }] },
            { "level": "None", "verbs": ["get", "list", "watch"] },
            { "level": "Metadata" },
        ],
    });
    for (name, content) in [
        ("ca.crt", authority.pem.clone()),
        ("server.crt", server.certificate_pem),
        ("server.key", server.key_pem),
        ("account.key", account.serialize_pem()),
        ("account.pub", account.public_key_pem()),
        ("audit.json", audit.to_string()),
        ("tokens.csv", format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n{ALICE_TOKEN},alice,alice,\"team-a\"\n")),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn write_kubeconfig(folder: &Path, url: &str) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{ "name": "e2e", "cluster": { "server": url, "certificate-authority": folder.join("ca.crt") } }],
        "users": [{ "name": "admin", "user": { "token": ADMIN_TOKEN } }],
        "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "admin" } }],
    });
    fs::write(folder.join("kubeconfig"), config.to_string()).unwrap();
}

fn server_flags(folder: &Path, etcd_port: u16, api_port: u16) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        // There is no Endpoints object for a server on loopback.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={api_port}"),
        format!("--cert-dir={}", file("certs")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("account.pub")),
        format!("--service-account-signing-key-file={}", file("account.key")),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        // What is off would refuse or change Pods for want of objects that only controllers make.
        "--disable-admission-plugins=ServiceAccount,Priority,RuntimeClass".to_owned(),
        format!("--audit-policy-file={}", file("audit.json")),
        format!("--audit-log-path={}", file("audit.log")),
        "--profiling=false".to_owned(),
    ]
}
