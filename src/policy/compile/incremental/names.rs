//! Who defines which name: a name means one object, whichever part it comes from.

use std::collections::HashMap;

use super::super::images::Registries;
use super::super::named;
use super::{Diagnostic, Diagnostics, MAX_EXCEPTIONS, MAX_POLICIES, PolicySources, Severity};

/// Names of one set.
#[derive(Default)]
pub(super) struct Names {
    /// Kind and name to the place of its definition.
    taken: HashMap<(&'static str, String), String>,
    pub(super) policies: usize,
    exceptions: usize,
    registries: Registries,
}

impl Names {
    /// Takes all names of a part, or none of them.
    ///
    /// # Errors
    /// Names that are taken; more policies than a set may have; other settings of a registry than another policy has.
    pub(super) fn claim(&mut self, sources: &PolicySources) -> Result<(), Diagnostics> {
        let mut conflicts = Diagnostics::default();
        let mut mine: Vec<((&'static str, String), String)> = Vec::new();
        for (kind, name, file, span) in named(sources) {
            let key = (kind, name);
            if let Some(place) = self.taken.get(&key) {
                let message = format!("{} {:?} is already defined in {place}", key.0, key.1);
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
        if self.exceptions + sources.exceptions.len() > MAX_EXCEPTIONS
            && let Some(exception) = sources.exceptions.first()
        {
            let message =
                format!("there are {} exceptions already, at most {MAX_EXCEPTIONS} are taken", self.exceptions);
            conflicts.push(Diagnostic::at(Severity::Error, &exception.file, exception.name_span, message));
        }
        if conflicts.has_errors() {
            return Err(conflicts);
        }
        self.registries.claim(sources)?;
        self.policies += sources.policies.len();
        self.exceptions += sources.exceptions.len();
        self.taken.extend(mine);
        Ok(())
    }
}
