use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::flows::replay::replay;
use crate::flows::{End, Flow};
use crate::read::ManifestReader;
use crate::state::Labels;

const WORKLOADS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, ports: [{containerPort: 50051}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-canary, namespace: shop}
spec: {template: {metadata: {labels: {app: web, track: canary}}, spec: {containers: [{name: web}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, ports: [{containerPort: 5432}]}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: bare}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: scraper, namespace: watch}
spec: {template: {metadata: {labels: {app: scraper}}, spec: {containers: [{name: scraper}]}}}
";

fn manifests(texts: &[&str]) -> Manifests {
    let mut reader = ManifestReader::new("default");
    for (at, text) in texts.iter().enumerate() {
        reader.add(&format!("{at}.yaml"), text);
    }
    let read = reader.finish();
    assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
    read
}

fn pods(namespace: &str, labels: &[(&str, &str)]) -> End {
    let labels = Labels::new(labels.iter().copied());
    End::Pods { namespace: namespace.to_owned(), pod: None, labels, address: None }
}

fn flow(from: End, to: End, port: u16) -> Flow {
    let (first, last) = ("2026-03-01T10:00:00Z".parse().unwrap(), "2026-03-01T10:05:00Z".parse().unwrap());
    let protocol = FlowProtocol::Known(Protocol::Tcp);
    let direction = if matches!(from, End::Pods { .. }) { Direction::Egress } else { Direction::Ingress };
    let verdict = Outcome::Allowed;
    let (port, node) = (Some(port), String::new());
    Flow { first, last, count: 12, bytes: None, direction, verdict, protocol, port, from, to, rule: None, node }
}

fn observed<'f>(flows: impl IntoIterator<Item = &'f Flow>) -> Observed {
    let mut observed = Observed::default();
    flows.into_iter().for_each(|flow| observed.add(flow).unwrap());
    observed
}

fn proposal(texts: &[&str], flows: &[Flow], options: &Options) -> String {
    let found = recommend(manifests(texts), &observed(flows), options).unwrap();
    let policies: Vec<&str> = found.policies.iter().map(|policy| policy.yaml.as_str()).collect();
    let left =
        found.left.iter().map(|left| format!("left: {} -> {} {}: {}\n", left.from, left.to, left.port, left.why));
    policies.join("---\n") + &left.collect::<String>()
}

#[test]
fn a_policy_names_who_talked_and_tells_how_often_and_when() {
    let web = || pods("shop", &[("app", "web"), ("pod-template-hash", "6d4")]);
    let (scraper, world) = (pods("watch", &[("app", "scraper")]), |a: &str| End::Address(a.parse().unwrap()));
    let at_web = Flow { direction: Direction::Ingress, ..flow(scraper, web(), 50051) };
    let flows = [
        flow(web(), pods("shop", &[("app", "db")]), 5432),
        at_web,
        flow(world("192.0.2.7"), web(), 8080),
        flow(world("192.0.2.8"), web(), 8080),
        flow(web(), world("2001:db8::1"), 443),
    ];
    insta::assert_snapshot!(proposal(&[WORKLOADS], &flows, &Options::default()), @r#"
    # shop/web: 60 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: "web"}, matchExpressions: [{key: track, operator: DoesNotExist}]}
      policyTypes: [Ingress, Egress]
      ingress:
        # watch/scraper: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - from:
            - podSelector: {matchLabels: {app: "scraper"}}
              namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "watch"}}
          ports:
            - {protocol: TCP, port: 50051}
        # 2 addresses outside: 24 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - from:
            - ipBlock: {cidr: 192.0.2.7/32}
            - ipBlock: {cidr: 192.0.2.8/32}
          ports:
            - {protocol: TCP, port: 8080}
      egress:
        # shop/db: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - to:
            - podSelector: {matchLabels: {app: "db"}}
          ports:
            - {protocol: TCP, port: 5432}
        # 1 address outside: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - to:
            - ipBlock: {cidr: "2001:db8::1/128"}
          ports:
            - {protocol: TCP, port: 443}
        # names: not seen, and needed by who connects to any
        - to:
            - podSelector: {matchLabels: {k8s-app: "kube-dns"}}
              namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "kube-system"}}
          ports:
            - {protocol: TCP, port: 53}
            - {protocol: UDP, port: 53}
    "#);
}

#[test]
fn what_did_not_pass_or_nobody_can_name_is_told_and_not_allowed_unless_asked() {
    let (web, db) = (|| pods("shop", &[("app", "web")]), || pods("shop", &[("app", "db")]));
    let denied = Flow { verdict: Outcome::Denied, ..flow(web(), db(), 22) };
    let audited = Flow { verdict: Outcome::WouldDeny, ..flow(web(), db(), 23) };
    let ping = Flow { protocol: FlowProtocol::Other(1), port: None, ..flow(web(), db(), 1) };
    let answer = Flow { count: 2, ..flow(db(), web(), 40_000) };
    let system = flow(pods("kube-system", &[("k8s-app", "kube-dns")]), web(), 80);
    let flows = [denied, audited, ping, answer, system];
    insta::assert_snapshot!(proposal(&[WORKLOADS], &flows, &Options::default()), @r#"
    # shop/web: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: "web"}, matchExpressions: [{key: track, operator: DoesNotExist}]}
      policyTypes: [Ingress, Egress]
      ingress:
        # kube-system/kube-dns: 12 from 2026-03-01T10:00:00Z to 2026-03-01T10:05:00Z
        - from:
            - podSelector: {matchLabels: {k8s-app: "kube-dns"}}
              namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "kube-system"}}
          ports:
            - {protocol: TCP, port: 80}
      # egress: nothing was seen that may pass
    left: shop/web -> shop/db 22: it was denied
    left: shop/web -> shop/db 23: policies that are audited would deny it
    left: shop/web -> shop/db 0: a NetworkPolicy cannot name its protocol
    left: shop/db -> shop/web 40000: its port is one that clients are given, and no container declares it
    "#);
    let asked = Options { denied: true, namespaces: vec!["shop".to_owned()] };
    let text = proposal(&[WORKLOADS], &flows, &asked);
    assert!(text.contains("port: 22, endPort: 23"), "{text}");
}

#[test]
fn what_is_proposed_and_applied_is_not_proposed_again() {
    let flows = [flow(pods("shop", &[("app", "web")]), pods("shop", &[("app", "db")]), 5432)];
    let first = proposal(&[WORKLOADS], &flows, &Options::default());
    assert_eq!(proposal(&[WORKLOADS, &first], &flows, &Options::default()), "");
}

/// Kinds of Pods and addresses that talk, or never do.
fn ends() -> Vec<End> {
    let address = |text: &str| End::Address(text.parse::<IpAddr>().unwrap());
    vec![
        pods("shop", &[("app", "web")]),
        pods("shop", &[("app", "web"), ("track", "canary")]),
        pods("shop", &[("app", "db")]),
        pods("shop", &[]),
        pods("watch", &[("app", "scraper")]),
        pods("watch", &[("app", "db")]),
        address("192.0.2.1"),
        address("10.9.9.9"),
        address("2001:db8::9"),
    ]
}

/// Without that of the name service, which is asked though nobody saw it.
const PORTS: [u16; 4] = [80, 443, 5432, 50_051];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_flow_is_allowed_and_nobody_who_never_talked_is_let_in(
        talks in prop::collection::vec((0..9_usize, 0..9_usize, 0..4_usize), 1..12),
        existing in any::<bool>(),
    ) {
        let ends = ends();
        let two_ends = |from: usize, to: usize, port: usize| {
            let both = flow(ends[from].clone(), ends[to].clone(), PORTS[port]);
            // Each end that is a Pod records it.
            let at = |direction| Flow { direction, ..both.clone() };
            Direction::ALL.map(at).into_iter().filter(|flow| flow.line().is_ok()).collect::<Vec<Flow>>()
        };
        let flows: Vec<Flow> = talks.iter().flat_map(|(from, to, port)| two_ends(*from, *to, *port)).collect();
        let deny = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: shop}, \
                    spec: {podSelector: {}, policyTypes: [Ingress]}}";
        let texts = if existing { vec![WORKLOADS, deny] } else { vec![WORKLOADS] };
        let found = recommend(manifests(&texts), &observed(&flows), &Options::default()).unwrap();
        prop_assert_eq!(&found.left, &[]);
        let proposed: Vec<String> = found.policies.iter().map(|policy| policy.yaml.clone()).collect();
        let with = || manifests(&texts.iter().copied().chain(proposed.iter().map(String::as_str)).collect::<Vec<_>>());

        let judged = replay(with(), &observed(&flows)).unwrap();
        prop_assert_eq!((&judged.cut, &judged.opened), (&vec![], &vec![]));

        // Every other pair of whom flows were recorded at, by every port: all of it would be cut.
        let talked = |end: &End| flows.iter().any(|flow| flow.from == *end || flow.to == *end);
        let mut others = Vec::new();
        for from in 0..ends.len() {
            for to in 0..ends.len() {
                for port in 0..PORTS.len() {
                    let recorded = [&ends[from], &ends[to]].into_iter().any(|end| matches!(end, End::Pods { .. }) && talked(end));
                    if recorded && !talks.contains(&(from, to, port)) {
                        others.extend(two_ends(from, to, port));
                    }
                }
            }
        }
        let judged = replay(with(), &observed(&others)).unwrap();
        prop_assert_eq!((judged.unchanged, judged.cut.len()), (0, observed(&others).len()));
    }
}
