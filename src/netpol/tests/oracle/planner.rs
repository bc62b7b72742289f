//! Plans that are made one after the other against plans made from nothing.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use stockade_netpol::compile::{Census, Compiled};
use stockade_netpol::plan::{Limits, Numbers, Plan, Planner, plan};
use stockade_netpol::policy::Policy;
use stockade_netpol::state::PodId;

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
