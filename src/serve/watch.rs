//! Notices that policy files changed.
//!
//! By looking, not by inotify: a mounted ConfigMap or Secret is changed by swapping a symbolic link above it, which
//! file watches miss. What is compared follows links, so a swap changes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::live::{Live, Sources};

/// How often files are looked at. A look is one stat per file.
const INTERVAL: Duration = Duration::from_millis(500);
/// Deepest folder that is looked into, as when policies are loaded.
const MAX_DEPTH: usize = 16;
/// Most files that are compared, as when policies are loaded.
const MAX_FILES: usize = 20_000;

/// A file as it was.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    target: Option<PathBuf>,
    length: u64,
    modified: Option<SystemTime>,
}

/// Reloads whenever files changed and then stayed the same for one interval, so that a half-written set is not read.
pub(crate) async fn watch(live: Arc<Live>) {
    let look = |sources: Sources| tokio::task::spawn_blocking(move || snapshot(&sources));
    let Ok(mut in_force) = look(live.sources.clone()).await else { return };
    let mut pending: Option<Vec<Seen>> = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Ok(now) = look(live.sources.clone()).await else { return };
        if now == in_force {
            pending = None;
        } else if pending.as_ref() == Some(&now) {
            let reloading = live.clone();
            if tokio::task::spawn_blocking(move || reloading.reload()).await.is_err() {
                tracing::error!("reloading policies failed unexpectedly, the last good ones stay in force");
            }
            in_force = now;
            pending = None;
        } else {
            pending = Some(now);
        }
    }
}

fn snapshot(sources: &Sources) -> Vec<Seen> {
    let mut seen = Vec::new();
    for path in sources.policies.iter().chain(&sources.cluster_state) {
        walk(path, 0, &mut seen);
    }
    seen
}

fn walk(path: &Path, depth: usize, seen: &mut Vec<Seen>) {
    if seen.len() >= MAX_FILES || depth > MAX_DEPTH {
        return;
    }
    // Follows links: what is behind the name now.
    let metadata = std::fs::metadata(path).ok();
    if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            walk(&entry, depth + 1, seen);
        }
        return;
    }
    seen.push(Seen {
        path: path.to_owned(),
        target: std::fs::canonicalize(path).ok(),
        length: metadata.as_ref().map_or(0, std::fs::Metadata::len),
        modified: metadata.and_then(|m| m.modified().ok()),
    });
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn swapping_the_link_of_a_mounted_configmap_is_a_change_though_sizes_and_names_stay() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("p.yaml"), text).unwrap();
        }
        symlink("..1", dir.path().join("..data")).unwrap();
        symlink("..data/p.yaml", dir.path().join("p.yaml")).unwrap();
        let sources = Sources { policies: vec![dir.path().to_owned()], cluster_state: None };
        let before = snapshot(&sources);
        assert_eq!(before, snapshot(&sources));

        symlink("..2", dir.path().join("..new")).unwrap();
        fs::rename(dir.path().join("..new"), dir.path().join("..data")).unwrap();
        assert_ne!(before, snapshot(&sources));
    }

    #[test]
    fn a_file_that_is_gone_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, "a").unwrap();
        let sources = Sources { policies: vec![dir.path().to_owned(), file.clone()], cluster_state: None };
        let before = snapshot(&sources);
        fs::remove_file(&file).unwrap();
        assert_ne!(before, snapshot(&sources));
    }
}
