//! What the node agent costs: from a policy's edit to the kernel, how long the start gate holds a Pod, memory and CPU of the
//! process; each beside its target. The agent is the binary that is shipped, with a real API server, on a node of network
//! namespaces with 110 Pods, in a cluster of 20,000 identities and 1,000 policies.
//!
//! Needs root, and the binaries of `e2e/tools/build`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

mod process;
mod world;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use process::Process;
use stockade_agent::kernel::{Endpoint, Kernel, Options, Tables};
use world::{IDENTITIES, PODS, POLICIES, World};

/// Edits of a policy.
const EDITS: usize = 120;
/// How long the process is looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(40);
/// Until what was begun is over: status, last known inputs, removal of old tables.
const CALM: Duration = Duration::from_secs(15);
/// Longest wait for what must come.
const WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at the kernel's tables, each of which costs CPU that is the agent's then.
const LOOK: Duration = Duration::from_millis(2);

fn main() {
    let without_policies = memory_of_few_policies();
    let mut world = World::new(POLICIES);
    println!("{PODS} Pods here, {IDENTITIES} identities, {POLICIES} policies");
    println!("{:44} {:>10} {:>10} {:>10} {:>12}", "milliseconds", "p50", "p99", "longest", "target");

    let held = start_pods(&world);
    let of = |isolated| held.iter().filter(|(is, _)| *is == isolated).map(|(_, took)| *took).collect();
    print("start of a Pod without a policy, held", of(false), Some(20.0));
    print("start of a Pod with both directions, held", of(true), Some(20.0));

    let kernel = Kernel::open(&world.pins(), &Options::default()).unwrap();
    print("edit of a policy of one Pod → kernel", edits(&mut world, &kernel, "one", 1), Some(100.0));
    print("edit of a policy of 100 Pods → kernel", edits(&mut world, &kernel, "all", 100), Some(100.0));
    print("a Pod elsewhere has an address → kernel", arrivals(&world, &kernel), None);
    drop(kernel);

    sleep(CALM);
    let process = Process::of(world.agent());
    let (before, begin) = (process.cpu(), Instant::now());
    sleep(IDLE);
    let idle = (process.cpu() - before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    let row = |name: &str, figure: f64, unit: &str, target: f64| {
        println!("{name:44} {figure:>10.2} {unit:>10} {:>10} {:>12}", "", target_text(figure, target));
    };
    row("memory with two policies alone", without_policies, "MB", 40.0);
    row("memory", process.memory("VmRSS"), "MB", 40.0);
    println!("{:44} {:>10.2} {:>10}", "memory, most", process.memory("VmHWM"), "MB");
    row("CPU while nothing happens", idle, "%", 0.3);
}

/// How long the gate holds each Pod, and whether policies are about it.
fn start_pods(world: &World) -> Vec<(bool, Duration)> {
    (0..PODS).map(|at| (World::is_isolated(at), world.start_pod(at))).collect()
}

/// Of another agent in a cluster like it, where all that isolates Pods of the node are the two policies that are edited.
fn memory_of_few_policies() -> f64 {
    let world = World::new(0);
    start_pods(&world);
    sleep(CALM);
    Process::of(world.agent()).memory("VmRSS")
}

/// From the answer to an edit of a policy to the last endpoint that it is about.
fn edits(world: &mut World, kernel: &Kernel, policy: &str, pods: usize) -> Vec<Duration> {
    let tables = || -> BTreeMap<u32, u64> {
        let endpoints: BTreeMap<u32, Endpoint> = kernel.endpoints().all().unwrap();
        endpoints.into_iter().map(|(interface, endpoint)| (interface, endpoint.table)).collect()
    };
    let one = |edit| {
        // Edits that follow each other at once would be seen together.
        sleep(Duration::from_millis(150));
        let before = tables();
        let told = world.edit(policy, edit);
        wait_until(|| tables().iter().filter(|(at, table)| before.get(at) != Some(table)).count() >= pods);
        told.elapsed()
    };
    // As it was made, it says what the edit of number 0 would.
    (1..=EDITS).map(one).collect()
}

/// From the answer to a change of a slice to the address in the kernel.
fn arrivals(world: &World, kernel: &Kernel) -> Vec<Duration> {
    let one = |number| {
        sleep(Duration::from_millis(150));
        let (address, told) = world.give_address(number);
        wait_until(|| kernel.identities().get(&address).unwrap().is_some());
        told.elapsed()
    };
    (0..EDITS).map(one).collect()
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WITHIN, "what was told is not in the kernel");
        sleep(LOOK);
    }
}

fn print(name: &str, mut all: Vec<Duration>, target: Option<f64>) {
    all.sort();
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1_000.0;
    let target = target.map(|target| target_text(at(0.99), target)).unwrap_or_default();
    println!("{name:44} {:>10.1} {:>10.1} {:>10.1} {target:>12}", at(0.5), at(0.99), at(1.0));
}

fn target_text(figure: f64, target: f64) -> String {
    format!("< {target} {}", if figure < target { "met" } else { "MISSED" })
}
