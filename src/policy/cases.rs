//! `test.yaml` of a policy's folder: requests, what would be found of their images, and what is to come of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::compiled::{Origin, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::images::{Digest, ImageReference};
use crate::read::{Reader, case};
use crate::source::Reference;
use crate::source_file::SourceFile;
use crate::yaml;

/// Most cases of one file.
pub const MAX_CASES: usize = 10_000;
/// Most images of one case of which something is said.
pub const MAX_IMAGES: usize = 256;
/// Most attestations and most platforms of one of them.
pub const MAX_ATTESTATIONS: usize = 64;

/// The cases of a file.
#[derive(Debug, Clone)]
pub struct Cases {
    /// In their order.
    pub list: Vec<CaseSource>,
    file: SourceFile,
}

/// Operations, as a case writes them.
pub const OPERATIONS: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

/// One case, as it is written.
#[derive(Debug, Clone)]
pub struct CaseSource {
    /// Where.
    pub origin: Origin,
    /// A sentence.
    pub name: String,
    /// One of [`OPERATIONS`]; none for what the objects suggest.
    pub operation: Option<&'static str>,
    /// The object, or a string that names its file.
    pub object: Option<Json>,
    /// As `object`, before the request.
    pub old_object: Option<Json>,
    /// As `object`, the Namespace.
    pub namespace: Option<Json>,
    /// Who asks.
    pub user_info: Option<Json>,
    /// Seconds since 1970 at which it is judged; none for the present.
    pub now: Option<i64>,
    /// What would be found of images.
    pub images: Vec<StatedImage>,
    /// What is to come of it.
    pub expect: Expect,
    /// Part of a message that must be shown.
    pub message: Option<String>,
    /// Part of the object afterwards.
    pub after: Option<Json>,
}

/// What is to come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Admitted without a word.
    Allow,
    /// Refused.
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted with an audit annotation.
    Audit,
    /// Admitted by an exception.
    Waived,
    /// Admitted and changed.
    Mutated,
    /// Admitted and not changed.
    Unchanged,
}

/// What would be found of an image.
#[derive(Debug, Clone)]
pub struct StatedImage {
    /// Which.
    pub reference: ImageReference,
    /// What its registry has.
    pub content: StatedContent,
}

/// What a registry would have under a reference.
#[derive(Debug, Clone)]
pub enum StatedContent {
    /// An image.
    Image {
        /// What the reference means.
        digest: Digest,
        /// Who has signed it.
        signatures: Signed,
        /// What is attested.
        attestations: Vec<StatedAttestation>,
        /// Empty for one of which nothing is said.
        platforms: Vec<StatedPlatform>,
    },
    /// Nothing that could be looked at.
    Answer(StatedAnswer),
}

/// What a registry would answer that gives no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatedAnswer {
    /// There is no such image.
    NotFound,
    /// Something else than it says.
    Invalid,
    /// None.
    Unavailable,
}

/// One platform of an image, and its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatedPlatform {
    /// `linux`, unless it is written.
    pub os: String,
    /// `amd64`, unless it is written.
    pub architecture: String,
    /// `v8`; empty for none.
    pub variant: String,
    /// RFC 3339; empty for none.
    pub created: String,
    /// Empty for root.
    pub user: String,
    /// Sorted.
    pub labels: Vec<(String, String)>,
    /// What is run.
    pub entrypoint: Vec<String>,
    /// With these arguments.
    pub command: Vec<String>,
}

/// By authorities of a policy, of which each is named once; those that are not named have not signed.
#[derive(Debug, Clone, Default)]
pub struct Signed {
    /// Whose signature verifies.
    pub verified: Vec<Reference>,
    /// Whose signature is broken or forged.
    pub invalid: Vec<Reference>,
    /// Of whom it could not be found out.
    pub unavailable: Vec<Reference>,
}

/// An attestation that would be found.
#[derive(Debug, Clone)]
pub struct StatedAttestation {
    /// URI of the predicate's type.
    pub predicate_type: Arc<str>,
    /// Who has signed it.
    pub signatures: Signed,
    /// What it says.
    pub predicate: Json,
}

/// Reads a file of cases.
///
/// # Errors
/// All faults: syntax, unknown fields, statements about images that contradict each other.
pub fn load_cases(file_name: &str, text: &str) -> Result<Cases, Diagnostics> {
    let file = SourceFile::new(file_name, text);
    let (documents, faults) = yaml::parse(&file);
    let mut reader = Reader::new(&file);
    reader.diagnostics.extend(faults);
    let list = case::read(&mut reader, &documents);
    if reader.diagnostics.has_errors() {
        return Err(reader.diagnostics.sorted());
    }
    Ok(Cases { list, file })
}

// === impl Cases ===

impl Cases {
    /// Statements by authorities that no policy has: nobody would ask for them, so that a case would pass for another
    /// reason than the one that is written.
    pub fn strangers(&self, set: &PolicySet) -> Diagnostics {
        let rules = set.policies.iter().filter_map(|policy| policy.image_rules.as_deref());
        let questions = set.policies.iter().filter_map(|policy| policy.image_questions.as_deref());
        let all = rules.flat_map(|rules| &rules.authorities).chain(questions.flat_map(|q| &q.authorities));
        let known: BTreeSet<&str> = all.map(|authority| &*authority.name).collect();
        let mut faults = Diagnostics::default();
        let named = self.list.iter().flat_map(|case| &case.images).flat_map(StatedImage::authorities);
        for name in named.filter(|name| !known.contains(name.name.as_str())) {
            let message = format!("no policy of this folder has an authority {:?}", name.name);
            let fault = Diagnostic::at(Severity::Error, &self.file, name.span, message).field(&name.path);
            let list: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            faults.push(if list.is_empty() { fault } else { fault.help(format!("authorities: {}", list.join(", "))) });
        }
        faults
    }
}

// === impl StatedImage ===

impl StatedImage {
    fn authorities(&self) -> impl Iterator<Item = &Reference> {
        let (own, attested) = match &self.content {
            StatedContent::Image { signatures, attestations, .. } => (Some(signatures), attestations.as_slice()),
            _ => (None, &[][..]),
        };
        own.into_iter().chain(attested.iter().map(|a| &a.signatures)).flat_map(Signed::all)
    }
}

// === impl Signed ===

impl Signed {
    /// All that are named.
    pub fn all(&self) -> impl Iterator<Item = &Reference> {
        self.verified.iter().chain(&self.invalid).chain(&self.unavailable)
    }
}

#[cfg(test)]
mod tests;
