//! A recorded flow, as reports have it.

use std::fmt;

use serde::Serialize;
use stockade_netpol::flows::{FlowProtocol, Seen};

/// Who talked with whom, when and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowView {
    /// Who began it.
    pub from: String,
    /// With whom.
    pub to: String,
    /// `TCP`, `UDP`, `SCTP`, or the number of another protocol.
    pub protocol: String,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// First time (RFC 3339).
    pub first: String,
    /// Last time.
    pub last: String,
    /// Connections, or dropped packets.
    pub count: u64,
}

// === impl FlowView ===

impl FlowView {
    /// Of both ends; port 0 is none.
    pub fn new((from, to): (&str, &str), protocol: FlowProtocol, port: u16, seen: &Seen) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            protocol: protocol.to_string(),
            port: Some(port).filter(|port| *port > 0),
            first: format!("{:.0}", seen.first),
            last: format!("{:.0}", seen.last),
            count: seen.count,
        }
    }
}

/// `shop/web -> shop/db TCP 5432, 12 from … to …`
impl fmt::Display for FlowView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, protocol, port, first, last, count } = self;
        let port = port.map(|port| format!(" {port}")).unwrap_or_default();
        write!(f, "{from} -> {to} {protocol}{port}, {count} from {first} to {last}")
    }
}
