//! A real etcd and kube-apiserver on loopback with their default APIs, for the generator.
//!
//! Binaries come from `$STOCKADE_CACHE/tools/bin` (default `~/.cache/stockade/tools/bin`), where `e2e/tools/build` puts
//! them; `kubectl` is the HTTP client.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take until `/readyz` answers; about 5 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A running API server; killed and its files removed when dropped.
pub(crate) struct Server {
    dir: PathBuf,
    tools: PathBuf,
    url: String,
    children: Vec<Child>,
}

impl Server {
    /// Starts both and waits until the server is ready.
    pub(crate) fn start() -> std::io::Result<Self> {
        let cache = std::env::var_os("STOCKADE_CACHE").map_or_else(default_cache, PathBuf::from);
        let tools = cache.join("tools/bin");
        let dir = std::env::temp_dir().join(format!("stockade-schema-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let (etcd, peer, api) = (free_port()?, free_port()?, free_port()?);
        let mut server = Self { dir, tools, url: format!("https://127.0.0.1:{api}"), children: Vec::new() };
        fs::write(server.dir.join("tokens.csv"), "loopback,admin,admin,system:masters\n")?;
        let key = server.dir.join("sa.key");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output()?;
        if !made.status.success() {
            return Err(std::io::Error::other("openssl genrsa failed"));
        }
        let etcd_url = format!("http://127.0.0.1:{etcd}");
        let peer_url = format!("http://127.0.0.1:{peer}");
        server.spawn(
            "etcd",
            &[
                &format!("--data-dir={}", server.path("etcd")),
                "--unsafe-no-fsync",
                "--log-level=error",
                &format!("--listen-client-urls={etcd_url}"),
                &format!("--advertise-client-urls={etcd_url}"),
                &format!("--listen-peer-urls={peer_url}"),
                &format!("--initial-advertise-peer-urls={peer_url}"),
                &format!("--initial-cluster=default={peer_url}"),
            ],
        )?;
        server.spawn(
            "kube-apiserver",
            &[
                &format!("--etcd-servers={etcd_url}"),
                &format!("--secure-port={api}"),
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                &format!("--cert-dir={}", server.path("certs")),
                &format!("--token-auth-file={}", server.path("tokens.csv")),
                "--authorization-mode=RBAC",
                "--allow-privileged=true",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--service-account-key-file={}", server.path("sa.key")),
                &format!("--service-account-signing-key-file={}", server.path("sa.key")),
            ],
        )?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Body of a GET.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<serde_json::Value> {
        let out = self.kubectl(&["get", "--raw", path]).stdin(Stdio::null()).output()?;
        answer(&out)
    }

    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.tools.join("kubectl"));
        command
            .args(["--server", &self.url, "--insecure-skip-tls-verify", "--token", "loopback"])
            .args(args)
            .env("KUBECONFIG", "/dev/null")
            .env("HOME", &self.dir);
        command
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn spawn(&mut self, program: &str, args: &[&str]) -> std::io::Result<()> {
        let log = fs::File::create(self.dir.join(format!("{program}.log")))?;
        let child = Command::new(self.tools.join(program))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.children.push(child);
        Ok(())
    }

    fn wait_until_ready(&mut self) -> std::io::Result<()> {
        let start = Instant::now();
        loop {
            let out = self.kubectl(&["get", "--raw", "/readyz"]).output()?;
            if out.status.success() {
                return Ok(());
            }
            let died = self.children.iter_mut().any(|c| !matches!(c.try_wait(), Ok(None)));
            if died || start.elapsed() > READY_WITHIN {
                let log = fs::read_to_string(self.dir.join("kube-apiserver.log")).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(5).collect();
                return Err(std::io::Error::other(format!("the API server did not get ready: {tail:?}")));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn answer(out: &Output) -> std::io::Result<serde_json::Value> {
    if !out.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&out.stderr).trim().to_owned()));
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn default_cache() -> PathBuf {
    Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/stockade")
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
