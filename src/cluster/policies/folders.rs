//! The policy folders, looked at again and again.

use std::path::PathBuf;
use std::sync::Arc;

use stockade_policy::diagnostic::{Diagnostic, Severity};
use stockade_policy::folder_watch::{FolderWatch, INTERVAL, snapshot};
use stockade_policy::sources::{PolicySources, load_paths};
use tokio::sync::mpsc;

use super::render::without_objects;

/// Sends what the folders hold, now and after each change. Ends when nobody listens.
pub(super) async fn watch(folders: Vec<PathBuf>, tell: mpsc::Sender<Arc<PolicySources>>) {
    let folders = Arc::new(folders);
    let mut watch = None;
    let mut is_refused = false;
    loop {
        let looked = Arc::clone(&folders);
        // A panic in there is told by the runtime; the next look is made all the same.
        let Ok(now) = tokio::task::spawn_blocking(move || snapshot(&*looked)).await else { continue };
        let is_due = match &mut watch {
            None => {
                watch = Some(FolderWatch::new(now));
                true
            }
            Some(watch) => watch.is_due(now, is_refused),
        };
        if is_due {
            let read = Arc::clone(&folders);
            let read = tokio::task::spawn_blocking(move || load_paths(&read)).await;
            let Ok(sources) = read else { continue };
            let sources = checked(sources, &folders);
            is_refused = sources.diagnostics.has_errors();
            if tell.send(Arc::new(sources)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Of a mount that is gone an empty folder stays: whoever wants no policies names no folder.
fn checked(sources: PolicySources, folders: &[PathBuf]) -> PolicySources {
    let mut sources = without_objects(sources);
    if sources.policies.is_empty() {
        let paths = folders.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        sources.diagnostics.push(Diagnostic::of_file(Severity::Error, &paths, "holds no policies"));
    }
    sources
}
