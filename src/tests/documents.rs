//! What the documents say is true: the README's examples, the crates' directions, the tables of the packs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test ends in a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Fenced block after a marker: its lines without the fences.
fn block(after: &str) -> &str {
    let start = after.find("```").expect("a block follows the marker");
    let body = &after[start..];
    let body = &body[body.find('\n').expect("the fence ends") + 1..];
    &body[..body.find("```").expect("the block ends")]
}

fn run(command: &str, dir: &Path) -> String {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("stockade"), "examples run stockade: {command}");
    let output = Command::new(env!("CARGO_BIN_EXE_stockade")).args(words).current_dir(dir).output().unwrap();
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_of_the_readmes_print_what_they_say() {
    assert_eq!(["README.md", "policies/README.md"].map(run_examples), [7, 2]);
}

/// Runs the marked examples of a document in one folder; how many commands there were.
fn run_examples(document: &str) -> usize {
    let readme = read(document);
    let dir = tempfile::tempdir().unwrap();
    let mut ran = 0;
    for (at, marker) in readme.match_indices("<!-- example: ") {
        let line = readme[at + marker.len()..].lines().next().unwrap().trim_end_matches(" -->");
        let after = &readme[at..];
        if line == "run" {
            let text = block(after);
            let (command, expected) = text.split_once('\n').unwrap();
            let command = command.strip_prefix("$ ").expect("a command begins with $");
            assert_eq!(run(command, dir.path()), expected, "$ {command}");
            ran += 1;
        } else if let Some((name, rest)) = line.split_once(" from ") {
            let (from, change) = rest.split_once(": ").unwrap();
            let (old, new) = change.split_once(" -> ").unwrap();
            let text = fs::read_to_string(dir.path().join(from)).unwrap();
            assert!(text.contains(old), "{from} has no {old}");
            fs::write(dir.path().join(name), text.replace(old, new)).unwrap();
        } else {
            let path = dir.path().join(line);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, block(after)).unwrap();
        }
    }
    ran
}

#[test]
fn the_crates_know_what_the_architecture_says_they_know() {
    let architecture = read("ARCHITECTURE.md");
    let mut checked = BTreeSet::new();
    for row in architecture.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let knows: BTreeSet<String> = cells[2]
            .split(',')
            .map(|c| c.trim().trim_matches('`').to_owned())
            .filter(|c| c != "–" && c != "all")
            .collect();
        if cells[2] == "all" {
            continue;
        }
        let manifest = read(&format!("src/{name}/Cargo.toml"));
        let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        let depends: BTreeSet<String> = section
            .lines()
            .filter_map(|l| l.strip_prefix("stockade-"))
            .map(|l| l.split(['.', ' ', '=']).next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(depends, knows, "crate {name}");
        checked.insert(name.to_owned());
    }
    // Also those that lie in another's folder.
    let output = Command::new("git").args(["ls-files", "src/*/Cargo.toml"]).current_dir(root()).output().unwrap();
    let manifests = String::from_utf8(output.stdout).unwrap();
    let name = |path: &str| Some(path.strip_prefix("src/")?.strip_suffix("/Cargo.toml")?.to_owned());
    let crates: BTreeSet<String> = manifests.lines().filter_map(name).collect();
    assert_eq!(checked, crates);
}

/// Packages that a program of this workspace is linked with, whatever they are for at build time.
fn linked(package: &str) -> BTreeSet<String> {
    let arguments =
        ["tree", "--offline", "--locked", "--edges=normal", "--prefix=none", "--format={lib}", "-p", package];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).filter(|name| !name.is_empty()).collect()
}

#[test]
fn no_program_is_linked_with_what_only_another_needs() {
    let (stockade, agent, cni) = (linked("stockade"), linked("stockade-agent"), linked("stockade-cni"));
    let among = |linked: &BTreeSet<String>, names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| linked.contains(**name)).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(among(&stockade, &["libbpf_rs", "libbpf_sys", "stockade_agent", "stockade_cni"]), [""; 0]);
    // What runs with capabilities on every node neither speaks to registries nor is spoken to by API servers.
    let of_webhook = ["stockade_webhook", "stockade_images", "stockade_engine", "stockade_cluster", "reqwest", "axum"];
    assert_eq!(among(&agent, &of_webhook), [""; 0]);
    // What the container runtime starts for each Pod asks a socket, and no more.
    assert_eq!(among(&cni, &["kube", "tokio", "rustls", "libbpf_rs"]), [""; 0]);
    assert_eq!(among(&stockade, &of_webhook), of_webhook, "the names are right");
    assert_eq!(among(&agent, &["libbpf_rs", "libbpf_sys"]), ["libbpf_rs", "libbpf_sys"]);
}

#[test]
fn every_pack_lists_its_policies() {
    for pack in fs::read_dir(root().join("policies")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        let table = fs::read_to_string(pack.join("README.md")).unwrap_or_else(|e| panic!("{}: {e}", pack.display()));
        let listed: BTreeSet<String> = table
            .lines()
            .filter_map(|l| l.strip_prefix("| [`"))
            .map(|l| l.split('`').next().unwrap_or_default().to_owned())
            .collect();
        let there: BTreeSet<String> = fs::read_dir(&pack)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.is_dir())
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(listed, there, "{}", pack.display());
    }
}

#[test]
fn no_file_names_a_machine() {
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    let roots = ["work", "root", "home"].map(|r| format!("/{r}/"));
    for file in files.lines().filter(|f| !f.ends_with(".lock") && !f.ends_with(".sum")) {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        for (n, line) in text.lines().enumerate() {
            let found = roots.iter().any(|r| {
                line.match_indices(r.as_str())
                    .any(|(i, _)| i == 0 || line[..i].ends_with([' ', '"', '\'', '`', '(', '=']))
            });
            assert!(!found, "{file}:{}: {line}", n + 1);
        }
    }
}
