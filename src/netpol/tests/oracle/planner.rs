//! Plans that are made one after the other against plans made from nothing.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use stockade_netpol::compile::{Census, Compiled};
use stockade_netpol::plan::{DoesNotFit, Limits, Numbers, Plan, Planner, What, plan};
use stockade_netpol::policy::Policy;
use stockade_netpol::read::api;
use stockade_netpol::state::{Labels, Pod, PodId, State};
use stockade_policy::compiled::Origin;

use stockade_netpol_testing::chance::{policies, state};

/// Some Pods of any state, by their place in it.
fn chosen(census: &Census, choice: usize) -> Vec<PodId> {
    let all = census.state().pods().map(|(id, _)| id);
    all.filter(|id| choice >> id.0 & 1 == 1).collect()
}

fn from_nothing(census: &Arc<Census>, policies: Vec<Arc<Policy>>, pods: &[PodId], limits: &Limits) -> Plan {
    let compiled = Compiled::over(census.concerning(policies, pods), Arc::clone(census)).unwrap();
    plan(&compiled, &Numbers::new(census).unwrap(), pods, limits).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_the_same_whatever_was_planned_before_it(
        state in state(),
        steps in vec((policies(), 0_usize..64), 1..6),
        room in prop::bool::ANY,
    ) {
        let census = Arc::new(Census::new(state));
        let small = Limits { ports: 40, peers: 6, blocks: 12, ports_per_set: 20, ..Limits::default() };
        let limits = if room { Limits::default() } else { small };
        let mut planner = Planner::new(Arc::clone(&census), Numbers::new(&census).unwrap(), limits);
        for (policies, choice) in steps {
            let policies: Vec<Arc<Policy>> = policies.into_iter().map(Arc::new).collect();
            let pods = chosen(&census, choice);
            let planned = planner.plan(policies.clone(), &pods).unwrap();
            prop_assert_eq!(planned.plan, from_nothing(&census, policies, &pods, &limits));
        }
    }
}

/// Policies of a namespace, each about all Pods of it and with so many selectors of its own.
fn policies_of(namespace: &str, selectors: &[usize]) -> Vec<Arc<Policy>> {
    let policy = |(at, count): (usize, &usize)| {
        let peer = |n| json!({ "podSelector": { "matchLabels": { "n": format!("{namespace}-{at}-{n}") } } });
        let from: Vec<Value> = (0..*count).map(peer).collect();
        let read = api::network_policy(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": format!("p{at}"), "namespace": namespace },
            "spec": { "podSelector": {}, "ingress": [{ "from": from }] },
        }));
        Arc::new(read.policy.unwrap())
    };
    selectors.iter().enumerate().map(policy).collect()
}

#[test]
fn where_policies_have_too_many_selectors_those_of_the_namespace_with_most_are_refused_and_no_others() {
    let pod = |namespace: &str| Pod {
        namespace: namespace.into(),
        name: "a".into(),
        owner: None,
        labels: Labels::default(),
        addresses: Vec::new(),
        ports: Vec::new(),
        host_network: false,
        node: None,
        finished: false,
        origin: Origin::default(),
    };
    let state = State { pods: ["few", "many", "none"].map(pod).into(), ..State::default() };
    let census = Arc::new(Census::new(state));
    let pods = [PodId(0), PodId(1), PodId(2)];
    let all: Vec<Arc<Policy>> = [policies_of("many", &[7, 1, 4]), policies_of("few", &[5])].concat();
    let planned = |selectors: usize| {
        let limits = Limits { matches: selectors * 3, ..Limits::default() };
        let mut planner = Planner::new(Arc::clone(&census), Numbers::new(&census).unwrap(), limits);
        planner.plan(all.clone(), &pods).unwrap()
    };
    // Those that are listed, and one for the Pods of each namespace.
    let whole = planned(17 + 2);
    assert_eq!((whole.refused.len(), &whole.plan), (0, &from_nothing(&census, all.clone(), &pods, &Limits::default())));
    let part = planned(10 + 2);
    let fault =
        DoesNotFit { policy: "NetworkPolicy many/p0".to_owned(), what: What::Matches, count: 19 * 3, bound: 12 * 3 };
    let refused: Vec<_> = part.refused.iter().map(|(policy, fault)| (&*policy.name, fault.clone())).collect();
    assert_eq!(refused, [("p0", fault.clone())]);
    let mut expected = whole.plan.pods;
    expected.insert(PodId(1), Err(fault));
    assert_eq!(part.plan.pods, expected);
    let selected = |policy: &Policy| pods.map(part.selected_by(policy));
    let own: Vec<_> = all.iter().map(|policy| selected(policy)).collect();
    assert_eq!(own, [[false, true, false], [false, true, false], [false, true, false], [true, false, false]]);
}
