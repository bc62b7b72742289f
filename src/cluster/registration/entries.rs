//! What is judged, cut into the entries of a webhook configuration: no request belongs to two of them.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use stockade_engine::Essentials;
use stockade_engine::essentials::{BOOT, OWN_GROUP, OWN_KINDS};
use stockade_netpol::policy::{AUDIT, ENFORCEMENT};

use super::Settings;
use super::asked::{Asked, Scoped, Verb};
use super::away;
use super::targets::{ANY, Operations, Target, Targets};

/// Most targets of one entry: an object of etcd holds 1.5 MiB, and the API server walks the rules of each request. With
/// more the entry asks about everything.
const MAX_TARGETS: usize = 2000;

/// Most targets that a condition names as asked by another entry. With more both are one entry that fails closed.
const MAX_EXCLUDED: usize = 50;

/// Label by which the API server names each Namespace; nobody can change it.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// One webhook of a configuration, what both kinds have in common.
pub(crate) struct Entry {
    /// First label of its name.
    pub(crate) role: &'static str,
    pub(crate) targets: Targets,
    /// `Namespaced`, `Cluster` or `*`.
    pub(crate) scope: &'static str,
    /// `failurePolicy: Fail`
    pub(crate) fails: bool,
    pub(crate) namespaces: LabelSelector,
    pub(crate) objects: LabelSelector,
    pub(crate) conditions: Vec<MatchCondition>,
}

/// Names of the entries that fail closed, those that do not, those of system namespaces, and so on.
struct Roles {
    user: &'static str,
    ignored: &'static str,
    system: &'static str,
    cluster: &'static str,
    cluster_ignored: &'static str,
    boot: &'static str,
}

const VALIDATE: Roles = Roles {
    user: "validate",
    ignored: "validate-ignore",
    system: "validate-system",
    cluster: "validate-cluster",
    cluster_ignored: "validate-cluster-ignore",
    boot: "validate-boot",
};

const MUTATE: Roles = Roles {
    user: "mutate",
    ignored: "mutate-ignore",
    system: "mutate-system",
    cluster: "mutate-cluster",
    cluster_ignored: "mutate-cluster-ignore",
    boot: "mutate-boot",
};

/// The entries of a verb; those that would ask nothing are left out.
pub(crate) fn entries(asked: Asked, verb: Verb, settings: &Settings) -> Vec<Entry> {
    let roles = if verb == Verb::Validate { &VALIDATE } else { &MUTATE };
    let Asked { strict, lenient, namespaces, objects, .. } = asked;
    let common = namespaces.requirements();
    let objects = selector(objects.requirements());
    let Essentials { own_namespace, system_namespaces } = &settings.essentials;
    let own = std::slice::from_ref(own_namespace);
    let with = |requirement: Option<LabelSelectorRequirement>| {
        selector(requirement.into_iter().chain(common.iter().cloned()).collect())
    };
    let user = with(named("NotIn", &[own, system_namespaces].concat()));
    let not_own = with(named("NotIn", own));

    let system = bounded(union(&strict.namespaced, &lenient.namespaced));
    let [namespaced, cluster] = [
        Classes::of(strict.namespaced.clone(), &lenient.namespaced, verb),
        Classes::of(outside_boot(&strict), &outside_boot(&lenient), verb),
    ];
    let boot = boot(&union(&strict.cluster, &lenient.cluster));
    let entry = |role, targets: Targets, scope, fails, namespaces: &LabelSelector, more: Option<MatchCondition>| {
        let mut conditions = away::conditions(&targets);
        conditions.extend(more);
        if scope == "Cluster" && role != roles.boot {
            conditions.extend(away::without("boot", &BOOT, &targets));
        }
        Entry { role, targets, scope, fails, namespaces: namespaces.clone(), objects: objects.clone(), conditions }
    };
    let mut entries = vec![
        entry(roles.user, namespaced.strict, "Namespaced", true, &user, None),
        entry(roles.ignored, namespaced.lenient, "Namespaced", false, &user, away::not_asked(&namespaced.excluded)),
        entry(roles.cluster, cluster.strict, "Cluster", true, &not_own, None),
        entry(roles.cluster_ignored, cluster.lenient, "Cluster", false, &not_own, away::not_asked(&cluster.excluded)),
        entry(roles.boot, boot, "Cluster", false, &not_own, None),
    ];
    if let Some(named) = named("In", system_namespaces) {
        entries.push(entry(roles.system, system, "Namespaced", false, &with(Some(named)), None));
    }
    entries.retain(|e| !e.targets.is_empty());
    entries
}

/// The own kinds: a policy with a fault is refused with the diagnostics, everywhere and always. Deleting is never
/// asked about, so that whatever is wrong can be removed.
pub(crate) fn own_kinds() -> Entry {
    let mut targets = Targets::default();
    for resource in OWN_KINDS {
        let operations = Operations::read(&["CREATE".to_owned(), "UPDATE".to_owned()]);
        targets.insert(Target::new(OWN_GROUP, ANY, resource), operations);
    }
    Entry {
        role: "own",
        targets,
        scope: "*",
        fails: true,
        namespaces: LabelSelector::default(),
        objects: LabelSelector::default(),
        conditions: Vec::new(),
    }
}

/// Edits of network policies, and Namespaces whose NetworkPolicies are enforced from then on. The latter takes a condition,
/// for other changes of Namespaces cut nothing; of policies nearly every change may, and a condition costs more than to ask.
pub(crate) fn edits_of_network_policies(settings: &Settings) -> [Entry; 2] {
    let not_own =
        || selector(named("NotIn", std::slice::from_ref(&settings.essentials.own_namespace)).into_iter().collect());
    let entry = |role, targets: &[(Target, &[&str])], scope, conditions| {
        let mut all = Targets::default();
        for (target, operations) in targets {
            let operations: Vec<String> = operations.iter().map(|name| (*name).to_owned()).collect();
            all.insert(target.clone(), Operations::read(&operations));
        }
        let objects = LabelSelector::default();
        Entry { role, targets: all, scope, fails: false, namespaces: not_own(), objects, conditions }
    };
    let edits = &["CREATE", "UPDATE", "DELETE"];
    let policies = [
        (Target::new("networking.k8s.io", "v1", "networkpolicies"), &edits[..]),
        (Target::new("policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies"), edits),
    ];
    let namespaces = [(Target::new("", "v1", "namespaces"), &["UPDATE"][..])];
    let audits = |object| format!("{object}.metadata.?annotations[?'{ENFORCEMENT}'].orValue('') == '{AUDIT}'");
    let enforces = MatchCondition {
        name: "enforces-from-now-on".to_owned(),
        expression: format!("{} && !({})", audits("oldObject"), audits("object")),
    };
    [entry("warn", &policies, "*", Vec::new()), entry("warn-namespace", &namespaces, "Cluster", vec![enforces])]
}

/// Targets that fail closed and targets that do not, as far as they are in no other entry.
struct Classes {
    strict: Targets,
    lenient: Targets,
    /// Those of `strict` that a condition must keep from the entry of `lenient`.
    excluded: Targets,
}

impl Classes {
    /// Each request is asked about once, under the whole set: a webhook that were asked twice would change an object
    /// twice, and one entry per class of policies, each judging its own, would leave a gap while replicas and
    /// registration differ on the class of a policy.
    ///
    /// So what is strict for one policy is strict for all. Where targets only meet, as `*/*` of a policy that warns and
    /// `pods` of one that denies, a condition keeps them apart; where it could not, both are strict: for mutations, of
    /// versions of one resource, and where the condition would be too long.
    fn of(mut strict: Targets, lenient: &Targets, verb: Verb) -> Self {
        let promoted = |strict: &Targets, target: &Target, left: Operations| {
            let mut met = strict.iter().filter(|(s, o)| s.meets(target) && !o.and(left).is_empty());
            met.any(|(s, _)| {
                verb == Verb::Mutate || (target.names(&s.group, &s.resource) && s.version != target.version)
            })
        };
        loop {
            let mut more = Targets::default();
            for (target, operations) in lenient.iter() {
                let left = operations.without(strict.covering(target));
                if promoted(&strict, target, left) {
                    more.insert(target.clone(), left);
                }
            }
            if more.is_empty() {
                break;
            }
            strict.extend(&more);
        }
        let mut rest = Targets::default();
        for (target, operations) in lenient.iter() {
            rest.insert(target.clone(), operations.without(strict.covering(target)));
        }
        let mut excluded = Targets::default();
        for (target, operations) in strict.iter() {
            if rest.iter().any(|(r, o)| r.meets(target) && !o.and(operations).is_empty()) {
                excluded.insert(target.clone(), operations);
            }
        }
        if excluded.len() > MAX_EXCLUDED {
            strict.extend(&rest);
            return Self { strict: bounded(strict), lenient: Targets::default(), excluded: Targets::default() };
        }
        Self { strict: bounded(strict), lenient: bounded(rest), excluded }
    }
}

/// Cluster-scoped targets but those that name what nodes and control planes need to come up; wildcards stay, a condition
/// keeps it from them.
fn outside_boot(scoped: &Scoped) -> Targets {
    let mut rest = Targets::default();
    for (target, operations) in scoped.cluster.iter() {
        if !BOOT.iter().any(|(group, resource)| target.names(group, resource)) {
            rest.insert(target.clone(), operations);
        }
    }
    rest
}

/// What targets name, in person or by a wildcard, of what nodes and control planes need to come up.
fn boot(cluster: &Targets) -> Targets {
    let mut boot = Targets::default();
    for (target, operations) in cluster.iter() {
        for (group, resource) in BOOT {
            let whole = Target::new(group, ANY, &format!("{resource}/*"));
            if target.meets(&whole) {
                let named = Target { group: group.into(), resource: resource.into(), ..target.clone() };
                boot.insert(named, operations);
            }
        }
    }
    boot
}

fn union(a: &Targets, b: &Targets) -> Targets {
    let mut both = a.clone();
    both.extend(b);
    both
}

fn bounded(targets: Targets) -> Targets {
    if targets.len() <= MAX_TARGETS {
        return targets;
    }
    let mut anything = Targets::default();
    let operations = targets.iter().fold(Operations::default(), |bits, (_, o)| bits.or(o));
    anything.insert(Target::anything(), operations);
    anything
}

fn named(operator: &str, namespaces: &[String]) -> Option<LabelSelectorRequirement> {
    let mut values = namespaces.to_vec();
    values.sort_unstable();
    values.dedup();
    (!values.is_empty()).then(|| LabelSelectorRequirement {
        key: NAMESPACE_NAME.to_owned(),
        operator: operator.to_owned(),
        values: Some(values),
    })
}

fn selector(requirements: Vec<LabelSelectorRequirement>) -> LabelSelector {
    LabelSelector { match_labels: None, match_expressions: (!requirements.is_empty()).then_some(requirements) }
}
