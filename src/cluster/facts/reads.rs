//! What a set of policies reads of the cluster, and how few watches hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stockade_engine::facts::Kind;
use stockade_engine::network::NETWORK_POLICY;
use stockade_policy::compiled::{ParamKind, Policy, PolicySet};

use super::namespaces;
use super::scope::{Read, Scope};

/// Most scopes of one kind, each a watch. Params mostly lie in one or a few namespaces, so for more than that one watch
/// a namespace is begun, and where those are too many as well one of the whole kind.
const MAX_SCOPES: usize = 16;

/// What a set reads: what its expressions name, its params, what groups require, and the Namespace of every request.
/// What is in another of them already is left out.
pub(crate) fn of_set(set: &PolicySet) -> BTreeSet<Read> {
    let mut reads = of_policies(set.policies.iter().map(|policy| &**policy));
    if set.groups.iter().any(|g| g.default_deny.ingress || g.default_deny.egress) {
        let Kind { api_version, kind } = NETWORK_POLICY;
        reads.insert(Read::all(ParamKind { api_version: api_version.to_owned(), kind: kind.to_owned() }));
    }
    bounded(reads)
}

/// The same of policies alone.
pub(crate) fn of_policies<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> BTreeSet<Read> {
    let mut policies = policies.into_iter().peekable();
    let of_request = policies.peek().map(|_| Read::all(namespaces()));
    bounded(policies.flat_map(of_policy).chain(of_request).collect())
}

/// What one policy reads beside the Namespace: what its expressions name, and the params of its bindings.
pub(crate) fn of_policy(policy: &Policy) -> impl Iterator<Item = Read> {
    let named = policy.reads.iter().map(|read| Read { kind: read.kind.clone().into(), scope: Scope::of_read(read) });
    let references = policy.bindings.iter().filter_map(|binding| binding.params.as_ref());
    let params = policy.param_kind.iter().flat_map(move |kind| {
        let kind = Arc::new(kind.clone());
        references.clone().map(move |reference| Read { kind: kind.clone(), scope: Scope::of_params(reference) })
    });
    named.chain(params)
}

/// The same objects, and perhaps more, in at most [`MAX_SCOPES`] scopes a kind.
fn bounded(reads: BTreeSet<Read>) -> BTreeSet<Read> {
    let mut kinds: BTreeMap<Arc<ParamKind>, BTreeSet<Scope>> = BTreeMap::new();
    for Read { kind, scope } in reads {
        kinds.entry(kind).or_default().insert(scope);
    }
    let of_kind = |(kind, scopes): (_, BTreeSet<Scope>)| {
        few(&scopes).into_iter().map(move |scope| Read { kind: Arc::clone(&kind), scope })
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

fn few(scopes: &BTreeSet<Scope>) -> BTreeSet<Scope> {
    let all = uncovered(scopes);
    if all.len() <= MAX_SCOPES {
        return all;
    }
    let of_namespace = |scope: Scope| if scope.namespace().is_some() { scope.widened() } else { scope };
    let namespaces = uncovered(&all.into_iter().map(of_namespace).collect());
    if namespaces.len() <= MAX_SCOPES { namespaces } else { BTreeSet::from([Scope::ALL]) }
}

/// Without those that are inside of another.
fn uncovered(scopes: &BTreeSet<Scope>) -> BTreeSet<Scope> {
    let is_inside = |scope: &Scope| scope.wider().iter().any(|other| other != scope && scopes.contains(other));
    scopes.iter().filter(|scope| !is_inside(scope)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use stockade_policy::compile::incremental::{Compiler, Part, Scope as PartScope};
    use stockade_policy::sources::PolicySources;

    use super::*;

    /// What policies with these specs read.
    fn reads(specs: impl IntoIterator<Item = String>) -> Vec<String> {
        const RULES: &str = "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: \
                             [CREATE], resources: [pods]}]}";
        let part = |(at, spec): (usize, String)| {
            let mut sources = PolicySources::default();
            let text = format!(
                "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: p{at}}}\nspec:\n  \
                 {RULES}\n  {spec}\n"
            );
            sources.add("policy.yaml", &text, true);
            assert!(!sources.diagnostics.has_errors(), "{}", sources.diagnostics);
            Part { id: format!("{at}").into(), scope: PartScope::Enforced, sources: sources.into() }
        };
        let parts: Vec<Part> = specs.into_iter().enumerate().map(part).collect();
        let set = Compiler::new().compile(&parts).enforced;
        assert_eq!(set.policies.len(), parts.len());
        of_set(&set).iter().map(Read::to_string).collect()
    }

    fn with_params(reference: &str) -> String {
        format!(
            "paramKind: {{apiVersion: v1, kind: ConfigMap}}\n  paramRef: {{{reference}, parameterNotFoundAction: \
             Deny}}\n  validations: [{{expression: 'true'}}]"
        )
    }

    fn expression(text: &str) -> String {
        format!("validations: [{{expression: \"{text}\"}}]")
    }

    #[test]
    fn params_are_read_where_their_reference_says_and_what_expressions_name_as_far_as_it_is_constant() {
        let specs = [
            with_params("name: limits, namespace: stockade-system"),
            with_params("name: limits, namespace: stockade-system"),
            with_params("name: own"),
            with_params("selector: {matchLabels: {params: 'yes'}}, namespace: shop"),
            expression("cluster.list('v1', 'Service', '').size() > 0"),
        ];
        assert_eq!(
            reads(specs),
            [
                "v1 ConfigMap own in any namespace",
                "v1 ConfigMap in shop labelled params in (yes)",
                "v1 ConfigMap stockade-system/limits",
                "v1 Namespace",
                "v1 Service",
            ]
        );
        let both = [
            with_params("name: limits, namespace: a"),
            expression("cluster.get('v1', 'ConfigMap', 'b', 'c').hasValue()"),
        ];
        assert_eq!(reads(both.clone()), ["v1 ConfigMap a/limits", "v1 ConfigMap b/c", "v1 Namespace"]);
        let all = expression("cluster.list('v1', 'ConfigMap', object.metadata.namespace).size() > 0");
        assert_eq!(reads(both.into_iter().chain([all])), ["v1 ConfigMap", "v1 Namespace"]);
        let parts = [
            expression("cluster.get('v1', 'Secret', object.metadata.namespace, 'pull').hasValue()"),
            expression("cluster.get('v1', 'Service', 'shop', object.metadata.name).hasValue()"),
            expression("cluster.list('v1', 'Pod', 'shop').size() > 0"),
            expression("cluster.get('v1', 'Node', '', 'first').hasValue()"),
        ];
        let expected = [
            "v1 Namespace",
            "v1 Node first in any namespace",
            "v1 Pod in shop",
            "v1 Secret pull in any namespace",
            "v1 Service in shop",
        ];
        assert_eq!(reads(parts), expected);
        assert_eq!(reads(std::iter::empty()), [] as [&str; 0]);
    }

    #[test]
    fn many_params_of_one_namespace_become_one_watch_of_it_and_too_many_namespaces_one_of_the_kind() {
        let in_one = |n: usize| with_params(&format!("name: c{n}, namespace: stockade-system"));
        assert_eq!(reads((0..MAX_SCOPES).map(in_one)).len(), MAX_SCOPES + 1);
        let other = with_params("name: c, namespace: other");
        let many = (0..=MAX_SCOPES).map(in_one).chain([other]);
        assert_eq!(reads(many), ["v1 ConfigMap in other", "v1 ConfigMap in stockade-system", "v1 Namespace"]);
        let everywhere = (0..=MAX_SCOPES).map(|n| with_params(&format!("name: c, namespace: n{n}")));
        assert_eq!(reads(everywhere), ["v1 ConfigMap", "v1 Namespace"]);
    }
}
