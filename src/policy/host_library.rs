//! The libraries `cluster` and `network` of an AdmissionPolicy: their declarations, in one table. The engine answers
//! them through [`stockade_cel::functions::Host`], by the names here.
//!
//! | call | answer |
//! |---|---|
//! | `cluster.get(apiVersion, kind, namespace, name)` | `optional` of an object that exists; namespace `''` for a cluster-scoped kind |
//! | `cluster.list(apiVersion, kind, namespace)` | all objects of a kind in a namespace |
//! | `cluster.list(apiVersion, kind)` | all objects of a kind |
//! | `network.ingress(pod)`, `network.egress(pod)` | [`ISOLATION`]: which NetworkPolicies really select this Pod in that direction |
//! | `isolation.isolated()` | whether any does: without one, all traffic of that direction passes |
//! | `isolation.policies()` | their names, sorted |
//! | `isolation.allowsAll()` | whether one of them allows every peer on every port, which undoes the isolation |
//! | `network.policies(pod)` | the NetworkPolicies that select this Pod in either direction, as objects |
//! | `network.selects(policy, pod)` | whether this NetworkPolicy selects this Pod (same namespace, podSelector) |
//! | `network.allowsAllIngress(policy)`, `network.allowsAllEgress(policy)` | whether this NetworkPolicy allows every peer on every port |
//! | `network.unmetNeeds(pod)` | for each connection of the annotation `stockade.dev/requires` that NetworkPolicies deny, a sentence that says which |
//! | `network.oneSided(policy)` | for each two Pods that this NetworkPolicy lets talk and another forbids it, a sentence that says what is missing where |
//! | `network.doesNotFit(policy)` | a sentence when this NetworkPolicy alone is more than the kernel tables of a node hold |
//!
//! A read of something that has not synced yet is an error under failurePolicy, never "absent".

use stockade_cel::functions::{Call, Function, Overload};
use stockade_cel::{Type, Value};

/// Type name of `network.ingress(pod)`.
pub const ISOLATION: &str = "network.Isolation";

/// Cost of a question that walks an index of the cluster: about that of ten field selections each.
const LOOKUP_COST: u64 = 10;

/// One object that exists.
pub const CLUSTER_GET: &str = "cluster.get";
/// Lists objects.
pub const CLUSTER_LIST: &str = "cluster.list";
/// Ingress isolation of a Pod.
pub const NETWORK_INGRESS: &str = "network.ingress";
/// Egress isolation of a Pod.
pub const NETWORK_EGRESS: &str = "network.egress";
/// NetworkPolicies of a Pod.
pub const NETWORK_POLICIES: &str = "network.policies";
/// Whether a NetworkPolicy selects a Pod.
pub const NETWORK_SELECTS: &str = "network.selects";
/// Whether a NetworkPolicy allows all ingress.
pub const NETWORK_ALLOWS_ALL_INGRESS: &str = "network.allowsAllIngress";
/// Whether a NetworkPolicy allows all egress.
pub const NETWORK_ALLOWS_ALL_EGRESS: &str = "network.allowsAllEgress";
/// What a Pod says it needs and does not get.
pub const NETWORK_UNMET_NEEDS: &str = "network.unmetNeeds";
/// What one NetworkPolicy lets pass and another does not.
pub const NETWORK_ONE_SIDED: &str = "network.oneSided";
/// What of a NetworkPolicy is too much.
pub const NETWORK_DOES_NOT_FIT: &str = "network.doesNotFit";
/// Member of [`ISOLATION`].
pub const ISOLATION_ISOLATED: &str = "isolated";
/// Member of [`ISOLATION`].
pub const ISOLATION_POLICIES: &str = "policies";
/// Member of [`ISOLATION`].
pub const ISOLATION_ALLOWS_ALL: &str = "allowsAll";

/// All functions of the host libraries, for [`stockade_cel::Env::functions`].
pub fn host_functions() -> Vec<Function> {
    use Type::{Bool, Dyn, String};
    let isolation = || Type::opaque(ISOLATION);
    vec![
        host(
            CLUSTER_GET,
            vec![Overload::global("cluster_get", vec![String, String, String, String], Type::optional(Dyn))],
        ),
        host(
            CLUSTER_LIST,
            vec![
                Overload::global("cluster_list_namespace", vec![String, String, String], Type::list(Dyn)),
                Overload::global("cluster_list_all", vec![String, String], Type::list(Dyn)),
            ],
        ),
        host(NETWORK_INGRESS, vec![Overload::global("network_ingress", vec![Dyn], isolation())]),
        host(NETWORK_EGRESS, vec![Overload::global("network_egress", vec![Dyn], isolation())]),
        host(NETWORK_POLICIES, vec![Overload::global("network_policies", vec![Dyn], Type::list(Dyn))]),
        host(NETWORK_SELECTS, vec![Overload::global("network_selects", vec![Dyn, Dyn], Bool)]),
        host(NETWORK_ALLOWS_ALL_INGRESS, vec![Overload::global("network_allows_all_ingress", vec![Dyn], Bool)]),
        host(NETWORK_ALLOWS_ALL_EGRESS, vec![Overload::global("network_allows_all_egress", vec![Dyn], Bool)]),
        host(NETWORK_UNMET_NEEDS, vec![Overload::global("network_unmet_needs", vec![Dyn], Type::list(String))]),
        host(NETWORK_ONE_SIDED, vec![Overload::global("network_one_sided", vec![Dyn], Type::list(String))]),
        host(NETWORK_DOES_NOT_FIT, vec![Overload::global("network_does_not_fit", vec![Dyn], Type::list(String))]),
        host(ISOLATION_ISOLATED, vec![Overload::member("isolation_isolated", vec![isolation()], Bool)]),
        host(ISOLATION_POLICIES, vec![Overload::member("isolation_policies", vec![isolation()], Type::list(String))]),
        host(ISOLATION_ALLOWS_ALL, vec![Overload::member("isolation_allows_all", vec![isolation()], Bool)]),
    ]
}

fn host(name: &'static str, overloads: Vec<Overload>) -> Function {
    let cost = if name.contains('.') { lookup_cost } else { stockade_cel::functions::constant_cost };
    Function { name, overloads, call: Call::Host, cost }
}

/// A fixed part, and one for each object of the answer.
fn lookup_cost(_: &str, _: &[Value<'_>], result: &Value<'_>) -> u64 {
    LOOKUP_COST + result.as_list().map_or(0, |list| list.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_answered_by_the_host_and_has_an_overload() {
        for f in host_functions() {
            assert!(matches!(f.call, Call::Host), "{}", f.name);
            assert!(!f.overloads.is_empty(), "{}", f.name);
            assert!(f.overloads.iter().all(|o| o.member != f.name.contains('.')), "{}", f.name);
        }
    }
}
