//! All NodeEnforcements, a page at a time.

use kube::api::ListParams;
use kube::{Api, Client};
use stockade_node::node_enforcement::NodeEnforcement;

use super::{EnforcementError, found};
use crate::pages;

/// Nodes of a page: each names up to a thousand policies, and all of them at once would be hundreds of megabytes.
const PAGE: u32 = 50;

/// Hands over each. False where the kind is not served.
pub(super) async fn each(client: &Client, mut take: impl FnMut(NodeEnforcement)) -> Result<bool, EnforcementError> {
    let api = Api::<NodeEnforcement>::all(client.clone());
    let mut next = Some(ListParams::default().limit(PAGE));
    while let Some(params) = next {
        let Some(page) = found("NodeEnforcements", api.list(&params).await)? else { return Ok(false) };
        next = pages::after(params, &page.metadata);
        page.items.into_iter().for_each(&mut take);
    }
    Ok(true)
}
