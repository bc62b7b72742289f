//! What is kept away from the webhook by `matchConditions`: the traffic without which a cluster does not live.
//!
//! What a policy names in person is judged; what only its wildcard reaches and the system lives on is not. Kept away
//! are pairs of user and resource, never a user: whoever gets hold of one of these identities gets past the policies
//! only where that identity's own work is.
//!
//! | condition | kept away | why that is no way around a policy |
//! |---|---|---|
//! | `leases-and-events` | Leases and Events of anybody, reached by a wildcard | they run nothing and give no right |
//! | `reviews` | reviews of access and identity | the engine judges them under no policy, as the API server does |
//! | `nodes` | of members of `system:nodes`: their own status, tokens of their Pods, CSRs, … | only a node's credential has the group, and NodeRestriction holds it to its own objects; Pods that a node makes are judged |
//! | `scheduler` | bindings and Pod status of `system:kube-scheduler` | a binding changes nothing that a policy of Pods has judged |
//! | `controllers` | `status` written by service accounts of kube-system | status is what was seen, not what is wanted |
//! | `api-server` | what the API server itself writes when it starts, named by a policy or not | its loopback identity is of `system:masters`, who could as well delete the registration |
//!
//! The last one holds for named resources too: an API server that cannot write its own Service's endpoints is not
//! found by the replicas that it waits for.
//!
//! A condition makes the API server convert the object for CEL, which costs it more than the rest of the call. So each
//! is there only where a rule reaches what it keeps away: rules that name Pods have none.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;

use super::asked::NEVER_JUDGED;
use super::targets::{ANY, Target, Targets};

/// What one condition keeps away.
struct Away {
    name: &'static str,
    /// Of whom, in CEL; none means of anybody.
    user: Option<&'static str>,
    items: &'static [Item],
    /// Also where a rule names it in person.
    even_named: bool,
}

/// Group and resource with their subresources or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// Subresources too.
    Whole(&'static str, &'static str),
    /// The object itself for `""`.
    Part(&'static str, &'static str, &'static str),
    /// `status` of anything.
    Status,
}

use Item::{Part, Status, Whole};

const LEASES_AND_EVENTS: &[Item] =
    &[Whole("coordination.k8s.io", "leases"), Whole("", "events"), Whole("events.k8s.io", "events")];

/// Written by kubelets (upstream `bootstrappolicy.NodeRules`).
const OF_NODES: &[Item] = &[
    Part("", "nodes", ""),
    Part("", "nodes", "status"),
    Part("", "pods", "status"),
    Part("", "serviceaccounts", "token"),
    Whole("storage.k8s.io", "csinodes"),
    Part("certificates.k8s.io", "certificatesigningrequests", ""),
    Whole("certificates.k8s.io", "podcertificaterequests"),
    Whole("resource.k8s.io", "resourceslices"),
];

const OF_SCHEDULER: &[Item] = &[Part("", "pods", "binding"), Part("", "pods", "status")];

/// Written by the API server over its loopback (its post-start hooks and built-in controllers).
const OF_API_SERVER: &[Item] = &[
    Whole("", "namespaces"),
    Whole("", "services"),
    Whole("", "endpoints"),
    Whole("", "configmaps"),
    Whole("discovery.k8s.io", "endpointslices"),
    Whole("rbac.authorization.k8s.io", "roles"),
    Whole("rbac.authorization.k8s.io", "rolebindings"),
    Whole("rbac.authorization.k8s.io", "clusterroles"),
    Whole("rbac.authorization.k8s.io", "clusterrolebindings"),
    Whole("apiextensions.k8s.io", "customresourcedefinitions"),
    Whole("apiregistration.k8s.io", "apiservices"),
    Whole("flowcontrol.apiserver.k8s.io", "flowschemas"),
    Whole("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    Whole("internal.apiserver.k8s.io", "storageversions"),
    Whole("networking.k8s.io", "ipaddresses"),
    Whole("networking.k8s.io", "servicecidrs"),
    Whole("scheduling.k8s.io", "priorityclasses"),
];

const ALL: [Away; 5] = [
    Away { name: "leases-and-events", user: None, items: LEASES_AND_EVENTS, even_named: false },
    Away {
        name: "nodes",
        user: Some(
            "request.userInfo.?username.orValue('').startsWith('system:node:') && \
             'system:nodes' in request.userInfo.?groups.orValue([])",
        ),
        items: OF_NODES,
        even_named: false,
    },
    Away {
        name: "scheduler",
        user: Some("request.userInfo.?username.orValue('') == 'system:kube-scheduler'"),
        items: OF_SCHEDULER,
        even_named: false,
    },
    Away {
        name: "controllers",
        user: Some("'system:serviceaccounts:kube-system' in request.userInfo.?groups.orValue([])"),
        items: &[Status],
        even_named: false,
    },
    Away {
        name: "api-server",
        user: Some(
            "request.userInfo.?username.orValue('') == 'system:apiserver' && \
             'system:masters' in request.userInfo.?groups.orValue([])",
        ),
        items: OF_API_SERVER,
        even_named: true,
    },
];

const SUB: &str = "request.?subResource.orValue('')";

/// The conditions of an entry with these rules.
pub(crate) fn conditions(rules: &Targets) -> Vec<MatchCondition> {
    let kept = ALL.iter().filter_map(|away| {
        let items: Vec<Item> =
            away.items.iter().copied().filter(|item| item.is_reached(rules, away.even_named)).collect();
        let what = any_of(&items)?;
        let expression = match away.user {
            None => format!("!({what})"),
            Some(user) => format!("!({user} && ({what}))"),
        };
        Some(MatchCondition { name: away.name.to_owned(), expression })
    });
    kept.chain(without("reviews", &NEVER_JUDGED, rules)).collect()
}

/// The condition that keeps whole resources away, where wildcards of the rules reach them.
pub(crate) fn without(name: &str, resources: &[(&str, &str)], rules: &Targets) -> Option<MatchCondition> {
    let reached = |(group, resource): &&(&str, &str)| {
        let whole = Target::new(group, ANY, &format!("{resource}/*"));
        rules.iter().any(|(target, _)| target.meets(&whole))
    };
    let list: Vec<String> = resources.iter().filter(reached).map(|(g, r)| literal(&format!("{g}/{r}"))).collect();
    let what = whole_of(&list);
    (!list.is_empty()).then(|| MatchCondition { name: name.to_owned(), expression: format!("!({what})") })
}

fn any_of(items: &[Item]) -> Option<String> {
    let whole: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            Whole(group, resource) => Some(literal(&format!("{group}/{resource}"))),
            Part(..) | Status => None,
        })
        .collect();
    let parts: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            Part(group, resource, sub) => Some(literal(&format!("{group}/{resource}/{sub}"))),
            Whole(..) | Status => None,
        })
        .collect();
    let mut all = Vec::new();
    if !whole.is_empty() {
        all.push(whole_of(&whole));
    }
    if !parts.is_empty() {
        let list = parts.join(", ");
        all.push(format!("(request.resource.group + '/' + request.resource.resource + '/' + {SUB}) in [{list}]"));
    }
    if items.contains(&Status) {
        all.push(format!("{SUB} == 'status'"));
    }
    (!all.is_empty()).then(|| all.join(" || "))
}

fn whole_of(list: &[String]) -> String {
    format!("(request.resource.group + '/' + request.resource.resource) in [{}]", list.join(", "))
}

/// The condition that keeps away what another entry is asked about, so that nothing is asked twice.
pub(crate) fn not_asked(already: &Targets) -> Option<MatchCondition> {
    let mut asked: Vec<String> = Vec::new();
    for rule in already.rules(ANY) {
        let list = |l: Option<Vec<String>>| l.unwrap_or_default();
        let mut all = Vec::new();
        for (what, values) in [
            ("request.operation", list(rule.operations)),
            ("request.resource.group", list(rule.api_groups)),
            ("request.resource.version", list(rule.api_versions)),
        ] {
            if !values.iter().any(|v| v == ANY) {
                let values: Vec<String> = values.iter().map(|v| literal(v)).collect();
                all.push(format!("{what} in [{}]", values.join(", ")));
            }
        }
        let resources: Vec<String> = list(rule.resources).iter().map(|r| is_resource(r)).collect();
        all.push(format!("({})", resources.join(" || ")));
        asked.push(all.join(" && "));
    }
    let expression = format!("!({})", asked.join(" || "));
    (!asked.is_empty()).then(|| MatchCondition { name: "not-asked-already".to_owned(), expression })
}

fn is_resource(path: &str) -> String {
    let (resource, sub) = path.split_once('/').unwrap_or((path, ""));
    let equal = |what: &str, text: &str| (text != ANY).then(|| format!("{what} == {}", literal(text)));
    let both: Vec<String> =
        [equal("request.resource.resource", resource), equal(SUB, sub)].into_iter().flatten().collect();
    if both.is_empty() { "true".to_owned() } else { both.join(" && ") }
}

/// A CEL string. JSON's escapes are CEL's too.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// === impl Item ===

impl Item {
    /// Whether rules reach it and do not name it in person, or name it and that does not matter.
    fn is_reached(self, rules: &Targets, even_named: bool) -> bool {
        let target = match self {
            Whole(group, resource) => Target::new(group, ANY, &format!("{resource}/*")),
            Part(group, resource, "") => Target::new(group, ANY, resource),
            Part(group, resource, sub) => Target::new(group, ANY, &format!("{resource}/{sub}")),
            Status => Target::new(ANY, ANY, "*/status"),
        };
        let is_named = |rule: &Target| match self {
            Whole(_, resource) => rule.resource == resource,
            Part(_, resource, sub) => rule.resource == resource && rule.sub == sub,
            Status => rule.sub == "status",
        };
        let mut reached = rules.iter().map(|(rule, _)| rule).filter(|rule| rule.meets(&target)).peekable();
        reached.peek().is_some() && (even_named || !reached.any(is_named))
    }
}
