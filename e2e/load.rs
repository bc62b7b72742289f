//! A steady load of requests through the API server, in an open loop: each is due at its own time, whether or not those
//! before it have been answered, and its latency counts from then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Client};

/// Requests under way at once, at most. At the rates of tests a server that answers within a second never meets it.
const MAX_UNDER_WAY: usize = 64;
/// Requests of one load, at most: a test that forgets to stop ends by itself.
const MAX_REQUESTS: u64 = 200_000;
/// Different failures that are kept in words.
const MAX_TOLD: usize = 50;

/// One request.
pub struct Shot {
    /// Path of the collection, with its query.
    pub path: String,
    /// What is created.
    pub object: Value,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// 201.
    Admitted,
    /// Refused in the words of a policy.
    Refused,
}

/// What came of all requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Admitted, as expected.
    pub admitted: u64,
    /// Refused by policy, as expected.
    pub refused: u64,
    /// Admitted although a policy refuses it.
    pub wrongly_admitted: u64,
    /// Neither: no answer, a server's error, a refusal of what is allowed.
    pub failed: u64,
    /// How often each failure was told, in its words; beyond 50 different ones they are only counted.
    pub told: BTreeMap<String, u64>,
    /// From when each request was due to its answer, sorted.
    pub latencies: Vec<Duration>,
}

/// A load that goes on until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Tally>>,
}

// === impl Load ===

impl Load {
    /// Sends `per_second` requests a second from now on; `shot` makes the one of a number.
    pub fn start(client: &Client, per_second: f64, shot: impl Fn(u64) -> Shot + Send + Sync + 'static) -> Load {
        let (stop, next, shot) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(shot));
        let begin = Instant::now();
        let worker = |_| {
            let (client, stop, next, shot) = (client.clone(), stop.clone(), next.clone(), shot.clone());
            std::thread::spawn(move || {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begin + Duration::from_secs_f64(number as f64 / per_second);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if stop.load(Ordering::Relaxed) || number >= MAX_REQUESTS {
                        return tally;
                    }
                    let Shot { path, object, expected } = shot(number);
                    let answer = client.post(&path, &object);
                    tally.latencies.push(due.elapsed());
                    tally.count(&answer, expected);
                }
            })
        };
        Load { workers: (0..MAX_UNDER_WAY).map(worker).collect(), stop }
    }

    /// Stops sending, waits for what is under way, and gives the sums.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for worker in self.workers {
            all.add(worker.join().unwrap());
        }
        all.latencies.sort_unstable();
        all
    }
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, answer: &Answer, expected: Expected) {
        let refused = answer.message().contains("denied the request");
        match expected {
            Expected::Admitted if answer.ok() => self.admitted += 1,
            Expected::Refused if refused => self.refused += 1,
            Expected::Refused if answer.ok() => self.wrongly_admitted += 1,
            Expected::Admitted | Expected::Refused => {
                self.failed += 1;
                self.tell(format!("{} {}", answer.code, answer.message()), 1);
            }
        }
    }

    /// Adds another's sums.
    pub fn add(&mut self, other: Tally) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.wrongly_admitted += other.wrongly_admitted;
        self.failed += other.failed;
        self.latencies.extend(other.latencies);
        other.told.into_iter().for_each(|(text, count)| self.tell(text, count));
    }

    fn tell(&mut self, text: String, count: u64) {
        if self.told.len() < MAX_TOLD || self.told.contains_key(&text) {
            *self.told.entry(text).or_default() += count;
        }
    }

    /// Whether every failure was told in words such as these.
    pub fn all_failed_as(&self, expected: impl Fn(&str) -> bool) -> bool {
        self.told.values().sum::<u64>() == self.failed && self.told.keys().all(|text| expected(text))
    }

    /// The latency that this share of all requests (0.99) did not pass; zero without requests.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(at.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// How many requests were sent.
    pub fn sent(&self) -> u64 {
        self.admitted + self.refused + self.wrongly_admitted + self.failed
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |share| self.quantile(share).as_secs_f64() * 1e3;
        write!(
            f,
            "{} sent: {} admitted, {} refused, {} wrongly admitted, {} failed; p50 {:.1} ms, p99 {:.1} ms",
            self.sent(),
            self.admitted,
            self.refused,
            self.wrongly_admitted,
            self.failed,
            ms(0.5),
            ms(0.99)
        )
    }
}
