//! What was denied, seen.

use std::path::Path;

use stockade_e2e::console::examples;
use stockade_e2e::nodes::Nodes;
use stockade_e2e::webhook;

use super::SOON;
use super::pods::address;
use super::policies::apply;

/// Nobody may speak with `other`; as it is written it drops nothing.
const AUDITED: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: audited, namespace: shop, annotations: { stockade.dev/enforcement: Audit } }
spec:
  podSelector: { matchLabels: { app: other } }
  policyTypes: [Ingress]
"#;

const README: &str = include_str!("../../../../README.md");

/// By the commands of the README, and that of the chart's notes.
pub(crate) fn who_is_denied_is_told(nodes: &Nodes) {
    let notes = include_str!("../../../../charts/stockade/templates/NOTES.txt");
    let line = notes
        .lines()
        .find(|line| line.contains(r#"grep '"verdict":"denied"#))
        .expect("the notes tell how to see what is denied");
    let command = line.replace("{{ .Release.Namespace }}", "stockade-system");
    let is_told = |line: &str| {
        let parts = [r#""direction":"ingress""#, r#""port":8080"#, r#""labels":{"app":"other"}"#, r#""pod":"db-"#];
        parts.iter().all(|part| line.contains(part))
    };
    nodes.until(SOON, &command, |said| said.text.lines().any(is_told));
    let examples = examples(README, "<!-- agent: run -->");
    assert_eq!(examples.len(), 2, "the README's section lost its examples");
    for example in examples {
        nodes.until(SOON, &example.command, |said| example.shows(&said.text));
    }
}

/// By the commands of the README, typed on the control plane's machine, which reaches the nodes.
pub(crate) fn flows_are_streamed(nodes: &Nodes) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let there = |name: &str| folder.path().join(name);
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts");
    std::os::unix::fs::symlink(charts, there("charts")).expect("the chart can be named");
    let stockade = webhook::binary().expect("the binary of stockade is built");
    std::os::unix::fs::symlink(stockade, there("stockade")).expect("the binary can be named");
    let typed = |command: &str| {
        let (command, folder) = (command.replace('\'', "'\\''"), folder.path().display());
        format!("e2e/cluster/enter cp bash -c 'cd {folder}; PATH=$PATH:.; exec 2>&1; {command}'")
    };
    let mut examples = examples(README, "<!-- agent: flows -->");
    let stream = examples.pop().expect("the README tells how flows are streamed");
    for example in examples {
        let said = nodes.must(&typed(&example.command));
        assert!(example.shows(&said), "$ {}\n{said}", example.command);
    }
    nodes.must("kubectl rollout status -n stockade-system daemonset/stockade-agent --timeout=120s");
    let deny = format!("kubectl exec -n shop other-2 -- nc -w 1 {} 8080 </dev/null || true", address(nodes, "db-1"));
    // It streams until whoever reads has enough.
    let watched = format!("{deny}; {}", typed(&format!("timeout 5 {} --since 60 || true", stream.command)));
    let shown = |text: &str| text.lines().any(|line| stream.shows(line));
    nodes.until(SOON, &watched, |said| shown(&said.text));
    // Who has no certificate of that authority sees nothing.
    nodes.must(&typed("stockade certs flows others && cp flows-tls/client/ca.crt others/client"));
    let others = stream.command.replace("flows-tls/client", "others/client");
    let said = nodes.shell(&typed(&format!("timeout 20 {others}")));
    assert!(!said.ok && said.text.contains("no agent streams flows"), "{said:?}");

    let events =
        "kubectl get events -n shop --field-selector reason=NetworkPolicyDenied -o jsonpath='{.items[*].message}'";
    nodes.until(SOON, events, |said| said.text.contains("TCP 8080 from Pods of shop (app=other) is denied"));
}

/// In the Report of its namespace, as an Event of the Pod, and to whoever would make one that is enforced.
pub(crate) fn what_would_be_denied_is_reported(nodes: &Nodes) {
    apply(nodes, AUDITED);
    let talk = format!("kubectl exec -n shop other-1 -- nc -w 3 {} 8080 </dev/null", address(nodes, "other-2"));
    let say = |look: &str| format!("{talk}; {look}");
    let events =
        "kubectl get events -n shop --field-selector reason=NetworkPolicyWouldDeny -o jsonpath='{.items[*].message}'";
    let denial = "TCP 8080 from Pods of shop (app=other) would be denied";
    nodes.until(SOON, &say(events), |said| said.text.contains("other-2\n") && said.text.contains(denial));
    let report = "kubectl get reports.openreports.io -n shop stockade -o jsonpath='{.results[*].message}'";
    let reported = format!("{denial}: no rule of the policies that select this Pod accepts it (audited)");
    nodes.until(SOON, report, |said| said.text.contains(&reported));
    let enforced = AUDITED.replace("Audit", "Enforce").replace("name: audited", "name: closed");
    let line = format!("kubectl apply --dry-run=server -f - <<'YAML'\n{enforced}\nYAML");
    nodes.until(SOON, &line, |said| said.ok && said.text.contains("would be cut: shop/other -> shop/other TCP 8080"));
    nodes.must("kubectl delete networkpolicy -n shop audited");
}
