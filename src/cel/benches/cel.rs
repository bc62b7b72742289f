//! Decoding an AdmissionReview with a Pod of 8.5 KB and judging it by twelve expressions, against crate `cel`.
//! Prints ratios of one run: absolute times depend on the machine.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures, on input of its own")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::functions::Scope;
use stockade_cel::{Env, Evaluation, Program, Symbols, Type, Value, document};

/// What policies ask of Pods.
const EXPRESSIONS: [&str; 12] = [
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

/// A Pod as the API server hands it to a webhook.
fn pod() -> Json {
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

fn review(pod: &Json) -> Vec<u8> {
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
    serde_json::to_vec(&review).unwrap()
}

/// Shortest time of one call, over batches that together run for about a second.
fn time(mut work: impl FnMut()) -> Duration {
    let batch = 50;
    let mut best = Duration::MAX;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        let from = Instant::now();
        (0..batch).for_each(|_| work());
        best = best.min(from.elapsed() / batch);
    }
    best
}

fn judge<'a>(scope: Scope<'a>, roots: &'a [Value<'a>], programs: &'a [Program]) -> usize {
    let mut evaluation = Evaluation::new(scope, roots, &[]);
    let allows = |p: &&'a Program| evaluation.evaluate(p, u64::MAX).result.is_ok_and(|v| v.as_bool() == Some(true));
    programs.iter().filter(allows).count()
}

fn micros(d: Duration) -> f64 {
    d.as_secs_f64() * 1e6
}

fn main() {
    let pod = pod();
    let body = review(&pod);
    let mut symbols = Symbols::new();
    let env = Env::kubernetes().variable("object", Type::Dyn);
    let programs: Vec<Program> = EXPRESSIONS.iter().map(|e| env.compile(e, &mut symbols).unwrap()).collect();
    for name in ["request", "object", "kind", "metadata", "spec"] {
        symbols.intern(name);
    }

    let mut arena = Bump::with_capacity(256 << 10);
    let decode = |arena: &Bump| {
        black_box(document::decode(&body, arena, &symbols).unwrap());
    };
    let decoding = time(|| {
        arena.reset();
        decode(&arena);
    });
    let whole = time(|| {
        arena.reset();
        let roots = [document::decode(&body, &arena, &symbols).unwrap().path(&["request", "object"]).unwrap()];
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        assert_eq!(judge(scope, &roots, &programs), EXPRESSIONS.len());
    });

    let documents = Bump::new();
    let roots = [document::decode(&body, &documents, &symbols).unwrap().path(&["request", "object"]).unwrap()];
    let mut evaluate = || {
        arena.reset();
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        assert_eq!(judge(scope, &roots, &programs), EXPRESSIONS.len());
    };
    let evaluating = time(&mut evaluate);
    let allocations = allocation_counter::measure(evaluate).count_total;

    let theirs: Vec<cel::Program> = EXPRESSIONS.iter().map(|e| cel::Program::compile(e).unwrap()).collect();
    let mut context = cel::Context::default();
    context.add_variable("object", &pod).unwrap();
    let run = |context: &cel::Context<'_, '_>| {
        theirs.iter().filter(|p| matches!(p.execute(context), Ok(cel::Value::Bool(true)))).count()
    };
    let their_evaluating = time(|| {
        black_box(run(&context));
    });
    let their_whole = time(|| {
        let review: Json = serde_json::from_slice(&body).unwrap();
        let mut context = cel::Context::default();
        context.add_variable("object", &review["request"]["object"]).unwrap();
        black_box(run(&context));
    });

    println!("Pod {} bytes, AdmissionReview {} bytes", serde_json::to_vec(&pod).unwrap().len(), body.len());
    println!("{:28} {:>10} {:>10} {:>7}", "", "stockade", "cel 0.15", "ratio");
    let row = |name: &str, ours: Duration, theirs: Duration| {
        println!(
            "{name:28} {:>7.1} µs {:>7.1} µs {:>6.0}×",
            micros(ours),
            micros(theirs),
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    };
    row("12 expressions", evaluating, their_evaluating);
    row("decode + 12 expressions", whole, their_whole);
    println!("{:28} {:>7.1} µs", "of that decoding", micros(decoding));
    println!("{:28} {allocations:>7}", "heap allocations, 12 expr.");
    for (text, program) in EXPRESSIONS.iter().zip(&theirs) {
        let mine = env.compile(text, &mut symbols.clone()).unwrap();
        let programs = std::slice::from_ref(&mine);
        let ours = time_short(|| {
            arena.reset();
            let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
            black_box(judge(scope, &roots, programs));
        });
        let other = time_short(|| {
            black_box(program.execute(&context).ok());
        });
        row(&text[..28], ours, other);
    }
}

/// As [`time`], over a tenth of a second.
fn time_short(mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(100) {
        let from = Instant::now();
        (0..20).for_each(|_| work());
        best = best.min(from.elapsed() / 20);
    }
    best
}
