//! The registration as files of a control-plane host (manifest-based admission configuration, KEP-5793): the API server
//! asks from its first request on, and nobody can remove the registration through the API.
//!
//! The API server needs `--feature-gates=ManifestBasedAdmissionControlConfig=true` (alpha in 1.36) and
//! `--admission-control-config-file` with the file written here. It looks at the two folders once a minute. Its rules:
//! names end in `.static.k8s.io`, the address is a `url`, one folder holds one kind. Unlike those in etcd, such webhooks
//! are also asked about webhook configurations and the API server's own policies.
//!
//! Nothing in the cluster writes them anew. Whoever writes them does so with each change of the policies, and of the
//! authorities before the webhook serves what a new one signed: they hold all that are handed over, so a bundle of the old
//! one and the new is trusted on both sides of the change.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::registration::{Address, Configurations};

/// `metadata.name` of both configurations.
const NAME: &str = "stockade.static.k8s.io";

/// The file for `--admission-control-config-file`.
pub const ADMISSION_FILE: &str = "admission.json";

/// Folder and file of each plugin's manifests.
const PLUGINS: [(&str, &str, &str); 2] = [
    ("MutatingAdmissionWebhook", "mutating", "mutating/stockade.json"),
    ("ValidatingAdmissionWebhook", "validating", "validating/stockade.json"),
];

/// Why there are no files, or not all.
#[derive(Debug, thiserror::Error)]
pub enum StaticError {
    /// The API server takes no Service here.
    #[error("a static registration needs a URL, for Services are not known to an API server that starts")]
    Service,
    /// The API server wants absolute paths.
    #[error("{path} is not absolute: the API server would not take it")]
    Relative {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes three files below `folder`, each renamed into place: manifests first, then [`ADMISSION_FILE`], which names
/// `host_folder` as the place where the API server finds them. Gives their paths.
///
/// # Errors
/// An address that is no URL, a relative `host_folder`, files that cannot be written.
pub fn write(
    folder: &Path,
    host_folder: &Path,
    address: &Address,
    configurations: &Configurations,
) -> Result<Vec<PathBuf>, StaticError> {
    if matches!(address, Address::Service { .. }) {
        return Err(StaticError::Service);
    }
    if !host_folder.is_absolute() {
        return Err(StaticError::Relative { path: host_folder.to_owned() });
    }
    let mut written = Vec::new();
    for (name, content) in files(host_folder, configurations) {
        let path = folder.join(name);
        replace(&path, &content).map_err(|source| StaticError::Io { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

fn files(host_folder: &Path, configurations: &Configurations) -> Vec<(&'static str, Value)> {
    let manifests = [json!(configurations.mutating), json!(configurations.validating)];
    let mut files = Vec::new();
    let mut plugins = Vec::new();
    for ((plugin, folder, file), mut manifest) in PLUGINS.into_iter().zip(manifests) {
        manifest["metadata"]["name"] = json!(NAME);
        files.push((file, manifest));
        plugins.push(json!({
            "name": plugin,
            "configuration": {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "WebhookAdmissionConfiguration",
                "kubeConfigFile": "",
                "staticManifestsDir": host_folder.join(folder),
            },
        }));
    }
    let admission = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": plugins,
    });
    files.push((ADMISSION_FILE, admission));
    files
}

/// The API server reads `.json`, `.yaml` and `.yml`, so it never reads a half-written file.
fn replace(path: &Path, content: &Value) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, format!("{content:#}\n"))?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use stockade_policy::compiled::PolicySet;

    use super::*;
    use crate::registration::Settings;

    fn settings(address: Address) -> Settings {
        Settings::new(address, "stockade-system".to_owned())
    }

    #[test]
    fn three_files_are_written_with_reserved_names_and_the_paths_of_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(Address::Url("https://127.0.0.1:8443".to_owned()));
        let configurations = Configurations::without_own_kinds(&PolicySet::default(), &settings, b"pem");
        let host = Path::new("/etc/kubernetes/stockade");
        let written = write(folder.path(), host, &settings.address, &configurations).unwrap();
        let names = ["mutating/stockade.json", "validating/stockade.json", "admission.json"];
        assert_eq!(written, names.map(|n| folder.path().join(n)));
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.path().join(name)).unwrap()).unwrap()
        };
        assert_eq!(read(names[0])["kind"], "MutatingWebhookConfiguration");
        assert_eq!(read(names[1])["metadata"]["name"], "stockade.static.k8s.io");
        let plugins: Vec<Value> = read(names[2])["plugins"].as_array().unwrap().clone();
        let folders: Vec<&Value> = plugins.iter().map(|p| &p["configuration"]["staticManifestsDir"]).collect();
        assert_eq!(folders, ["/etc/kubernetes/stockade/mutating", "/etc/kubernetes/stockade/validating"]);
    }

    #[test]
    fn what_the_api_server_would_not_take_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let service = Address::Service { namespace: "n".to_owned(), name: "s".to_owned() };
        let configurations = Configurations::without_own_kinds(&PolicySet::default(), &settings(service.clone()), b"");
        let error = |host: &str, address: &Address| {
            write(folder.path(), Path::new(host), address, &configurations).unwrap_err().to_string()
        };
        assert_eq!(
            error("/etc", &service),
            "a static registration needs a URL, for Services are not known to an API server that starts"
        );
        let url = Address::Url("https://127.0.0.1:8443".to_owned());
        assert_eq!(error("etc", &url), "etc is not absolute: the API server would not take it");
    }
}
