//! All comparisons of a run: counted, printed, and held against the list of known exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::compare::{Difference, compare, same_object};
use super::ours::Ours;
use super::server::Oracle;
use super::verdict::Verdict;
use super::{Case, Observation, Operation, PolicySet};

/// Divergences printed in full; the rest is counted.
const SHOWN: usize = 200;

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Word of the server's verdict to number of cases.
    verdicts: BTreeMap<&'static str, usize>,
    /// Cases where both were compared.
    compared: usize,
    /// Rows whose `expect` the server contradicts.
    contradicted: Vec<String>,
    /// `name | aspect` to what differs.
    divergences: BTreeMap<String, String>,
}

impl Tally {
    /// Judges a set by our engine and compares.
    pub fn add(&mut self, set: &PolicySet, server: &Result<Vec<Observation>, String>, oracle: &Oracle<'_>) {
        let ours = Ours::new(set, oracle);
        match (server, &ours) {
            (Ok(observations), Ok(ours)) => {
                for observation in observations {
                    self.add_case(&set.cases[observation.case], observation, ours, oracle);
                }
            }
            (Err(why), Err(_)) if set.cases.iter().any(|case| case.sent.is_some()) => {
                self.diverge(&set.name, "compile", format!("both refuse, and nothing is compared: {why}"));
            }
            (Err(_), Err(_)) => self.compared += 1,
            (Err(why), Ok(_)) => self.diverge(
                &set.name,
                "compile",
                format!("server refuses the policies: {why}\n        ours   compile them"),
            ),
            (Ok(_), Err(why)) => {
                self.diverge(&set.name, "compile", format!("server takes the policies\n        ours   {why}"))
            }
        }
    }

    fn add_case(&mut self, case: &Case, server: &Observation, ours: &Ours, oracle: &Oracle<'_>) {
        *self.verdicts.entry(server.verdict.word()).or_default() += 1;
        if let Verdict::NotJudged(why) = &server.verdict {
            if case.sent.is_some() {
                self.diverge(&case.id, "judged", format!("the server refuses for other reasons: {why}"));
            }
            return;
        }
        if let Some(expect) = &case.expect {
            let word = server.verdict.word();
            let same = expect == word || (expect.starts_with("mutated") && word == "allow");
            if !same {
                self.contradicted.push(format!("{}: expect {expect}, the server says {word}", case.id));
            }
        }
        let Some(review) = &server.review else {
            return self.diverge(&case.id, "review", "the server never asked the recorder".to_owned());
        };
        self.compared += 1;
        let decision = match ours.decide(review) {
            Ok(decision) => decision,
            Err(why) => return self.diverge(&case.id, "request", why),
        };
        for Difference { aspect, detail } in compare(server, &decision) {
            let about = format!("{}\n        old    {}", review["request"]["object"], review["request"]["oldObject"]);
            self.diverge(&case.id, aspect, format!("{detail}\n        object {about}"));
        }
        if let (Some(theirs), Some(own), true) = (&server.mutated, &decision.object, decision.allowed)
            && server.verdict == Verdict::Allowed
            && !same_object(theirs, own)
        {
            let filled = if case.operation == Operation::Create { oracle.normalised(case, own) } else { None };
            if !filled.is_some_and(|filled| same_object(theirs, &filled)) {
                self.diverge(&case.id, "object", format!("server {theirs}\n        ours   {own}"));
            }
        }
    }

    fn diverge(&mut self, name: &str, aspect: &str, detail: String) {
        self.divergences.insert(format!("{name} | {aspect}"), detail);
    }

    /// Holds the divergences against the list: what is not listed fails, what is listed and does not happen fails.
    ///
    /// A line is `name | aspect | reason`; `#` starts a comment.
    ///
    /// # Panics
    /// With all of them.
    pub fn settle(&self, list: &Path) {
        let text = std::fs::read_to_string(list).unwrap();
        let listed: BTreeSet<String> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|line| {
                let parts: Vec<&str> = line.splitn(3, " | ").collect();
                assert!(parts.len() == 3 && !parts[2].trim().is_empty(), "no reason: {line}");
                format!("{} | {}", parts[0], parts[1])
            })
            .collect();
        let found: BTreeSet<String> = self.divergences.keys().cloned().collect();
        let unlisted: Vec<&String> = found.difference(&listed).collect();
        let stale: Vec<&String> = listed.difference(&found).collect();
        assert!(
            unlisted.is_empty() && stale.is_empty() && self.contradicted.is_empty(),
            "{} divergences are not in {}, {} listed ones do not happen: {stale:?}, {} rows contradicted: {:?}",
            unlisted.len(),
            list.display(),
            stale.len(),
            self.contradicted.len(),
            self.contradicted,
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, detail) in self.divergences.iter().take(SHOWN) {
            let short: String = detail.chars().take(3000).collect();
            writeln!(f, "DIVERGES {name}\n        {short}")?;
        }
        let mut aspects: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.divergences.keys() {
            *aspects.entry(name.rsplit(" | ").next().unwrap_or_default()).or_default() += 1;
        }
        write!(
            f,
            "the server: {:?}; compared {}, divergences {} {aspects:?}, rows contradicted {}",
            self.verdicts,
            self.compared,
            self.divergences.len(),
            self.contradicted.len()
        )
    }
}
