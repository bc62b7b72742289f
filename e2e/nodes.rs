//! The two-node cluster of `make cluster` as a fixture: containerd, kubelets and real Pods.
//!
//! There is one a host, so one test binary has it at a time, and within that binary one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::Client;
use crate::registry::Registry;
use crate::{documents, tools};

/// The cluster; ended when this is dropped.
pub struct Nodes {
    folder: PathBuf,
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it succeeded.
    pub ok: bool,
    /// Standard output and standard error, in the order in which they came.
    pub text: String,
}

/// Whether a cluster can be made here: by root, from tools that are built.
///
/// # Panics
/// When it cannot and `CI` is set: in CI nothing may be skipped.
pub fn possible() -> bool {
    if !tools::present() {
        return false;
    }
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "a cluster of two nodes needs root");
        eprintln!("left out: a cluster of two nodes needs root");
    }
    root
}

impl Nodes {
    /// Starts it and gives the nodes the images of `make image`.
    ///
    /// # Panics
    /// When a cluster runs already: it is somebody's; and when it does not start.
    pub fn start() -> Self {
        let folder = tools::folder().ancestors().nth(2).unwrap().to_owned();
        assert!(!folder.join("cluster").exists(), "a cluster is there already: make cluster-down ends it");
        let nodes = Self { folder };
        nodes.script("up", &[]);
        for image in ["stockade.tar", "agent.tar"] {
            nodes.script("load", &[nodes.folder.join(image).to_str().unwrap()]);
        }
        nodes
    }

    /// Runs a script of `e2e/cluster`.
    ///
    /// # Panics
    /// When it fails.
    pub fn script(&self, name: &str, arguments: &[&str]) {
        let script = root().join("e2e/cluster").join(name);
        let said = run(Command::new(script).args(arguments));
        assert!(said.ok, "e2e/cluster/{name} {arguments:?}: {}", said.text);
    }

    /// Runs a line of shell in the root of the tree as a person would who did what `make cluster` says.
    pub fn shell(&self, line: &str) -> Said {
        let path = std::env::var("PATH").unwrap_or_default();
        run(Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {line}")])
            .current_dir(root())
            .env("PATH", format!("{}:{path}", tools::folder().display()))
            .env("HOME", self.folder.join("cluster"))
            .env("KUBECONFIG", self.folder.join("cluster/kubeconfig")))
    }

    /// The same; what it says is for the caller, that it works is certain.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn must(&self, line: &str) -> String {
        let said = self.shell(line);
        assert!(said.ok, "$ {line}\n{}", said.text);
        said.text
    }

    /// Runs a line again until what it says is accepted, and tells how long that took.
    ///
    /// # Panics
    /// With what it said last, when that is not within the time.
    #[track_caller]
    pub fn until(&self, within: Duration, line: &str, accepted: impl Fn(&Said) -> bool) -> Duration {
        let begin = Instant::now();
        loop {
            let said = self.shell(line);
            if accepted(&said) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < within, "not within {within:?}: $ {line}\n{}", said.text);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Its registry as the host reaches it, and what nodes call it.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn registry(&self) -> (Registry, String) {
        let told = self.must(". e2e/cluster/lib.sh; echo 127.0.0.1:$registry_port $control_plane:$registry_port");
        let (host, for_nodes) = told.trim().split_once(' ').unwrap();
        let ca = std::fs::read_to_string(self.folder.join("cluster/ca.crt")).unwrap();
        (Registry::running(host.to_owned(), ca, Box::new(())), for_nodes.to_owned())
    }

    /// A client of the API server, as the administrator, through the host's port.
    pub fn client(&self) -> Client {
        let text = std::fs::read_to_string(self.folder.join("cluster/kubeconfig")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let of = |pointer| documents::text(&config, pointer);
        let ca = BASE64_STANDARD.decode(of("/clusters/0/cluster/certificate-authority-data")).unwrap();
        let ca = String::from_utf8(ca).unwrap();
        Client::new(of("/clusters/0/cluster/server"), &ca, of("/users/0/user/token"))
    }

    /// What one would look at after a failure: Pods, events, the ends of Stockade's logs.
    fn explain(&self) -> String {
        let looks = [
            "kubectl get pods -A -o wide",
            "kubectl get events -A --sort-by=.lastTimestamp | tail -40",
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml | head -150",
            "kubectl describe pods -n stockade-system | grep -v '^  *Normal' | tail -80",
            "for pod in $(kubectl get pods -n stockade-system -o name); do
               echo \"== $pod\"; kubectl logs -n stockade-system \"$pod\" --tail=40
               kubectl logs -n stockade-system \"$pod\" --previous --tail=20 2>/dev/null
             done",
        ];
        let said = looks.map(|line| format!("$ {line}\n{}", self.shell(line).text));
        said.join("\n")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.explain());
        }
        let said = run(&mut Command::new(root().join("e2e/cluster/down")));
        if !said.ok {
            eprintln!("e2e/cluster/down: {}", said.text);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Said { ok: output.status.success(), text }
}
