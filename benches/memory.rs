//! What stays resident: `stockade serve` with the packs, with a thousand policies, over many requests; and what is
//! allocated on the heap.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program that prints figures, on input of its own"
)]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_benches::client::Client;
use stockade_benches::expressions::Programs;
use stockade_benches::inputs::{self, EXPRESSIONS};
use stockade_benches::measure::{at_most, figure, resident};
use stockade_benches::reviewer::Policies;
use stockade_webhook::{Reviewer as _, Verb};

/// A server that is flat grows by less than this between the first and the last tenth of its requests.
const FLAT_MIB: f64 = 1.0;

fn main() {
    let body = inputs::review(&inputs::pod());
    allocations(&body);
    let dir = tempfile::tempdir().unwrap();
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let server = Serving::start(&packs, dir.path());
    at_most("resident, idle with the packs", server.resident(), 30.0, "MiB");
    drop(server);

    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    for (file, text) in [inputs::matching_policies(), inputs::other_policies()].concat() {
        std::fs::write(policies.join(file), text).unwrap();
    }
    let server = Serving::start(&policies, dir.path());
    at_most("resident, 1,000 policies", server.resident(), 64.0, "MiB");
    over_tls(&server, &body);
    drop(server);
    in_process(&body);
}

/// Heap allocations of expressions, and of a whole review.
fn allocations(body: &[u8]) {
    let programs = Programs::new().unwrap();
    let documents = Bump::new();
    let object = programs.object(body, &documents).unwrap();
    let mut arena = Bump::new();
    let mut evaluate = || {
        arena.reset();
        assert_eq!(programs.holding(object, &arena), EXPRESSIONS.len());
    };
    evaluate();
    let per_expression = allocation_counter::measure(evaluate).count_total as f64 / EXPRESSIONS.len() as f64;
    at_most("heap allocations of an expression", per_expression, 0.0, "");

    let reviewer = Policies::new(inputs::engine(&inputs::matching_policies()).unwrap());
    let review = || assert!(reviewer.review(Verb::Validate, body, deadline()).is_ok());
    review();
    figure("heap allocations of a review by 12 policies", allocation_counter::measure(review).count_total as f64, "");
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// A hundred thousand requests to the server.
fn over_tls(server: &Serving, body: &[u8]) {
    let mut client = Client::connect(server.https, &server.certs.join("ca.crt")).unwrap();
    let mut ask = |times: u32| {
        for _ in 0..times {
            let answer: Json = serde_json::from_slice(client.post("/validate?timeout=10s", body).unwrap()).unwrap();
            assert_eq!(answer["response"]["allowed"], true);
        }
    };
    ask(10_000);
    let before = server.resident();
    ask(90_000);
    let after = server.resident();
    figure("resident after 10,000 requests over TLS", before, "MiB");
    figure("resident after 100,000 requests over TLS", after, "MiB");
    at_most("growth between them", after - before, FLAT_MIB, "MiB");
}

/// A million reviews in this process.
fn in_process(body: &[u8]) {
    let reviewer = Policies::new(inputs::engine(&inputs::matching_policies()).unwrap());
    let review = |times: u32| {
        for _ in 0..times {
            assert!(reviewer.review(Verb::Validate, body, deadline()).is_ok());
        }
    };
    review(100_000);
    let before = resident("self").unwrap();
    review(900_000);
    let after = resident("self").unwrap();
    println!("a million reviews in one process: {before:.2} MiB after a tenth, {after:.2} MiB after all");
    at_most("growth between them", after - before, FLAT_MIB, "MiB");
}

/// `stockade serve`, killed when dropped.
struct Serving {
    child: Child,
    https: SocketAddr,
    certs: PathBuf,
}

impl Serving {
    /// Starts the release binary beside this program's folder and waits until it serves.
    fn start(policies: &Path, dir: &Path) -> Self {
        let binary = std::env::current_exe().unwrap().with_file_name("../stockade");
        let certs = dir.join("certs");
        let mut child = Command::new(&binary)
            .args(["serve", "--log", "json", "--listen", "127.0.0.1:0", "--listen-health", "127.0.0.1:0", "--policies"])
            .args([policies.as_os_str(), "--certs".as_ref(), certs.as_os_str()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} (cargo build --release makes it): {e}", binary.display()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let https = loop {
            let line = lines.next().expect("it ended before it served").unwrap();
            let event: Json = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if event["message"] == "serving" {
                break event["https"].as_str().unwrap().parse().unwrap();
            }
        };
        // Nobody reads on: a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, https, certs }
    }

    fn resident(&self) -> f64 {
        resident(&self.child.id().to_string()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
