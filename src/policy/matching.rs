//! `matchConstraints` and `matchResources`: which requests a policy or binding is about.

use crate::selector::LabelSelector;

/// `admissionregistration.k8s.io/v1` MatchResources with defaults filled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchResources {
    /// On the namespace of the object, or on the object itself when it is a Namespace; other cluster-scoped objects
    /// always match.
    pub namespace_selector: LabelSelector,
    /// On the object or the old object: one that matches is enough.
    pub object_selector: LabelSelector,
    /// At least one must match. A binding may have none: then all requests of its policy match.
    pub resource_rules: Vec<RuleWithOperations>,
    /// None may match.
    pub exclude_resource_rules: Vec<RuleWithOperations>,
    /// Whether a rule also matches requests made in another version or group of the same resource.
    pub match_policy: MatchPolicy,
}

/// `matchPolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchPolicy {
    /// Only as written.
    Exact,
    /// Converted where the resource is served in a version or group that a rule names.
    #[default]
    Equivalent,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleWithOperations {
    /// Empty means any name.
    pub resource_names: Vec<String>,
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
    pub operations: Vec<String>,
    /// `""`, `apps` or `*`.
    pub api_groups: Vec<String>,
    /// `v1` or `*`.
    pub api_versions: Vec<String>,
    /// `pods`, `pods/exec`, `pods/*`, `*/scale`, `*`, `*/*`.
    pub resources: Vec<String>,
    /// Which scope.
    pub scope: Scope,
}

/// Scope of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// `*`
    #[default]
    All,
    /// Cluster-scoped objects; Namespaces are.
    Cluster,
    /// Objects in a namespace.
    Namespaced,
}
