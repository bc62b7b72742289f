//! Writes what the chart holds of the rest of the tree: the packs of `policies/` as objects that its values switch on,
//! and the table of values in its README.
//!
//! Run by `make generate`; a test fails when a file is stale.

mod packs;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What the files are to hold, by their path in the chart.
type Files = BTreeMap<PathBuf, String>;

/// Folder of the generated objects of packs; nothing else lies in it.
const PACKS: &str = "files/policies";

fn main() -> Result<()> {
    let chart = chart();
    if chart.join(PACKS).exists() {
        fs::remove_dir_all(chart.join(PACKS))?;
    }
    for (path, text) in generate()? {
        let target = chart.join(path);
        fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        fs::write(target, text)?;
    }
    Ok(())
}

fn generate() -> Result<Files> {
    let chart = chart();
    let mut files = packs::files(&chart.join("../../policies"), Path::new(PACKS))?;
    let readme = read(&chart.join("README.md"))?;
    let table = values::table(&read(&chart.join("values.yaml"))?);
    files.insert("README.md".into(), values::replace(&readme, &table).context("charts/stockade/README.md")?);
    Ok(files)
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("stockade")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn generated_files_are_what_make_generate_writes() {
        let files = generate().unwrap();
        for (path, text) in &files {
            let written = fs::read_to_string(chart().join(path)).unwrap_or_default();
            assert!(&written == text, "charts/stockade/{} is stale: run make generate", path.display());
        }
        let mut there = Vec::new();
        for pack in fs::read_dir(chart().join(PACKS)).unwrap() {
            for file in fs::read_dir(pack.unwrap().path()).unwrap() {
                there.push(file.unwrap().path().strip_prefix(chart()).unwrap().to_owned());
            }
        }
        there.sort();
        let expected: Vec<PathBuf> = files.into_keys().filter(|path| path.starts_with(PACKS)).collect();
        assert_eq!(there, expected, "run make generate");
    }

    /// The switches of the packs: pack, then the policies that it names.
    fn switches(document: &Value, policies: impl Fn(&Value) -> Vec<String>) -> BTreeMap<String, Vec<String>> {
        let packs = ["network", "workload", "rbac", "dashboard"];
        packs.iter().map(|pack| ((*pack).to_owned(), policies(&document[pack]))).collect()
    }

    #[test]
    fn every_policy_of_a_pack_has_a_switch_among_the_values_and_in_their_schema() {
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in generate().unwrap().into_keys().filter(|path| path.starts_with(PACKS)) {
            let of_pack = path.parent().and_then(Path::file_name).unwrap().to_str().unwrap().to_owned();
            expected.entry(of_pack).or_default().push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
        // The one policy of this pack is the pack.
        assert_eq!(expected.remove("podSecurity").unwrap(), ["standards"]);

        let names = |value: &Value| {
            let names = value.as_object().into_iter().flatten().map(|(name, _)| name.clone());
            let mut names: Vec<String> = names.filter(|name| name != "enabled" && name != "enforce").collect();
            names.sort();
            names
        };
        let values: Value = serde_saphyr::from_str(&read(&chart().join("values.yaml")).unwrap()).unwrap();
        assert_eq!(switches(&values, names), expected);
        let schema: Value = serde_json::from_str(&read(&chart().join("values.schema.json")).unwrap()).unwrap();
        assert_eq!(switches(&schema["properties"], |pack| names(&pack["properties"])), expected);
    }
}
