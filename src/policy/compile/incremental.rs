//! One set after the other from sources that change a little: what did not change keeps its compiled form.
//!
//! The sources come in parts. A part is good or bad as a whole: one object of the cluster, one ConfigMap, the policy
//! folders. A part with a fault keeps its last good version in force and holds up nobody else.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use stockade_cel::Symbols;

use super::environments::Environments;
use super::references::{self, Known};
use super::{Options, exceptions_of, groups_of};
use crate::compiled::{Policy, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::sources::PolicySources;

use join::Joins;
use names::Names;
use version::Version;

mod join;
mod names;
mod version;

/// Most policies of one set; parts beyond it are refused. Ten times what the index is measured with.
pub const MAX_POLICIES: usize = 10_000;

/// Most exceptions of one set: one for each policy is far more than anybody can answer for.
pub const MAX_EXCEPTIONS: usize = 10_000;

/// Field names after which the table of names is made anew, without those of policies that are gone. A thousand
/// policies have some hundred.
const SYMBOLS_BEFORE_REBUILD: usize = 4_096;

/// One part of the sources. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Part {
    /// Stays the same while the part changes: `AdmissionPolicy/require-labels`.
    pub id: Arc<str>,
    /// In which sets it takes part.
    pub scope: Scope,
    /// What was read, faults of reading included. The same `Arc` means the same content.
    pub sources: Arc<PolicySources>,
}

/// In which sets a part takes part. Bindings join policies of their own scope only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In both. A native policy that no binding names is in force everywhere with Deny.
    Enforced,
    /// Only in the audited one: the API server enforces it itself. A policy that no binding names judges nothing.
    Audited,
}

/// What a part has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// As it is now.
    InForce,
    /// It is refused; its last good version stays.
    LastGood,
    /// It is refused and has no good version.
    NotInForce,
}

/// What is to be said of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    /// What it has come to.
    pub standing: Standing,
    /// Why it is refused, or the warnings and notes of what is in force. Sorted.
    pub diagnostics: Diagnostics,
}

/// Two sets with one table of field names, and what is to be said of each part.
#[derive(Debug)]
pub struct Increment {
    /// What requests are judged by.
    pub enforced: PolicySet,
    /// With the policies that the API server enforces beside them; none when there are none of those.
    pub audited: Option<PolicySet>,
    /// Parallel to the parts.
    pub parts: Vec<PartReport>,
}

/// Compiles one set after the other and remembers.
#[derive(Debug, Default)]
pub struct Compiler {
    max_exception_seconds: Option<u32>,
    workshop: Workshop,
    memory: HashMap<Arc<str>, Memory>,
    joins: Joins,
    /// Field names there were when the table was last made anew.
    symbols_rebuilt: usize,
}

/// What all compiles share.
#[derive(Debug, Default)]
struct Workshop {
    /// Grows only, so that numbers in programs stay right.
    symbols: Symbols,
    environments: Environments,
}

/// What is remembered of a part.
#[derive(Debug)]
struct Memory {
    scope: Scope,
    sources: Arc<PolicySources>,
    /// The sources compiled, or why they cannot be.
    newest: Result<Arc<Version>, Diagnostics>,
    /// The last version that was in force.
    last_good: Option<Arc<Version>>,
}

/// A version that takes part in this set, with the number of its part.
struct Chosen {
    part: usize,
    scope: Scope,
    version: Arc<Version>,
}

// === impl Standing ===

impl Standing {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::LastGood => "the last good version stays in force",
            Self::NotInForce => "not in force",
        }
    }
}

// === impl Compiler ===

impl Compiler {
    /// A compiler that remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the time of exceptions: one that is for longer, from its creation, is refused.
    #[must_use]
    pub fn max_exception_seconds(mut self, seconds: Option<u32>) -> Self {
        self.max_exception_seconds = seconds;
        self
    }

    fn options(&self) -> Options {
        Options { max_exception_seconds: self.max_exception_seconds, ..Options::default() }
    }

    /// Compiles what changed. Of two parts that define the same name the later one in this order is refused. Costs
    /// the compile of each policy that changed, and a walk over the others.
    pub fn compile(&mut self, parts: &[Part]) -> Increment {
        self.remember(parts);
        if self.workshop.symbols.len() > SYMBOLS_BEFORE_REBUILD.max(2 * self.symbols_rebuilt) {
            self.rebuild();
        }
        let (mut names, mut chosen, mut reports) = (Names::default(), Vec::new(), Vec::new());
        for (number, part) in parts.iter().enumerate() {
            let Some(memory) = self.memory.get_mut(&part.id) else { continue };
            let (report, version) = memory.settle(&mut names);
            chosen.extend(version.map(|version| Chosen { part: number, scope: part.scope, version }));
            reports.push(report);
        }
        let (enforced, native) = self.joins.join(&chosen, &mut reports);
        look_up(&chosen, &mut reports);
        for report in &mut reports {
            report.diagnostics = mem::take(&mut report.diagnostics).sorted();
        }
        let own = || chosen.iter().filter(|c| c.scope == Scope::Enforced).map(|c| c.version.sources());
        let exceptions = exceptions_of(own().flat_map(|s| &s.exceptions));
        let groups = groups_of(own().flat_map(|s| &s.groups));
        let enforced =
            PolicySet { policies: ordered(enforced), symbols: self.workshop.symbols.clone(), exceptions, groups };
        let audited = (!native.is_empty()).then(|| PolicySet {
            policies: ordered(enforced.policies.iter().cloned().chain(native).collect()),
            symbols: enforced.symbols.clone(),
            exceptions: enforced.exceptions.clone(),
            groups: enforced.groups.clone(),
        });
        Increment { enforced, audited, parts: reports }
    }

    /// Compiles the parts that are new or changed, forgets those that are gone.
    fn remember(&mut self, parts: &[Part]) {
        let (options, mut known) = (self.options(), mem::take(&mut self.memory));
        for part in parts {
            let before = known.remove(&part.id).filter(|m| m.scope == part.scope);
            let memory = match before {
                Some(memory) if Arc::ptr_eq(&memory.sources, &part.sources) => memory,
                before => Memory::new(part, before.and_then(|m| m.last_good), options, &mut self.workshop),
            };
            self.memory.insert(part.id.clone(), memory);
        }
    }

    /// Makes the table of field names anew and compiles everything with it.
    fn rebuild(&mut self) {
        self.workshop = Workshop::default();
        let options = self.options();
        for memory in self.memory.values_mut() {
            let in_force = memory.last_good.take().map(|good| good.sources().clone());
            let mut again = |sources: &Arc<PolicySources>| {
                Version::compile(sources, None, options, &mut self.workshop).map(Arc::new)
            };
            memory.newest = again(&memory.sources);
            memory.last_good = match (in_force, &memory.newest) {
                (Some(sources), Ok(newest)) if Arc::ptr_eq(&sources, &memory.sources) => Some(newest.clone()),
                (Some(sources), _) => again(&sources).ok(),
                (None, _) => None,
            };
        }
        self.symbols_rebuilt = self.workshop.symbols.len();
    }
}

/// Warns of names of objects that are not there, as they come and go.
fn look_up(chosen: &[Chosen], reports: &mut [PartReport]) {
    let mut known = Known::default();
    chosen.iter().for_each(|c| known.add(c.version.sources()));
    for Chosen { part, version, .. } in chosen {
        let report = reports.get_mut(*part).filter(|r| r.standing == Standing::InForce);
        if let Some(report) = report {
            references::check(version.sources(), &known, Severity::Warning, &mut report.diagnostics);
        }
    }
}

/// What is to be said of sources before they are taken in: all that is wrong with them alone, and what they name that
/// is neither among them nor in the set.
pub fn check(sources: PolicySources, beside: &PolicySet, max_exception_seconds: Option<u32>) -> Diagnostics {
    let sources = Arc::new(sources);
    let options = Options { max_exception_seconds, ..Options::default() };
    let compiled = Version::compile(&sources, None, options, &mut Workshop::default());
    let mut diagnostics = compiled.map_or_else(|faults| faults, |version| version.diagnostics().clone());
    let mut known = Known::default();
    known.add(&sources);
    known.add_set(beside);
    references::check(&sources, &known, Severity::Warning, &mut diagnostics);
    diagnostics.sorted()
}

/// Mutating policies first, each kind by name, as the API server orders them.
fn ordered(mut policies: Vec<Arc<Policy>>) -> Vec<Arc<Policy>> {
    policies.sort_by(|a, b| (a.mutations.is_empty(), &a.name).cmp(&(b.mutations.is_empty(), &b.name)));
    policies
}

// === impl Memory ===

impl Memory {
    fn new(part: &Part, last_good: Option<Arc<Version>>, options: Options, workshop: &mut Workshop) -> Self {
        let newest = Version::compile(&part.sources, last_good.as_deref(), options, workshop).map(Arc::new);
        Self { scope: part.scope, sources: part.sources.clone(), newest, last_good }
    }

    /// Chooses the version that takes part: the newest when it is good and its names are free, else the last good one.
    fn settle(&mut self, names: &mut Names) -> (PartReport, Option<Arc<Version>>) {
        let refusal = match &self.newest {
            Ok(newest) => match names.claim(newest.sources()) {
                Ok(()) => {
                    self.last_good = Some(newest.clone());
                    let diagnostics = newest.diagnostics().clone();
                    return (PartReport { standing: Standing::InForce, diagnostics }, Some(newest.clone()));
                }
                Err(conflicts) => conflicts,
            },
            Err(faults) => faults.clone(),
        };
        let last = self.last_good.clone().filter(|last| names.claim(last.sources()).is_ok());
        let standing = if last.is_some() { Standing::LastGood } else { Standing::NotInForce };
        (PartReport { standing, diagnostics: refusal }, last)
    }
}

#[cfg(test)]
mod tests;
