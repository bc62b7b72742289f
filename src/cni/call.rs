//! What a runtime asks: the environment and standard input of a CNI call (specification 1.1.0), read strictly.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Code, Failure};
use crate::gate::{self, Pod};

/// Versions whose chained plugins are called as this one is; before 0.3.0 there are no chains.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The newest of them.
pub const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

/// Bytes of standard input. A result with thousands of routes has some 100 KiB.
pub const MAX_INPUT: usize = 1024 * 1024;

/// Namespaces that are not held.
pub const MAX_EXEMPT_NAMESPACES: usize = 1_000;

/// Bytes of a name in the environment: the longest of Kubernetes, which is also more than any runtime's container ID.
const MAX_NAME: usize = 253;

/// Bytes of an interface's name (`IFNAMSIZ` and its NUL).
const MAX_IFNAME: usize = 15;

/// Seconds that a Pod may be held: well below the two minutes after which the kubelet gives up on a runtime's answer.
pub const MAX_WAIT_SECONDS: u64 = 60;

/// What is asked.
#[derive(Debug)]
pub enum Call {
    /// A Pod's network was set up by the plugins before.
    Add(Attachment),
    /// Is it still as it was?
    Check(Attachment),
    /// A Pod's network is taken down.
    Del(Detachment),
    /// Which attachments there still are is told. Nothing is kept here, so nothing is to be done.
    Gc,
    /// Can Pods be added?
    Status,
    /// Which versions are spoken?
    Version,
}

/// An interface of a Pod.
#[derive(Debug)]
pub struct Attachment {
    /// What is asked for.
    pub config: Config,
    /// The sandbox, as the runtime names it.
    pub container_id: String,
    /// A file of the Pod's network namespace.
    pub network_namespace: PathBuf,
    /// The Pod's interface.
    pub ifname: String,
    /// Whose it is.
    pub pod: Pod,
    /// The Pod's addresses on that interface.
    pub addresses: Vec<IpAddr>,
    /// What the plugin before said, to the byte.
    pub result: Box<RawValue>,
}

/// An interface of a Pod that goes.
#[derive(Debug)]
pub struct Detachment {
    /// What is asked for.
    pub config: Config,
    /// The sandbox, as the runtime names it.
    pub container_id: String,
    /// The Pod's interface.
    pub ifname: String,
    /// Whose it is.
    pub pod: Pod,
}

/// The plugin's entry of a network configuration list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The version in which the list is written.
    pub cni_version: String,
    /// Where the agent listens.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    /// How long a Pod's network is held at most, 1 to 60.
    #[serde(default = "default_wait_seconds")]
    pub wait_seconds: u64,
    /// What becomes of it when the agent has not answered by then.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// Pods of these namespaces are not held: what the agent itself needs to work.
    #[serde(default)]
    pub exempt_namespaces: Vec<String>,
    #[serde(default)]
    prev_result: Option<Box<RawValue>>,
}

/// What becomes of a Pod when the agent has not answered in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum OnTimeout {
    /// It gets no network; the kubelet tries again.
    #[default]
    Deny,
    /// It starts, and is open until the agent has found it.
    Allow,
}

/// What matters here of a result (0.3.0 to 1.1.0).
#[derive(Deserialize)]
struct PreviousResult {
    #[serde(default)]
    interfaces: Vec<PreviousInterface>,
    #[serde(default)]
    ips: Vec<PreviousAddress>,
}

#[derive(Deserialize)]
struct PreviousInterface {
    name: String,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct PreviousAddress {
    address: String,
    #[serde(default)]
    interface: Option<usize>,
}

// === impl Call ===

impl Call {
    /// Reads it. Whatever is wrong with a `DEL` is told too: that it does not matter is for the caller to say.
    ///
    /// # Errors
    /// With the specification's code, when something is missing or is not what it must be.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>, input: impl Read) -> Result<Self, Failure> {
        let command = required(variable, "CNI_COMMAND")?;
        if command == "VERSION" {
            return Ok(Self::Version);
        }
        let config = Config::read(input)?;
        let version = config.cni_version.clone();
        Self::of(&command, variable, config).map_err(|failure| failure.of_version(&version))
    }

    fn of(command: &str, variable: &dyn Fn(&str) -> Option<String>, config: Config) -> Result<Self, Failure> {
        match command {
            "ADD" => Ok(Self::Add(Attachment::read(variable, config)?)),
            "CHECK" => Ok(Self::Check(Attachment::read(variable, config)?)),
            "DEL" => Ok(Self::Del(Detachment::read(variable, config)?)),
            "GC" => Ok(Self::Gc),
            "STATUS" => Ok(Self::Status),
            other => Err(environment("CNI_COMMAND", format!("{other:?} is no command of the specification"))),
        }
    }
}

// === impl Config ===

impl Config {
    /// How long a Pod's network is held at most.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }

    fn read(input: impl Read) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let limit = MAX_INPUT as u64 + 1;
        input
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new(Code::Io, "standard input cannot be read", error))?;
        if bytes.len() > MAX_INPUT {
            let details = format!("it has more than {MAX_INPUT} bytes");
            return Err(Failure::new(Code::Undecodable, "the configuration is too long", details));
        }
        let config: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(Code::Undecodable, "the configuration cannot be read", error))?;
        if !VERSIONS.contains(&config.cni_version.as_str()) {
            let details = format!("{:?} is none of {}", config.cni_version, VERSIONS.join(", "));
            return Err(Failure::new(Code::IncompatibleVersion, "incompatible version of CNI", details));
        }
        let wrong = |what: String| {
            Err(Failure::new(Code::Configuration, "the configuration is not valid", what)
                .of_version(&config.cni_version))
        };
        if !(1..=MAX_WAIT_SECONDS).contains(&config.wait_seconds) {
            return wrong(format!("waitSeconds: {} is not in 1 to {MAX_WAIT_SECONDS}", config.wait_seconds));
        }
        if !config.socket.is_absolute() {
            return wrong(format!("socket: {:?} is not an absolute path", config.socket));
        }
        if config.exempt_namespaces.len() > MAX_EXEMPT_NAMESPACES {
            return wrong(format!("exemptNamespaces: more than {MAX_EXEMPT_NAMESPACES}"));
        }
        Ok(config)
    }
}

// === impl OnTimeout ===

impl FromStr for OnTimeout {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Deny" => Ok(Self::Deny),
            "Allow" => Ok(Self::Allow),
            _ => Err("it is neither Deny nor Allow"),
        }
    }
}

// === impl Attachment ===

impl Attachment {
    fn read(variable: &dyn Fn(&str) -> Option<String>, mut config: Config) -> Result<Self, Failure> {
        let Some(result) = config.prev_result.take() else {
            let details = "there is no prevResult: this plugin comes after one that makes the Pod's interface";
            return Err(Failure::new(Code::Configuration, "not called in a chain", details));
        };
        let ifname = interface_name(variable)?;
        let addresses = addresses(&result, &ifname)?;
        let network_namespace = PathBuf::from(required(variable, "CNI_NETNS")?);
        Ok(Self {
            container_id: container_id(variable)?,
            network_namespace,
            ifname,
            pod: pod(variable)?,
            addresses,
            result,
            config,
        })
    }
}

// === impl Detachment ===

impl Detachment {
    fn read(variable: &dyn Fn(&str) -> Option<String>, config: Config) -> Result<Self, Failure> {
        Ok(Self {
            container_id: container_id(variable)?,
            ifname: interface_name(variable)?,
            pod: pod(variable)?,
            config,
        })
    }
}

/// Those of the Pod's interface; one that is said of no interface is of this one.
fn addresses(result: &RawValue, ifname: &str) -> Result<Vec<IpAddr>, Failure> {
    let undecodable = |why: String| Failure::new(Code::Undecodable, "prevResult cannot be read", why);
    let result: PreviousResult = serde_json::from_str(result.get()).map_err(|error| undecodable(error.to_string()))?;
    let mut addresses = Vec::new();
    for ip in &result.ips {
        let of_another = ip.interface.is_some_and(|index| {
            result.interfaces.get(index).is_some_and(|of| of.name != ifname || of.sandbox.is_empty())
        });
        if of_another {
            continue;
        }
        let address = ip.address.split_once('/').map_or(ip.address.as_str(), |(address, _)| address);
        let address = address.parse().map_err(|_| undecodable(format!("{:?} is no address", ip.address)))?;
        addresses.push(address);
    }
    if addresses.len() > gate::MAX_ADDRESSES {
        return Err(undecodable(format!("{ifname} has more than {} addresses", gate::MAX_ADDRESSES)));
    }
    Ok(addresses)
}

fn required(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<String, Failure> {
    variable(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| environment(name, "it is missing or is not UTF-8".to_owned()))
}

fn environment(name: &str, why: String) -> Failure {
    Failure::new(Code::Environment, format!("the environment's {name} cannot be used"), why)
}

fn container_id(variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let id = required(variable, "CNI_CONTAINERID")?;
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if id.len() <= MAX_NAME && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(valid) {
        Ok(id)
    } else {
        Err(environment("CNI_CONTAINERID", format!("{id:.300?} is none")))
    }
}

fn interface_name(variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let name = required(variable, "CNI_IFNAME")?;
    let invalid = |c: char| c == '/' || c == ':' || c.is_whitespace();
    if name.len() > MAX_IFNAME || name == "." || name == ".." || name.contains(invalid) {
        return Err(environment("CNI_IFNAME", format!("{name:.300?} is no name of an interface")));
    }
    Ok(name)
}

/// The Pod that Kubernetes' runtimes name in `CNI_ARGS`.
fn pod(variable: &dyn Fn(&str) -> Option<String>) -> Result<Pod, Failure> {
    let arguments = required(variable, "CNI_ARGS")?;
    let of = |key: &str| {
        let value = arguments.split(';').find_map(|argument| argument.split_once('=').filter(|(k, _)| *k == key));
        value.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let pod = Pod { namespace: of("K8S_POD_NAMESPACE"), name: of("K8S_POD_NAME"), uid: of("K8S_POD_UID") };
    let named = |name: &str| !name.is_empty() && name.len() <= MAX_NAME;
    if !named(&pod.namespace) || !named(&pod.name) || pod.uid.len() > MAX_NAME {
        return Err(environment("CNI_ARGS", format!("{arguments:.300?} does not name a Pod")));
    }
    Ok(pod)
}

fn default_socket() -> PathBuf {
    PathBuf::from(gate::SOCKET)
}

fn default_wait_seconds() -> u64 {
    10
}

#[cfg(test)]
mod tests;
