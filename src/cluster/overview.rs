//! How an installation does, seen from outside of its replicas: who is there, what the API server asks them, and what is
//! waived.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::time::Instant;

use crate::access::Access;
use crate::enforcement::{Enforcement, EnforcementError};
use crate::kinds::policy_exception::PolicyException;
use crate::registration::NAME;
use crate::replicas::{self, Replica, Times};

/// Between two looks at the registration.
const LOOK: Duration = Duration::from_millis(500);
/// Longest wait for the answers of one look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Most exceptions that are looked at: people read them.
const MAX_EXCEPTIONS: u32 = 500;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The live replicas, sorted by identity.
    pub replicas: Vec<Replica>,
    /// Webhooks of the validating configuration; none when it is not there.
    pub validating: Option<usize>,
    /// Webhooks of the mutating configuration; none when it is not there.
    pub mutating: Option<usize>,
    /// Nodes with an agent, by name, and why each is not ready; none when this user may not see them, or there are none of
    /// their kind.
    pub nodes: Option<BTreeMap<String, Option<String>>>,
    /// Exceptions, those that are not in use first; none when this user may not see them, or there are none of their kind.
    pub exceptions: Option<Vec<Waiver>>,
}

/// A PolicyException.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiver {
    /// Whether it waives anything; none while nobody has said.
    pub in_use: Option<bool>,
    /// `namespace/name`
    pub name: String,
    /// From then on it waives nothing.
    pub expires: Timestamp,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum OverviewError {
    /// The API server refused, or the request did not come through.
    #[error(transparent)]
    Refused(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer within {} s", LOOK_TIMEOUT.as_secs())]
    Late(#[from] tokio::time::error::Elapsed),
}

// === impl Overview ===

impl Overview {
    /// Looks until all is [well](Self::is_well), for `wait` at most.
    ///
    /// # Errors
    /// The last look at the registration was refused or did not come through.
    pub async fn take(access: &Access, wait: Duration) -> Result<Self, OverviewError> {
        let deadline = Instant::now() + wait;
        let (replicas, observing) = replicas::observe(access, Times::default());
        let looking = async {
            loop {
                let look = tokio::time::timeout(LOOK_TIMEOUT, look(access)).await;
                let seen = look.map_err(OverviewError::from).and_then(|seen| Ok(seen?));
                let seen = seen.map(|seen| Self { replicas: replicas.borrow().to_vec(), ..seen });
                if Instant::now() >= deadline || seen.as_ref().is_ok_and(Self::is_well) {
                    return seen;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            seen = looking => seen,
            () = observing => std::future::pending().await,
        }
    }

    /// Whether somebody is asked, and somebody answers.
    pub fn is_well(&self) -> bool {
        self.replicas.iter().any(|r| r.ready) && self.validating.is_some_and(|n| n > 0)
    }
}

/// All but the replicas.
async fn look(access: &Access) -> Result<Overview, kube::Error> {
    let validating = Api::<ValidatingWebhookConfiguration>::all(access.client.clone()).get_opt(NAME).await?;
    let mutating = Api::<MutatingWebhookConfiguration>::all(access.client.clone()).get_opt(NAME).await?;
    let count = |webhooks: Option<usize>| webhooks.unwrap_or_default();
    Ok(Overview {
        replicas: Vec::new(),
        validating: validating.map(|c| count(c.webhooks.map(|w| w.len()))),
        mutating: mutating.map(|c| count(c.webhooks.map(|w| w.len()))),
        nodes: nodes(access).await?,
        exceptions: exceptions(access).await?,
    })
}

async fn nodes(access: &Access) -> Result<Option<BTreeMap<String, Option<String>>>, kube::Error> {
    match Enforcement::look_at_nodes(&access.client).await {
        Ok(nodes) => Ok(Some(nodes.into_iter().map(|(name, state)| (name, state.not_ready)).collect())),
        Err(EnforcementError::NotServed) => Ok(None),
        Err(EnforcementError::Refused { source: kube::Error::Api(status), .. }) if status.code == 403 => Ok(None),
        Err(EnforcementError::Refused { source, .. }) => Err(source),
    }
}

async fn exceptions(access: &Access) -> Result<Option<Vec<Waiver>>, kube::Error> {
    let all = Api::<PolicyException>::all(access.client.clone());
    let listed = match all.list(&ListParams::default().limit(MAX_EXCEPTIONS)).await {
        Ok(listed) => listed,
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut waivers: Vec<Waiver> = listed.items.iter().map(waiver).collect();
    waivers.sort_unstable();
    Ok(Some(waivers))
}

fn waiver(exception: &PolicyException) -> Waiver {
    let conditions = exception.status.iter().flat_map(|status| &status.conditions);
    let in_use = conditions.filter(|c| c.type_ == "InUse").find_map(|c| match c.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    });
    let name = format!("{}/{}", exception.namespace().unwrap_or_default(), exception.name_any());
    Waiver { in_use, name, expires: exception.spec.expires.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::Observed;

    #[test]
    fn all_is_well_when_one_replica_is_ready_and_asked() {
        let replica = |ready| Replica { identity: "a".to_owned(), ready, observed: Observed::default() };
        let is_well = |replicas: &[Replica], validating| {
            Overview { replicas: replicas.to_vec(), validating, mutating: None, nodes: None, exceptions: None }
                .is_well()
        };
        assert!(is_well(&[replica(false), replica(true)], Some(2)));
        assert!(!is_well(&[replica(false)], Some(2)) && !is_well(&[], Some(2)));
        assert!(!is_well(&[replica(true)], Some(0)) && !is_well(&[replica(true)], None));
    }
}
