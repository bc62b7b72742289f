//! Who defines which name: a name means one object, whichever part it comes from.

use std::collections::HashMap;

use stockade_cel::source::Span;

use super::super::{binding_kind, kind};
use super::{Diagnostic, Diagnostics, MAX_POLICIES, PolicySources, Severity};
use crate::source_file::SourceFile;

/// Names of one set.
#[derive(Default)]
pub(super) struct Names {
    /// Kind and name to the place of its definition.
    taken: HashMap<(&'static str, String), String>,
    pub(super) policies: usize,
}

impl Names {
    /// Takes all names of a part, or none of them.
    ///
    /// # Errors
    /// Names that are taken; more policies than a set may have.
    pub(super) fn claim(&mut self, sources: &PolicySources) -> Result<(), Diagnostics> {
        let mut conflicts = Diagnostics::default();
        let mut mine: Vec<((&'static str, String), String)> = Vec::new();
        for (kind, name, file, span) in named(sources) {
            let key = (kind, name.to_owned());
            if let Some(place) = self.taken.get(&key) {
                let message = format!("{kind} {name:?} is already defined in {place}");
                conflicts.push(Diagnostic::at(Severity::Error, file, span, message).field("metadata.name"));
            }
            mine.push((key, format!("{}:{}", file.name(), file.position(span.start))));
        }
        if self.policies + sources.policies.len() > MAX_POLICIES
            && let Some(policy) = sources.policies.first()
        {
            let message = format!("there are {} policies already, at most {MAX_POLICIES} are taken", self.policies);
            conflicts.push(Diagnostic::at(Severity::Error, &policy.file, policy.name_span, message));
        }
        if conflicts.has_errors() {
            return Err(conflicts);
        }
        self.policies += sources.policies.len();
        self.taken.extend(mine);
        Ok(())
    }
}

/// What a part defines: kind, name and place.
fn named(sources: &PolicySources) -> impl Iterator<Item = (&'static str, &str, &SourceFile, Span)> {
    let policies = sources.policies.iter().map(|p| (kind(p.flavour), p.name.as_str(), &p.file, p.name_span));
    let bindings = sources.bindings.iter().map(|b| (binding_kind(b.flavour), b.name.as_str(), &b.file, b.name_span));
    policies.chain(bindings)
}
