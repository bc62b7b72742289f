//! What is judged: one Pod, its review, twelve expressions, and policy sets made of them.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use stockade_engine::Engine;
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

/// What policies ask of Pods.
pub const EXPRESSIONS: [&str; 12] = [
    "!has(object.spec.hostNetwork) || !object.spec.hostNetwork",
    "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || !c.securityContext.privileged)",
    "object.spec.containers.all(c, has(c.securityContext) && has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) && c.securityContext.capabilities.drop.exists(d, d == 'ALL'))",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
    "object.spec.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0))",
    "object.spec.containers.all(c, c.image.contains(':') && !c.image.endsWith(':latest'))",
    "object.spec.containers.all(c, c.image.startsWith('registry.example.com/') || c.image.matches('^[a-z0-9.]+/team-[a-z]+/.+@sha256:[a-f0-9]{64}$'))",
    "has(object.metadata.labels) && 'app.kubernetes.io/name' in object.metadata.labels && object.metadata.labels['app.kubernetes.io/name'] != ''",
    "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits && 'cpu' in c.resources.limits)",
    "object.spec.containers.all(c, !has(c.env) || c.env.all(e, !has(e.value) || !e.value.contains('password')))",
    "object.spec.containers.filter(c, has(c.livenessProbe) && has(c.readinessProbe)).size() >= 1",
    "object.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(object.metadata.name) <= 63",
];

fn container(name: &str, port: u16) -> Json {
    let env: Vec<Json> = (0..15)
        .map(|i| match i % 4 {
            3 => json!({"name": format!("SECRET_{i}"), "valueFrom": {"secretKeyRef": {"name": format!("{name}-secrets"), "key": format!("key-{i}")}}}),
            _ => json!({"name": format!("SETTING_{i}"), "value": format!("https://backend-{i}.prod.svc.cluster.local:8443/api")}),
        })
        .collect();
    json!({
        "name": name,
        "image": format!("registry.example.com/team-web/{name}:1.24.{port}"),
        "imagePullPolicy": "IfNotPresent",
        "args": ["--listen", format!("0.0.0.0:{port}"), "--log-level=info"],
        "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
        "env": env,
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": port, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": port, "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 10001},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true}, {"name": "tmp", "mountPath": "/tmp"}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File"
    })
}

/// A Pod of three containers, 8.2 KB, as the API server hands it to a webhook.
pub fn pod() -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "storefront-6c5d8f7b9c-x2x8k",
            "generateName": "storefront-6c5d8f7b9c-",
            "namespace": "shop",
            "uid": "4e5f6a7b-1c2d-4e3f-8a9b-0c1d2e3f4a5b",
            "creationTimestamp": "2026-11-21T08:00:00Z",
            "labels": {"app.kubernetes.io/name": "storefront", "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/version": "1.24.0", "pod-template-hash": "6c5d8f7b9c"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "kubectl.kubernetes.io/restartedAt": "2026-11-20T18:00:00Z"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "storefront-6c5d8f7b9c", "uid": "aa0f1d2c-7a3e-4f51-9d5e-5d2a6c0e8f11", "controller": true, "blockOwnerDeletion": true}]
        },
        "spec": {
            "containers": [container("storefront", 8080), container("cache", 9000), container("metrics", 9090)],
            "volumes": [{"name": "config", "configMap": {"name": "storefront", "defaultMode": 420}}, {"name": "tmp", "emptyDir": {}}],
            "serviceAccountName": "storefront",
            "automountServiceAccountToken": false,
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "securityContext": {"fsGroup": 10001, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            ]
        }
    })
}

/// The AdmissionReview of its creation, as bytes.
pub fn review(pod: &Json) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "storefront-6c5d8f7b9c-x2x8k",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:serviceaccounts", "system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false
        }
    });
    review.to_string().into_bytes()
}

/// How many policies a large set has, among them those of [`EXPRESSIONS`].
pub const MANY: usize = 1000;

/// One policy for each expression, all about Pods: file name and text.
pub fn matching_policies() -> Vec<(String, String)> {
    let about_pods = r#"[{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}]"#;
    let policy = |(number, expression): (usize, &&str)| {
        named(&format!("pods-{number:02}"), &format!("resourceRules: {about_pods}"), "", expression)
    };
    EXPRESSIONS.iter().enumerate().map(policy).collect()
}

/// [`MANY`] policies without the matching ones. None matches the Pod: they are about other resources and operations, other
/// namespaces and other labels, a seventh each.
pub fn other_policies() -> Vec<(String, String)> {
    let pods = |operation: &str| {
        format!(
            r#"resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [{operation}], resources: [pods]}}]"#
        )
    };
    let of = |group: &str, resource: &str| {
        format!(
            r#"resourceRules: [{{apiGroups: ["{group}"], apiVersions: [v1], operations: ["*"], resources: [{resource}]}}]"#
        )
    };
    let policy = |number: usize| {
        let name = format!("other-{number:03}");
        let own_namespace =
            format!("namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: team-{number}}}}}");
        let (constraints, narrowed) = match number % 7 {
            0 => (of("apps", "deployments"), String::new()),
            1 => (of("", "services, configmaps, secrets"), String::new()),
            2 => (of("networking.k8s.io", "ingresses, networkpolicies"), String::new()),
            3 => (pods("DELETE"), String::new()),
            4 => (format!("{}\n    {own_namespace}", pods("CREATE, UPDATE")), String::new()),
            5 => (
                format!(
                    "{}\n    objectSelector: {{matchLabels: {{app.kubernetes.io/name: app-{number}}}}}",
                    pods("CREATE")
                ),
                String::new(),
            ),
            _ => (pods("CREATE, UPDATE"), own_namespace),
        };
        named(&name, &constraints, &narrowed, EXPRESSIONS[number % EXPRESSIONS.len()])
    };
    (0..MANY - EXPRESSIONS.len()).map(policy).collect()
}

/// File and text of a policy and its binding.
fn named(name: &str, constraints: &str, narrowed: &str, expression: &str) -> (String, String) {
    let mut text = format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {name}
spec:
  matchConstraints:
    {constraints}
  validations:
    - expression: >-
        {expression}
      message: what {name} asks for
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {name}
spec:
  policyName: {name}
  validationActions: [Deny]
"
    );
    if !narrowed.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  matchResources:\n    {narrowed}");
    }
    (format!("{name}.yaml"), text)
}

/// An engine of these policies.
///
/// # Errors
/// All diagnostics of the compiler, when one of them is an error.
pub fn engine(policies: &[(String, String)]) -> Result<Engine, String> {
    let mut sources = PolicySources::default();
    for (file, text) in policies {
        sources.add(file, text, true);
    }
    let options = Options { unbound: UnboundPolicy::Ignore, type_check: false, ..Options::default() };
    let compiled = compile(&sources, options).map_err(|faults| faults.to_string())?;
    Ok(Engine::new(Arc::new(compiled.set)))
}
