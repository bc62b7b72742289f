//! `stockade audit --from`: a folder of 100,000 objects against the packs' size of policies.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a program that prints figures, on input of its own")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use stockade_benches::inputs;
use stockade_benches::measure::{at_most, figure};

/// Objects of the folder.
const OBJECTS: usize = 100_000;
/// Namespaces they lie in.
const NAMESPACES: usize = 2_000;
/// Policies, twelve of which are about Pods and match.
const POLICIES: usize = 50;
/// Longest time on two cores.
const TARGET_SECONDS: f64 = 10.0;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for (file, text) in [inputs::matching_policies(), inputs::other_policies()].concat().into_iter().take(POLICIES) {
        fs::write(policies.join(file), text).unwrap();
    }
    for (format, list) in [("json", json_list as fn(&[Json]) -> String), ("yaml", yaml_documents)] {
        let folder = dir.path().join(format);
        let bytes = write_folder(&folder, format, list);
        figure(&format!("audit, folder of {OBJECTS} objects as {format}"), bytes as f64 / (1 << 20) as f64, "MiB");
        let time = audited(&policies, &folder);
        at_most(&format!("audit of it, {format}"), time.as_secs_f64(), TARGET_SECONDS, "s");
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// One file a namespace, as `kubectl get pods,configmaps -n … -o …` writes it: half Pods of one container, half others.
fn write_folder(folder: &Path, extension: &str, write: fn(&[Json]) -> String) -> usize {
    fs::create_dir(folder).unwrap();
    let mut pod = inputs::pod();
    let first = pod["spec"]["containers"][0].clone();
    pod["spec"]["containers"] = json!([first]);
    let per_namespace = OBJECTS / NAMESPACES;
    let mut bytes = 0;
    for number in 0..NAMESPACES {
        let namespace = format!("team-{number}");
        let objects: Vec<Json> = (0..per_namespace)
            .map(|i| {
                let mut object = match i % 2 {
                    0 => pod.clone(),
                    _ => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"app": "web"}}, "data": {"key": "value"}}),
                };
                object["metadata"]["name"] = json!(format!("object-{i}"));
                object["metadata"]["namespace"] = json!(namespace);
                object
            })
            .collect();
        let text = write(&objects);
        bytes += text.len();
        fs::write(folder.join(format!("{namespace}.{extension}")), text).unwrap();
    }
    bytes
}

fn json_list(objects: &[Json]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

fn yaml_documents(objects: &[Json]) -> String {
    objects.iter().fold(String::new(), |mut text, object| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "---\n{}", serde_saphyr::to_string(object).unwrap());
        text
    })
}

fn audited(policies: &Path, folder: &Path) -> Duration {
    let from = Instant::now();
    let binary = std::env::current_exe().unwrap().with_file_name("../stockade");
    let mut stockade = Command::new(&binary);
    stockade.args(["audit", "--quiet", "-o", "json", "--policies"]).arg(policies).arg("--from").arg(folder);
    let output = stockade.stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|e| panic!("{} (cargo build --release makes it): {e}", binary.display()));
    let time = from.elapsed();
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["judged"], json!(OBJECTS));
    time
}
