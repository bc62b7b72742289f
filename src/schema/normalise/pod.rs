//! Defaults of a Pod itself, which templates of Pods do not get.

use serde_json::{Value as Json, json};

use super::{Members, child, is_empty, set, set_absent};

/// Resources that a Pod as a whole may have beside huge pages, and that may be overcommitted.
const OVERCOMMITTED: [&str; 2] = ["cpu", "memory"];

pub(super) fn whole(pod: &mut Members) {
    let Some(spec) = child(pod, "spec") else { return };
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            requests_from_limits(container);
        }
    }
    pod_level_requests(spec);
    set_absent(spec, "enableServiceLinks", || Json::from(true));
    if spec.get("hostNetwork") == Some(&Json::Bool(true)) {
        for list in ["containers", "initContainers"] {
            for container in items(spec, list) {
                for port in items(container, "ports") {
                    let number = port.get("containerPort").cloned().unwrap_or_else(|| json!(0));
                    set(port, "hostPort", || number);
                }
            }
        }
    }
}

fn items<'m>(object: &'m mut Members, key: &str) -> impl Iterator<Item = &'m mut Members> {
    object.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten().filter_map(Json::as_object_mut)
}

fn requests_from_limits(container: &mut Members) {
    let Some(resources) = container.get_mut("resources").and_then(Json::as_object_mut) else { return };
    let Some(Json::Object(limits)) = resources.get("limits").cloned() else { return };
    let Some(requests) = child(resources, "requests") else { return };
    for (name, value) in limits {
        requests.entry(name).or_insert(value);
    }
}

/// Requests of the Pod as a whole follow its limits, where no container requests that resource. (Where one does,
/// upstream sums up the containers; such Pods keep what the file says.)
fn pod_level_requests(spec: &mut Members) {
    let requested = |list: &Json, name: &str| {
        let containers = list.as_array().into_iter().flatten();
        containers.into_iter().any(|c| !c["resources"]["requests"][name].is_null())
    };
    let none = Json::Null;
    let lists = [spec.get("containers").unwrap_or(&none).clone(), spec.get("initContainers").unwrap_or(&none).clone()];
    let Some(resources) = spec.get_mut("resources").and_then(Json::as_object_mut) else { return };
    let Some(Json::Object(limits)) = resources.get("limits").filter(|l| !is_empty(l)).cloned() else { return };
    let Some(requests) = child(resources, "requests") else { return };
    for (name, value) in limits {
        let supported = OVERCOMMITTED.contains(&name.as_str()) || name.starts_with("hugepages-");
        if supported && !lists.iter().any(|list| requested(list, &name)) {
            requests.entry(name).or_insert(value);
        }
    }
    if requests.is_empty() {
        resources.shift_remove("requests");
    }
}
