//! The real `helm`, and the chart of this tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{documents, tools};

/// Where the chart is.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/stockade")
}

/// Exit status and output of one `helm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helm {
    /// Whether it succeeded.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `helm` with these arguments. Its own files go to `home`; of the caller's environment it sees nothing.
///
/// # Panics
/// When it cannot be started: it was not built.
pub fn helm(home: &Path, kubeconfig: Option<&Path>, arguments: &[&str]) -> Helm {
    let mut command = Command::new(tools::path("helm"));
    command.env_clear().env("HOME", home).args(arguments);
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let output = command.output().unwrap();
    Helm {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The chart as `helm template` renders it with these `--set` values, as text.
///
/// # Errors
/// What `helm` says.
pub fn render(home: &Path, values: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut arguments = vec!["template", "stockade", chart.to_str().unwrap(), "--namespace=stockade-system"];
    arguments.extend(["--kube-version=1.36.3", "--set", "image.tag=test"]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    let rendered = helm(home, None, &arguments);
    if rendered.ok { Ok(rendered.stdout) } else { Err(rendered.stderr) }
}

/// The objects of a rendered chart.
///
/// # Panics
/// When it is no YAML.
pub fn objects(rendered: &str) -> Vec<Value> {
    documents::parse(rendered).unwrap()
}
