//! Where workloads keep the Pod that they make.

use std::collections::HashSet;

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
    places(object).map(|place| place.image)
}

/// Where an object names an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImagePlace<'a> {
    /// Path to the template; empty where the object is the Pod.
    template: &'static [&'static str],
    /// `containers`, …, `volumes`
    list: &'static str,
    /// Position in the list.
    number: usize,
    /// Name of the container or volume; empty for none.
    pub(crate) name: &'a str,
    /// As it is written; empty for none.
    pub(crate) image: &'a str,
    /// The container, or the volume.
    pub(crate) item: Value<'a>,
}

/// The list of volumes, of which some are images.
const VOLUMES: &str = "volumes";

/// All places of an object in which an image is named, or should be.
pub(crate) fn places(object: Value<'_>) -> impl Iterator<Item = ImagePlace<'_>> {
    let is_template = |path: &&&[&str]| object.path(path).is_some_and(|t| matches!(t, Value::Object(_)));
    let template = TEMPLATES.iter().find(is_template).copied().unwrap_or(&[]);
    let spec = of(object).get("spec").unwrap_or(Value::Null);
    CONTAINERS.into_iter().chain([VOLUMES]).flat_map(move |list| {
        let items = spec.get(list).and_then(Value::as_list).unwrap_or(&[]);
        items.iter().enumerate().filter_map(move |(number, item)| {
            let image = match list {
                VOLUMES => item.path(&["image", "reference"])?.as_str()?,
                _ => text(item, "image"),
            };
            Some(ImagePlace { template, list, number, name: text(item, "name"), image, item: *item })
        })
    })
}

/// Those that another object does not have: the same image in a place of the same kind and name.
pub(crate) fn added<'a>(object: Value<'a>, old_object: Value<'a>) -> impl Iterator<Item = ImagePlace<'a>> {
    let known: HashSet<_> = places(old_object).map(|place| place.identity()).collect();
    places(object).filter(move |place| !known.contains(&place.identity()))
}

fn text<'a>(item: &Value<'a>, key: &str) -> &'a str {
    item.get(key).and_then(Value::as_str).unwrap_or("")
}

// === impl ImagePlace ===

impl<'a> ImagePlace<'a> {
    /// `spec.template.spec.containers[0].image`
    pub(crate) fn path(&self) -> String {
        let Self { template, list, number, .. } = self;
        let before: String = template.iter().flat_map(|step| [step, "."]).collect();
        format!("{before}spec.{list}[{number}].{}", self.field().join("."))
    }

    /// `/spec/template/spec/containers/0/image`
    pub(crate) fn pointer(&self) -> String {
        let Self { template, list, number, .. } = self;
        let before: String = template.iter().flat_map(|step| ["/", step]).collect();
        format!("{before}/spec/{list}/{number}/{}", self.field().join("/"))
    }

    /// Kind and name of the place, and the image.
    fn identity(&self) -> (&'static str, &'a str, &'a str) {
        (self.list, self.name, self.image)
    }

    fn field(&self) -> &'static [&'static str] {
        if self.list == VOLUMES { &["image", "reference"] } else { &["image"] }
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use serde_json::json;
    use stockade_cel::Symbols;
    use stockade_cel::document::from_json;

    use super::*;

    #[test]
    fn every_place_of_an_image_is_found_and_says_where_it_is() {
        let pod = json!({"spec": {
            "containers": [{"name": "a", "image": "one"}, {"name": "b"}],
            "initContainers": [{"name": "i", "image": "two"}],
            "ephemeralContainers": [{"name": "e", "image": "three"}],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "image": {"reference": "four"}}],
        }});
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let found = |object: serde_json::Value| -> Vec<(String, String, String)> {
            let object = from_json(&object, &arena, &symbols).unwrap();
            places(object).map(|p| (p.path(), p.pointer(), p.image.to_owned())).collect()
        };
        let at = |path: &str, pointer: &str, image: &str| (path.to_owned(), pointer.to_owned(), image.to_owned());
        let want = |dots: &str, slashes: &str| {
            [
                ("containers[0].image", "containers/0/image", "one"),
                ("containers[1].image", "containers/1/image", ""),
                ("initContainers[0].image", "initContainers/0/image", "two"),
                ("ephemeralContainers[0].image", "ephemeralContainers/0/image", "three"),
                ("volumes[1].image.reference", "volumes/1/image/reference", "four"),
            ]
            .map(|(path, pointer, image)| {
                at(&format!("{dots}spec.{path}"), &format!("{slashes}/spec/{pointer}"), image)
            })
        };
        assert_eq!(found(pod.clone()), want("", ""));
        assert_eq!(found(json!({"spec": {"template": pod}})), want("spec.template.", "/spec/template"));
        assert_eq!(found(json!({"template": pod})), want("template.", "/template"));
        let cron_job = json!({"spec": {"jobTemplate": {"spec": {"template": pod}}}});
        assert_eq!(found(cron_job), want("spec.jobTemplate.spec.template.", "/spec/jobTemplate/spec/template"));
    }
}
