//! Types of `request` and `namespaceObject`: a table of the fields that upstream declares (`BuildRequestType`,
//! `BuildNamespaceType`); `uid`, `object`, `managedFields` and others are left out there on purpose.

use super::fields::{Fields, Shape};

/// Type of `request`.
pub(super) const ADMISSION_REQUEST: &str = "kubernetes.AdmissionRequest";
/// Type of `namespaceObject`.
pub(super) const NAMESPACE: &str = "kubernetes.Namespace";
const KIND: &str = "kubernetes.GroupVersionKind";
const RESOURCE: &str = "kubernetes.GroupVersionResource";
const USER: &str = "kubernetes.UserInfo";
const NAMESPACE_METADATA: &str = "kubernetes.NamespaceMetadata";
const NAMESPACE_SPEC: &str = "kubernetes.NamespaceSpec";
const NAMESPACE_STATUS: &str = "kubernetes.NamespaceStatus";
const NAMESPACE_CONDITION: &str = "kubernetes.NamespaceCondition";

/// The fields of a type.
pub(super) fn fields(structure: &str) -> Option<Fields> {
    use Shape::{Any, Bool, Int, Struct, Structs, Text, TextMap, Texts, TextsMap, Time};
    Some(match structure {
        ADMISSION_REQUEST => &[
            ("kind", Struct(KIND)),
            ("resource", Struct(RESOURCE)),
            ("subResource", Text),
            ("requestKind", Struct(KIND)),
            ("requestResource", Struct(RESOURCE)),
            ("requestSubResource", Text),
            ("name", Text),
            ("namespace", Text),
            ("operation", Text),
            ("userInfo", Struct(USER)),
            ("dryRun", Bool),
            ("options", Any),
        ],
        KIND => &[("group", Text), ("version", Text), ("kind", Text)],
        RESOURCE => &[("group", Text), ("version", Text), ("resource", Text)],
        USER => &[("username", Text), ("uid", Text), ("groups", Texts), ("extra", TextsMap)],
        NAMESPACE => &[
            ("metadata", Struct(NAMESPACE_METADATA)),
            ("spec", Struct(NAMESPACE_SPEC)),
            ("status", Struct(NAMESPACE_STATUS)),
        ],
        NAMESPACE_METADATA => &[
            ("name", Text),
            ("generateName", Text),
            ("namespace", Text),
            ("labels", TextMap),
            ("annotations", TextMap),
            ("UID", Text),
            ("creationTimestamp", Time),
            ("deletionGracePeriodSeconds", Int),
            ("deletionTimestamp", Time),
            ("generation", Int),
            ("resourceVersion", Text),
            ("finalizers", Texts),
        ],
        NAMESPACE_SPEC => &[("finalizers", Texts)],
        NAMESPACE_STATUS => &[("conditions", Structs(NAMESPACE_CONDITION)), ("phase", Text)],
        NAMESPACE_CONDITION => {
            &[("status", Text), ("type", Text), ("lastTransitionTime", Time), ("message", Text), ("reason", Text)]
        }
        _ => return None,
    })
}
