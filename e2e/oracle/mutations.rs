//! More requests out of known ones: seeded, small changes of every kind.

use serde_json::{Map, Value, json};

/// A small deterministic generator (splitmix64): the same seed gives the same changes on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound; 0 for the bound 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of a slice.
    pub fn pick<'s, T>(&mut self, from: &'s [T]) -> &'s T {
        &from[self.below(from.len())]
    }
}

/// How far a change may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boldness {
    /// Likely still a valid object of a built-in kind.
    Valid,
    /// Any JSON anywhere below the object.
    Anything,
}

/// Texts that policies look at, and texts that break careless ones.
const TEXTS: [&str; 22] = [
    "",
    "default",
    "nginx",
    "nginx:latest",
    "nginx:1.29",
    "ghcr.io/acme/web:v1.2.3",
    "docker.io/library/busybox",
    "localhost:5000/a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "RuntimeDefault",
    "Unconfined",
    "Localhost",
    "ALL",
    "NET_ADMIN",
    "0.5",
    "1e3",
    "100m",
    "1Ki",
    "9999999999999999999999",
    "/var/run/docker.sock",
    "a\"b\\c\n\td",
    "häuser 🦀 \u{202e}rtl",
    "*",
];

/// Keys that Pod-shaped objects and metadata know.
const KNOWN_BOOLEANS: [&str; 10] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "privileged",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "automountServiceAccountToken",
    "shareProcessNamespace",
    "stdin",
];

/// Changes an object in one to three places.
pub fn mutate(object: &mut Value, random: &mut Random, boldness: Boldness) {
    for _ in 0..=random.below(3) {
        match random.below(8) {
            0 => change_metadata(object, random),
            1 => change_containers(object, random),
            2 => set_known_boolean(object, random),
            _ => change_somewhere(object, random, boldness),
        }
    }
}

/// Labels and annotations: legal values for the first, any text for the second.
fn change_metadata(object: &mut Value, random: &mut Random) {
    let labels = ["", "a", "A.b_c-9", "x23456789012345678901234567890123456789012345678901234567890123", "prod"];
    let keys = ["app", "owner", "team", "app.kubernetes.io/name", "example.com/A_b.c", "environment"];
    let (field, value) = if random.below(2) == 0 {
        ("labels", json!(*random.pick(&labels)))
    } else if random.below(8) == 0 {
        ("annotations", json!("long ".repeat(20_000)))
    } else {
        ("annotations", json!(*random.pick(&TEXTS)))
    };
    let key = *random.pick(&keys);
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let map = metadata.entry(field).or_insert_with(|| json!({}));
    if let Some(map) = map.as_object_mut() {
        if random.below(3) == 0 {
            map.remove(key);
        } else {
            map.insert(key.to_owned(), value);
        }
    }
}

/// The Pod spec of an object that is or has one.
fn pod_spec(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let pointer =
        ["/spec/containers", "/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"]
            .into_iter()
            .find(|pointer| object.pointer(pointer).is_some())?
            .trim_end_matches("/containers");
    object.pointer_mut(pointer)?.as_object_mut()
}

/// More containers, up to a long list, in any of the three lists.
fn change_containers(object: &mut Value, random: &mut Random) {
    let Some(spec) = pod_spec(object) else { return };
    let Some(model) = spec.get("containers").and_then(|list| list.get(0)).filter(|first| first.is_object()).cloned()
    else {
        return;
    };
    let list = *random.pick(&["containers", "initContainers", "containers"]);
    let count = *random.pick(&[1, 2, 2, 3, 60]);
    let image = *random.pick(&["nginx", "nginx:latest", "busybox:1.37", "ghcr.io/acme/web@sha256:00", "a/b:c"]);
    let Some(containers) = spec.entry(list).or_insert_with(|| json!([])).as_array_mut() else { return };
    for _ in 0..count {
        let mut container = model.clone();
        container["name"] = json!(format!("extra-{}", containers.len()));
        if random.below(2) == 0 {
            container["image"] = json!(image);
        }
        if let (Some(fields), true) = (container.as_object_mut(), random.below(2) == 0) {
            fields.remove(*random.pick(&["securityContext", "resources", "livenessProbe", "ports", "volumeMounts"]));
        }
        if let Some(fields) = container.as_object_mut() {
            fields.remove("ports");
        }
        containers.push(container);
    }
}

fn set_known_boolean(object: &mut Value, random: &mut Random) {
    let key = *random.pick(&KNOWN_BOOLEANS);
    let value = json!(random.below(2) == 0);
    let place = random.below(3);
    let Some(spec) = pod_spec(object) else { return };
    match key {
        "hostNetwork" | "hostPID" | "hostIPC" | "automountServiceAccountToken" | "shareProcessNamespace" => {
            spec.insert(key.to_owned(), value);
        }
        "runAsNonRoot" if place == 0 => {
            let context = spec.entry("securityContext").or_insert_with(|| json!({}));
            if let Some(context) = context.as_object_mut() {
                context.insert(key.to_owned(), value);
            }
        }
        _ => {
            let container = spec.get_mut("containers").and_then(|list| list.get_mut(0)).and_then(Value::as_object_mut);
            let Some(container) = container else { return };
            let context = container.entry("securityContext").or_insert_with(|| json!({}));
            if let Some(context) = context.as_object_mut() {
                context.insert(key.to_owned(), value);
            }
        }
    }
}

/// Any one value below the object but its identity.
fn change_somewhere(object: &mut Value, random: &mut Random, boldness: Boldness) {
    let mut pointers = Vec::new();
    collect(object, String::new(), &mut pointers);
    pointers.retain(|pointer| !is_identity(pointer));
    if pointers.is_empty() {
        return;
    }
    let pointer = random.pick(&pointers).clone();
    if random.below(3) == 0 {
        remove(object, &pointer);
        return;
    }
    let Some(value) = object.pointer_mut(&pointer) else { return };
    // Metadata stays well-typed: the server decodes it before anything else, for every kind.
    let bold = boldness == Boldness::Anything && !pointer.starts_with("/metadata");
    if bold && random.below(2) == 0 {
        *value = anything(random);
        return;
    }
    match value {
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(_) => *value = json!(*random.pick(&[0_i64, 1, 2, 3, 10, 80, 443, 1000, 65_535, -1])),
        Value::String(text) => (*random.pick(&TEXTS)).clone_into(text),
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => {
            let index = random.below(items.len());
            match random.below(3) {
                0 => drop(items.remove(index)),
                1 => items.clear(),
                _ => items.push(items[index].clone()),
            }
        }
        Value::Object(map) => map.clear(),
        Value::Null => {}
    }
}

/// What the server needs to route and store the object.
fn is_identity(pointer: &str) -> bool {
    const EXACT: [&str; 7] = [
        "/apiVersion",
        "/kind",
        "/metadata",
        "/metadata/name",
        "/metadata/namespace",
        "/spec",
        "/metadata/generateName",
    ];
    const BELOW: [&str; 5] = [
        "/metadata/uid",
        "/metadata/resourceVersion",
        "/metadata/creationTimestamp",
        "/metadata/managedFields",
        "/metadata/generation",
    ];
    EXACT.contains(&pointer) || BELOW.iter().any(|prefix| pointer.starts_with(prefix))
}

fn collect(value: &Value, pointer: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                collect(child, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                collect(child, format!("{pointer}/{index}"), into);
            }
        }
        _ => {}
    }
    if !pointer.is_empty() {
        into.push(pointer);
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Ok(index) = last.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// A value of any type.
fn anything(random: &mut Random) -> Value {
    match random.below(12) {
        0 => json!(null),
        1 => json!(true),
        2 => json!(0),
        3 => json!(-7),
        4 => json!(i64::MAX),
        5 => json!(1.5),
        6 => json!([]),
        7 => json!({}),
        8 => json!([{ "name": "x" }, "text", 3, null]),
        9 => json!({ "name": { "nested": [1, 2.5, "three"] } }),
        10 => Value::Array((0..2_000).map(|index| json!({ "name": format!("n{index}") })).collect()),
        _ => json!(*random.pick(&TEXTS)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Boldness, Random, mutate};

    #[test]
    fn the_same_seed_gives_the_same_changes_and_keeps_the_identity() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": { "a/b": "c" } },
            "spec": { "containers": [{ "name": "c", "image": "i", "ports": [{ "containerPort": 80 }] }] },
        });
        for seed in 0..500 {
            let mut twins = [pod.clone(), pod.clone()];
            for twin in &mut twins {
                mutate(twin, &mut Random::new(seed), Boldness::Anything);
                assert_eq!((&twin["kind"], &twin["metadata"]["name"]), (&json!("Pod"), &json!("p")));
            }
            assert_eq!(twins[0], twins[1]);
        }
    }
}
