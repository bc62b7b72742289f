//! Recorded flows, judged by policies as they are proposed.

use std::sync::Arc;

use super::FlowProtocol;
use super::observed::{Observed, Seen};
use super::world::{self, World};
use crate::compile::{Census, Compiled, Matched, TooMuch};
use crate::policy::Policy;
use crate::read::Manifests;
use crate::state::State;
use crate::verdict::Verdict;

/// Recorded flows and who talked, looked through once: to be judged by one set of policies after the other.
#[derive(Debug)]
pub struct Recording {
    observed: Observed,
    census: Arc<Census>,
    /// How many Pods of the state are not observed ones.
    known: usize,
    /// Whom the selectors of the policies mean that judged last.
    matched: Matched,
}

/// What policies would make of recorded flows.
#[derive(Debug)]
pub struct Replay {
    /// The policies that judged.
    pub compiled: Compiled,
    /// What passed, and would not; most often seen first.
    pub cut: Vec<Judged>,
    /// What did not pass, and would; most often seen first.
    pub opened: Vec<Judged>,
    /// How many different flows would go on as they did.
    pub unchanged: usize,
    /// Lines that no policy can change: between a Pod and its node, spoofed, malformed.
    pub unjudged: usize,
}

/// One flow, whichever end recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Who began it: `shop/web`, or an address.
    pub from: String,
    /// With whom.
    pub to: String,
    /// Its protocol.
    pub protocol: FlowProtocol,
    /// Its port; 0 where the protocol has none.
    pub port: u16,
    /// When and how often.
    pub seen: Seen,
    /// What is decided now.
    pub verdict: Verdict,
}

/// Judges all of them. Who talked is judged by the labels that it had then.
///
/// # Errors
/// More than can be judged at once.
pub fn replay(manifests: Manifests, observed: &Observed) -> Result<Replay, TooMuch> {
    Ok(judged(World::new(manifests, observed)?, observed))
}

fn judged(world: World, observed: &Observed) -> Replay {
    let (mut cut, mut opened, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for (key, talk) in &observed.talks {
        let verdict = world.judge(key);
        let list = match (talk.outcome().passes(), verdict.is_allowed()) {
            (true, false) => &mut cut,
            (false, true) => &mut opened,
            _ => {
                unchanged += 1;
                continue;
            }
        };
        let (from, to) = (world.shown(key.from), world.shown(key.to));
        list.push(Judged { from, to, protocol: key.protocol, port: key.port, seen: talk.seen(), verdict });
    }
    for list in [&mut cut, &mut opened] {
        list.sort_by(|a, b| a.place().cmp(&b.place()));
        // Pods of several versions of one workload.
        list.dedup_by(|next, kept| {
            let same = Judged { seen: kept.seen, ..next.clone() } == *kept;
            if same {
                kept.seen = kept.seen.and(next.seen);
            }
            same
        });
        list.sort_by_key(|judged: &Judged| std::cmp::Reverse(judged.seen.count));
    }
    let unjudged = observed.own_node + observed.unjudged;
    Replay { compiled: world.compiled, cut, opened, unchanged, unjudged }
}

// === impl Recording ===

impl Recording {
    /// Looks through whom a state has and who talked.
    pub fn new(state: State, observed: Observed) -> Self {
        let known = state.pods.len();
        let census = Arc::new(Census::new(world::with(state, &observed)));
        Self { observed, census, known, matched: Matched::indexed() }
    }

    /// As [`replay`], by policies that others hold too.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn replay(&mut self, policies: Vec<Arc<Policy>>) -> Result<Replay, TooMuch> {
        let world = World::over(policies, Arc::clone(&self.census), self.known, &mut self.matched)?;
        Ok(judged(world, &self.observed))
    }
}

// === impl Judged ===

impl Judged {
    fn place(&self) -> (&str, &str, FlowProtocol, u16) {
        (&self.from, &self.to, self.protocol, self.port)
    }
}
