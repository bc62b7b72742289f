//! The Pods of namespace `shop`, and who of them reaches whom.

use stockade_e2e::nodes::Nodes;

use super::SOON;

/// Name, label `app` and node of each. All serve: port 8080 says their name, port 8082 what it is told.
pub(crate) const PODS: [(&str, &str, &str); 6] = [
    ("db-1", "db", "node1"),
    ("db-2", "db", "node2"),
    ("other-1", "other", "node1"),
    ("other-2", "other", "node2"),
    ("web-1", "web", "node1"),
    ("web-2", "web", "node2"),
];

const SERVE: &str = "nc -ll -p 8082 -e cat & nc -ll -p 8080 -e hostname";

/// Starts them, and waits until they serve.
pub(crate) fn start(nodes: &Nodes) {
    nodes.must("kubectl create namespace shop --dry-run=client -o yaml | kubectl apply -f -");
    nodes.until(SOON, "kubectl get serviceaccount -n shop default", |said| said.ok);
    for (name, app, node) in PODS {
        run(nodes, name, app, node, SERVE);
    }
    let names = PODS.map(|(name, ..)| format!("pod/{name}")).join(" ");
    nodes.must(&format!("kubectl wait -n shop --for=condition=Ready {names} --timeout=120s"));
}

/// Starts one that runs a line of shell.
pub(crate) fn run(nodes: &Nodes, name: &str, app: &str, node: &str, line: &str) {
    nodes.must(&format!(
        "kubectl run -n shop {name} --image=localhost/busybox:1 --labels=app={app} --overrides='{{\"spec\": \
         {{\"terminationGracePeriodSeconds\": 0, \"nodeSelector\": {{\"kubernetes.io/hostname\": \"{node}\"}}}}}}' \
         -- sh -c '{line}'"
    ));
}

/// A Pod's address.
pub(crate) fn address(nodes: &Nodes, name: &str) -> String {
    nodes.must(&format!("kubectl get pod -n shop {name} -o jsonpath={{.status.podIP}}"))
}

/// Waits until each reaches exactly these others on port 8080, by `allowed(from, to)`, told by label; each reaches itself.
#[track_caller]
pub(crate) fn reach(nodes: &Nodes, allowed: impl Fn(&str, &str) -> bool) {
    let addresses =
        nodes.must("kubectl get pods -n shop -l 'app in (db, other, web)' -o jsonpath='{.items[*].status.podIP}'");
    let names = PODS.map(|(name, ..)| name).join(" ");
    let line = format!(
        "for from in {names}; do echo $from: $(kubectl exec -n shop $from -- sh -c \
         'for to in {addresses}; do nc -w 3 $to 8080 </dev/null 2>/dev/null & done; wait' | sort); done"
    );
    let row = |(from, app, _): (&str, &str, &str)| {
        let to = PODS.iter().filter(|(to, other, _)| *to == from || allowed(app, other)).map(|(to, ..)| *to);
        format!("{from}: {}\n", to.collect::<Vec<_>>().join(" "))
    };
    let expected = PODS.map(row).concat();
    nodes.until(SOON, &line, |said| said.text == expected);
}
