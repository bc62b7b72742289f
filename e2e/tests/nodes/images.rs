//! Images of the cluster's own registry, which wants a password: what is signed is pulled by its digest and runs, and
//! nothing else gets into a Pod.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;
use stockade_e2e::images::{ISSUER, Repository, SIGNER, Signers, policy};
use stockade_e2e::nodes::Nodes;
use stockade_e2e::registry::{PASSWORD, Registry, USER};
use stockade_mint::Forgery;

use super::{START, UPGRADE, succeeds};

/// Stockade may read the pull secrets of one namespace, and reach the registry.
const VALUES: &str = "--set 'imagePolicies.pullSecrets.enabled=true,imagePolicies.pullSecrets.namespaces={shop}' \
    --set 'networkPolicy.registryPorts={443,5000}'";

/// How `kubectl` begins to tell a refusal with 403, and with 422.
const FORBIDDEN: &str = "Error from server (Forbidden)";
const INVALID: &str = "The request is invalid";

/// A registry as this process reaches it and as nodes name it, and who signs.
struct Scene<'n> {
    nodes: &'n Nodes,
    registry: Registry,
    host: String,
    signers: Signers,
}

pub(crate) fn only_what_is_signed_is_pulled_and_runs(nodes: &Nodes) {
    let folder = tempfile::tempdir().unwrap();
    let (registry, host) = nodes.registry();
    let scene = Scene { nodes, registry, host, signers: Signers::new() };
    let digest = scene.push_what_can_run(folder.path());
    scene.let_pods_pull();
    nodes.must(&format!("{UPGRADE} {VALUES}"));
    scene.apply_policies(folder.path());
    scene.what_is_not_signed_is_refused();
    scene.what_is_signed_runs(&digest);
    nodes.must("kubectl delete imagepolicies.stockade.dev shop ci && kubectl delete namespace shop --wait=false");
}

impl Scene<'_> {
    fn repository<'s>(&'s self, name: &'s str) -> Repository<'s> {
        Repository { registry: &self.registry, name }
    }

    /// Pushes an image that no node has, so that pulling it is the only way to run it, and signs it.
    fn push_what_can_run(&self, folder: &Path) -> String {
        let path = folder.display();
        self.nodes.must(&format!(
            "mkdir -p {path}/rootfs/bin {path}/rootfs/etc && cp /bin/busybox {path}/rootfs/bin/ && \
             echo signed >{path}/rootfs/etc/motd && \
             e2e/cluster/image web:1 {path}/rootfs '{{\"Cmd\": [\"/bin/busybox\", \"sleep\", \"100000\"]}}' | tar -xC {path}"
        ));
        let file = |name: &str| fs::read(folder.join(name)).unwrap();
        let (config, layer) = (serde_json::from_slice(&file("config.json")).unwrap(), file("layer.tar"));
        let web = self.repository("shop/web");
        let digest = web.push("1", &config, &[layer]);
        web.push_signatures(&digest, &[self.signers.with_key(&digest, None)]);
        digest
    }

    fn let_pods_pull(&self) {
        let Scene { nodes, host, .. } = self;
        nodes.must(&format!(
            "kubectl create namespace shop && kubectl create secret docker-registry pull --namespace=shop \
             --docker-server={host} --docker-username={USER} --docker-password='{PASSWORD}'"
        ));
        let account =
            "kubectl patch serviceaccount default -n shop -p '{\"imagePullSecrets\": [{\"name\": \"pull\"}]}'";
        nodes.until(START, account, succeeds);
    }

    /// What is below `shop/` has to be signed with the key, and what is below `ci/` by the right person.
    fn apply_policies(&self, folder: &Path) {
        let Scene { nodes, registry, host, signers } = self;
        let about = |name: &str, authority| policy(name, registry, host, &format!("{name}/**"), authority);
        let policies = [about("shop", &signers.release()), about("ci", &signers.ci())];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": policies});
        fs::write(folder.join("policies.json"), list.to_string()).unwrap();
        nodes.must(&format!("kubectl apply -f {}/policies.json", folder.display()));
    }

    /// Each with what a user reads, to the last word.
    fn what_is_not_signed_is_refused(&self) {
        let Scene { signers, .. } = self;
        let push = |name: &str| self.repository(name).push_label("1", name);
        let sign = |name: &str, digest: &str, signature| self.repository(name).push_signatures(digest, &[signature]);
        let unsigned = push("shop/unsigned");
        self.is_refused(
            "shop",
            "shop/unsigned",
            &unsigned,
            FORBIDDEN,
            "is not signed by release: no signature was found",
        );

        let tampered = push("shop/tampered");
        sign("shop/tampered", &tampered, signers.with_key(&tampered, Some(Forgery::Signature)));
        let changed = "is not signed by release: 1 found, by another key, or changed after it was signed";
        self.is_refused("shop", "shop/tampered", &tampered, FORBIDDEN, changed);

        let first = push("shop/replaced");
        sign("shop/replaced", &first, signers.with_key(&first, None));
        let replaced = self.repository("shop/replaced").push_label("1", "another");
        let none = "is not signed by release: no signature was found";
        self.is_refused("shop", "shop/replaced", &replaced, FORBIDDEN, none);

        let other = push("ci/other");
        sign("ci/other", &other, signers.keyless(&other, "nobody@shop.example", None));
        let who = format!("is not signed by ci: 1 found, by nobody@shop.example (issuer {ISSUER})");
        self.is_refused("ci", "ci/other", &other, FORBIDDEN, &who);

        let expired = push("ci/expired");
        sign("ci/expired", &expired, signers.keyless(&expired, SIGNER, Some(Forgery::Expired)));
        let signed = signers.sigstore.signed_at().as_second();
        let [from, until, late] = [-5, 595, 1200].map(|seconds| Timestamp::from_second(signed + seconds).unwrap());
        let why = format!(
            "has an invalid signature: ci: it was signed at {late}, and its certificate was valid from {from} to {until}; \
             sign the image again"
        );
        self.is_refused("ci", "ci/expired", &expired, INVALID, &why);
    }

    fn is_refused(&self, policy: &str, name: &str, digest: &str, beginning: &str, why: &str) {
        let Scene { nodes, host, .. } = self;
        let wanted = format!(
            "{beginning}: admission webhook \"validate.stockade.dev\" denied the request: ImagePolicy '{policy}' denied \
             request: image {host}/{name}:1@{digest} {why}\n"
        );
        let run = format!("kubectl run bad -n shop --image={host}/{name}:1 --dry-run=server");
        nodes.until(START, &run, |said| said.text == wanted);
    }

    /// By its digest, and nothing else gets into what runs.
    fn what_is_signed_runs(&self, digest: &str) {
        let Scene { nodes, host, .. } = self;
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

        let bad = format!("{host}/shop/unsigned:1");
        let refused = format!(
            "admission webhook \"validate.stockade.dev\" denied the request: ImagePolicy 'shop' denied request: image {bad}"
        );
        let is_refused = |line: &str| nodes.until(START, line, |said| !said.ok && said.text.contains(&refused));
        is_refused(&format!("kubectl set image -n shop pod/web web={bad}"));
        is_refused(&format!("kubectl create deployment -n shop bad --image={bad}"));
        let debug = "kubectl debug -n shop web --profile=baseline --attach=false";
        is_refused(&format!("{debug} --container=bad --image={bad}"));
        nodes.must(&format!("{debug} --container=good --image={host}/shop/web:1"));
        let runs = "kubectl get pod web -n shop \
            -o jsonpath='{.spec.ephemeralContainers[*].image} {.status.ephemeralContainerStatuses[*].state.running}'";
        nodes.until(START, runs, |said| said.text.starts_with(&format!("{pinned} {{\"startedAt\":")));
    }
}
