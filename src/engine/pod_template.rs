//! Where workloads keep the Pod that they make.

use stockade_cel::Value;

/// Paths to the template of Deployments, Jobs and their like, of CronJobs, and of PodTemplates.
const TEMPLATES: [&[&str]; 3] = [&["spec", "template"], &["spec", "jobTemplate", "spec", "template"], &["template"]];

/// Lists of containers in the spec of a Pod.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The template of the Pods that an object makes; the object itself when it has none.
pub(crate) fn of(object: Value<'_>) -> Value<'_> {
    let template = |path: &&[&str]| object.path(path).filter(|t| matches!(t, Value::Object(_)));
    TEMPLATES.iter().find_map(template).unwrap_or(object)
}

/// References of all images that a Pod, or the Pods of an object, would run or mount, in no order. A container without
/// an image gives an empty one.
pub(crate) fn images(object: Value<'_>) -> impl Iterator<Item = &str> {
    let spec = of(object).get("spec").unwrap_or(Value::Null);
    let list = move |key: &str| spec.get(key).and_then(Value::as_list).unwrap_or(&[]).iter();
    let of_containers =
        CONTAINERS.into_iter().flat_map(list).map(|c| c.get("image").and_then(Value::as_str).unwrap_or(""));
    let of_volumes = list("volumes").filter_map(|v| v.path(&["image", "reference"]).and_then(Value::as_str));
    of_containers.chain(of_volumes)
}
