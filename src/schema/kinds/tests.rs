use super::*;
use crate::shape::{ListKind, StringFormat};

#[test]
fn every_generated_line_reads() {
    let kinds = parse::parse(DATA).unwrap();
    assert!(kinds.kinds.len() > 150 && kinds.resources.len() > 50, "{} kinds", kinds.kinds.len());
}

#[test]
fn a_pod_is_found_by_kind_and_by_resource() {
    let kinds = Kinds::builtin();
    let pod = kinds.by_gvk("", "v1", "Pod").unwrap();
    assert_eq!(Some(pod), kinds.by_api_version("v1", "Pod"));
    let resource = kinds.by_resource("", "v1", "pods").unwrap();
    assert_eq!((resource.kind, resource.scope, resource.singular), ("Pod", Scope::Namespaced, "pod"));
    assert_eq!(resource.kind_of("eviction"), Some(EquivalentKind { group: "policy", version: "v1", kind: "Eviction" }));
    assert_eq!(kinds.resource_of_kind("", "v1", "Pod"), Some(resource));
}

#[test]
fn fields_have_types_and_merge_keys() {
    let pod = Kinds::builtin().by_gvk("", "v1", "Pod").unwrap().root();
    let spec = pod.member("spec").unwrap();
    assert_eq!(spec.name(), Some("io.k8s.api.core.v1.PodSpec"));
    let containers = spec.field("containers").unwrap();
    assert!(containers.required);
    let Shape::List { element, kind } = containers.ty.shape() else { panic!("no list") };
    assert_eq!(kind, &ListKind::Map(vec!["name"]));
    let ports = element.member("ports").unwrap();
    let Shape::List { element: port, kind } = ports.shape() else { panic!("no list") };
    assert_eq!(kind, &ListKind::Map(vec!["containerPort", "protocol"]));
    assert_eq!(port.field("protocol").unwrap().default, Some("\"TCP\""));
    assert_eq!(
        pod.member("metadata").unwrap().member("creationTimestamp").unwrap().shape(),
        &Shape::String(StringFormat::DateTime)
    );
    assert_eq!(spec.field("nope"), None);
}

#[test]
fn a_reference_may_override_atomicity() {
    let volume = Kinds::builtin().by_gvk("", "v1", "PersistentVolume").unwrap().root();
    let claim = volume.member("spec").unwrap().member("claimRef").unwrap();
    assert!(matches!(claim.shape(), Shape::Struct { atomic: false, .. }));
    let selector = Kinds::builtin().by_gvk("apps", "v1", "Deployment").unwrap().root();
    let selector = selector.member("spec").unwrap().member("selector").unwrap();
    assert!(matches!(selector.shape(), Shape::Struct { atomic: true, .. }));
}

#[test]
fn equivalents_are_all_versions_and_the_groups_that_share_storage() {
    let names = |group, resource, subresource| -> Vec<String> {
        let all = Kinds::builtin().equivalents(group, resource, subresource);
        all.iter().map(|e| format!("{}/{} {} {}", e.group, e.version, e.kind.kind, e.served)).collect()
    };
    assert_eq!(
        names("", "events", ""),
        ["/v1 Event true", "events.k8s.io/v1 Event true", "events.k8s.io/v1beta1 Event false"]
    );
    assert_eq!(
        names("apps", "deployments", "scale"),
        [
            "apps/v1 Scale true",
            "apps/v1beta2 Scale false",
            "apps/v1beta1 Scale false",
            "extensions/v1beta1 Scale false"
        ]
    );
    assert_eq!(
        names("autoscaling", "horizontalpodautoscalers", ""),
        [
            "autoscaling/v2 HorizontalPodAutoscaler true",
            "autoscaling/v1 HorizontalPodAutoscaler true",
            "autoscaling/v2beta2 HorizontalPodAutoscaler false",
            "autoscaling/v2beta1 HorizontalPodAutoscaler false"
        ]
    );
    assert_eq!(names("example.com", "deployments", ""), Vec::<String>::new());
}

#[test]
fn a_line_that_does_not_read_is_named() {
    assert_eq!(
        parse::parse("# x\nT\ta\nF\tb\tnonsense\n").unwrap_err().to_string(),
        "line 3 of the generated kinds does not read"
    );
}
