//! What a container runtime does with a network configuration list (CNI 1.1.0, section 3): each plugin in order, with the
//! result of the one before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::netns::Netns;

/// Where Debian has the standard plugins.
pub const STANDARD_PLUGINS: &str = "/usr/lib/cni";

/// A runtime on a host.
#[derive(Debug)]
pub struct Runtime<'a> {
    /// The host.
    pub host: &'a Netns,
    /// Where plugins are.
    pub plugins: Vec<PathBuf>,
}

/// A Pod of namespace `shop`.
#[derive(Debug)]
pub struct Sandbox {
    /// Its network.
    pub netns: Netns,
    /// Its name.
    pub name: String,
}

/// What a plugin wrote, and what it told an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it succeeded.
    pub ok: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

// === impl Sandbox ===

impl Sandbox {
    /// A Pod without interfaces.
    pub fn new(name: &str) -> Self {
        Self { netns: Netns::new(), name: name.to_owned() }
    }
}

// === impl Said ===

impl Said {
    /// Its output as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

// === impl Runtime ===

impl<'a> Runtime<'a> {
    /// One with the standard plugins and the one that was built.
    pub fn new(host: &'a Netns) -> Self {
        let ours = plugin().parent().map(Path::to_owned);
        Self { host, plugins: ours.into_iter().chain([PathBuf::from(STANDARD_PLUGINS)]).collect() }
    }

    /// Sets a Pod's network up: the last plugin's result, or what the first one said that failed.
    pub fn add(&self, list: &Value, pod: &Sandbox) -> Said {
        let mut previous: Option<Value> = None;
        let mut said = Said { ok: true, output: String::new(), errors: String::new() };
        for plugin in plugins(list) {
            said = self.call("ADD", list, plugin, previous.as_ref(), pod);
            if !said.ok {
                break;
            }
            previous = Some(said.json());
        }
        said
    }

    /// Asks whether it still is as the result says.
    pub fn check(&self, list: &Value, result: &Value, pod: &Sandbox) -> Said {
        let all = plugins(list).map(|plugin| self.call("CHECK", list, plugin, Some(result), pod));
        first_failure(all)
    }

    /// Takes it down.
    pub fn del(&self, list: &Value, pod: &Sandbox) -> Said {
        let plugins: Vec<&Value> = plugins(list).collect();
        first_failure(plugins.into_iter().rev().map(|plugin| self.call("DEL", list, plugin, None, pod)))
    }

    /// Runs one plugin of a list.
    pub fn call(&self, command: &str, list: &Value, plugin: &Value, previous: Option<&Value>, pod: &Sandbox) -> Said {
        let mut config = plugin.clone();
        config["name"] = list["name"].clone();
        config["cniVersion"] = list["cniVersion"].clone();
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        let name = plugin["type"].as_str().unwrap();
        let path = self.plugins.iter().map(|folder| folder.join(name)).find(|path| path.exists());
        let path = path.unwrap_or_else(|| panic!("{name} is in none of {:?}", self.plugins));
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={0};K8S_POD_UID={0}-uid",
            pod.name
        );
        let mut command_line = self.host.command(path);
        command_line
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", format!("sandbox-{}", pod.name))
            .env("CNI_NETNS", pod.netns.path())
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", arguments)
            .env("CNI_PATH", STANDARD_PLUGINS);
        run(&mut command_line, &config.to_string())
    }
}

/// Runs a program with this input.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command, input: &str) -> Said {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A program that does not read its input has its reasons.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), output: text(output.stdout), errors: text(output.stderr) }
}

/// The plugin as it was built beside this test.
///
/// # Panics
/// When it was not.
pub fn plugin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("stockade-cni");
    assert!(path.exists(), "{} is not there: cargo build -p stockade-cni (or make e2e-agent)", path.display());
    path
}

/// A list in which our plugin comes after one of Debian's that gives Pods addresses of this network (`10.77.0`).
pub fn list(version: &str, kind: &str, network: &str, data: &Path, ours: &Value) -> Value {
    let mut first = json!({
        "type": kind,
        "ipam": {
            "type": "host-local", "dataDir": data,
            "ranges": [[{ "subnet": format!("{network}.0/24") }], [{ "subnet": "fd00:77::/64" }]],
        },
    });
    if kind == "bridge" {
        first["bridge"] = json!("cni0");
        first["isGateway"] = json!(true);
    }
    json!({ "cniVersion": version, "name": "pods", "plugins": [first, ours] })
}

fn plugins(list: &Value) -> impl Iterator<Item = &Value> {
    list["plugins"].as_array().unwrap().iter()
}

fn first_failure(mut said: impl Iterator<Item = Said>) -> Said {
    let nothing = Said { ok: true, output: String::new(), errors: String::new() };
    said.find(|said| !said.ok).unwrap_or(nothing)
}
