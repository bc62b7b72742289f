//! The Helm chart without a node: what it renders is what a real API server takes, and asks for no more than it needs.

use std::fs;
use std::process::Command;

use serde_json::Value;
use stockade_e2e::cluster::Cluster;
use stockade_e2e::documents::text;
use stockade_e2e::helm::{chart, helm, objects, render};
use stockade_e2e::webhook::{self, eventually};
use stockade_e2e::{installed_kinds, tools};

#[path = "chart/agent.rs"]
mod agent;

/// Everything that can be switched on.
const EVERYTHING: &[&str] = &[
    "mode=Deny",
    "podSecurity.level=restricted",
    "network.enabled=true",
    "workload.enabled=true",
    "workload.defaultSecurityContext.enabled=true",
    "rbac.enabled=true",
    "dashboard.enabled=true",
    "certManager.enabled=true",
    "crds.keep=false",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
];

/// What lets images be looked at that not everybody may pull.
const PRIVATE_REGISTRIES: &[&str] = &[
    "imagePolicies.pullSecrets.enabled=true",
    "imagePolicies.pullSecrets.namespaces={shop,web}",
    "imagePolicies.dockerConfigSecret=registries",
    "imagePolicies.keySecrets={release-key}",
    "networkPolicy.registryPorts={443,5000}",
];

/// The node agent with all that belongs to it.
const AGENT: &[&str] = &[
    "agent.enabled=true",
    "agent.image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "agent.gate.waitSeconds=20",
    "agent.gate.onTimeout=Allow",
    "agent.gate.exemptNamespaces={kube-system,cilium}",
    "agent.podLabels.team=security",
    "agent.podAnnotations.example\\.com/a=b",
    "metrics.podMonitor.enabled=true",
    "metrics.podMonitor.labels.release=prometheus",
    "crds.keep=false",
];

/// A few of the ways in which people install it.
const MATRIX: &[(&str, &[&str])] = &[
    ("as it comes", &[]),
    ("everything", EVERYTHING),
    (
        "nothing but the webhook",
        &[
            "podSecurity.enabled=false",
            "podDisruptionBudget.enabled=false",
            "networkPolicy.enabled=false",
            "failsafe.enabled=false",
            "replicaCount=1",
            "priorityClassName=",
        ],
    ),
    (
        "placed by hand",
        &[
            "image.registry=registry.example.com:5000",
            "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "imagePullSecrets[0].name=pull",
            "nodeSelector.disk=ssd",
            "tolerations[0].operator=Exists",
            "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution=null",
            "topologySpreadConstraints[0].topologyKey=rack",
            "topologySpreadConstraints[0].maxSkew=2",
            "topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule",
            "topologySpreadConstraints[0].labelSelector.matchLabels.a=b",
            "podLabels.team=security",
            "podAnnotations.example\\.com/a=b",
            "serviceAccount.annotations.example\\.com/a=b",
            "service.annotations.example\\.com/a=b",
            "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
            "podDisruptionBudget.maxUnavailable=34%",
            "certManager.enabled=true",
            "certManager.issuerRef.name=internal",
            "webhook.systemNamespaces={kube-system,cilium}",
            "webhook.drainDelay=5",
            "terminationGracePeriodSeconds=60",
            "exceptions.maxDays=90",
            "audit.period=4294967295",
            "reports.group=wgpolicyk8s",
        ],
    ),
    ("images out of private registries", PRIVATE_REGISTRIES),
    ("the node agent", AGENT),
    ("the node agent without its gate", &["agent.enabled=true", "agent.gate.enabled=false"]),
    (
        "some policies",
        &[
            "network.requirePolicy.enabled=true",
            "network.requirePolicy.params.directions=Ingress",
            "rbac.enabled=true",
            "rbac.noWildcards.enabled=false",
        ],
    ),
];

/// Kinds that the chart knows and a cluster may have.
const FOREIGN_KINDS: &str = include_str!("chart/foreign-kinds.yaml");

#[test]
fn a_real_api_server_takes_what_every_combination_of_values_renders() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let run = |arguments: &[&str], stdin: &str| {
        let answer = cluster.kubectl(arguments, stdin);
        assert_eq!(answer.code, 0, "{arguments:?}: {}{}", answer.stdout, answer.stderr);
        answer
    };
    for namespace in ["stockade-system", "shop", "web"] {
        run(&["create", "namespace", namespace], "");
    }
    run(&["apply", "-f", "-"], FOREIGN_KINDS);
    installed_kinds::own(cluster);
    run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=300s"], "");
    for (name, values) in MATRIX {
        let rendered = render(cluster.folder(), values).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Kinds that are established are found by discovery a moment later.
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let answer = eventually(|| cluster.kubectl(&apply, &rendered), |answer| answer.code == 0);
        assert_eq!(answer.stderr, "", "{name}");
        let taken = answer.stdout.lines().filter(|line| line.ends_with("(server dry run)")).count();
        assert_eq!(taken, objects(&rendered).len(), "{name}: {}", answer.stdout);
    }
}

#[test]
fn helm_finds_no_fault_in_the_chart() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for (name, values) in MATRIX {
        let path = chart();
        let mut arguments = vec!["lint", "--strict", path.to_str().unwrap()];
        for value in *values {
            arguments.extend(["--set", value]);
        }
        let linted = helm(home.path(), None, &arguments);
        assert!(linted.ok, "{name}: {}{}", linted.stdout, linted.stderr);
    }
}

#[test]
fn values_that_mean_nothing_are_refused_with_their_name() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for (value, expected) in [
        ("mod=Deny", "additional properties 'mod' not allowed"),
        ("mode=deny", "at '/mode': value must be one of 'Audit', 'Warn', 'Deny'"),
        ("network.requirePolicies.enabled=true", "additional properties 'requirePolicies' not allowed"),
        ("replicaCount=0", "at '/replicaCount': minimum: got 0, want 1"),
        ("webhook.timeoutSeconds=31", "at '/webhook/timeoutSeconds': maximum: got 31, want 30"),
        ("terminationGracePeriodSeconds=30", "at '/terminationGracePeriodSeconds': minimum: got 30, want 40"),
        ("webhook.drainDelay=9", "terminationGracePeriodSeconds: must be 46 or more, for webhook.drainDelay"),
        ("exceptions.maxDays=3651", "at '/exceptions/maxDays': maximum: got 3,651, want 3,650"),
        ("audit.period=9", "at '/audit/period': minimum: got 9, want 10"),
        ("reports.group=other", "at '/reports/group': value must be one of 'openreports', 'wgpolicyk8s'"),
        ("permissions.extraRead[0].apiGroups[0]=*", "'*' does not match pattern"),
    ] {
        let error = render(home.path(), &[value]).expect_err(value);
        assert!(error.contains(expected), "{value}: {error}");
    }
}

/// Each object as `Kind name`.
fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|o| format!("{} {}", text(o, "/kind"), text(o, "/metadata/name"))).collect()
}

/// What each policy does with a violation: `name: action`.
fn actions(rendered: &str) -> Vec<String> {
    let policies = objects(rendered).into_iter().filter(|o| o["kind"] == "AdmissionPolicy");
    policies.map(|p| format!("{}: {}", text(&p, "/metadata/name"), text(&p, "/spec/actions/0"))).collect()
}

#[test]
fn a_first_install_refuses_nothing_and_the_mode_is_the_ceiling_of_what_policies_do() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let with = |values: &[&str]| actions(&render(home.path(), values).unwrap());
    let pod_security = |action: &str, warn: &str| {
        [
            format!("pod-security-standards: {action}"),
            format!("pod-security-standards-warn: {warn}"),
            "pod-security-standards-audit: Audit".to_owned(),
        ]
    };
    assert_eq!(with(&[]), pod_security("Audit", "Audit"));
    assert_eq!(with(&["mode=Warn"]), pod_security("Warn", "Warn"));
    assert_eq!(with(&["mode=Deny"]), pod_security("Deny", "Warn"));
    assert_eq!(with(&["podSecurity.enforce=Deny"]), pod_security("Deny", "Warn"));
    let one = |values: &[&str]| with(&[&["podSecurity.enabled=false", "rbac.noPodExec.enabled=true"], values].concat());
    // By itself this policy only warns.
    assert_eq!(one(&[]), ["no-pod-exec: Audit"]);
    assert_eq!(one(&["mode=Deny"]), ["no-pod-exec: Warn"]);
    assert_eq!(one(&["mode=Deny", "rbac.enforce=Audit"]), ["no-pod-exec: Audit"]);
    assert_eq!(one(&["rbac.noPodExec.enforce=Deny"]), ["no-pod-exec: Deny"]);

    let all = with(EVERYTHING);
    assert!(all.len() > 35, "{all:?}");
    let audited =
        with(&["network.enabled=true", "workload.enabled=true", "rbac.enabled=true", "dashboard.enabled=true"]);
    assert!(audited.iter().all(|policy| policy.ends_with(": Audit")), "{audited:?}");
}

#[test]
fn params_are_in_the_namespace_of_the_release_with_the_values_merged_over_them() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let path = chart();
    let arguments = [
        "template",
        "stockade",
        path.to_str().unwrap(),
        "--namespace=elsewhere",
        "--set=podSecurity.enabled=false,network.requirePolicy.enabled=true",
        "--set=network.requirePolicy.params.directions=Ingress",
    ];
    let rendered = helm(home.path(), None, &arguments);
    let of_policy = |kind: &str| {
        let all = objects(&rendered.stdout);
        all.into_iter().find(|o| o["kind"] == kind && text(o, "/metadata/name") == "require-network-policy").unwrap()
    };
    assert_eq!(of_policy("ConfigMap")["data"], serde_json::json!({ "directions": "Ingress" }));
    assert_eq!(of_policy("ConfigMap")["metadata"]["namespace"], "elsewhere");
    assert_eq!(of_policy("AdmissionPolicy")["spec"]["paramRef"]["namespace"], "elsewhere");
    assert!(!rendered.stdout.contains("stockade-system"), "{}", rendered.stdout);
}

#[test]
fn the_policies_of_the_chart_compile_and_its_own_pods_meet_the_restricted_standard() {
    let Some(binary) = webhook::binary().filter(|_| tools::present()) else { return };
    let home = tempfile::tempdir().unwrap();
    let rendered = render(home.path(), EVERYTHING).unwrap();
    let (policies, manifests) = (home.path().join("policies.yaml"), home.path().join("manifests.yaml"));
    let (of_packs, others): (Vec<Value>, Vec<Value>) =
        objects(&rendered).into_iter().partition(|o| o["kind"] == "AdmissionPolicy");
    for (path, objects) in [(&policies, &of_packs), (&manifests, &others)] {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        fs::write(path, list.to_string()).unwrap();
    }
    let [policies, manifests] = [&policies, &manifests].map(|path| path.to_str().unwrap());
    let stockade = |arguments: &[&str]| {
        let output = Command::new(&binary).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.success(), said.concat())
    };
    let restricted = stockade(&["check", "--pod-security", "restricted:latest", manifests]);
    assert!(restricted.0, "{}", restricted.1);
    // Exit code 2 and diagnostics when one does not compile; whether it refuses anything here does not matter.
    let (_, said) = stockade(&["check", "--policies", policies, manifests]);
    assert!(!said.contains("error:"), "{said}");
}

#[test]
fn permissions_have_no_wildcard_and_reach_no_secret_but_its_own() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let all = objects(&render(home.path(), &[EVERYTHING, AGENT].concat()).unwrap());
    let mut secrets = Vec::new();
    for role in all.iter().filter(|o| ["Role", "ClusterRole"].contains(&text(o, "/kind"))) {
        for rule in role["rules"].as_array().unwrap() {
            assert!(!rule.to_string().contains('*'), "{role}");
            if rule["resources"].to_string().contains("secret") {
                secrets.push(format!("{} {} {}", text(role, "/kind"), rule["verbs"], rule["resourceNames"]));
            }
        }
    }
    secrets.sort();
    assert_eq!(secrets, [r#"Role ["create"] null"#, r#"Role ["list","watch","update"] ["stockade-tls"]"#,]);
    let foreign = names(&all).into_iter().filter(|n| !n.contains("stockade") && n.contains("Role")).collect::<Vec<_>>();
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn secrets_of_others_are_read_only_where_the_values_say_so() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let all = objects(&render(home.path(), PRIVATE_REGISTRIES).unwrap());
    let rules = all.iter().filter(|o| ["Role", "ClusterRole"].contains(&text(o, "/kind"))).flat_map(|role| {
        let rules = role["rules"].as_array().unwrap().iter().filter(|r| r["resources"].to_string().contains("secret"));
        rules.map(|r| format!("{} {} {}", text(role, "/metadata/name"), r["verbs"], r["resourceNames"]))
    });
    let mut rules: Vec<String> = rules.collect();
    rules.sort();
    assert_eq!(
        rules,
        [
            r#"stockade ["create"] null"#,
            r#"stockade ["get"] ["release-key"]"#,
            r#"stockade ["list","watch","update"] ["stockade-tls"]"#,
            r#"stockade-pull-secrets ["get"] null"#,
        ]
    );
    let bound = |all: &[Value]| -> Vec<String> {
        let bindings = all.iter().filter(|o| text(o, "/kind").ends_with("Binding"));
        let bindings = bindings.filter(|o| o["roleRef"]["name"] == "stockade-pull-secrets");
        bindings.map(|o| format!("{} {}", text(o, "/kind"), o["metadata"]["namespace"])).collect()
    };
    assert_eq!(bound(&all), [r#"RoleBinding "shop""#, r#"RoleBinding "web""#]);
    let everywhere = objects(&render(home.path(), &["imagePolicies.pullSecrets.enabled=true"]).unwrap());
    assert_eq!(bound(&everywhere), ["ClusterRoleBinding null"]);
    assert_eq!(bound(&objects(&render(home.path(), &[]).unwrap())), [""; 0]);
}

#[test]
fn what_the_cluster_needs_to_run_is_left_out_of_every_policy_that_judges_workloads() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let left_out = |values: &[&str]| {
        let policies = objects(&render(home.path(), values).unwrap()).into_iter().filter(|o| {
            let (kind, name) = (text(o, "/kind"), text(o, "/metadata/name"));
            kind == "AdmissionPolicy" && (name.starts_with("pod-security") || name == "no-host-network")
        });
        let selectors = policies.map(|p| p["spec"]["matchConstraints"]["namespaceSelector"].clone());
        selectors.collect::<Vec<_>>()
    };
    let not_in = |namespaces: &[&str]| {
        let own =
            serde_json::json!({ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": namespaces });
        vec![serde_json::json!({ "matchExpressions": [own] }); 4]
    };
    let network = "network.noHostNetwork.enabled=true";
    let by_default = not_in(&["kube-system", "kube-public", "kube-node-lease", "stockade-system"]);
    assert_eq!(left_out(&["mode=Deny", network]), by_default);
    let cilium = "webhook.systemNamespaces={kube-system,cilium,stockade-system}";
    assert_eq!(left_out(&[network, cilium]), not_in(&["kube-system", "cilium", "stockade-system"]));
}

#[test]
fn every_pod_with_metrics_is_behind_one_service_that_is_scraped() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let all = objects(&render(home.path(), EVERYTHING).unwrap());
    let of_kind = |kind: &'static str| all.iter().filter(move |o| o["kind"] == kind);
    let selects = |selector: &Value, labels: &Value| {
        selector.as_object().unwrap().iter().all(|(label, value)| labels.get(label) == Some(value))
    };
    let monitor = of_kind("ServiceMonitor").next().unwrap();
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], "http");
    let scraped = |service: &&Value| {
        let ports = service["spec"]["ports"].as_array().unwrap();
        selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"])
            && ports.iter().any(|port| port["name"] == "http")
    };
    let behind = |deployment: &Value| {
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let services = of_kind("Service").filter(scraped).filter(|s| selects(&s["spec"]["selector"], labels));
        (text(deployment, "/metadata/name").to_owned(), names(&services.cloned().collect::<Vec<_>>()))
    };
    let expected = ["stockade", "stockade-failsafe"].map(|name| (name.to_owned(), vec![format!("Service {name}")]));
    let mut found: Vec<_> = of_kind("Deployment").map(behind).collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn values_reach_the_flags_of_the_webhook_and_the_reports_that_it_may_write() {
    if !tools::present() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let flags = ["--drain-delay", "--max-exception-days", "--audit-period", "--reports", "--image", "--docker"];
    let with = |values: &[&str]| {
        let all = objects(&render(home.path(), values).unwrap());
        let named = |kind: &str| all.iter().find(|o| o["kind"] == kind && text(o, "/metadata/name") == "stockade");
        let (deployment, role) = (named("Deployment").unwrap(), named("ClusterRole").unwrap());
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let set = arguments.iter().map(|a| a.as_str().unwrap().to_owned());
        let set: Vec<String> = set.filter(|a| flags.iter().any(|flag| a.starts_with(flag))).collect();
        let rules = role["rules"].as_array().unwrap().iter().filter(|r| r["resources"].to_string().contains("reports"));
        let rules = rules.map(|r| format!("{} {} {}", r["apiGroups"][0], r["resources"], r["verbs"]));
        let definitions = names(&all).into_iter().filter(|n| n.starts_with("CustomResourceDefinition")).count();
        (set.join(" "), rules.collect::<Vec<_>>(), definitions)
    };
    let rules = |group: &str, resources: &str| {
        [r#"["list","create"]"#, r#"["patch","delete"]"#].map(|verbs| format!("{group:?} {resources} {verbs}")).to_vec()
    };
    let openreports = rules("openreports.io", r#"["reports","clusterreports"]"#);
    assert_eq!(with(&[]), ("--drain-delay=3 --audit-period=3600 --reports=openreports".to_owned(), openreports, 2));
    let arguments = "--drain-delay=0 --max-exception-days=90 --audit-period=4294967295 --reports=wgpolicyk8s \
        --image-pull-secrets --docker-config=/etc/stockade/docker/config.json"
        .to_owned();
    let policy_reports = rules("wgpolicyk8s.io", r#"["policyreports","clusterpolicyreports"]"#);
    let values =
        ["webhook.drainDelay=0", "exceptions.maxDays=90", "audit.period=4294967295", "reports.group=wgpolicyk8s"];
    assert_eq!(with(&[&values, PRIVATE_REGISTRIES].concat()), (arguments, policy_reports, 0));
}
