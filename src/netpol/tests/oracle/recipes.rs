//! The recipes that people copy their first policies from, by path: each is read whole, and says what its title does.

use serde_json::json;
use stockade_netpol::compile::Compiled;
use stockade_netpol::ports::Protocol;
use stockade_netpol::read::ManifestReader;
use stockade_netpol::verdict::Endpoint;

/// By the number of a recipe: who, with whom, on which port, and whether that is allowed.
const CASES: [(&str, &str, &str, u16, bool); 24] = [
    ("01", "default/api", "default/web", 80, false),
    ("01", "default/web", "default/api", 80, true),
    ("02-", "default/search", "default/api", 80, true),
    ("02-", "default/web", "default/api", 80, false),
    ("02a", "other/any", "default/web", 80, true),
    ("03", "default/web", "default/api", 80, false),
    ("04", "other/any", "default/web", 80, false),
    ("04", "default/api", "default/web", 80, true),
    ("05", "other/any", "default/web", 80, true),
    ("06", "prod/any", "default/web", 80, true),
    ("06", "other/any", "default/web", 80, false),
    ("07", "ops/monitoring", "default/web", 80, true),
    ("07", "ops/any", "default/web", 80, false),
    ("07", "other/any", "default/web", 80, false),
    ("08", "outside", "default/web", 80, true),
    ("09", "default/monitor", "default/apiserver", 5000, true),
    ("09", "default/monitor", "default/apiserver", 5001, false),
    ("09", "default/web", "default/apiserver", 5000, false),
    ("10", "default/inventory", "default/db", 6379, true),
    ("10", "default/web", "default/db", 6379, false),
    ("11-deny-egress-traffic-from-an-application.yaml", "default/foo", "default/web", 80, false),
    ("12", "default/foo", "default/web", 80, false),
    ("14", "default/foo", "outside", 443, false),
    ("14", "default/foo", "kube-system/dns", 53, true),
];

/// Namespace, name and labels.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PODS: [Row; 14] = [
    ("default", "web", &[("app", "web")]),
    ("default", "api", &[("app", "bookstore"), ("role", "api")]),
    ("default", "search", &[("app", "bookstore"), ("role", "search")]),
    ("default", "db", &[("app", "bookstore"), ("role", "db")]),
    ("default", "inventory", &[("app", "inventory"), ("role", "web")]),
    ("default", "apiserver", &[("app", "apiserver")]),
    ("default", "monitor", &[("role", "monitoring")]),
    ("default", "foo", &[("app", "foo")]),
    ("other", "any", &[]),
    ("prod", "any", &[]),
    ("ops", "any", &[]),
    ("ops", "monitoring", &[("type", "monitoring")]),
    ("kube-system", "dns", &[("k8s-app", "kube-dns")]),
    ("kube-system", "any", &[]),
];

#[test]
fn every_recipe_is_read_and_does_what_its_title_says() {
    let Some(rows) = stockade_conformance::rows("netpol-recipes/index.jsonl") else { return };
    let mut asked = 0;
    for row in &rows {
        let path = row["path"].as_str().unwrap();
        let compiled = compiled(path);
        let file = path.rsplit('/').next().unwrap();
        for (recipe, from, to, port, expected) in CASES.iter().filter(|case| file.starts_with(case.0)) {
            asked += 1;
            let end = |name: &str| {
                let pod = compiled.state().pods().find(|(_, pod)| pod.to_string() == name);
                let outside = Endpoint::Outside { address: "198.51.100.1".parse().ok(), names: &[] };
                pod.map_or(outside, |(id, _)| Endpoint::Pod(id, None))
            };
            let protocol = if *port == 53 { Protocol::Udp } else { Protocol::Tcp };
            let verdict = compiled.verdict(end(from), end(to), protocol, *port);
            assert_eq!(verdict.is_allowed(), *expected, "{recipe}: {from} to {to}: {verdict:?}");
        }
    }
    assert!(asked >= CASES.len(), "{asked} of {} cases have their recipe", CASES.len());
}

fn compiled(path: &str) -> Compiled {
    let mut reader = ManifestReader::new("default");
    reader.add(path, &stockade_conformance::text(path).unwrap());
    for (name, labels) in [("prod", ("purpose", "production")), ("ops", ("team", "operations"))] {
        let labels = json!({labels.0: labels.1});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        reader.add("namespace.json", &namespace.to_string());
    }
    for (namespace, name, labels) in PODS {
        let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        reader.add("pod.json", &json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}).to_string());
    }
    let read = reader.finish();
    assert!(read.diagnostics.is_empty(), "{}", read.diagnostics);
    assert_eq!(read.policies.len(), 1, "{path}");
    Compiled::new(read.policies, read.state).unwrap()
}
