//! The rows of the conformance suites that name a plain Kubernetes policy.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use stockade_conformance::policies::SUITES;

/// One row. Paths are relative to the folder; the format is described in the folder's README.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// Unique name.
    pub id: String,
    /// The policy as ValidatingAdmissionPolicy or MutatingAdmissionPolicy.
    pub native_path: Option<PathBuf>,
    /// Params objects.
    pub params_path: Option<PathBuf>,
    /// Bindings beside those of the policy's file.
    pub binding_path: Option<PathBuf>,
    /// The namespace of the request.
    pub namespace_path: Option<PathBuf>,
    /// The object before an UPDATE or DELETE.
    pub old_resource_path: Option<PathBuf>,
    /// The object.
    pub resource_path: Option<PathBuf>,
    /// Objects that exist already.
    #[serde(default)]
    pub cluster_context_paths: Vec<PathBuf>,
    /// `CREATE`, `UPDATE`, `DELETE`
    pub operation: Option<String>,
    /// `allow`, `deny`, …
    pub expect: String,
    /// The object after mutation.
    pub mutated_path: Option<PathBuf>,
    /// 1 and 2 are what Kubernetes' own kinds can say.
    pub tier: Option<u8>,
    /// An independent check of the row; `disputed` ones are left out.
    pub oracle: Option<String>,
}

/// All rows that a plain Kubernetes API server can judge, in the order of the files.
pub fn rows(folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for suite in SUITES {
        let text = std::fs::read_to_string(folder.join(suite)).unwrap_or_else(|error| panic!("{suite}: {error}"));
        rows.extend(
            text.lines()
                .map(|line| serde_json::from_str::<Row>(line).unwrap_or_else(|error| panic!("{suite}: {error}"))),
        );
    }
    rows.retain(|row| {
        row.native_path.is_some()
            && row.resource_path.is_some()
            && row.tier.unwrap_or(1) <= 2
            && row.oracle.as_deref() != Some("disputed")
    });
    rows
}
