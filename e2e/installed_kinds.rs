//! The kinds that the tests need: those that the chart installs, from its own files, and those of others.

use std::path::{Path, PathBuf};

use crate::client::Answer;
use crate::cluster::Cluster;
use crate::documents::{self, text};
use crate::helm;
use crate::webhook::eventually;

/// Serves Stockade's own kinds.
///
/// # Panics
/// When the API server does not take them, or does not serve them in time.
pub fn own(cluster: &Cluster) {
    install(cluster, &helm::chart().join("crds"));
}

/// Serves the kinds of OpenReports.
///
/// # Panics
/// As [`own`].
pub fn reports(cluster: &Cluster) {
    install(cluster, &helm::chart().join("files/reports"));
}

/// Applies the definitions of a folder and waits until their objects can be listed, by `kubectl` as well, which finds kinds
/// by discovery.
///
/// # Panics
/// As [`own`].
pub fn install(cluster: &Cluster, folder: &Path) {
    let applied = cluster.kubectl(&["apply", "--server-side", "-f", folder.to_str().unwrap()], "");
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let mut kinds = Vec::new();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|file| file.extension().is_some());
    for definition in files.flat_map(|file: PathBuf| documents::read(&file).unwrap()) {
        let [group, version, plural] = ["/spec/group", "/spec/versions/0/name", "/spec/names/plural"]
            .map(|pointer| text(&definition, pointer).to_owned());
        eventually(|| cluster.client.get(&format!("/apis/{group}/{version}/{plural}")), Answer::ok);
        kinds.push(format!("{plural}.{version}.{group}"));
    }
    eventually(|| cluster.kubectl(&["get", &kinds.join(","), "--all-namespaces"], ""), |answer| answer.code == 0);
}
