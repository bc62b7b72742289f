//! Which network policies there are, by their metadata alone.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};

use super::{EnforcementError, PolicyKey, found};
use crate::pages;

/// Policies of a page.
const PAGE: u32 = 500;

/// All of them with their generations. ClusterNetworkPolicies need not be served.
pub(super) async fn list(client: &Client) -> Result<Vec<(PolicyKey, i64)>, EnforcementError> {
    let cluster = GroupVersionKind::gvk("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy");
    let cluster = ApiResource::from_gvk_with_plural(&cluster, "clusternetworkpolicies");
    let mut all = of_kind(client, &cluster, "ClusterNetworkPolicy").await?.unwrap_or_default();
    all.extend(of_kind(client, &ApiResource::erase::<NetworkPolicy>(&()), "NetworkPolicy").await?.unwrap_or_default());
    Ok(all)
}

/// None where the kind is not served.
async fn of_kind(
    client: &Client,
    resource: &ApiResource,
    kind: &'static str,
) -> Result<Option<Vec<(PolicyKey, i64)>>, EnforcementError> {
    let api = Api::<DynamicObject>::all_with(client.clone(), resource);
    let (mut next, mut all) = (Some(ListParams::default().limit(PAGE)), Vec::new());
    while let Some(params) = next {
        let Some(page) = found(kind, api.list_metadata(&params).await)? else { return Ok(None) };
        next = pages::after(params, &page.metadata);
        all.extend(page.items.iter().map(|policy| {
            let key = PolicyKey {
                kind: kind.to_owned(),
                namespace: policy.namespace().unwrap_or_default(),
                name: policy.name_any(),
            };
            (key, policy.metadata.generation.unwrap_or_default())
        }));
    }
    Ok(Some(all))
}
