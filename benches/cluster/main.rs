//! What admission control costs a real API server: the same creates, judged by nobody, by a webhook that only allows, by
//! twelve native policies, and by Stockade with the same twelve. The rows take turns in short slices of one run, so
//! that whatever else the machine does falls on all of them; latency counts from when a request was due.
//!
//! Needs root: it runs in a network namespace of its own, where three replicas have an address each.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a program that prints figures")]

mod machine;
mod noop;
mod rows;

use std::path::Path;
use std::time::{Duration, Instant};

use stockade_benches::inputs;
use stockade_benches::measure::{self, at_least, at_most, figure, resident};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::load::{Expected, Load, Shot, Tally};

use rows::Row;

/// Of one slice of the open loop.
const SLICE: Duration = Duration::from_secs(2);
/// Slices of each row.
const TURNS: usize = 12;
/// Requests a second of the open loop: below what the slowest row can take.
const RATE: f64 = 40.0;
/// Clients of the closed loop that looks for saturation.
const CLIENTS: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == noop::ARGUMENT) {
        return noop::serve(&arguments[at + 1], Path::new(&arguments[at + 2]));
    }
    if !machine::entered() {
        std::process::exit(machine::enter());
    }
    // Audit events would cost each row alike, and more than what is compared.
    let cluster = Cluster::start_with(&[
        "--enable-aggregator-routing=true",
        // There is no other network here to find it on.
        "--advertise-address=10.251.0.1",
        "--audit-log-path=",
        "--audit-policy-file=",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=2000",
    ]);
    let rows = rows::all(&cluster);
    for row in &rows {
        row.settle(&cluster);
    }
    let measured = open_loop(&cluster, &rows);
    print(&rows, &measured);
    saturation(&cluster, &rows);
}

/// What the slices of one row came to.
#[derive(Default)]
struct Measured {
    tally: Tally,
    /// CPU time of the API server and of the row's own processes.
    server: Duration,
    own: Duration,
}

fn open_loop(cluster: &Cluster, rows: &[Row]) -> Vec<Measured> {
    let mut measured: Vec<Measured> = rows.iter().map(|_| Measured::default()).collect();
    for turn in 0..TURNS {
        for (row, measured) in rows.iter().zip(&mut measured) {
            let before = (cpu(&[cluster.server_pid()]), cpu(&row.processes));
            let (namespace, pod) = (row.name, inputs::pod());
            let load = Load::start(&cluster.client, RATE, move |n| shot(namespace, &pod, &format!("p-{turn}-{n}")));
            std::thread::sleep(SLICE);
            measured.tally.add(load.stop());
            measured.server += cpu(&[cluster.server_pid()]) - before.0;
            measured.own += cpu(&row.processes) - before.1;
        }
    }
    for (row, measured) in rows.iter().zip(&mut measured) {
        measured.tally.latencies.sort_unstable();
        assert!(measured.tally.failed == 0, "{}: {:?}", row.name, measured.tally.told);
    }
    measured
}

fn shot(namespace: &str, pod: &serde_json::Value, name: &str) -> Shot {
    let mut object = pod.clone();
    object["metadata"] = serde_json::json!({ "name": name, "labels": pod["metadata"]["labels"] });
    Shot { path: format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), object, expected: Expected::Admitted }
}

fn print(rows: &[Row], measured: &[Measured]) {
    println!("{RATE} creates a second of a Pod of 8.2 KB (dry run), {TURNS} slices of {SLICE:?} a row");
    println!(
        "{:28} {:>6} {:>8} {:>8} {:>8} {:>12} {:>12} {:>8}",
        "", "n", "p50 ms", "p99 ms", "p99.9", "server ms/rq", "own ms/rq", "RSS MiB"
    );
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    for (row, m) in rows.iter().zip(measured) {
        let sent = m.tally.sent() as f64;
        let rss: f64 = row.processes.iter().filter_map(|p| resident(&p.to_string())).sum();
        println!(
            "{:28} {:>6} {:>8.2} {:>8.2} {:>8.2} {:>12.2} {:>12.2} {:>8.1}",
            row.title,
            sent,
            ms(m.tally.quantile(0.5)),
            ms(m.tally.quantile(0.99)),
            ms(m.tally.quantile(0.999)),
            ms(m.server) / sent,
            ms(m.own) / sent,
            rss
        );
    }
    let of = |name: &str| &measured[rows.iter().position(|r| r.name == name).unwrap()];
    let (none, noop, native, one, many) = (of("none"), of("noop"), of("native"), of("one"), of("many"));
    let cpu = |m: &Measured| ms(m.server + m.own) / m.tally.sent() as f64;
    for (row, what, most) in [(one, "12 policies", 1.2), (many, "1,000 policies", 1.3)] {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            let ratio = ms(row.tally.quantile(share)) / ms(noop.tally.quantile(share));
            at_most(&format!("{quantile}, {what}: stockade / no-op webhook"), ratio, most, "×");
        }
        at_most(&format!("CPU in all, {what}: stockade / no-op webhook"), cpu(row) / cpu(noop), most, "×");
    }
    let added = |m: &Measured| cpu(m) - cpu(none);
    figure("CPU added a request by native policies", added(native), "ms");
    figure("CPU added a request by stockade, 12 policies", added(one), "ms");
    at_least("CPU added: native policies / stockade", added(native) / added(one), 10.0, "×");
    for row in rows.iter().filter(|r| r.title.starts_with("stockade")) {
        for process in &row.processes {
            at_most(&format!("resident, {}", row.title), resident(&process.to_string()).unwrap_or(0.0), 40.0, "MiB");
        }
    }
}

/// How many requests a second each row takes when clients wait for nothing but the answer.
fn saturation(cluster: &Cluster, rows: &[Row]) {
    for row in rows {
        let (namespace, pod, end) = (row.name, inputs::pod(), Instant::now() + 2 * SLICE);
        let client = |number: usize| {
            let (client, pod) = (cluster.client.clone(), pod.clone());
            std::thread::spawn(move || {
                let mut done = 0;
                while Instant::now() < end {
                    let shot = shot(namespace, &pod, &format!("s-{number}-{done}"));
                    assert!(client.post(&shot.path, &shot.object).ok());
                    done += 1;
                }
                done
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        let done: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
        figure(&format!("saturation, {}", row.title), done as f64 / (2 * SLICE).as_secs_f64(), "/s");
    }
}

/// CPU time that processes have used.
fn cpu(processes: &[u32]) -> Duration {
    processes.iter().map(|&pid| measure::cpu(pid).unwrap_or_else(|| panic!("{pid} has ended"))).sum()
}
