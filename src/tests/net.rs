//! `stockade net` as a user meets it: files in, whole output compared.

use std::fs;
use std::iter;

use tempfile::TempDir;

use super::{folder, shown, stockade};

const PODS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, ports: [{name: sql, containerPort: 5432}]}]}
";

const DENY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

const WEB: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
      ports: [{port: http}]
  egress:
    - to: [{podSelector: {matchLabels: {app: db}}}]
      ports: [{port: 5432}]
";

const DB: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: sql}]
";

fn shop() -> TempDir {
    folder(&[("pods.yaml", PODS), ("deny.yaml", DENY), ("web.yaml", WEB), ("db.yaml", DB)])
}

fn net(args: &str) -> String {
    let args: Vec<&str> = iter::once("net").chain(args.split(' ')).collect();
    shown(&stockade(&shop(), &args))
}

#[test]
fn connectivity_is_a_table_of_who_reaches_whom() {
    insta::assert_snapshot!(net("connectivity ."), @r"
    exit 0
    FROM                         TO                    PORTS
    shop/web[Deployment]         shop/db[StatefulSet]  TCP 5432
    outside IPv4 but 10.0.0.0/8  shop/web[Deployment]  TCP 8080

    2 workloads, 3 policies: 1 of 2 pairs may connect
    ");
}

#[test]
fn connectivity_against_what_was_before_tells_what_changes_and_exits_with_1() {
    insta::assert_snapshot!(net("connectivity . --against pods.yaml --against deny.yaml"), @r"
    exit 1
    + shop/web[Deployment] -> shop/db[StatefulSet]  TCP 5432
    + outside IPv4 but 10.0.0.0/8 -> shop/web[Deployment]  TCP 8080

    2 pairs changed
    ");
    insta::assert_snapshot!(net("connectivity . --against ."), @r"
    exit 0
    0 pairs changed
    ");
}

#[test]
fn connectivity_is_a_graph_for_graphviz() {
    insta::assert_snapshot!(net("connectivity . -o dot"), @r#"
    exit 0
    digraph connectivity {
      rankdir=LR;
      node [shape=box, style=rounded, fontname="sans-serif"];
      edge [fontname="sans-serif", fontsize=10];
      p2 [label="outside IPv4 but 10.0.0.0/8"];
      subgraph cluster_1 {
        label="shop";
        p0 [label="db\nStatefulSet"];
        p1 [label="web\nDeployment"];
      }
      p1 -> p0 [label="TCP 5432"];
      p2 -> p1 [label="TCP 8080"];
    }
    "#);
}

#[test]
fn connectivity_is_a_picture_with_a_title_for_every_pair() {
    let svg = net("connectivity . -o svg");
    assert!(svg.starts_with("exit 0\n<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for title in [
        "shop/web[Deployment] to shop/db[StatefulSet]: TCP 5432",
        "shop/db[StatefulSet] to shop/web[Deployment]: nothing",
        "outside IPv4 but 10.0.0.0/8 to shop/web[Deployment]: TCP 8080",
    ] {
        assert!(svg.contains(&format!("<title>{title}</title>")), "{title} in {svg}");
    }
}

#[test]
fn explain_names_the_rule_that_decides_and_what_to_write() {
    insta::assert_snapshot!(net("explain . --from shop/web --to shop/db --port 5432"), @r"
    exit 0
    shop/web to shop/db, TCP 5432: allowed

      allowed  leaving shop/web
               egress rule 1 of NetworkPolicy shop/web accepts it
               ./web.yaml:10

      allowed  entering shop/db
               ingress rule 1 of NetworkPolicy shop/db accepts it
               ./db.yaml:7

    to deny it, narrow rule 1 of spec.egress of NetworkPolicy shop/web, and every other that accepts it

    or narrow rule 1 of spec.ingress of NetworkPolicy shop/db, and every other that accepts it
    ");
    insta::assert_snapshot!(net("explain pods.yaml deny.yaml web.yaml --from shop/web --to shop/db --port 5432"), @r#"
    exit 1
    shop/web to shop/db, TCP 5432: denied

      allowed  leaving shop/web
               egress rule 1 of NetworkPolicy shop/web accepts it
               web.yaml:10

      denied   entering shop/db
               NetworkPolicy shop/default-deny selects shop/db, and no rule accepts it

    to allow it, add a policy for shop/db:
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: db-ingress, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: "db"}}
          policyTypes: [Ingress]
          ingress:
            - from:
                - podSelector: {matchLabels: {app: "web"}}
              ports:
                - {protocol: TCP, port: 5432}
    "#);
}

#[test]
fn explain_takes_addresses_and_refuses_who_is_not_there() {
    insta::assert_snapshot!(net("explain . --from 10.1.2.3 --to shop/web --port 8080"), @r"
    exit 1
    10.1.2.3 to shop/web, TCP 8080: denied

      allowed  leaving 10.1.2.3
               10.1.2.3 is no Pod that policies are about

      denied   entering shop/web
               NetworkPolicy shop/default-deny and NetworkPolicy shop/web select shop/web, and no rule accepts it
               rule 1 of NetworkPolicy shop/web is about others
               ./web.yaml:7

    to allow it, add to spec.ingress of NetworkPolicy shop/web:
        - from:
            - ipBlock: {cidr: 10.1.2.3/32}
          ports:
            - {protocol: TCP, port: 8080}
    ");
    insta::assert_snapshot!(net("explain . --from nobody --to shop/web --port 53/udp"), @r"
    exit 2
    error: --from: no Pod and no workload nobody in namespace default
    ");
}

#[test]
fn lint_tells_what_is_probably_not_meant_and_exits_with_1() {
    insta::assert_snapshot!(net("lint pods.yaml deny.yaml web.yaml"), @r#"
    exit 1
    warning shop/web may send, but not ask for addresses: UDP 53 to the name service is denied
      dns-forgotten at web.yaml:1
      add to spec.egress of NetworkPolicy shop/web:
          - to:
              - podSelector: {matchLabels: {k8s-app: "kube-dns"}}
                namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "kube-system"}}
            ports:
              - {protocol: TCP, port: 53}
              - {protocol: UDP, port: 53}

    warning shop/web may send TCP 5432 to shop/db, which does not let it in
      one-sided at web.yaml:10
      add a policy for shop/db:
          apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: db-ingress, namespace: shop}
          spec:
            podSelector: {matchLabels: {app: "db"}}
            policyTypes: [Ingress]
            ingress:
              - from:
                  - podSelector: {matchLabels: {app: "web"}}
                ports:
                  - {protocol: TCP, port: 5432}

    2 warnings, 0 notes
    "#);
}

#[test]
fn a_fault_in_a_policy_is_shown_where_it_is_and_nothing_is_judged() {
    let dir = shop();
    fs::write(dir.path().join("web.yaml"), WEB.replace("podSelector: {matchLabels: {app: db}}", "podSelecter: {}"))
        .unwrap();
    let output = stockade(&dir, &["net", "connectivity", "."]);
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @r#"
    error: 1 fault
    error: unknown field "spec.egress[0].to[0].podSelecter"
      --> ./web.yaml:10:13
       |
    10 |     - to: [{podSelecter: {}}]
       |             ^^^^^^^^^^^
       = help: did you mean `podSelector`?
    "#);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
}
