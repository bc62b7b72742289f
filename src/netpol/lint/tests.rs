use crate::compile::Compiled;
use crate::lint::{Check, Finding};
use crate::read::ManifestReader;

/// Two Deployments in a namespace, one in another, and a name service.
const PODS: &str = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: db, namespace: shop}, spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{ports: [{containerPort: 5432}]}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: coredns, namespace: kube-system}, spec: {template: {metadata: {labels: {k8s-app: kube-dns}}, spec: {containers: [{ports: [{containerPort: 53, protocol: UDP}]}]}}}}
---
";

const WEB_TO_DB: &str = "
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}, {to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}}
---
";

fn lint(policies: &str) -> Vec<Finding> {
    let mut reader = ManifestReader::new("shop");
    reader.add("pods.yaml", PODS);
    reader.add("p.yaml", policies);
    let read = reader.finish();
    assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
    Compiled::new(read.policies, read.state).unwrap().lint().unwrap()
}

/// Messages of a check, and what it would have one write.
fn found(check: Check, policies: &str) -> Vec<(String, String)> {
    lint(policies).into_iter().filter(|f| f.check == check).map(|f| (f.message, f.yaml)).collect()
}

fn messages(check: Check, policies: &str) -> Vec<String> {
    found(check, policies).into_iter().map(|(message, _)| message).collect()
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: shop}}, spec: {spec}}}\n---\n"
    )
}

#[test]
fn an_egress_rule_without_its_ingress_rule_is_found_and_the_missing_rule_written() {
    let isolated = policy("db", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}");
    let missing =
        "- from:\n    - podSelector: {matchLabels: {app: \"web\"}}\n  ports:\n    - {protocol: TCP, port: 5432}\n";
    assert_eq!(
        found(Check::OneSided, &format!("{WEB_TO_DB}{isolated}")),
        [("shop/web may send TCP 5432 to shop/db, which does not let it in".to_owned(), missing.to_owned())]
    );
    let whole = policy("all", "{podSelector: {}, policyTypes: [Ingress]}");
    let of_its_own = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db-ingress, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: \"db\"}}\n  policyTypes: [Ingress]\n  ingress:\n    - from:\n        - podSelector: {matchLabels: {app: \"web\"}}\n      ports:\n        - {protocol: TCP, port: 5432}\n";
    let written: Vec<String> =
        found(Check::OneSided, &format!("{WEB_TO_DB}{whole}")).into_iter().map(|f| f.1).collect();
    assert_eq!(written, [of_its_own], "a rule in a policy of all Pods would open them all");
    let rule = "[{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]";
    let open = policy("db", &format!("{{podSelector: {{matchLabels: {{app: db}}}}, ingress: {rule}}}"));
    assert_eq!(messages(Check::OneSided, &format!("{WEB_TO_DB}{open}")), [""; 0]);
    assert_eq!(messages(Check::OneSided, WEB_TO_DB), [""; 0]);
}

#[test]
fn an_ingress_rule_without_its_egress_rule_is_found_and_the_missing_rule_written() {
    let rule = "[{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]";
    let db = policy("db", &format!("{{podSelector: {{matchLabels: {{app: db}}}}, ingress: {rule}}}"));
    let web = policy("shut", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}");
    let missing =
        "- to:\n    - podSelector: {matchLabels: {app: \"db\"}}\n  ports:\n    - {protocol: TCP, port: 5432}\n";
    assert_eq!(
        found(Check::OneSided, &format!("{db}{web}")),
        [("shop/db lets TCP 5432 in from shop/web, which may not send it".to_owned(), missing.to_owned())]
    );
}

#[test]
fn selectors_and_port_names_that_mean_nothing_are_found() {
    let rule = "[{from: [{podSelector: {matchLabels: {app: wbe}}}, {namespaceSelector: {matchLabels: {team: x}}}], ports: [{port: htpt}]}]";
    let policies = policy("web", &format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: {rule}}}"))
        + &policy("nobody", "{podSelector: {matchLabels: {app: none}}, policyTypes: [Ingress]}");
    assert_eq!(
        messages(Check::SelectsNothing, &policies),
        [
            "ingress rule 1 of NetworkPolicy shop/web names nobody: nothing here is a Pod in a namespace with team in (x)",
            "ingress rule 1 of NetworkPolicy shop/web names nobody: nothing here is app in (wbe) in namespace shop",
            "ingress rule 1 of NetworkPolicy shop/web names the port \"htpt\", which no Pod here has",
            "NetworkPolicy shop/nobody is about no Pod: nothing here is app in (none) in namespace shop",
        ]
    );
    assert_eq!(messages(Check::SelectsNothing, WEB_TO_DB), [""; 0]);
    let elsewhere = "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}, podSelector: {matchLabels: {app: nginx}}}]}]";
    let untold = policy("web", &format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: {elsewhere}}}"));
    assert_eq!(messages(Check::SelectsNothing, &untold), [""; 0], "nothing is told of that namespace");
}

#[test]
fn who_may_send_but_not_ask_for_addresses_is_found() {
    let without = policy(
        "web",
        "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}",
    );
    let written = "- to:\n    - podSelector: {matchLabels: {k8s-app: \"kube-dns\"}}\n      namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \"kube-system\"}}\n  ports:\n    - {protocol: TCP, port: 53}\n    - {protocol: UDP, port: 53}\n";
    assert_eq!(
        found(Check::DnsForgotten, &without),
        [(
            "shop/web may send, but not ask for addresses: UDP 53 to the name service is denied".to_owned(),
            written.to_owned()
        )]
    );
    let shut = policy("web", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}");
    assert_eq!([messages(Check::DnsForgotten, WEB_TO_DB), messages(Check::DnsForgotten, &shut)], [[""; 0]; 2]);
}

#[test]
fn a_rule_that_another_makes_pointless_is_found() {
    let rules = "[{from: [{podSelector: {}}]}, {from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {}}], ports: [{port: 80}]}]";
    let policies = policy("web", &format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: {rules}}}"));
    assert_eq!(
        messages(Check::NeverDecides, &policies),
        ["ingress rule 2 of NetworkPolicy shop/web never decides: rule 1 means all that it does"]
    );
    let cluster = "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: c}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{pods: {podSelector: {matchLabels: {app: web}}}}]}, {action: Deny, from: [{namespaces: {}}]}]}}";
    assert_eq!(messages(Check::NeverDecides, cluster), [""; 0], "an exception before a rule decides");
}

#[test]
fn policies_of_one_tier_and_priority_have_no_order() {
    let cluster = |name: &str, priority: u32| {
        format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}}, spec: {{tier: Admin, priority: {priority}, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}}}\n---\n"
        )
    };
    let three = cluster("a", 1) + &cluster("b", 1) + &cluster("c", 2);
    assert_eq!(
        messages(Check::UndefinedOrder, &three),
        [
            "ClusterNetworkPolicy a and ClusterNetworkPolicy b have the priority 1 in one tier: which of them is asked first is left open"
        ]
    );
}

#[test]
fn a_protocol_that_nobody_serves_is_found() {
    let dns = "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53}]}";
    let spec = format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{dns}, {{ports: [{{port: 53}}]}}]}}");
    assert_eq!(
        messages(Check::WrongProtocol, &policy("web", &spec)),
        [
            "a rule of NetworkPolicy shop/web is about TCP 53, but DNS asks by UDP",
            "a rule of NetworkPolicy shop/web is about TCP 53, but kube-system/coredns serves UDP",
        ]
    );
    assert_eq!(messages(Check::WrongProtocol, WEB_TO_DB), [""; 0]);
}

#[test]
fn open_doors_are_notes() {
    let open =
        policy("web", "{podSelector: {matchLabels: {app: web}}, ingress: [{}, {from: [{ipBlock: {cidr: '::/0'}}]}]}");
    assert_eq!(
        messages(Check::AllowsAll, &open),
        [
            "ingress rule 1 of NetworkPolicy shop/web accepts everything from everybody",
            "ingress rule 2 of NetworkPolicy shop/web accepts everything from everybody",
        ]
    );
    assert_eq!(
        messages(Check::NotIsolated, &open),
        [
            "no policy isolates shop/db: everybody reaches every port of it",
            "no policy isolates kube-system/coredns: everybody reaches every port of it",
        ]
    );
}
