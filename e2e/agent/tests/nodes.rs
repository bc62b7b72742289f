//! The node agent on the real cluster of two nodes: installed by the chart, with real Pods, kubelets, kube-proxy and
//! containerd. What policies say is tried from Pod to Pod; nothing else of Kubernetes may notice.

#![expect(clippy::print_stderr, reason = "how long each part took is what one reads")]

use std::time::{Duration, Instant};

use stockade_e2e::nodes::{self, Nodes};

#[path = "nodes/flows.rs"]
mod flows;
#[path = "nodes/pods.rs"]
mod pods;
#[path = "nodes/policies.rs"]
mod policies;
#[path = "nodes/upgrade.rs"]
mod upgrade;

/// How long anything may take that must come: seconds, minutes where the machine is slow.
const SOON: Duration = Duration::from_secs(120);

/// The nodes' network plugins and their configurations are where `e2e/cluster` has them; containerd 1.6 does not know
/// CAP_BPF in its profile of system calls.
const INSTALL: &str = "helm install stockade charts/stockade --namespace stockade-system --create-namespace --wait \
    --timeout=5m --set replicaCount=1,agent.enabled=true,network.fitsKernelTables.enabled=true \
    --set networkPolicy.apiServerPorts={16443},agent.seccompProfile.type=Unconfined \
    --set agent.gate.pluginsDir=/var/lib/cni/bin,agent.gate.configurationsDir=/var/lib/cni/net.d";

/// What a node has of the agent: its network configuration, its plugin, its pins, without which no program hangs by tcx, and
/// its filters.
const TRACES: &str = "cat /var/lib/cni/net.d/*; ls -A /var/lib/cni/net.d /var/lib/cni/bin /sys/fs/bpf; \
    for link in $(ip -o link | cut -d: -f2 | cut -d@ -f1); do \
      tc filter show dev $link ingress; tc filter show dev $link egress; \
    done";

#[test]
fn policies_are_enforced_between_real_pods_and_nothing_else_notices() {
    if !nodes::possible() {
        return;
    }
    let begin = Instant::now();
    let nodes = Nodes::start();
    let step = |name: &str, work: &dyn Fn(&Nodes)| {
        let begin = Instant::now();
        work(&nodes);
        eprintln!("{:>6.1} s  {name}", begin.elapsed().as_secs_f64());
    };
    // These run before the agent comes: it finds their interfaces by itself.
    step("Pods that were there before", &pods::start);
    let before = traces(&nodes);
    step("the chart", &it_is_installed);
    step("a policy for who may come in", &policies::who_comes_in_is_who_may);
    step("a policy for where one may go, by Services too", &policies::who_goes_out_goes_where_it_may);
    step("who was denied is told", &flows::who_is_denied_is_told);
    step("and streamed to whoever has a certificate", &flows::flows_are_streamed);
    step("what an audited policy would deny is reported", &flows::what_would_be_denied_is_reported);
    step("what kubelets and kubectl do", &policies::kubelets_and_kubectl_reach_every_pod);
    step("the first packet of new Pods", &policies::the_first_packet_of_a_pod_is_judged);
    step("a rolling restart and a kill under traffic", &upgrade::nothing_opens_and_nothing_is_cut);
    step("uninstall", &|nodes| it_is_uninstalled(nodes, &before));
    drop(nodes);
    eprintln!("{:>6.1} s  in all", begin.elapsed().as_secs_f64());
}

fn it_is_installed(nodes: &Nodes) {
    nodes.must(INSTALL);
    nodes.must("kubectl rollout status -n stockade-system daemonset/stockade-agent --timeout=120s");
    let ready = "kubectl get nodeenforcements -o \
        jsonpath='{range .items[*]}{.metadata.name}={.status.conditions[?(@.type==\"Ready\")].status} {end}'";
    nodes.until(SOON, ready, |said| said.text == "node1=True node2=True ");
    let gated = ready.replace("\"Ready\"", "\"Gated\"");
    nodes.until(SOON, &gated, |said| said.text == "node1=True node2=True ");
}

/// Both nodes' traces.
fn traces(nodes: &Nodes) -> String {
    nodes.must(&format!("for node in node1 node2; do e2e/cluster/enter $node sh -c '{TRACES}'; done"))
}

fn it_is_uninstalled(nodes: &Nodes, before: &str) {
    nodes.must("helm uninstall stockade -n stockade-system --wait --timeout=5m");
    // The interfaces of Pods that came and went meanwhile are others, and nothing hangs on any.
    nodes.must("kubectl delete pods -n shop --all --force --grace-period=0");
    let all = format!("for node in node1 node2; do e2e/cluster/enter $node sh -c '{TRACES}'; done");
    nodes.until(SOON, &all, |said| said.text == before);
    pods::start(nodes);
    // The policies are still there, and nobody enforces them.
    policies::everybody_reaches_everybody(nodes);
}
