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
    let median = |figures: &[Figures], field: fn(&Figures) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(field).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let of = |figures: &Vec<Figures>| {
        [median(figures, |f| f.round_trip), median(figures, |f| f.connections), median(figures, |f| f.throughput)]
    };
    let base = of(&measured[0]);
    println!("\n{topology:?}, medians of {TURNS} turns, ratios to a node that judges nothing");
    println!("{:32} {:>18} {:>18} {:>18}", "", "round trip, µs", "connections/s", "throughput, Gbit/s");
    for (row, figures) in rows.iter().zip(measured) {
        let [round_trip, connections, throughput] = of(figures);
        println!(
            "{:32} {round_trip:>10.2} ({:>5.3}) {connections:>10.0} ({:>5.3}) {throughput:>10.2} ({:>5.3})",
            row.title(),
            round_trip / base[0],
            connections / base[1],
            throughput / base[2],
        );
        if row.has_targets() {
            let met = |met: bool| if met { "met" } else { "MISSED" };
            println!(
                "{:32} {:>18} {:>18} {:>18}",
                "",
                format!("≤ 1.06 {}", met(round_trip / base[0] <= 1.06)),
                format!("≥ 0.93 {}", met(connections / base[1] >= 0.93)),
                format!("≥ 0.97 {}", met(throughput / base[2] >= 0.97)),
            );
        }
    }
}
