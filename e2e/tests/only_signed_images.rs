//! The README's section about signed images, followed by somebody who has a key pair and nothing else: a real `cosign`, a
//! real registry, a real API server. The registry is another than the README's, with an authority and a password of its
//! own, which its environment tells `cosign` and `stockade`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use serde_json::json;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::console::{Example, examples};
use stockade_e2e::images::Repository;
use stockade_e2e::registry::Registry;
use stockade_e2e::webhook::{self, Webhook, eventually};
use stockade_e2e::{installed_kinds, tools};

const README: &str = include_str!("../../README.md");
/// The registry that it names.
const EXAMPLE: &str = "registry.example.com";
/// Stockade's own namespace.
const OWN: &str = "stockade-system";

/// Who reads it, at a shell.
struct Reader {
    cluster: Cluster,
    registry: Registry,
    /// Of the image that is signed.
    digest: String,
    folder: tempfile::TempDir,
}

impl Reader {
    /// Before the first line: images are pushed, and Stockade runs. None when it cannot be had here.
    fn new() -> Option<(Reader, Webhook)> {
        if !tools::present() || !tools::all_present(&["docker-registry", "cosign"]) || webhook::binary().is_none() {
            return None;
        }
        let (registry, cluster) = (Registry::debian(), Cluster::with_default_apis());
        installed_kinds::own(&cluster);
        webhook::namespace(&cluster, OWN);
        let account = json!({"metadata": {"name": "default"}});
        cluster.client.post("/api/v1/namespaces/default/serviceaccounts", &account).expect_ok();
        let digest = Repository { registry: &registry, name: "shop/web" }.push_label("1.2", "web");
        Repository { registry: &registry, name: "shop/api" }.push_label("1.0", "api");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        file("config.json", &registry.docker_config());
        file("registry.pem", &registry.ca_pem);
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        for (name, path) in [
            ("cosign", tools::path("cosign")),
            ("kubectl", tools::path("kubectl")),
            ("stockade", webhook::binary().unwrap()),
        ] {
            std::os::unix::fs::symlink(path, folder.path().join("bin").join(name)).unwrap();
        }
        let config = folder.path().join("config.json");
        let flags = ["--docker-config", config.to_str().unwrap()];
        let webhook = Webhook::start_with(&cluster, OWN, "stockade", &[], &flags);
        webhook.wait_until_ready(&cluster, "stockade");
        Some((Reader { cluster, registry, digest, folder }, webhook))
    }

    /// Writes the policy as the README has it, with the key that was made, and with how this registry is reached.
    fn write_policy(&self) {
        let block = README.split("<!-- images: images.yaml -->").nth(1).unwrap();
        let policy = block.split("```").nth(1).unwrap().strip_prefix("yaml\n").unwrap();
        let key = self.read("cosign.pub");
        let [is, has] = [policy, &key].map(|text| text.lines().filter(|l| l.trim().len() > 40).collect::<Vec<_>>());
        assert_eq!((is.len(), has.len()), (2, 2), "a key of as many lines as the README's");
        let mut policy = policy.replace(EXAMPLE, &self.registry.host);
        for (is, has) in is.iter().zip(has) {
            policy = policy.replace(is.trim(), has);
        }
        let settings = json!([{"host": self.registry.host, "caBundle": self.registry.ca_pem,
            "allowPrivateAddresses": true}]);
        std::fs::write(self.file("images.yaml"), format!("{policy}  registries: {settings}\n")).unwrap();
    }

    /// What a command prints, with the names of the README.
    fn types(&self, command: &str) -> String {
        let command = command.replace(EXAMPLE, &self.registry.host).replace("sha256:…", &self.digest);
        let path = format!("{}:{}", self.file("bin").display(), std::env::var("PATH").unwrap_or_default());
        let kubeconfig = self.cluster.kubeconfig();
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("DOCKER_CONFIG", self.folder.path())
            .env("KUBECONFIG", &kubeconfig)
            .env("COSIGN_PASSWORD", "")
            .env("COSIGN_YES", "true")
            .env("SSL_CERT_FILE", self.file("registry.pem"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).replace(&self.registry.host, EXAMPLE)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(Path::new(&self.file(name))).unwrap()
    }
}

#[test]
fn a_reader_with_a_key_pair_and_nothing_else_gets_what_the_readme_shows() {
    let Some((reader, _webhook)) = Reader::new() else { return };
    let walk = examples(README, "<!-- images: run -->");
    assert!(walk.len() >= 8, "the section lost its examples");
    for example in &walk {
        let Example { command, .. } = example;
        if command.starts_with("stockade") {
            reader.write_policy();
        }
        // What is applied is in force a moment later; a reader takes longer to type the next line.
        if command.starts_with("kubectl run") {
            let tried = format!("{command} --dry-run=server");
            eventually(|| reader.types(&tried), |said| example.shows(&said.replace(" (server dry run)", "")));
        }
        let said = reader.types(command);
        assert!(example.shows(&said), "$ {command}\n{said}");
    }
}
