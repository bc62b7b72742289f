//! Metrics about policies. Labels are bounded by the policies in force.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stockade_engine::decision::{Decision, Differs, FindingAction, FindingResult};
use stockade_engine::rollout::Hold;
use stockade_policy::compiled::{Flavour, PolicySet};
use stockade_webhook::{AtomicHistogram, registered};

/// Seconds. A decision takes tens of microseconds; what takes a second has spent its budgets.
const EXECUTION_BUCKETS: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0];

/// Handles of all of them.
#[derive(Debug, Clone)]
pub(crate) struct PolicyMetrics {
    policies: Family<FlavourLabel, Gauge>,
    results: Family<ResultLabels, Counter>,
    shadow_differences: Family<ShadowLabels, Counter>,
    rollout_holds: Family<PolicyLabel, Counter>,
    reloads: Family<ReloadLabel, Counter>,
    /// Of the policies in force. Taken when those change, not for requests.
    names: Arc<Mutex<HashSet<Arc<str>>>>,
    /// 1 when the newest policies are in force, 0 when they were refused.
    current: Gauge,
    /// Time spent in all policies of one request.
    pub(crate) execution: AtomicHistogram,
    /// Requests whose images were not looked at.
    pub(crate) looks_shed: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlavourLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    policy: String,
    action: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShadowLabels {
    policy: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabel {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    result: &'static str,
}

impl PolicyMetrics {
    /// Registers them under their `stockade_` names.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let execution = AtomicHistogram::new(EXECUTION_BUCKETS);
        registry.register(
            "stockade_policy_execution_duration_seconds",
            "Time spent in all policies of one request",
            execution.clone(),
        );
        Self {
            policies: registered(registry, "stockade_policies", "Policies in force by kind"),
            results: registered(
                registry,
                "stockade_policy_results",
                "Rules that did not simply pass, by policy, action and result",
            ),
            shadow_differences: registered(
                registry,
                "stockade_shadow_differences",
                "Requests on which a policy with shadowOf ends otherwise than the policy it shadows",
            ),
            rollout_holds: registered(
                registry,
                "stockade_rollout_holds",
                "Rollouts that this replica stopped because their policy denied more than its budget",
            ),
            reloads: registered(registry, "stockade_policy_reloads", "Attempts to put changed policies in force"),
            current: registered(
                registry,
                "stockade_policies_current",
                "1 when the newest policies are in force, 0 when they were refused and the last good ones stay",
            ),
            execution,
            looks_shed: registered(
                registry,
                "stockade_image_looks_shed",
                "Requests that were judged without looking at their images, because too many wait for registries",
            ),
            names: Arc::default(),
        }
    }

    /// A new set is in force.
    pub(crate) fn in_force(&self, set: &PolicySet) {
        for flavour in Flavour::ALL {
            let kind = flavour.kind();
            let count = set.policies.iter().filter(|p| p.flavour == flavour).count();
            self.policies.get_or_create(&FlavourLabel { kind }).set(count as i64);
        }
        self.reloads.get_or_create(&ReloadLabel { result: "applied" }).inc();
        let names: HashSet<Arc<str>> = set.policies.iter().map(|p| p.name.clone()).collect();
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Policies that are gone would stay as labels for ever.
        for gone in known.difference(&names) {
            self.forget(gone);
        }
        *known = names;
    }

    /// Whether all of the newest policies are in force.
    pub(crate) fn current(&self, is_current: bool) {
        if !is_current {
            self.reloads.get_or_create(&ReloadLabel { result: "refused" }).inc();
        }
        self.current.set(i64::from(is_current));
    }

    fn forget(&self, policy: &str) {
        for action in ACTIONS.map(action_word) {
            for result in RESULTS.map(result_word) {
                self.results.remove(&ResultLabels { policy: policy.to_owned(), action, result });
            }
        }
        for kind in [Differs::NewlyFails, Differs::NoLongerFails].map(differs_word) {
            self.shadow_differences.remove(&ShadowLabels { policy: policy.to_owned(), kind });
        }
        self.rollout_holds.remove(&PolicyLabel { policy: policy.to_owned() });
    }

    /// Counts what a decision found.
    pub(crate) fn record(&self, decision: &Decision) {
        for f in &decision.findings {
            let (action, result) = (action_word(f.action), result_word(f.result));
            self.results.get_or_create(&ResultLabels { policy: f.policy.clone(), action, result }).inc();
        }
        for d in &decision.shadow {
            let kind = differs_word(d.differs);
            self.shadow_differences.get_or_create(&ShadowLabels { policy: d.policy.clone(), kind }).inc();
        }
    }

    /// A rollout was stopped.
    pub(crate) fn held(&self, hold: &Hold) {
        self.rollout_holds.get_or_create(&PolicyLabel { policy: hold.policy.to_string() }).inc();
    }
}

const ACTIONS: [FindingAction; 7] = [
    FindingAction::Deny,
    FindingAction::Warn,
    FindingAction::Audit,
    FindingAction::Mutate,
    FindingAction::Ignore,
    FindingAction::Waive,
    FindingAction::Pass,
];

fn action_word(action: FindingAction) -> &'static str {
    match action {
        FindingAction::Deny => "deny",
        FindingAction::Warn => "warn",
        FindingAction::Audit => "audit",
        FindingAction::Mutate => "mutate",
        FindingAction::Ignore => "ignore",
        FindingAction::Waive => "waive",
        FindingAction::Pass => "pass",
    }
}

const RESULTS: [FindingResult; 4] =
    [FindingResult::Fail, FindingResult::Error, FindingResult::Mutated, FindingResult::Pass];

fn differs_word(differs: Differs) -> &'static str {
    match differs {
        Differs::NewlyFails => "newly_fails",
        Differs::NoLongerFails => "no_longer_fails",
    }
}

fn result_word(result: FindingResult) -> &'static str {
    match result {
        FindingResult::Fail => "fail",
        FindingResult::Error => "error",
        FindingResult::Mutated => "mutated",
        FindingResult::Pass => "pass",
    }
}
