//! Removing the registration, before the replicas go that it points to.

use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, Preconditions};

use super::NAME;
use super::stored::{Side, is_ours};

/// Between two looks whether they are gone.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the registration is not known to be gone.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The API server refused, or did not answer.
    #[error("{kind} {NAME}: {source}")]
    Request {
        /// Of which configuration.
        kind: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// Something holds it: a finalizer, or a replica that still writes.
    #[error("still there after {} s: the registration", .0.as_secs())]
    Remains(Duration),
}

/// Deletes both configurations and waits until they are gone, `within` at most. Gives how many were deleted: 0 when
/// there were none. One that does not carry Stockade's label is left alone.
///
/// # Errors
/// As told; it may be called again.
pub async fn uninstall(client: &Client, within: Duration) -> Result<usize, UninstallError> {
    let all = async {
        let mut deleted = 0;
        for side in Side::BOTH {
            deleted += usize::from(remove(client, side).await?);
        }
        Ok(deleted)
    };
    tokio::time::timeout(within, all).await.unwrap_or(Err(UninstallError::Remains(within)))
}

/// Whether there was one.
async fn remove(client: &Client, side: Side) -> Result<bool, UninstallError> {
    let api = side.api(client);
    let failed = |source| UninstallError::Request { kind: side.kind(), source };
    let mut found = false;
    while let Some(object) = api.get_opt(NAME).await.map_err(failed)?.filter(is_ours) {
        // Not one that somebody else made in between.
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match api.delete(NAME, &params).await {
            Ok(_) => found = true,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(source) => return Err(failed(source)),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(found)
}
