//! On whose behalf registries are asked: Docker configurations, from wherever they come, and what they hold for one
//! repository.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::future::BoxFuture;
use stockade_engine::images::{Credentials, Unseen};

pub mod docker_config;
pub mod file;
mod helper;

pub use docker_config::{BadConfig, DockerConfig};
pub use file::DockerConfigFile;

/// Most credentials that are tried for one image, of a Pod's and of our own each: a Pod and its service account may name
/// several pull secrets for one registry, and only one may be for the repository. Whoever makes a Pod causes a request
/// with each.
pub const MAX_TRIED: usize = 8;

/// Where Docker configurations come from: the pull secrets of a Pod, a mounted file.
pub trait CredentialSource: Send + Sync {
    /// Whether whoever makes a Pod chooses what comes from here. What goes wrong with such credentials says nothing of a
    /// registry: they may be made to go wrong.
    fn is_brought(&self) -> bool {
        true
    }

    /// The configurations that count for an image, best first. None at all is an answer: the registry is asked as
    /// nobody.
    fn docker_configs<'a>(
        &'a self,
        asked: &'a Credentials,
    ) -> BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>>;
}

/// Why credentials could not be had. Without them nothing is known of the image: asked as nobody, a registry may say
/// "not found" of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCredentials {
    /// A Docker configuration could not be read.
    #[error("the Docker configuration {of} could not be read: {why}")]
    Unreadable {
        /// A file, or a Secret with its namespace.
        of: Arc<str>,
        /// In words, without any part of it.
        why: Arc<str>,
    },
    /// A credential helper failed.
    #[error("the credential helper {helper} {why}")]
    Helper {
        /// Name of the program.
        helper: Arc<str>,
        /// What it did.
        why: &'static str,
    },
}

/// What a registry is shown. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    Nobody,
    /// Name and password.
    Password {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
    /// A token that is exchanged for others (OAuth 2.0 refresh token).
    IdentityToken(String),
    /// A token that is shown as it is.
    RegistryToken(String),
}

/// Tells credentials apart in caches: SHA-256.
pub type CredentialHash = [u8; 32];

// === impl Credential ===

impl Credential {
    /// Its name in caches.
    pub fn hash(&self) -> CredentialHash {
        let parts: [&str; 3] = match self {
            Self::Nobody => ["nobody", "", ""],
            Self::Password { username, password } => ["password", username, password],
            Self::IdentityToken(token) => ["identity", token, ""],
            Self::RegistryToken(token) => ["registry", token, ""],
        };
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
            Self::RegistryToken(_) => "RegistryToken(…)",
        })
    }
}

/// What there is for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Chosen by whoever makes the Pod, best first. May be empty.
    pub(crate) brought: Vec<Credential>,
    /// Our own, best first; nobody alone where there are none.
    pub(crate) own: Vec<Credential>,
    /// Whether there were more than are tried.
    pub(crate) is_cut: bool,
}

/// What the sources have for a repository (`registry.example.com/team/app`).
///
/// # Errors
/// A source could not be asked, or what a Pod brought cannot be read. Why nothing is known of the image then.
pub(crate) async fn find(
    sources: &[Arc<dyn CredentialSource>],
    asked: &Credentials,
    repository: &str,
) -> Result<Found, Unseen> {
    let mut found = Found { brought: Vec::new(), own: Vec::new(), is_cut: false };
    for source in sources {
        let unseen = |why: NoCredentials| match source.is_brought() {
            true => Unseen::unauthorized(why.to_string()),
            false => Unseen::outage(why.to_string()),
        };
        for config in source.docker_configs(asked).await.map_err(unseen)? {
            for credential in config.credentials_for(repository, &asked.namespace).await.map_err(unseen)? {
                let list = if source.is_brought() { &mut found.brought } else { &mut found.own };
                match list.len() {
                    _ if list.contains(&credential) => {}
                    MAX_TRIED.. => found.is_cut = true,
                    _ => list.push(credential),
                }
            }
        }
    }
    if found.own.is_empty() {
        found.own.push(Credential::Nobody);
    }
    Ok(found)
}
