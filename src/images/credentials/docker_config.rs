//! A Docker configuration: `config.json`, or the member `.dockerconfigjson` of a Secret of type
//! `kubernetes.io/dockerconfigjson`. Entries are found as the kubelet finds them (Kubernetes documentation,
//! "Images", section "Interpretation of config.json").

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::helper::Helpers;
use super::{Credential, NoCredentials};

/// Largest configuration: a Secret holds no more (1 MiB).
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// The key under which Docker keeps what is for Docker Hub.
const DOCKER_HUB_HOST: &str = "index.docker.io";
/// As references in full form have it.
const DOCKER_HUB: &str = "docker.io";

/// What a Docker configuration holds. Its `Debug` shows no secret.
pub struct DockerConfig {
    /// By pattern, the longest first, so that what is said of a repository comes before what is said of its registry.
    entries: Vec<(Pattern, Credential)>,
    /// None in a configuration out of a Secret.
    programs: Option<Programs>,
}

/// Programs that know credentials.
struct Programs {
    /// By registry.
    of: BTreeMap<String, String>,
    /// The one for all other registries.
    store: Option<String>,
    helpers: Arc<Helpers>,
}

/// Why a configuration cannot be read. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Longer than [`MAX_CONFIG_BYTES`].
    #[error("it is larger than {MAX_CONFIG_BYTES} bytes")]
    TooLarge,
    /// Not a JSON object of the form.
    #[error("it is no Docker configuration (line {line}, column {column})")]
    Json {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// `auth` is not base64 of `name:password`.
    #[error("an entry's auth is not base64 of a name, a colon and a password")]
    Auth,
}

/// Which repositories an entry is for: host with globs by label, port, path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    host: String,
    port: Option<String>,
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

// === impl DockerConfig ===

impl DockerConfig {
    /// Reads the configuration of a Secret. Helpers that it names are not started: who writes Secrets does not choose
    /// which programs run here. The kubelet starts none either.
    ///
    /// # Errors
    /// It is none.
    pub fn of_secret(json: &[u8]) -> Result<Self, BadConfig> {
        Ok(Self { entries: entries(read(json)?.auths)?, programs: None })
    }

    /// Reads a configuration of the operator, with its helpers.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn trusted(json: &[u8], helpers: Arc<Helpers>) -> Result<Self, BadConfig> {
        let wire = read(json)?;
        let store = wire.creds_store.filter(|s| !s.is_empty());
        let programs = Programs { of: wire.cred_helpers, store, helpers };
        Ok(Self { entries: entries(wire.auths)?, programs: Some(programs) })
    }

    /// All that is for a repository (`registry.example.com/team/app`), the most special first, on behalf of a namespace.
    ///
    /// # Errors
    /// A helper failed, which is not the same as having nothing.
    pub(crate) async fn credentials_for(
        &self,
        repository: &str,
        tenant: &Arc<str>,
    ) -> Result<Vec<Credential>, NoCredentials> {
        let host = repository.split('/').next().unwrap_or_default();
        let mut found = Vec::new();
        if let Some(programs) = &self.programs {
            found.extend(programs.get(host, repository, tenant).await?);
        }
        found.extend(self.entries.iter().filter(|(p, _)| p.is_for(repository)).map(|(_, c)| c.clone()));
        Ok(found)
    }
}

// === impl Programs ===

impl Programs {
    async fn get(&self, host: &str, repository: &str, tenant: &Arc<str>) -> Result<Option<Credential>, NoCredentials> {
        let named = self.of.iter().find(|(key, _)| Pattern::parse(key).is_for(repository));
        let Some(program) = named.map(|(_, program)| program).or(self.store.as_ref()) else { return Ok(None) };
        let server = if host == DOCKER_HUB { "https://index.docker.io/v1/" } else { host };
        self.helpers.get(program, server, tenant).await
    }
}

fn read(json: &[u8]) -> Result<Wire, BadConfig> {
    if json.len() > MAX_CONFIG_BYTES {
        return Err(BadConfig::TooLarge);
    }
    serde_json::from_slice(json).map_err(|e| BadConfig::Json { line: e.line(), column: e.column() })
}

/// Docker leaves empty entries beside a store that has the secret.
fn entries(auths: BTreeMap<String, Entry>) -> Result<Vec<(Pattern, Credential)>, BadConfig> {
    let mut entries = Vec::with_capacity(auths.len());
    for (key, entry) in auths {
        if let Some(credential) = entry.credential()? {
            entries.push((Pattern::parse(&key), credential));
        }
    }
    entries.sort_by_key(|(pattern, _)| std::cmp::Reverse((pattern.path.len(), pattern.host.len())));
    Ok(entries)
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerConfig").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn credential(self) -> Result<Option<Credential>, BadConfig> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken)));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(self.registrytoken)));
        }
        if !self.auth.is_empty() {
            let decoded = STANDARD.decode(self.auth.trim()).map_err(|_| BadConfig::Auth)?;
            let text = String::from_utf8(decoded).map_err(|_| BadConfig::Auth)?;
            let (username, password) = text.split_once(':').ok_or(BadConfig::Auth)?;
            // Some tools pad with NUL.
            let (username, password) = (username.to_owned(), password.trim_matches('\0').to_owned());
            return Ok(Some(Credential::Password { username, password }));
        }
        let has_any = !self.username.is_empty() || !self.password.is_empty();
        Ok(has_any.then_some(Credential::Password { username: self.username, password: self.password }))
    }
}

// === impl Pattern ===

impl Pattern {
    /// Reads a key of `auths`: `https://index.docker.io/v1/`, `*.example.com:5000/team`.
    fn parse(key: &str) -> Self {
        let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let (authority, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = path.trim_matches('/');
        // Versions of the registry's API, which old keys end with, are no repositories.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        let (host, port) = split_port(authority);
        let host = if host == DOCKER_HUB_HOST { DOCKER_HUB } else { host };
        let port = port.filter(|p| *p != "443");
        Self { host: host.to_ascii_lowercase(), port: port.map(str::to_owned), path: path.to_owned() }
    }

    fn is_for(&self, repository: &str) -> bool {
        let (authority, path) = repository.split_once('/').unwrap_or((repository, ""));
        let (host, port) = split_port(authority);
        let mut labels = host.split('.');
        let host_fits = self.host.split('.').all(|glob| labels.next().is_some_and(|label| label_fits(glob, label)))
            && labels.next().is_none();
        let path_fits = self.path.is_empty()
            || path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        host_fits && self.port.as_deref() == port && path_fits
    }
}

/// Whether a label of a host is meant; a star stands within a label only.
fn label_fits(glob: &str, label: &str) -> bool {
    stockade_policy::glob::matches(glob, label)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Credential {
        let (username, password) = text.split_once(':').unwrap();
        Credential::Password { username: username.into(), password: password.into() }
    }

    async fn found(config: &str, repository: &str) -> Vec<Credential> {
        DockerConfig::trusted(config.as_bytes(), Arc::new(Helpers::new()))
            .unwrap()
            .credentials_for(repository, &"shop".into())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_most_special_entry_comes_first_and_others_follow() {
        let config = r#"{"auths": {
            "registry.example.com": {"username": "all", "password": "1"},
            "https://registry.example.com/shop/web": {"auth": "d2ViOjI="},
            "registry.example.com/shop": {"auth": "c2hvcDoz"},
            "*.example.com": {"auth": "c3Rhcjo0"},
            "registry.example.com:5000": {"auth": "cG9ydDo1"},
            "https://index.docker.io/v1/": {"auth": "aHViOjY="},
            "empty.example.net": {}
        }}"#;
        let table = [
            ("registry.example.com/shop/web", vec!["web:2", "shop:3", "all:1", "star:4"]),
            ("registry.example.com/shop/web2", vec!["shop:3", "all:1", "star:4"]),
            ("registry.example.com/shopping", vec!["all:1", "star:4"]),
            ("other.example.com/a", vec!["star:4"]),
            ("a.other.example.com/a", vec![]),
            ("registry.example.com.evil.net/a", vec![]),
            ("registry.example.com:5000/a", vec!["port:5"]),
            ("docker.io/library/nginx", vec!["hub:6"]),
            ("empty.example.net/a", vec![]),
        ];
        for (repository, wanted) in table {
            let wanted: Vec<Credential> = wanted.into_iter().map(password).collect();
            assert_eq!(found(config, repository).await, wanted, "{repository}");
        }
    }

    #[tokio::test]
    async fn tokens_are_told_from_passwords() {
        let config =
            r#"{"auths": {"a.example": {"identitytoken": "i", "auth": "eDp5"}, "b.example": {"registrytoken": "r"}}}"#;
        assert_eq!(found(config, "a.example/x").await, [Credential::IdentityToken("i".into())]);
        assert_eq!(found(config, "b.example/x").await, [Credential::RegistryToken("r".into())]);
    }

    #[tokio::test]
    async fn a_secret_starts_no_program() {
        let config =
            DockerConfig::of_secret(br#"{"credsStore": "evil", "credHelpers": {"a.example": "evil"}}"#).unwrap();
        assert_eq!(config.credentials_for("a.example/x", &"shop".into()).await, Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        let error = |json: &str| DockerConfig::of_secret(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error(r#"{"auths": "hunter2"}"#), "it is no Docker configuration (line 1, column 19)");
        assert_eq!(
            error(r#"{"auths": {"a": {"auth": "hunter2"}}}"#),
            "an entry's auth is not base64 of a name, a colon and a password"
        );
        let shown = format!("{:?}", DockerConfig::of_secret(br#"{"auths": {"a": {"auth": "aHVudGVyOjI="}}}"#));
        assert_eq!(shown, "Ok(DockerConfig { entries: 1, .. })");
        assert_eq!(format!("{:?}", password("hunter:2")), "Password(…)");
    }
}
