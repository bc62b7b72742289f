//! What policies say, tried.

use stockade_e2e::nodes::Nodes;

use super::SOON;
use super::pods::{self, PODS, reach, run};

/// Only `web` reaches `db`, on its two ports.
const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: db, namespace: shop }
spec:
  podSelector: { matchLabels: { app: db } }
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ protocol: TCP, port: 8080 }, { protocol: TCP, port: 8082 }]
"#;

/// `web` reaches `db` only, and `late` nobody.
const EGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web, namespace: shop }
spec:
  podSelector: { matchLabels: { app: web } }
  policyTypes: [Egress]
  egress:
    - to: [{ podSelector: { matchLabels: { app: db } } }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: late, namespace: shop }
spec:
  podSelector: { matchLabels: { app: late } }
  policyTypes: [Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: probed, namespace: shop }
spec:
  podSelector: { matchLabels: { app: probed } }
  policyTypes: [Ingress, Egress]
"#;

const PROBED: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: probed, namespace: shop, labels: { app: probed } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: probed
      image: localhost/busybox:1
      args: [sh, -c, "nc -ll -p 8080 -e hostname"]
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, timeoutSeconds: 30 }
      livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, timeoutSeconds: 30 }
"#;

/// How many Pods start at once to send their first packet.
const LATE: usize = 6;

pub(crate) fn apply(nodes: &Nodes, text: &str) {
    nodes.must(&format!("kubectl apply -f - <<'YAML'\n{text}\nYAML"));
}

/// Each Pod reaches each.
pub(crate) fn everybody_reaches_everybody(nodes: &Nodes) {
    reach(nodes, |_, _| true);
}

pub(crate) fn who_comes_in_is_who_may(nodes: &Nodes) {
    everybody_reaches_everybody(nodes);
    apply(nodes, INGRESS);
    reach(nodes, |from, to| to != "db" || from == "web");
    // A port that the policy does not name.
    let refused = format!("kubectl exec -n shop web-1 -- nc -w 3 {} 8081 </dev/null", pods::address(nodes, "db-2"));
    let said = nodes.shell(&refused);
    assert!(!said.ok && said.text.contains("timed out"), "{said:?}");
}

pub(crate) fn who_goes_out_goes_where_it_may(nodes: &Nodes) {
    apply(nodes, EGRESS);
    reach(nodes, |from, to| if from == "web" { to == "db" } else { to != "db" });
    let service = |app: &str| {
        nodes.must(&format!("kubectl create service clusterip -n shop {app} --tcp=80:8080"));
        nodes.must(&format!("kubectl get service -n shop {app} -o jsonpath={{.spec.clusterIP}}"))
    };
    let (db, other) = (service("db"), service("other"));
    let ask = |from: &str, to: &str| format!("kubectl exec -n shop {from} -- nc -w 3 {to} 80 </dev/null");
    for from in ["web-1", "web-2"] {
        // More often than there are backends, so that both nodes' are asked.
        for _ in 0..6 {
            nodes.until(SOON, &ask(from, &db), |said| said.ok && said.text.starts_with("db-"));
        }
        let said = nodes.shell(&ask(from, &other));
        assert!(!said.ok && said.text.contains("timed out"), "{said:?}");
    }
    for from in ["other-1", "other-2"] {
        nodes.until(SOON, &ask(from, &other), |said| said.ok && said.text.starts_with("other-"));
        let said = nodes.shell(&ask(from, &db));
        assert!(!said.ok && said.text.contains("timed out"), "{said:?}");
    }
}

pub(crate) fn kubelets_and_kubectl_reach_every_pod(nodes: &Nodes) {
    // Nobody may speak with it, but its node.
    apply(nodes, PROBED);
    nodes.until(SOON, "kubectl wait -n shop --for=condition=Ready pod/probed --timeout=5s", |said| said.ok);
    let forwarded = "kubectl port-forward -n shop pod/db-1 28080:8080 >/dev/null & trap \"kill $!\" EXIT
        until [ \"$(cat </dev/tcp/127.0.0.1/28080)\" = db-1 ]; do sleep 0.2; done; echo forwarded";
    nodes.until(SOON, &format!("timeout 60 bash -c '{forwarded}'"), |said| said.text.ends_with("forwarded\n"));
    assert_eq!(nodes.must("kubectl exec -n shop probed -- hostname"), "probed\n");
    assert_eq!(nodes.must("kubectl logs -n shop web-1"), "");
    let restarts = "kubectl get pod -n shop probed -o jsonpath='{.status.containerStatuses[0].restartCount}'";
    assert_eq!(nodes.must(restarts), "0");
}

/// Each tries once, with the first packet that it can send, and says what came of it.
pub(crate) fn the_first_packet_of_a_pod_is_judged(nodes: &Nodes) {
    let to = pods::address(nodes, "other-1");
    let tries = format!("nc -w 3 {to} 8080 </dev/null >/dev/null 2>&1 && echo OPEN || echo CLOSED; sleep 1000000");
    for index in 0..LATE {
        let node = PODS[index % PODS.len()].2;
        run(nodes, &format!("late-{index}"), "late", node, &tries);
        // It has no policy, and is not cut either.
        run(nodes, &format!("free-{index}"), "free", node, &tries);
    }
    let said = |app: &str| {
        format!("for pod in $(kubectl get pods -n shop -l app={app} -o name); do kubectl logs -n shop $pod; done")
    };
    nodes.until(SOON, &said("late"), |said| said.text == "CLOSED\n".repeat(LATE));
    nodes.until(SOON, &said("free"), |said| said.text == "OPEN\n".repeat(LATE));
    let delay =
        "kubectl get --raw /api/v1/nodes/node1:9464/proxy/metrics | grep -E 'gate_delay_seconds_(sum|count)' | xargs";
    eprintln!("          {}", nodes.shell(delay).text.trim());
    nodes.must("kubectl delete pods -n shop -l 'app in (late, free)' --force --grace-period=0");
}
