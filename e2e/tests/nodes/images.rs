//! Images of the cluster's own registry, which wants a password: what is signed is pulled by its digest and runs, and
//! nothing else gets into a Pod.

use std::fs;

use serde_json::json;
use stockade_e2e::images::{Repository, Signers, policy};
use stockade_e2e::nodes::Nodes;
use stockade_e2e::registry::{PASSWORD, USER};

use super::{START, UPGRADE, succeeds};

/// Stockade may read the pull secrets of one namespace, and reach the registry.
const VALUES: &str = "--set 'imagePolicies.pullSecrets.enabled=true,imagePolicies.pullSecrets.namespaces={shop}' \
    --set 'networkPolicy.registryPorts={443,5000}'";

pub(crate) fn only_what_is_signed_is_pulled_and_runs(nodes: &Nodes) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let (registry, host) = nodes.registry();
    let signers = Signers::new();
    // What no node has: pulling it is the only way to run it.
    nodes.must(&format!(
        "mkdir -p {path}/rootfs/bin {path}/rootfs/etc && cp /bin/busybox {path}/rootfs/bin/ && \
         echo signed >{path}/rootfs/etc/motd && \
         e2e/cluster/image web:1 {path}/rootfs '{{\"Cmd\": [\"/bin/busybox\", \"sleep\", \"100000\"]}}' | tar -xC {path}"
    ));
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let (config, layer) = (serde_json::from_slice(&file("config.json")).unwrap(), file("layer.tar"));
    let web = Repository { registry: &registry, name: "shop/web" };
    let digest = web.push("1", &config, &[layer]);
    web.push_signatures(&digest, &[signers.with_key(&digest, None)]);
    web.push_label("2", "not signed");

    nodes.must(&format!(
        "kubectl create namespace shop && kubectl create secret docker-registry pull --namespace=shop \
         --docker-server={host} --docker-username={USER} --docker-password='{PASSWORD}'"
    ));
    let account = "kubectl patch serviceaccount default -n shop -p '{\"imagePullSecrets\": [{\"name\": \"pull\"}]}'";
    nodes.until(START, account, succeeds);
    nodes.must(&format!("{UPGRADE} {VALUES}"));
    let policy = policy("signed", &registry, &host, "**", &signers.release());
    let policies = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"signed.yaml": policy.to_string()},
        "metadata": {"name": "images", "namespace": "stockade-system", "labels": {"stockade.dev/policies": "true"}},
    });
    fs::write(folder.path().join("policies.json"), policies.to_string()).unwrap();
    nodes.must(&format!("kubectl apply -f {path}/policies.json"));

    let refused = format!(
        "admission webhook \"validate.stockade.dev\" denied the request: ImagePolicy 'signed' denied request: \
         image {host}/shop/web:2"
    );
    let is_refused = |line: &str| nodes.until(START, line, |said| !said.ok && said.text.contains(&refused));
    is_refused(&format!("kubectl run bad -n shop --image={host}/shop/web:2 --dry-run=server"));

    let pinned = format!("{host}/shop/web:1@{digest}");
    let run = format!("kubectl run web -n shop --image={host}/shop/web:1");
    let tried = format!("{run} --dry-run=server -o jsonpath='{{.spec.containers[0].image}}'");
    nodes.until(START, &tried, |said| said.text == pinned);
    nodes.must(&run);
    nodes.until(START, "kubectl wait -n shop --for=condition=Ready pod/web --timeout=5s", succeeds);
    let image = "kubectl get pod web -n shop \
        -o jsonpath='{.spec.containers[0].image} {.status.containerStatuses[0].imageID}'";
    assert_eq!(nodes.must(image), format!("{pinned} {host}/shop/web@{digest}"));
    assert_eq!(nodes.must("kubectl exec -n shop web -- /bin/busybox cat /etc/motd"), "signed\n");

    is_refused(&format!("kubectl set image -n shop pod/web web={host}/shop/web:2"));
    is_refused(&format!("kubectl create deployment -n shop bad --image={host}/shop/web:2"));
    let debug = "kubectl debug -n shop web --profile=baseline --attach=false";
    is_refused(&format!("{debug} --container=bad --image={host}/shop/web:2"));
    nodes.must(&format!("{debug} --container=good --image={host}/shop/web:1"));
    let runs = "kubectl get pod web -n shop \
        -o jsonpath='{.spec.ephemeralContainers[*].image} {.status.ephemeralContainerStatuses[*].state.running}'";
    nodes.until(START, runs, |said| said.text.starts_with(&format!("{pinned} {{\"startedAt\":")));

    nodes.must("kubectl delete configmap images -n stockade-system && kubectl delete namespace shop --wait=false");
}
