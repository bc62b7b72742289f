//! Writes the CustomResourceDefinitions of the own kinds into the chart. Run by `make generate`; a test of this crate
//! fails while they are stale.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stockade/crds");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in stockade_cluster::kinds::definitions::files()? {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
