//! The binaries of `e2e/tools/build`.

use std::path::PathBuf;

/// Where the built tools are: `$STOCKADE_CACHE/tools/bin`, by default below the user's cache folder.
pub fn folder() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("STOCKADE_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("stockade")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/stockade")))
        .unwrap_or_else(|| PathBuf::from("/tmp/stockade"))
        .join("tools/bin")
}

/// Path of one tool.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Folder of the definitions that the project of OpenReports publishes.
///
/// # Panics
/// When it is not there: the tools are older than this.
pub fn openreports() -> PathBuf {
    let definitions = folder().with_file_name("openreports");
    assert!(definitions.is_dir(), "{} is not there: run e2e/tools/build (or make e2e)", definitions.display());
    definitions
}

/// Whether the tests of this crate can run here: all tools are built.
///
/// # Panics
/// When they are not and `CI` is set: in CI nothing may be skipped.
pub fn present() -> bool {
    all_present(&["etcd", "kube-apiserver", "kubectl", "helm"])
}

/// Whether these tools are built.
///
/// # Panics
/// When they are not and `CI` is set: in CI nothing may be skipped.
pub fn all_present(tools: &[&str]) -> bool {
    let missing: Vec<&&str> = tools.iter().filter(|tool| !path(tool).is_file()).collect();
    if missing.is_empty() {
        return true;
    }
    let hint = format!("{missing:?} not in {}: run e2e/tools/build (or make e2e)", folder().display());
    assert!(std::env::var_os("CI").is_none(), "{hint}");
    eprintln!("left out: {hint}");
    false
}
