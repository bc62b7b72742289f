//! A network namespace of one's own: loopback, and an address for each replica.

use std::net::Ipv4Addr;
use std::process::Command;

/// Set inside.
const INSIDE: &str = "STOCKADE_BENCH_INSIDE";

/// Where the replicas listen. An EndpointSlice may not name loopback.
pub(crate) const REPLICAS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 251, 0, 1), Ipv4Addr::new(10, 251, 0, 2), Ipv4Addr::new(10, 251, 0, 3)];

/// Whether this process runs in the namespace.
pub(crate) fn entered() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again, inside; gives its exit code.
pub(crate) fn enter() -> i32 {
    let mut script = "ip link set lo up".to_owned();
    for address in REPLICAS {
        script += &format!(" && ip address add {address}/32 dev lo");
    }
    script += " && exec \"$@\"";
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--", "sh", "-ec", &script, "sh"])
        .arg(program)
        .args(std::env::args().skip(1))
        .env(INSIDE, "1")
        .status()
        .unwrap();
    status.code().unwrap_or(1)
}
