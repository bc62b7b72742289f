//! The kinds that the chart installs, from its own files.

use std::path::{Path, PathBuf};

use crate::client::Answer;
use crate::cluster::Cluster;
use crate::documents::{self, text};
use crate::webhook::eventually;

/// Serves Stockade's own kinds.
///
/// # Panics
/// When the API server does not take them, or does not serve them in time.
pub fn own(cluster: &Cluster) {
    install(cluster, "crds");
}

/// Serves the kinds of OpenReports.
///
/// # Panics
/// As [`own`].
pub fn reports(cluster: &Cluster) {
    install(cluster, "files/reports");
}

/// Applies the definitions of a folder of the chart and waits until their objects can be listed.
fn install(cluster: &Cluster, folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/stockade").join(folder);
    let applied = cluster.kubectl(&["apply", "--server-side", "-f", folder.to_str().unwrap()], "");
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    for definition in files.flat_map(|file: PathBuf| documents::read(&file).unwrap()) {
        let [group, version, plural] = ["/spec/group", "/spec/versions/0/name", "/spec/names/plural"]
            .map(|pointer| text(&definition, pointer).to_owned());
        eventually(|| cluster.client.get(&format!("/apis/{group}/{version}/{plural}")), Answer::ok);
    }
}
