//! `stockade net` as a user meets it: files in, whole output compared.

use std::fs;
use std::iter;

use tempfile::TempDir;

use super::{folder, shown, stockade};

mod flows;

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

const FLOWS: &str = r#"{"first":"2026-03-01T10:00:00Z","last":"2026-03-01T10:05:00Z","count":12,"direction":"egress","verdict":"allowed","protocol":"TCP","port":5432,"from":{"namespace":"shop","pod":"web-1","labels":{"app":"web"}},"to":{"namespace":"shop","labels":{"app":"db"}},"node":"n1"}
{"first":"2026-03-01T10:00:00Z","last":"2026-03-01T10:05:00Z","count":11,"direction":"ingress","verdict":"allowed","protocol":"TCP","port":5432,"from":{"namespace":"shop","labels":{"app":"web"}},"to":{"namespace":"shop","pod":"db-0","labels":{"app":"db"}},"node":"n2"}
{"first":"2026-03-01T10:01:00Z","last":"2026-03-01T10:01:00Z","count":1,"direction":"ingress","verdict":"denied","protocol":"TCP","port":22,"from":{"address":"192.0.2.7"},"to":{"namespace":"shop","pod":"db-0","labels":{"app":"db"}},"rule":{"kind":"ClusterNetworkPolicy","policy":"no-ssh","direction":"ingress","index":0},"node":"n2"}
{"missed":3}
"#;

fn net_with_flows(args: &str, flows: &str) -> String {
    let dir = shop();
    fs::write(dir.path().join("flows.jsonl"), flows).unwrap();
    let args: Vec<&str> = iter::once("net").chain(args.split(' ')).collect();
    shown(&stockade(&dir, &args))
}

#[test]
fn recommend_proposes_what_flows_call_for_and_the_policies_do_not_have() {
    insta::assert_snapshot!(net_with_flows("recommend --flows flows.jsonl pods.yaml", FLOWS), @r#"
    exit 0
    # shop/db: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: db, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: "db"}}
      policyTypes: [Ingress, Egress]
      ingress:
        # shop/web: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - from:
            - podSelector: {matchLabels: {app: "web"}}
          ports:
            - {protocol: TCP, port: 5432}
      # egress: nothing was seen that may pass
    ---
    # shop/web: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: "web"}}
      policyTypes: [Ingress, Egress]
      # ingress: nothing was seen that may pass
      egress:
        # shop/db: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - to:
            - podSelector: {matchLabels: {app: "db"}}
          ports:
            - {protocol: TCP, port: 5432}
        # names: not seen, and needed by who connects to any
        - to:
            - podSelector: {matchLabels: {k8s-app: "kube-dns"}}
              namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "kube-system"}}
          ports:
            - {protocol: TCP, port: 53}
            - {protocol: UDP, port: 53}

    # left out:
    #   192.0.2.7 -> shop/db TCP 22, 1 from 2026-03-01T10:01:00Z to 2026-03-01T10:01:00Z: it was denied

    # 3 more connections and packets were seen that no line tells of
    "#);
    insta::assert_snapshot!(net_with_flows("recommend --flows flows.jsonl .", FLOWS), @r"
    exit 0
    # no policies: what was seen and may pass is allowed by rules already

    # left out:
    #   192.0.2.7 -> shop/db TCP 22, 1 from 2026-03-01T10:01:00Z to 2026-03-01T10:01:00Z: it was denied

    # 3 more connections and packets were seen that no line tells of
    ");
    insta::assert_snapshot!(net_with_flows("recommend --flows flows.jsonl . -o json", FLOWS), @r#"
    exit 0
    {
      "policies": [],
      "left": [
        {
          "from": "192.0.2.7",
          "to": "shop/db",
          "protocol": "TCP",
          "port": 22,
          "first": "2026-03-01T10:01:00Z",
          "last": "2026-03-01T10:01:00Z",
          "count": 1,
          "why": "it was denied"
        }
      ],
      "missed": 3
    }
    "#);
}

#[test]
fn replay_tells_what_policies_would_cut_by_which_rule_and_exits_with_1() {
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl deny.yaml web.yaml", FLOWS), @r"
    exit 1
    cut     shop/web -> shop/db TCP 5432, 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
            NetworkPolicy shop/default-deny selects shop/db, and no rule accepts it

    2 flows: 1 would be cut, 0 opened
    3 more were seen that no line tells of
    ");
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl deny.yaml web.yaml -o json", FLOWS), @r#"
    exit 1
    {
      "cut": [
        {
          "from": "shop/web",
          "to": "shop/db",
          "protocol": "TCP",
          "port": 5432,
          "first": "2026-03-01T10:00:00Z",
          "last": "2026-03-01T10:05:00Z",
          "count": 12,
          "denied": [
            {
              "direction": "ingress",
              "reason": "isolated",
              "message": "NetworkPolicy shop/default-deny selects shop/db, and no rule accepts it"
            }
          ]
        }
      ],
      "opened": [],
      "unchanged": 1,
      "unjudged": 0,
      "missed": 3
    }
    "#);
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl .", FLOWS), @r"
    exit 0
    2 flows: 0 would be cut, 0 opened
    3 more were seen that no line tells of
    ");
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl pods.yaml", FLOWS), @r"
    exit 0
    opened  192.0.2.7 -> shop/db TCP 22, 1 from 2026-03-01T10:01:00Z to 2026-03-01T10:01:00Z

    2 flows: 0 would be cut, 1 opened
    3 more were seen that no line tells of
    ");
}

#[test]
fn a_line_that_is_no_flow_is_told_with_its_file_and_line() {
    let cut_short = &FLOWS[..FLOWS.len() - 30];
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl .", cut_short), @r"
    exit 2
    error: flows.jsonl:3: EOF while parsing an object at line 1 column 317
    ");
    insta::assert_snapshot!(net_with_flows("replay --flows flows.jsonl .", "{\"missed\":3}\n"), @r"
    exit 2
    error: the files of --flows tell of no flow that a policy could be about
    ");
}
