//! One version of a part, compiled.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Options, expressions, images, references, report_conflicts, type_check};
use super::{Diagnostics, Policy, PolicySources, Workshop};
use crate::compiled::Flavour;
use crate::source::PolicySource;

/// A part without faults of its own.
#[derive(Debug)]
pub(super) struct Version {
    sources: Arc<PolicySources>,
    /// Parallel to the sources' policies; without the bindings of others.
    policies: Vec<CompiledPolicy>,
    /// Of reading and of compiling: warnings and notes.
    diagnostics: Diagnostics,
}

/// One policy and what was said of it.
#[derive(Debug, Clone)]
struct CompiledPolicy {
    policy: Arc<Policy>,
    diagnostics: Diagnostics,
}

impl Version {
    /// Compiles the sources; a policy that was the same in the version `before` is taken from there.
    ///
    /// # Errors
    /// All faults of reading and of compiling, with the warnings and notes.
    pub(super) fn compile(
        sources: &Arc<PolicySources>,
        before: Option<&Version>,
        options: Options,
        workshop: &mut Workshop,
    ) -> Result<Self, Diagnostics> {
        let mut diagnostics = sources.diagnostics.clone();
        report_conflicts(sources, &mut diagnostics);
        if let Err(conflicts) = images::Registries::default().claim(sources) {
            diagnostics.extend(conflicts);
        }
        for exception in &sources.exceptions {
            references::check_time(exception, options, &mut diagnostics);
        }
        let known: HashMap<(Flavour, &str), (&PolicySource, &CompiledPolicy)> =
            before.into_iter().flat_map(Version::pairs).map(|(s, c)| ((s.flavour, s.name.as_str()), (s, c))).collect();
        let mut policies = Vec::with_capacity(sources.policies.len());
        for source in &sources.policies {
            let same = known.get(&(source.flavour, source.name.as_str())).filter(|(before, _)| is_same(before, source));
            let compiled = match same {
                Some((_, compiled)) => Some((*compiled).clone()),
                None => compile(source, workshop, &mut diagnostics),
            };
            if let Some(compiled) = compiled {
                diagnostics.extend(compiled.diagnostics.clone());
                policies.push(compiled);
            }
        }
        if diagnostics.has_errors() {
            return Err(diagnostics.sorted());
        }
        Ok(Self { sources: sources.clone(), policies, diagnostics })
    }

    pub(super) fn sources(&self) -> &Arc<PolicySources> {
        &self.sources
    }

    pub(super) fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// The policies as read and as compiled, without the bindings of others.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&PolicySource, &Arc<Policy>)> {
        self.pairs().map(|(source, compiled)| (source, &compiled.policy))
    }

    fn pairs(&self) -> impl Iterator<Item = (&PolicySource, &CompiledPolicy)> {
        self.sources.policies.iter().zip(&self.policies)
    }
}

/// Whether two policies are the same text at the same place.
fn is_same(a: &PolicySource, b: &PolicySource) -> bool {
    a.name_span == b.name_span && a.file == b.file
}

/// Compiles one policy; faults go to `faults`.
fn compile(source: &PolicySource, workshop: &mut Workshop, faults: &mut Diagnostics) -> Option<CompiledPolicy> {
    let mut diagnostics = Diagnostics::default();
    let mut compiler = expressions::Compiler {
        source,
        symbols: &mut workshop.symbols,
        environments: &mut workshop.environments,
        diagnostics: &mut diagnostics,
    };
    let Some(mut policy) = compiler.policy() else {
        faults.extend(diagnostics);
        return None;
    };
    policy.type_warnings = type_check::check(source, &mut diagnostics);
    Some(CompiledPolicy { policy: Arc::new(policy), diagnostics })
}
