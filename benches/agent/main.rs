//! What the datapath costs connections between two Pods of a node: round trips on an open connection, connections a
//! second, throughput; each as a ratio to a node that judges nothing, with nftables beside. The rows take turns, so that
//! whatever else the machine does falls on all of them; both ends are on one CPU, so that a round trip is the work that
//! it takes and not how long CPUs take to wake each other. Before it, what one packet costs in the programs alone.
//!
//! Needs root: both Pods and their node are network namespaces.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

mod network;
mod packets;
mod rows;
mod traffic;

use network::{Network, Topology};
use rows::Row;
use traffic::Traffic;

/// Turns of each row; medians are of so many.
const TURNS: usize = 21;

/// What one turn of a row came to.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Of a round trip, in microseconds.
    round_trip: f64,
    /// New connections a second.
    connections: f64,
    /// In gigabits a second.
    throughput: f64,
}

fn main() {
    packets::measure();
    for topology in [Topology::Routed, Topology::Bridged] {
        let network = Network::new(topology);
        let traffic = Traffic::start(&network);
        let rows = network.on_node(|| Row::all(topology));
        let mut measured = vec![Vec::new(); rows.len()];
        for turn in 0..=TURNS {
            for (row, figures) in rows.iter().zip(&mut measured) {
                network.on_node(|| row.set(&network));
                let turned = Figures {
                    round_trip: traffic.round_trip(),
                    connections: traffic.connections(),
                    throughput: traffic.throughput(),
                };
                network.on_node(|| row.clear(&network));
                // The first turn fills caches.
                if turn > 0 {
                    figures.push(turned);
                }
            }
        }
        print(topology, &rows, &measured);
    }
}

fn print(topology: Topology, rows: &[Row], measured: &[Vec<Figures>]) {
    let fields: [fn(&Figures) -> f64; 3] = [|f| f.round_trip, |f| f.connections, |f| f.throughput];
    println!("\n{topology:?}, medians of {TURNS} turns, and of each turn's ratios to a node that judges nothing");
    println!("{:32} {:>18} {:>18} {:>18}", "", "round trip, µs", "connections/s", "throughput, Gbit/s");
    for (row, figures) in rows.iter().zip(measured) {
        let of = fields.map(|field| median(figures.iter().map(field)));
        // Whatever else the machine does is slower than a turn, and falls on both.
        let ratios =
            fields.map(|field| median(figures.iter().zip(&measured[0]).map(|(f, base)| field(f) / field(base))));
        let cell = |at: usize, digits| format!("{:.digits$} ({:.3})", of[at], ratios[at]);
        println!("{:32} {:>18} {:>18} {:>18}", row.title(), cell(0, 2), cell(1, 0), cell(2, 2));
        if row.has_targets() {
            let met = |target: &str, met: bool| format!("{target} {}", if met { "met" } else { "MISSED" });
            println!(
                "{:32} {:>18} {:>18} {:>18}",
                "",
                met("≤ 1.06", ratios[0] <= 1.06),
                met("≥ 0.93", ratios[1] >= 0.93),
                met("≥ 0.97", ratios[2] >= 0.97),
            );
        }
    }
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
