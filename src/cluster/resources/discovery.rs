//! Aggregated discovery (`apidiscovery.k8s.io/v2`), which every supported API server has had since 1.30.

use kube::Client;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery};

use super::Served;

/// Why it is not known what is served.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiscoveryError {
    /// The request failed.
    #[error("discovery: {0}")]
    Request(#[from] kube::Error),
    /// An answer without any group: the server does not know the aggregated form.
    #[error("the API server does not answer aggregated discovery at {0}")]
    NotAggregated(&'static str),
}

/// Asks for everything that is served. A group whose own server does not answer is as the API server last saw it.
///
/// # Errors
/// One of the two requests failed; half an answer is none.
pub(super) async fn discover(client: &Client) -> Result<Vec<Served>, DiscoveryError> {
    let core = client.list_core_api_versions_aggregated().await?;
    let named = client.list_api_groups_aggregated().await?;
    for (path, groups) in [("/api", &core.items), ("/apis", &named.items)] {
        if groups.is_empty() {
            return Err(DiscoveryError::NotAggregated(path));
        }
    }
    let mut served: Vec<Served> = core.items.into_iter().chain(named.items).flat_map(of_group).collect();
    served.sort();
    Ok(served)
}

fn of_group(group: APIGroupDiscovery) -> impl Iterator<Item = Served> {
    let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
    group.versions.into_iter().flat_map(move |version| {
        let (group, version_name) = (name.clone(), version.version.unwrap_or_default());
        version.resources.into_iter().filter_map(move |r| of_resource(&group, &version_name, r))
    })
}

/// None for an entry that holds nothing but subresources (`serviceaccounts/token` of another server).
fn of_resource(group: &str, version: &str, resource: APIResourceDiscovery) -> Option<Served> {
    let mut verbs = resource.verbs;
    verbs.sort();
    Some(Served {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: resource.response_kind?.kind.filter(|k| !k.is_empty())?,
        plural: resource.resource?,
        namespaced: resource.scope.as_deref() == Some("Namespaced"),
        verbs,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_read_with_their_group_version_scope_and_verbs() {
        let group: APIGroupDiscovery = serde_json::from_value(json!({
            "metadata": {"name": "apps"},
            "versions": [{"version": "v1", "freshness": "Current", "resources": [
                {"resource": "deployments", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
                 "scope": "Namespaced", "verbs": ["watch", "get"]},
                {"resource": "others", "scope": "Namespaced", "verbs": [],
                 "subresources": [{"subresource": "log", "verbs": ["get"]}]},
            ]}],
        }))
        .unwrap();
        let deployments = Served {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "Deployment".to_owned(),
            plural: "deployments".to_owned(),
            namespaced: true,
            verbs: vec!["get".to_owned(), "watch".to_owned()],
        };
        assert_eq!(of_group(group).collect::<Vec<_>>(), [deployments]);
    }
}
