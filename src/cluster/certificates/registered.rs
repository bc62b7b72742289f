//! Which authorities the API servers are told to trust: the bundles in the webhook configurations, read back.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::{Api, Client};
use stockade_webhook::certs::{certificate_blocks, inspect};

/// The `caBundle` of every webhook in our two configurations, empty where there is none. A configuration that does not
/// exist has no webhooks.
pub(super) async fn bundles(client: &Client, name: &str) -> kube::Result<Vec<Vec<u8>>> {
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating = validating.get_opt(name).await?.and_then(|found| found.webhooks).unwrap_or_default();
    let mutating = mutating.get_opt(name).await?.and_then(|found| found.webhooks).unwrap_or_default();
    let of_validating = validating.into_iter().map(|webhook| webhook.client_config.ca_bundle);
    let of_mutating = mutating.into_iter().map(|webhook| webhook.client_config.ca_bundle);
    Ok(of_validating.chain(of_mutating).map(|bundle| bundle.map(|bytes| bytes.0).unwrap_or_default()).collect())
}

/// The certificates of all bundles, PEM, each once. What is no certificate is left out.
pub(super) fn authorities(bundles: &[Vec<u8>]) -> Vec<String> {
    let texts = bundles.iter().filter_map(|bundle| std::str::from_utf8(bundle).ok());
    let mut all: Vec<String> = Vec::new();
    for block in texts.flat_map(certificate_blocks) {
        let block = format!("{block}\n");
        if !all.contains(&block) && inspect(block.as_bytes()).is_ok() {
            all.push(block);
        }
    }
    all
}

/// Whether every bundle holds this certificate (PEM).
pub(super) fn all_hold(bundles: &[Vec<u8>], certificate: &str) -> bool {
    let Ok(wanted) = inspect(certificate.as_bytes()) else { return false };
    let hold = |bundle: &Vec<u8>| {
        let there = inspect(bundle).unwrap_or_default();
        wanted.iter().all(|wanted| there.iter().any(|facts| facts.sha256 == wanted.sha256))
    };
    bundles.iter().all(hold)
}
