//! Notices that policy files changed.
//!
//! By looking, not by inotify: a mounted ConfigMap or Secret is changed by swapping a symbolic link above it, which
//! file watches miss. What is compared follows links, so a swap changes it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are to be looked at. A look is one stat per file.
pub const INTERVAL: Duration = Duration::from_millis(500);
/// Deepest folder that is looked into, as when policies are loaded.
const MAX_DEPTH: usize = 16;
/// Most files that are compared, as when policies are loaded.
const MAX_FILES: usize = 20_000;

/// While the newest files are refused: looks after which they are read again though they have not changed. What
/// refused them may have been the disk, or a lack of descriptors.
const LOOKS_UNTIL_RETRY: u32 = 60;

/// A file as it was.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    target: Option<PathBuf>,
    length: u64,
    modified: Option<SystemTime>,
    /// When its content, permissions or owner changed: seconds and nanoseconds.
    changed: Option<(i64, i64)>,
}

/// What files were at one look.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<Seen>);

/// Decides at each look whether files are to be read: when they changed and then stayed the same until the next look,
/// so that a half-written set is not read.
#[derive(Debug)]
pub struct FolderWatch {
    read: Snapshot,
    pending: Option<Snapshot>,
    looks_refused: u32,
}

// === impl FolderWatch ===

impl FolderWatch {
    /// Begins with what the files were before they were read.
    pub fn new(read: Snapshot) -> Self {
        Self { read, pending: None, looks_refused: 0 }
    }

    /// Whether the files are to be read now. While what was read is refused they are due now and then though nothing
    /// changed.
    pub fn is_due(&mut self, now: Snapshot, is_refused: bool) -> bool {
        if now == self.read {
            self.pending = None;
            self.looks_refused = if is_refused { self.looks_refused + 1 } else { 0 };
            return self.looks_refused > 0 && self.looks_refused.is_multiple_of(LOOKS_UNTIL_RETRY);
        }
        if self.pending.as_ref() != Some(&now) {
            self.pending = Some(now);
            return false;
        }
        *self = Self::new(now);
        true
    }
}

/// The files as they are. Take it before they are read: what changes in between then is seen as a change.
pub fn snapshot<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Snapshot {
    let mut seen = Vec::new();
    for path in paths {
        walk(path, 0, &mut seen);
    }
    Snapshot(seen)
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
        changed: metadata.as_ref().map(|m| (m.ctime(), m.ctime_nsec())),
        modified: metadata.and_then(|m| m.modified().ok()),
    });
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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
        let sources = [dir.path().to_owned()];
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
        let sources = [dir.path().to_owned(), file.clone()];
        let before = snapshot(&sources);
        fs::remove_file(&file).unwrap();
        assert_ne!(before, snapshot(&sources));
    }

    #[test]
    fn a_file_that_became_readable_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.yaml");
        fs::write(&file, "a").unwrap();
        let sources = [file.clone()];
        let before = snapshot(&sources);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
        assert_ne!(before, snapshot(&sources));
    }

    #[test]
    fn files_are_read_once_they_stay_the_same_and_again_now_and_then_while_they_are_refused() {
        let state = |text: &str| {
            Snapshot(vec![Seen { path: text.into(), target: None, length: 0, modified: None, changed: None }])
        };
        let mut watch = FolderWatch::new(state("a"));
        let looks = [("a", false), ("b", false), ("c", false), ("c", false), ("c", false), ("d", true), ("c", true)];
        let due: Vec<_> = looks.iter().map(|(text, refused)| watch.is_due(state(text), *refused)).collect();
        assert_eq!(due, [false, false, false, true, false, false, false]);

        let mut refused = FolderWatch::new(state("a"));
        let retries: Vec<_> = (1..=150).filter(|_| refused.is_due(state("a"), true)).collect();
        assert_eq!(retries, [60, 120]);
        assert!(!refused.is_due(state("a"), false));
        assert_eq!(refused.looks_refused, 0);
    }
}
