//! The agents replaced and killed while Pods talk.

use stockade_e2e::nodes::Nodes;

use super::SOON;
use super::pods::{address, run};

/// What is said of each attempt, and of each answer.
const WORDS: [&str; 4] = ["passed", "CUT", "stopped", "OPENED"];

pub(crate) fn nothing_opens_and_nothing_is_cut(nodes: &Nodes) {
    for node in ["node1", "node2"] {
        let to = address(nodes, if node == "node1" { "db-2" } else { "db-1" });
        // New connections; one that is late on a busy machine is not cut.
        let allowed = format!(
            "while true; do nc -w 60 {to} 8080 </dev/null >/dev/null && echo passed || echo CUT; sleep 0.05; done"
        );
        run(nodes, &format!("allowed-{node}"), "web", node, &allowed);
        let denied = format!(
            "while true; do nc -w 1 {to} 8080 </dev/null >/dev/null 2>&1 && echo OPENED || echo stopped; sleep 0.05; done"
        );
        run(nodes, &format!("denied-{node}"), "other", node, &denied);
        // A connection that stays open: what is sent comes back.
        let open = format!("while echo passed; do sleep 0.2; done | nc {to} 8082; echo CUT; sleep 1000000");
        run(nodes, &format!("open-{node}"), "web", node, &open);
    }
    let kinds = ["allowed", "denied", "open"];
    all_go_on(nodes, &kinds);
    nodes.must("kubectl rollout restart -n stockade-system daemonset/stockade-agent");
    nodes.must("kubectl rollout status -n stockade-system daemonset/stockade-agent --timeout=180s");
    all_go_on(nodes, &kinds);
    for node in ["node1", "node2"] {
        nodes.must(&format!("e2e/cluster/enter {node} sh -c 'kill -KILL $(pidof stockade-agent)'"));
    }
    all_go_on(nodes, &kinds);
    nodes.must("kubectl rollout status -n stockade-system daemonset/stockade-agent --timeout=180s");
    all_go_on(nodes, &kinds);
    for kind in kinds {
        for node in ["node1", "node2"] {
            let [passed, cut, stopped, opened] = WORDS.map(|word| count(nodes, &format!("{kind}-{node}"), word));
            eprintln!("          {kind} from {node}: {passed} passed, {cut} cut, {stopped} stopped, {opened} opened");
            assert_eq!((cut, opened), (0, 0), "{kind} from {node}");
        }
    }
    nodes.must("kubectl delete pods -n shop -l 'app in (web, other)' --field-selector=metadata.name!=web-1,metadata.name!=web-2,metadata.name!=other-1,metadata.name!=other-2 --force --grace-period=0");
}

/// Waits until each has said more than it has by now.
fn all_go_on(nodes: &Nodes, kinds: &[&str]) {
    for kind in kinds {
        let word = if *kind == "denied" { "stopped" } else { "passed" };
        for node in ["node1", "node2"] {
            let pod = format!("{kind}-{node}");
            let now = count(nodes, &pod, word);
            nodes.until(SOON, &counting(&pod, word), |said| {
                said.text.trim().parse().is_ok_and(|more: u64| more > now + 2)
            });
        }
    }
}

fn counting(pod: &str, word: &str) -> String {
    format!("kubectl logs -n shop {pod} | grep -c {word} || true")
}

fn count(nodes: &Nodes, pod: &str, word: &str) -> u64 {
    nodes.shell(&counting(pod, word)).text.trim().parse().unwrap_or(0)
}
