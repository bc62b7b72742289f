//! What the plugin and the node agent say to each other over the agent's socket: one request and one answer a connection,
//! each one JSON object that ends with a line feed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where the agent listens, on the host. Only root may connect.
pub const SOCKET: &str = "/run/stockade/agent.sock";

/// The version of this conversation.
pub const VERSION: u32 = 1;

/// Bytes of a request. One with the longest names and eight addresses has some 1,500.
pub const MAX_REQUEST: usize = 16 * 1024;

/// Bytes of an answer.
pub const MAX_ANSWER: usize = 16 * 1024;

/// Addresses of one Pod that are told. Kubernetes knows two.
pub const MAX_ADDRESSES: usize = 8;

/// A Pod whose network is set up, looked at, or taken down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is to be done.
    pub command: Command,
    /// The sandbox, as the runtime names it.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The Pod's interface.
    pub ifname: String,
    /// Whose it is.
    pub pod: Pod,
    /// The other end of that interface; none when the network is taken down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The Pod's addresses, at most [`MAX_ADDRESSES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Command {
    /// Answer when the kernel judges the Pod's traffic.
    Add,
    /// Answer whether it does.
    Check,
    /// The Pod goes.
    Del,
}

/// A Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, which tells it from others that had the name; empty when the runtime does not say it.
    #[serde(default)]
    pub uid: String,
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

// === impl Answer ===

impl Answer {
    /// Done.
    pub fn done() -> Self {
        Self { ok: true, message: String::new() }
    }

    /// Not done, and why.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { ok: false, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        let request = Request {
            version: VERSION,
            command: Command::Add,
            container_id: "f00".to_owned(),
            ifname: "eth0".to_owned(),
            pod: Pod { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "42".to_owned() },
            interface: Some(Interface { index: 7, name: "veth7".to_owned() }),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        };
        let text = r#"{"version":1,"command":"ADD","containerID":"f00","ifname":"eth0","pod":{"namespace":"shop","name":"web","uid":"42"},"interface":{"index":7,"name":"veth7"},"addresses":["10.0.0.1","fd00::1"]}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
    }
}
