//! What the policies of one set say of registries.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::images::RegistrySettings;
use crate::source::PolicySource;
use crate::source_file::SourceFile;
use crate::sources::PolicySources;
use stockade_cel::source::Span;

/// What has been said of each registry so far, and where.
#[derive(Default)]
pub(super) struct Registries {
    said: HashMap<Arc<str>, (Arc<RegistrySettings>, String)>,
}

// === impl Registries ===

impl Registries {
    /// Takes over what some sources say. One registry is spoken to in one way: which of two policies is asked first must
    /// not decide what is trusted.
    ///
    /// # Errors
    /// What contradicts what was said before; then nothing is taken over.
    pub(super) fn claim(&mut self, sources: &PolicySources) -> Result<(), Diagnostics> {
        let mut conflicts = Diagnostics::default();
        let mut mine: HashMap<Arc<str>, (Arc<RegistrySettings>, String)> = HashMap::new();
        for (policy, settings, span, field) in said_by(sources) {
            let known = mine.get(&settings.host).or_else(|| self.said.get(&settings.host));
            match known {
                Some((other, by)) if other != settings => {
                    let message = format!("other settings of registry {:?} are in {by}", settings.host);
                    let d = Diagnostic::at(Severity::Error, &policy.file, span, message).field(field);
                    conflicts
                        .push(d.help("all policies must say the same of a registry, or only one of them anything"));
                }
                Some(_) => {}
                None => {
                    let by = format!("{} {:?} ({})", policy.flavour.kind(), policy.name, place(&policy.file, span));
                    mine.insert(Arc::clone(&settings.host), (Arc::clone(settings), by));
                }
            }
        }
        if conflicts.has_errors() {
            return Err(conflicts);
        }
        self.said.extend(mine);
        Ok(())
    }
}

/// All settings in some sources, with their places.
fn said_by(sources: &PolicySources) -> impl Iterator<Item = (&PolicySource, &Arc<RegistrySettings>, Span, &str)> {
    let of_policy = |policy| {
        let PolicySource { trust, .. }: &PolicySource = policy;
        trust.registries.iter().map(move |(settings, at)| (policy, settings, at.span, at.path.as_str()))
    };
    sources.policies.iter().flat_map(of_policy)
}

fn place(file: &SourceFile, span: Span) -> String {
    format!("{}:{}", file.name(), file.position(span.start))
}
