//! Programs that know credentials: the docker-credential-helper protocol (`docker-credential-NAME get`).

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Credential, NoCredentials};
use crate::expiring::{Expiring, Made};
use crate::shares::Shares;

/// Helpers of clouds ask a token service over the network.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer: a token of some kilobytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// Most helpers that run at a time, each a process.
const MAX_RUNNING: usize = 16;
/// Most of them for one namespace, which may want images of any number of registries.
const MAX_RUNNING_OF_ONE: usize = MAX_RUNNING / 4;
/// How long what a helper said is used. Passwords of clouds hold for hours; a helper may still withdraw one.
const HOLDS: Duration = Duration::from_secs(300);
/// How long one that failed is not started again.
const FAILURE_HOLDS: Duration = Duration::from_secs(2);
/// All that is kept; a registry has one answer.
const MAX_SAID_BYTES: usize = 16 << 20;
/// Names are a word of the operator's choice: letters, digits, `-`, `_` and `.`.
const MAX_NAME_BYTES: usize = 64;
/// The name with which a helper says that its secret is an identity token.
const TOKEN_USERNAME: &str = "<token>";
/// What a helper says when it has nothing (docker-credential-helpers `credentials.NewErrCredentialsNotFound`).
const NOT_FOUND: &str = "credentials not found";

/// Of our environment a helper sees where programs and its files are, how the network is reached, and who it is in a
/// cloud; nothing else.
const ENVIRONMENT: [&str; 7] =
    ["PATH", "HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// See [`ENVIRONMENT`].
const ENVIRONMENT_PREFIXES: [&str; 6] = ["AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "ALIBABA_", "OCI_"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Helpers, and what they said. Each is asked once however many want to know.
pub(super) struct Helpers {
    /// By helper and server.
    said: Expiring<(String, String), Result<Option<Credential>, NoCredentials>>,
    turns: Shares,
}

// === impl Helpers ===

impl Helpers {
    pub(super) fn new() -> Self {
        let turns = Shares::new(MAX_RUNNING, MAX_RUNNING_OF_ONE);
        Self { said: Expiring::new(MAX_SAID_BYTES, Default::default()), turns }
    }

    /// What a helper has for a server, on behalf of a namespace; none when it has nothing.
    ///
    /// # Errors
    /// It cannot be started, does not end in time, fails, or says what is no credential.
    pub(super) async fn get(
        &self,
        name: &str,
        server: &str,
        tenant: &Arc<str>,
    ) -> Result<Option<Credential>, NoCredentials> {
        let make = |_| async {
            // Not in the helper's time: that it has to wait is not its fault.
            let _turn = self.turns.take(tenant, 1).await;
            let value = get(name, server).await;
            let holds = if value.is_ok() { HOLDS } else { FAILURE_HOLDS };
            Made { value, holds, bytes: MAX_ANSWER_BYTES as usize }
        };
        self.said.get_or(&(name.to_owned(), server.to_owned()), None, make).await.value
    }
}

async fn get(name: &str, server: &str) -> Result<Option<Credential>, NoCredentials> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(sound) {
        return Err(NoCredentials::Helper { helper: "".into(), why: "has a name that no program has" });
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get");
    let answer = tokio::time::timeout(TIMEOUT, ask(command, server)).await;
    let answer = answer.unwrap_or(Err("does not answer in time"));
    answer.map_err(|why| NoCredentials::Helper { helper: name.into(), why })
}

async fn ask(command: Command, server: &str) -> Result<Option<Credential>, &'static str> {
    let (success, output) = run(command, server).await?;
    let text = std::str::from_utf8(&output).map_err(|_| "answers what is no text")?;
    if !success {
        return if text.contains(NOT_FOUND) { Ok(None) } else { Err("failed") };
    }
    let answer: Answer = serde_json::from_str(text).map_err(|_| "answers what is no credential")?;
    Ok(Some(match answer {
        Answer { username, secret } if username == TOKEN_USERNAME => Credential::IdentityToken(secret),
        Answer { username, secret } => Credential::Password { username, password: secret },
    }))
}

/// Whether the program succeeded, and what it wrote.
async fn run(mut command: Command, server: &str) -> Result<(bool, Vec<u8>), &'static str> {
    let known = |name: &str| ENVIRONMENT.contains(&name) || ENVIRONMENT_PREFIXES.iter().any(|p| name.starts_with(p));
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(known));
    command.env_clear().envs(environment).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|_| "cannot be started")?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it is asked fails by itself.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut output).await;
        read.map_err(|_| "cannot be read")?;
    }
    if output.len() as u64 > MAX_ANSWER_BYTES {
        return Err("answers too much");
    }
    let status = child.wait().await.map_err(|_| "cannot be waited for")?;
    Ok((status.success(), output))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    async fn answer(script: &str) -> Result<Option<Credential>, &'static str> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ask(command, "registry.example.com").await
    }

    #[tokio::test]
    async fn a_helper_has_a_password_or_a_token_or_nothing() {
        let password = Credential::Password { username: "registry.example.com".into(), password: "s".into() };
        let echo = r#"printf '{"ServerURL":"x","Username":"%s","Secret":"s"}' "$(cat)""#;
        assert_eq!(answer(echo).await, Ok(Some(password)));
        let token = r#"echo '{"ServerURL":"x","Username":"<token>","Secret":"t"}'"#;
        assert_eq!(answer(token).await, Ok(Some(Credential::IdentityToken("t".into()))));
        assert_eq!(answer("echo credentials not found in native keychain; exit 1").await, Ok(None));
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_not_one_that_has_nothing() {
        let table = [
            ("echo no network; exit 1", "failed"),
            ("echo hello", "answers what is no credential"),
            (r"printf '\377'", "answers what is no text"),
            ("head -c 100000 /dev/zero", "answers too much"),
        ];
        for (script, why) in table {
            assert_eq!(answer(script).await, Err(why), "{script}");
        }
        for name in ["", "../../bin/sh", "a b", &"a".repeat(65)] {
            assert!(matches!(get(name, "x").await, Err(NoCredentials::Helper { why, .. }) if why.contains("name")));
        }
        let missing = NoCredentials::Helper { helper: "none-of-this-name".into(), why: "cannot be started" };
        assert_eq!(get("none-of-this-name", "x").await, Err(missing));
    }

    #[tokio::test]
    async fn a_helper_that_failed_is_not_started_for_each_image() {
        let helpers = Helpers::new();
        let get = async || helpers.get("none-of-this-name", "a.example", &"shop".into()).await;
        let first = get().await;
        assert!(first.is_err());
        assert_eq!(get().await, first);
        let key = ("none-of-this-name".to_owned(), "a.example".to_owned());
        assert_eq!(helpers.said.get(&key).map(|held| held.value), Some(first));
    }

    #[tokio::test]
    async fn a_helper_sees_nothing_of_our_environment_that_it_does_not_need() {
        // Cargo sets this one for every test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let script = r#"test -n "$PATH" && printf '{"Username":"%s","Secret":"s"}' "$CARGO_MANIFEST_DIR""#;
        let seen = Credential::Password { username: String::new(), password: "s".into() };
        assert_eq!(answer(script).await, Ok(Some(seen)));
    }

    #[tokio::test]
    async fn a_namespace_waits_for_its_own_helpers_alone() {
        let (helpers, [mine, others]) = (Helpers::new(), ["mine", "others"].map(Arc::<str>::from));
        let _held = helpers.turns.take(&mine, usize::MAX).await;
        assert!(helpers.get("none-of-this-name", "a.example", &mine).now_or_never().is_none());
        assert!(helpers.get("none-of-this-name", "b.example", &others).await.is_err());
    }
}
