//! Writes the CustomResourceDefinitions of reports into the chart. Run by `make generate`; a test of this crate fails
//! while they are stale.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stockade/files/reports");
    for (name, text) in stockade_cluster::reports::definitions::files() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
