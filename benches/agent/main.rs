//! What the datapath costs connections between two Pods of a node: round trips on an open connection, connections a
//! second, throughput; each as a ratio to a node that judges nothing, with nftables beside. What a row is compared with is
//! measured just before and just after it, as whatever else the machine does changes within seconds; a row that judges
//! nothing either says how exact that is. Both ends are on one CPU, so that a round trip is the work that it takes and not
//! how long CPUs take to wake each other. Before it, what one packet costs in the programs alone.
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
const TURNS: usize = 61;

/// What one turn of a row came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Of a round trip, in microseconds.
    pub(crate) round_trip: f64,
    /// New connections a second.
    pub(crate) connections: f64,
    /// In gigabits a second.
    pub(crate) throughput: f64,
}

fn main() {
    packets::measure();
    for topology in [Topology::Routed, Topology::Bridged] {
        let network = Network::new(topology);
        let traffic = Traffic::start(&network);
        let rows = network.on_node(|| Row::all(topology));
        let mut measured = vec![Vec::new(); rows.len()];
        // The first turn fills caches.
        turn(&network, &traffic, &rows);
        for _ in 0..TURNS {
            for (all, turned) in measured.iter_mut().zip(turn(&network, &traffic, &rows)) {
                all.push(turned);
            }
        }
        print(topology, &rows, &measured);
    }
}

/// Each row once, between two measurements of a node that judges nothing: what it came to, and that beside.
fn turn(network: &Network, traffic: &Traffic<'_>, rows: &[Row]) -> Vec<(Figures, Figures)> {
    let mut before = traffic.figures();
    let turned = rows.iter().map(|row| {
        network.on_node(|| row.set(network));
        let figures = traffic.figures();
        network.on_node(|| row.clear(network));
        let after = traffic.figures();
        let beside = before.middle(&after);
        before = after;
        (figures, beside)
    });
    turned.collect()
}

fn print(topology: Topology, rows: &[Row], measured: &[Vec<(Figures, Figures)>]) {
    let fields: [fn(&Figures) -> f64; 3] = [|f| f.round_trip, |f| f.connections, |f| f.throughput];
    println!(
        "\n{topology:?}, medians of {TURNS} turns, and of their ratios to what a node that judges nothing did beside"
    );
    println!("{:32} {:>18} {:>18} {:>18}", "", "round trip, µs", "connections/s", "throughput, Gbit/s");
    for (row, turns) in rows.iter().zip(measured) {
        let of = fields.map(|field| median(turns.iter().map(|(figures, _)| field(figures))));
        let ratios = fields.map(|field| median(turns.iter().map(|(figures, beside)| field(figures) / field(beside))));
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

// === impl Figures ===

impl Figures {
    fn middle(&self, other: &Self) -> Self {
        let middle = |field: fn(&Self) -> f64| f64::midpoint(field(self), field(other));
        Self {
            round_trip: middle(|f| f.round_trip),
            connections: middle(|f| f.connections),
            throughput: middle(|f| f.throughput),
        }
    }
}
