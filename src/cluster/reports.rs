//! Reports in the form of OpenReports (`openreports.io/v1alpha1`), or of the policy working group before it
//! (`wgpolicyk8s.io/v1alpha2`), which reads the same but for where the source stands.
//!
//! One report a namespace and one for all cluster-scoped objects: failures in detail while there is room, passes as
//! counts. A namespace in which something was judged keeps its report though nothing fails: "clean" is not "not
//! judged".

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_engine::audit::{Counts, Outcome};
use stockade_netpol::flows::PolicyKind;
use stockade_policy::compiled::{Metadata, Policy};

use crate::audit::results::{Found, Results, Unit};
use crate::flows::WouldDeny;

pub mod definitions;
pub(crate) mod writer;

/// Name of each report, and its source.
pub(crate) const NAME: &str = "stockade";
/// Most results in detail of one report.
pub(crate) const MAX_RESULTS: usize = 1_000;
/// Most bytes of results: etcd takes 1.5 MB, and a report is written whole whenever one result changes.
const MAX_BYTES: usize = 512 << 10;
/// Category of what audited network policies would deny.
const FLOWS: &str = "Network flows";
/// Severities that reports know.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// Which kinds are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Group {
    /// `openreports.io/v1alpha1` Report and ClusterReport.
    #[default]
    OpenReports,
    /// `wgpolicyk8s.io/v1alpha2` PolicyReport and ClusterPolicyReport.
    PolicyReports,
}

/// What a report says beside its metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Identifier of what writes the report, when that is one for all results.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// What the report is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Reference>,
    /// Numbers of results.
    #[serde(default)]
    pub summary: Summary,
    /// Results in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ReportResult>,
}

/// Numbers of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Requirements met.
    #[serde(default)]
    pub pass: usize,
    /// Requirements not met.
    #[serde(default)]
    pub fail: usize,
    /// Requirements not met, of policies that are not scored.
    #[serde(default)]
    pub warn: usize,
    /// Could not be evaluated.
    #[serde(default)]
    pub error: usize,
    /// Not applied.
    #[serde(default)]
    pub skip: usize,
}

/// One rule on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportResult {
    /// Identifier of what found it, where the report does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Name of the policy.
    pub policy: String,
    /// Name of the rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Category of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `critical`, `high`, `medium`, `low` or `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// `pass`, `fail`, `warn`, `error` or `skip`.
    pub result: String,
    /// Whether it counts.
    #[serde(default)]
    pub scored: bool,
    /// When it was first found.
    #[serde(default)]
    pub timestamp: Timestamp,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// The objects it is about.
    #[serde(default)]
    pub resources: Vec<Reference>,
    /// What else is known.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A point in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after that.
    pub nanos: i32,
}

/// An object (`core/v1` ObjectReference).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// `apps/v1`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `Deployment`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Namespace; none for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// UID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// A report that is ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) content: Content,
    /// Results that there was no room for.
    pub(crate) left_out: usize,
    /// Of all but times and passes.
    pub(crate) hash: u64,
}

/// What reports say of policies, by name.
pub(crate) type Policies = BTreeMap<Arc<str>, Metadata>;

/// What reports say of these policies.
pub(crate) fn described(policies: &[Arc<Policy>]) -> Policies {
    policies.iter().map(|p| (Arc::clone(&p.name), p.metadata.clone())).collect()
}

/// What a report tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'s> {
    /// What the audit found.
    pub(crate) results: &'s Results,
    /// What audited network policies would deny in the namespace: failures, as of whatever is audited.
    pub(crate) would_deny: &'s [WouldDeny],
}

/// The report of a namespace, empty for the cluster-scoped objects. None when nothing was judged there.
pub(crate) fn render(namespace: &str, sources: Sources<'_>, policies: &Policies, group: Group) -> Option<Rendered> {
    let Sources { results, would_deny } = sources;
    let mut counts = Counts::default();
    results.of(namespace).for_each(|unit| counts.add(unit.counts));
    counts.fail += would_deny.len();
    if counts == Counts::default() {
        return None;
    }
    let mut found: Vec<&Found> = results.of(namespace).flat_map(|unit: &Unit| &unit.found).collect();
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    let (mut told, mut bytes) = (Vec::new(), 0);
    let found = found.into_iter().map(|one| ReportResult::of(one, namespace, policies, group));
    let flows = would_deny.iter().map(|one| ReportResult::of_flow(one, group));
    for result in found.chain(flows).take(MAX_RESULTS) {
        // Serialising text and numbers cannot fail.
        bytes += serde_json::to_vec(&result).map_or(0, |json| json.len());
        if bytes > MAX_BYTES {
            break;
        }
        told.push(result);
    }
    let Counts { pass, fail, warn, error, skip } = counts;
    let (left_out, summary) =
        (counts.found() - told.len().min(counts.found()), Summary { pass, fail, warn, error, skip });
    let scope = (!namespace.is_empty()).then(|| Reference {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        name: namespace.to_owned(),
        ..Reference::default()
    });
    let source = if group == Group::OpenReports { NAME.to_owned() } else { String::new() };
    let content = Content { source, scope, summary, results: told };
    let hash = hash(&content);
    Some(Rendered { content, left_out, hash })
}

/// The worst first, then by policy and object.
fn order(found: &Found) -> impl Ord + '_ {
    let Found { object, policy, binding, rule, outcome, .. } = found;
    (std::cmp::Reverse(*outcome), policy, &object.kind, &object.name, binding, rule)
}

/// Of everything but times and the number of passes.
fn hash(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    Summary { pass: 0, ..content.summary }.hash(&mut hasher);
    for result in &content.results {
        let timeless = ReportResult { timestamp: Timestamp::default(), ..result.clone() };
        serde_json::to_string(&timeless).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

// === impl Group ===

impl Group {
    /// Group, version, kind and plural of the reports of namespaces, or of the one of cluster-scoped objects.
    pub(crate) fn resource(self, namespaced: bool) -> kube::core::ApiResource {
        let (group, version, kind) = match (self, namespaced) {
            (Self::OpenReports, true) => ("openreports.io", "v1alpha1", "Report"),
            (Self::OpenReports, false) => ("openreports.io", "v1alpha1", "ClusterReport"),
            (Self::PolicyReports, true) => ("wgpolicyk8s.io", "v1alpha2", "PolicyReport"),
            (Self::PolicyReports, false) => ("wgpolicyk8s.io", "v1alpha2", "ClusterPolicyReport"),
        };
        kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
    }
}

// === impl ReportResult ===

impl ReportResult {
    fn of(found: &Found, namespace: &str, policies: &Policies, group: Group) -> Self {
        let metadata = policies.get(&found.policy).cloned().unwrap_or_default();
        let mut properties = BTreeMap::from([("binding".to_owned(), found.binding.to_string())]);
        properties.extend(found.exception.iter().map(|e| ("exception".to_owned(), e.to_string())));
        properties.extend(found.outcome.waived().map(|w| ("waived".to_owned(), w.to_owned())));
        properties.extend(metadata.remediation.map(|r| ("remediation".to_owned(), r)));
        let object = &found.object;
        let resource = Reference {
            api_version: object.api_version.to_string(),
            kind: object.kind.to_string(),
            namespace: namespace.to_owned(),
            name: object.name.to_string(),
            uid: object.uid.to_string(),
        };
        Self {
            source: if group == Group::PolicyReports { NAME.to_owned() } else { String::new() },
            policy: found.policy.to_string(),
            rule: found.rule.to_string(),
            category: metadata.category,
            severity: metadata.severity.filter(|s| SEVERITIES.contains(&s.as_str())),
            result: found.outcome.name().to_owned(),
            scored: found.outcome != Outcome::Warn,
            timestamp: Timestamp { seconds: found.since, nanos: 0 },
            message: found.message.to_string(),
            resources: vec![resource],
            properties,
        }
    }

    fn of_flow(found: &WouldDeny, group: Group) -> Self {
        let WouldDeny { policy, from, to, protocol, at_least, .. } = found;
        let mut properties = BTreeMap::from([
            ("from".to_owned(), from.clone()),
            ("to".to_owned(), to.clone()),
            ("protocol".to_owned(), protocol.clone()),
            ("connections".to_owned(), format!("{at_least} or more")),
        ]);
        properties.extend(found.port.map(|port| ("port".to_owned(), port.to_string())));
        let (api_version, kind) = match policy.kind {
            PolicyKind::NetworkPolicy => ("networking.k8s.io/v1", "NetworkPolicy"),
            PolicyKind::ClusterNetworkPolicy => ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
        };
        let resource = Reference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
            ..Reference::default()
        };
        Self {
            source: if group == Group::PolicyReports { NAME.to_owned() } else { String::new() },
            policy: policy.name.clone(),
            rule: found.rule.clone(),
            category: Some(FLOWS.to_owned()),
            severity: None,
            result: Outcome::Fail.name().to_owned(),
            scored: true,
            timestamp: Timestamp { seconds: found.since, nanos: 0 },
            message: found.message.clone(),
            resources: vec![resource],
            properties,
        }
    }
}

#[cfg(test)]
mod tests;
