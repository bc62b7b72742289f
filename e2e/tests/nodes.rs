//! The chart on a real cluster of two nodes, as its user meets it: installed with the README's commands, upgraded,
//! rolled back, tested and uninstalled; and everything that can be killed is killed with `failurePolicy: Fail` in force.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stderr, reason = "how long each part took is what one reads")]

use std::time::{Duration, Instant};

use stockade_e2e::console::{Example, examples};
use stockade_e2e::nodes::{self, Nodes, Said};

#[path = "nodes/availability.rs"]
mod availability;
#[path = "nodes/images.rs"]
mod images;

/// How long a Pod may take to start, images being there: seconds, minutes where the machine is slow.
const START: Duration = Duration::from_secs(180);

/// How long the cluster may take to heal after a fault. A node that comes back waits for back-offs of the kubelet.
const HEAL: Duration = Duration::from_secs(400);

/// A Pod that the standard `baseline` forbids; what it is told in the end is the last line of the README's block.
const PRIVILEGED: &str = "kubectl run forbidden --image=localhost/busybox:1 --privileged --dry-run=server";

fn is_refused(said: &Said) -> bool {
    !said.ok && said.text.contains("violates PodSecurity \"baseline:latest\"")
}

fn succeeds(said: &Said) -> bool {
    said.ok
}

#[test]
fn the_chart_installs_enforces_upgrades_heals_and_leaves_nothing_behind() {
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
    step("the README's commands", &the_readme_is_followed);
    step("upgrade, rollback, helm test", &it_is_upgraded_rolled_back_and_tested);
    step("signed images", &images::only_what_is_signed_is_pulled_and_runs);
    step("faults under load", &availability::nothing_fails_while_parts_fail);
    step("every Pod of Stockade killed", &every_pod_of_stockade_is_killed);
    step("both nodes restarted", &|nodes| power_is_cut(nodes, &["node1", "node2"]));
    step("the API server restarted", &|nodes| power_is_cut(nodes, &["apiserver"]));
    step("everything restarted at once", &|nodes| power_is_cut(nodes, &["apiserver", "node1", "node2"]));
    step("uninstall", &it_is_uninstalled);
    drop(nodes);
    eprintln!("{:>6.1} s  in all", begin.elapsed().as_secs_f64());
}

/// Each command once, in order, and what it prints. Between them a reader takes longer than policies take to be in
/// force, so an answer that is not yet the README's is asked for again within [`START`].
fn the_readme_is_followed(nodes: &Nodes) {
    let walk = examples(include_str!("../../README.md"), "<!-- cluster: run -->");
    assert!(walk.len() >= 5, "the README's section lost its examples");
    for example in &walk {
        let Example { command, .. } = example;
        if command.starts_with("helm") {
            let said = nodes.must(command);
            assert!(example.shows(&said), "$ {command}\n{said}");
        } else {
            nodes.until(START, command, |said| example.shows(&said.text));
        }
    }
}

/// An upgrade, to which values are added.
const UPGRADE: &str = "helm upgrade stockade charts/stockade -n stockade-system --reuse-values --wait --timeout=10m";

/// What is forbidden is not admitted for a moment, and refused by policy as soon as somebody is in time to say so.
fn forbidden_stays_refused(nodes: &Nodes) {
    nodes.until(START, PRIVILEGED, |said| {
        assert!(!said.ok, "{said:?}");
        is_refused(said)
    });
}

fn it_is_upgraded_rolled_back_and_tested(nodes: &Nodes) {
    // Another environment of the Pods: they roll.
    nodes.must(&format!("{UPGRADE} --set podAnnotations.revision=two"));
    forbidden_stays_refused(nodes);
    nodes.must("helm rollback stockade -n stockade-system --wait --timeout=10m");
    let annotation =
        "kubectl get deployment stockade -n stockade-system -o jsonpath={.spec.template.metadata.annotations}";
    assert_eq!(nodes.must(annotation), "");
    forbidden_stays_refused(nodes);
    let tested = nodes.must("helm test stockade -n stockade-system --timeout=5m");
    assert!(tested.contains("Succeeded"), "{tested}");
}

/// The registration says Fail for user namespaces: whatever happens next happens with that in force.
fn fail_is_in_force(nodes: &Nodes) {
    let policy = "kubectl get validatingwebhookconfiguration stockade \
        -o jsonpath='{.webhooks[?(@.name==\"validate.stockade.dev\")].failurePolicy}'";
    nodes.until(HEAL, policy, |said| said.ok && said.text == "Fail");
}

/// A user's Pod is admitted and runs, and what a policy forbids is refused.
fn the_cluster_heals(nodes: &Nodes, since: Instant, fault: &str) {
    let pod = "kubectl delete pod healed --ignore-not-found --force --grace-period=0 >/dev/null;
        kubectl run healed --image=localhost/busybox:1 -- sleep 100000";
    nodes.until(HEAL, pod, succeeds);
    let admitted = since.elapsed();
    nodes.until(HEAL, "kubectl wait --for=condition=Ready pod/healed --timeout=5s", succeeds);
    let runs = since.elapsed();
    nodes.until(HEAL, PRIVILEGED, is_refused);
    let rollout = "kubectl rollout status deployment/stockade -n stockade-system --timeout=5s";
    nodes.until(HEAL, rollout, succeeds);
    eprintln!(
        "          {fault}: a Pod admitted after {:.1} s, running after {:.1} s, three replicas after {:.1} s",
        admitted.as_secs_f64(),
        runs.as_secs_f64(),
        since.elapsed().as_secs_f64()
    );
}

fn every_pod_of_stockade_is_killed(nodes: &Nodes) {
    fail_is_in_force(nodes);
    let since = Instant::now();
    nodes.must("kubectl delete pods --all -n stockade-system --force --grace-period=0");
    the_cluster_heals(nodes, since, "every Pod killed");
}

fn power_is_cut(nodes: &Nodes, parts: &[&str]) {
    fail_is_in_force(nodes);
    let since = Instant::now();
    nodes.script("restart", parts);
    the_cluster_heals(nodes, since, &parts.join(", "));
}

fn it_is_uninstalled(nodes: &Nodes) {
    nodes.must("helm uninstall stockade -n stockade-system --wait --timeout=10m");
    let left = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name";
    assert_eq!(nodes.must(left), "");
    let all = "kubectl get all,networkpolicies,serviceaccounts,roles,rolebindings,poddisruptionbudgets -o name \
        -n stockade-system | grep stockade || true";
    nodes.until(START, all, |said| said.text.is_empty());
    let cluster_wide = "kubectl get clusterroles,clusterrolebindings,admissionpolicies -o name | grep -v proxy | grep stockade || true";
    assert_eq!(nodes.must(cluster_wide), "");
    nodes.must("kubectl run allowed --image=localhost/busybox:1 --privileged -- sleep 100000");
    nodes.until(START, "kubectl wait --for=condition=Ready pod/allowed --timeout=5s", succeeds);
    // The kinds, and what people wrote of them, stay unless the values say otherwise.
    assert!(nodes.must("kubectl get crds -o name").contains("policyexceptions.stockade.dev"));
}
