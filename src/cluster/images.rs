//! What the API server holds for image policies: keys and roots in the own namespace, and pull secrets of Pods.
//!
//! Secrets of other namespaces are read only where an operator lets them be ([`PullSecrets`]): whoever reads them all
//! could as well be all of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::{Api, Client};
use stockade_engine::images::Credentials;
use stockade_images::credentials::{CredentialSource, DockerConfig, NoCredentials};
use stockade_images::gather::{MemberSource, NoMember};
use stockade_policy::images::authority::MemberRef;
use tokio::time::timeout;

#[cfg(test)]
mod tests;

/// Longest wait for one object; a request for an admission has ten seconds in all.
const TIME: Duration = Duration::from_secs(2);
/// HTTP 403.
const FORBIDDEN: u16 = 403;
/// Most pull secrets of one service account that are read.
const MAX_PULL_SECRETS: usize = 16;
/// Types of Secrets that hold a Docker configuration, with the key that holds it. The older form has no other place here.
const DOCKER_CONFIG: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");

/// Members of Secrets and ConfigMaps in the own namespace.
#[derive(Clone)]
pub struct OwnMembers {
    client: Client,
    namespace: Arc<str>,
}

/// The pull secrets that Pods and their service accounts name.
#[derive(Clone)]
pub struct PullSecrets {
    client: Client,
}

// === impl OwnMembers ===

impl OwnMembers {
    /// Of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.into() }
    }
}

impl MemberSource for OwnMembers {
    fn secret<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>> {
        async move {
            let secret: Secret =
                read(&self.client, &self.namespace, &of.name).await.map_err(|why| missing("Secret", of, &why))?;
            let data = secret.data.as_ref().and_then(|data| data.get(&*of.key));
            let data = data.ok_or_else(|| missing("Secret", of, "has no such key"))?;
            std::str::from_utf8(&data.0).map(Arc::from).map_err(|_| missing("Secret", of, "is no text"))
        }
        .boxed()
    }

    fn config_map<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>> {
        async move {
            let found: ConfigMap =
                read(&self.client, &self.namespace, &of.name).await.map_err(|why| missing("ConfigMap", of, &why))?;
            let data = found.data.as_ref().and_then(|data| data.get(&*of.key));
            data.map(|text| Arc::from(text.as_str())).ok_or_else(|| missing("ConfigMap", of, "has no such key"))
        }
        .boxed()
    }
}

/// `Secret keys, key cosign.pub: has no such key`
fn missing(kind: &str, of: &MemberRef, why: &str) -> NoMember {
    NoMember(format!("{kind} {}, key {}: {why}", of.name, of.key).into())
}

// === impl PullSecrets ===

impl PullSecrets {
    /// Read with the permissions of this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Names of the Secrets that count for a Pod: its own, then those of its service account, as kubelets have it.
    async fn names(&self, asked: &Credentials) -> Result<Vec<Arc<str>>, NoCredentials> {
        let mut names = asked.pull_secrets.clone();
        // The API server copies them into a Pod that names none; a template has them yet to come.
        if names.is_empty() {
            let of = format!("ServiceAccount {}/{}", asked.namespace, asked.service_account);
            let account = read_if_any::<ServiceAccount>(&self.client, &asked.namespace, &asked.service_account).await;
            let account = match account {
                // Where we are not let read, an image that needs no pull secret is looked at all the same.
                Err(NotRead::Forbidden(_)) => None,
                account => account.map_err(|why| unreadable(&of, &why))?,
            };
            let secrets = account.and_then(|a| a.image_pull_secrets).unwrap_or_default();
            names.extend(secrets.into_iter().map(|s| Arc::from(s.name)).take(MAX_PULL_SECRETS));
        }
        Ok(names)
    }
}

impl CredentialSource for PullSecrets {
    fn docker_configs<'a>(
        &'a self,
        asked: &'a Credentials,
    ) -> BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>> {
        async move {
            if asked.namespace.is_empty() {
                return Ok(Vec::new());
            }
            let mut configs = Vec::new();
            for name in self.names(asked).await? {
                let of = format!("Secret {}/{name}", asked.namespace);
                let secret = read_if_any::<Secret>(&self.client, &asked.namespace, &name).await;
                // A kubelet goes on without a Secret that is not there, too.
                let Some(secret) = secret.map_err(|why| unreadable(&of, &why))? else { continue };
                let (kind, key) = DOCKER_CONFIG;
                let data =
                    secret.data.as_ref().filter(|_| secret.type_.as_deref() == Some(kind)).and_then(|d| d.get(key));
                let Some(data) = data else { continue };
                let config = DockerConfig::of_secret(&data.0).map_err(|why| unreadable(&of, &why))?;
                configs.push(Arc::new(config));
            }
            Ok(configs)
        }
        .boxed()
    }
}

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    /// The permissions of this process do not allow it.
    #[error("the API server says: {0}")]
    Forbidden(String),
    /// Anything else that the API server says, or that it says nothing.
    #[error("{0}")]
    Other(String),
}

fn unreadable(of: &str, why: &dyn std::fmt::Display) -> NoCredentials {
    NoCredentials::Unreadable { of: of.into(), why: why.to_string().into() }
}

/// One object; why not, in words.
async fn read<K>(client: &Client, namespace: &str, name: &str) -> Result<K, String>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let found = read_if_any(client, namespace, name).await.map_err(|why| why.to_string())?;
    found.ok_or_else(|| "does not exist".to_owned())
}

async fn read_if_any<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, NotRead>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match timeout(TIME, api.get_opt(name)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(kube::Error::Api(status))) if status.code == FORBIDDEN => Err(NotRead::Forbidden(status.message)),
        Ok(Err(kube::Error::Api(status))) => Err(NotRead::Other(format!("the API server says: {}", status.message))),
        Ok(Err(_)) => Err(NotRead::Other("the API server could not be asked".to_owned())),
        Err(_) => Err(NotRead::Other("the API server did not answer in time".to_owned())),
    }
}
