//! The programs of the datapath in this machine's kernel, by packets made by hand (`BPF_PROG_TEST_RUN`): what passes,
//! what is counted and what is told.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "datapath/connections.rs"]
mod connections;
#[path = "datapath/exempt.rs"]
mod exempt;
#[path = "datapath/flows.rs"]
mod flows;
#[path = "datapath/hooks.rs"]
mod hooks;
#[path = "datapath/host.rs"]
mod host;
#[path = "datapath/ids.rs"]
mod ids;
#[path = "datapath/kept.rs"]
mod kept;
#[path = "datapath/malformed.rs"]
mod malformed;
#[path = "datapath/mutations.rs"]
mod mutations;
#[path = "datapath/oracle.rs"]
mod oracle;
#[path = "datapath/policies.rs"]
mod policies;
#[path = "datapath/recents.rs"]
mod recents;
#[path = "datapath/services.rs"]
mod services;
#[path = "datapath/telling.rs"]
mod telling;
#[path = "datapath/timeouts.rs"]
mod timeouts;
#[path = "datapath/whole.rs"]
mod whole;
