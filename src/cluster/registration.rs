//! The two webhook configurations, from the compiled set: which requests the API server asks about, and what it does
//! without an answer.
//!
//! | entry | of | without an answer |
//! |---|---|---|
//! | `validate`, `mutate` | user namespaces, judged by a policy that refuses what it could not judge | refused |
//! | `…-ignore` | user namespaces, judged only by policies that would not: `failurePolicy: Ignore`, Warn, Audit | admitted |
//! | `…-system` | system namespaces: what runs there makes Stockade run | admitted |
//! | `…-cluster`, `…-cluster-ignore` | cluster-scoped objects, the same two classes | refused, admitted |
//! | `…-boot` | cluster-scoped objects that a node or a control plane writes to come up | admitted |
//! | `own` | policies, exceptions and groups themselves, created or changed | refused |
//! | `warn`, `warn-namespace` | edits of network policies, whoever judges them: what they would cut is told, nothing is refused | admitted |
//!
//! What the last two ask is asked at a path of its own, beside the others: no selector that policies have in common narrows
//! it, and no policy judges it twice.
//!
//! Stockade's own namespace is in none but `own`: what would judge its Pods may be the Pods. Whoever may write there
//! is as good as an administrator of the policies. Webhook configurations and the API server's own policy kinds are
//! never sent to webhooks (upstream `rules.IsExemptAdmissionConfigurationResource`), so no policy can lock them.
//!
//! An entry asks about no more than its policies judge, as far as that can be said and proved: rules, the selectors all
//! of them have in common, and conditions ([`away`]) for what the cluster lives on. It never asks about less.

mod asked;
mod away;
mod entries;
mod selectors;
mod stored;
mod targets;
mod uninstall;
mod writer;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use stockade_engine::Essentials;
use stockade_policy::compiled::{FailurePolicy, PolicySet};

use asked::{Asked, Verb};
use entries::{Entry, edits_of_network_policies, entries, own_kinds};

pub(crate) use stored::{Side, is_ours, webhooks};
pub use uninstall::{UninstallError, remove_kinds, uninstall};
pub use writer::{Inputs, RegistrationMetrics, write};

use crate::replicas::NAME_LABEL;

/// Name of both configurations in a cluster.
pub const NAME: &str = "stockade";

/// What is decided for the whole registration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Under which address the API server asks.
    pub address: Address,
    /// What fails open, because a cluster needs it to run; the engine admits the same when it cannot judge it.
    pub essentials: Essentials,
    /// Ignore: no entry fails closed but that of the own kinds.
    pub failure_policy: FailurePolicy,
    /// `timeoutSeconds` of entries that fail closed, 1 to 30. The webhook keeps to a tenth less by itself.
    pub timeout_seconds: u8,
    /// `timeoutSeconds` of entries that fail open, 1 to 30: how long each request waits when replicas cannot be reached.
    pub ignored_timeout_seconds: u8,
    /// Whether it is known what passes between Pods, so that whoever edits network policies is warned of what this cuts.
    pub flows: bool,
}

/// Where the API server finds the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Service, port 443.
    Service {
        /// `metadata.namespace`
        namespace: String,
        /// `metadata.name`
        name: String,
    },
    /// `https://127.0.0.1:8443`, without a path.
    Url(String),
}

/// The desired state of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Configurations {
    /// For `/validate`.
    pub validating: ValidatingWebhookConfiguration,
    /// For `/mutate`.
    pub mutating: MutatingWebhookConfiguration,
}

// === impl Settings ===

impl Settings {
    /// What a cluster has by default: Fail, 5 and 2 seconds, the three namespaces of Kubernetes itself, no node agents.
    pub fn new(address: Address, own_namespace: String) -> Self {
        Self {
            address,
            essentials: Essentials::new(own_namespace),
            failure_policy: FailurePolicy::Fail,
            timeout_seconds: 5,
            ignored_timeout_seconds: 2,
            flows: false,
        }
    }
}

// === impl Configurations ===

impl Configurations {
    /// What asks for all that the policies of a set judge, for the own kinds, and for edits that are warned of.
    ///
    /// `ca_bundle` is PEM. Every field that the API server would default is filled, so that what it stores is equal.
    pub fn of(set: &PolicySet, settings: &Settings, ca_bundle: &[u8]) -> Self {
        let mut both = Self::without_own_kinds(set, settings, ca_bundle);
        let webhooks = both.validating.webhooks.get_or_insert_default();
        webhooks.push(validating(own_kinds(), settings, ca_bundle));
        if settings.flows {
            let edits = edits_of_network_policies(settings);
            webhooks.extend(edits.into_iter().map(|entry| webhook(entry, "/warn", settings, ca_bundle)));
        }
        both
    }

    /// The same for an API server that serves no own kinds, and of which nothing is watched.
    pub fn without_own_kinds(set: &PolicySet, settings: &Settings, ca_bundle: &[u8]) -> Self {
        let asked = |verb| Asked::of(set, verb, settings.failure_policy == FailurePolicy::Ignore);
        let mutations = asked(Verb::Mutate);
        let reinvoke = mutations.reinvoke;
        let of_validate = entries(asked(Verb::Validate), Verb::Validate, settings);
        let of_mutate = entries(mutations, Verb::Mutate, settings);
        let metadata = || ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some([(NAME_LABEL.0.to_owned(), NAME_LABEL.1.to_owned())].into()),
            ..ObjectMeta::default()
        };
        Self {
            validating: ValidatingWebhookConfiguration {
                metadata: metadata(),
                webhooks: Some(of_validate.into_iter().map(|e| validating(e, settings, ca_bundle)).collect()),
            },
            mutating: MutatingWebhookConfiguration {
                metadata: metadata(),
                webhooks: Some(of_mutate.into_iter().map(|e| mutating(e, settings, ca_bundle, reinvoke)).collect()),
            },
        }
    }
}

fn validating(entry: Entry, settings: &Settings, ca_bundle: &[u8]) -> ValidatingWebhook {
    webhook(entry, "/validate", settings, ca_bundle)
}

/// As a validating webhook: the API's types share no part, but all fields of that one.
fn mutating(entry: Entry, settings: &Settings, ca_bundle: &[u8], reinvoke: bool) -> MutatingWebhook {
    let as_validating = webhook(entry, "/mutate", settings, ca_bundle);
    MutatingWebhook {
        admission_review_versions: as_validating.admission_review_versions,
        client_config: as_validating.client_config,
        failure_policy: as_validating.failure_policy,
        match_conditions: as_validating.match_conditions,
        match_policy: as_validating.match_policy,
        name: as_validating.name,
        namespace_selector: as_validating.namespace_selector,
        object_selector: as_validating.object_selector,
        reinvocation_policy: Some(if reinvoke { "IfNeeded" } else { "Never" }.to_owned()),
        rules: as_validating.rules,
        side_effects: as_validating.side_effects,
        timeout_seconds: as_validating.timeout_seconds,
    }
}

fn webhook(entry: Entry, path: &str, settings: &Settings, ca_bundle: &[u8]) -> ValidatingWebhook {
    ValidatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: settings.address.client_config(path, ca_bundle),
        failure_policy: Some(if entry.fails { "Fail" } else { "Ignore" }.to_owned()),
        match_conditions: (!entry.conditions.is_empty()).then_some(entry.conditions),
        match_policy: Some("Equivalent".to_owned()),
        name: format!("{}.stockade.dev", entry.role),
        namespace_selector: Some(entry.namespaces),
        object_selector: Some(entry.objects),
        rules: Some(entry.targets.rules(entry.scope)),
        side_effects: "NoneOnDryRun".to_owned(),
        timeout_seconds: Some(settings.timeout(entry.fails)),
    }
}

impl Settings {
    fn timeout(&self, fails: bool) -> i32 {
        i32::from(if fails { self.timeout_seconds } else { self.ignored_timeout_seconds })
    }
}

// === impl Address ===

impl Address {
    fn client_config(&self, path: &str, ca_bundle: &[u8]) -> WebhookClientConfig {
        let ca_bundle = Some(ByteString(ca_bundle.to_vec()));
        match self {
            Self::Service { namespace, name } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    name: name.clone(),
                    namespace: namespace.clone(),
                    path: Some(path.to_owned()),
                    port: Some(443),
                }),
                url: None,
            },
            Self::Url(url) => {
                let url = format!("{}{path}", url.trim_end_matches('/'));
                WebhookClientConfig { ca_bundle, service: None, url: Some(url) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
