//! An object as it stands in a file → as the API server presents it to admission.
//!
//! For the command line; what the server itself sends needs none of this. Known kinds: unknown fields and nulls go,
//! quantities are written canonically, defaults are filled in, and fields are written or left out as the server's
//! encoder does. Other kinds: only nulls go.

use serde_json::{Map, Value as Json};
use stockade_cel::limits::MAX_DOCUMENT_DEPTH;

use crate::kinds::Kinds;
use crate::shape::{Field, Presence, Shape, StringFormat, TypeId};

mod defaults;
mod image;
mod pod;
mod quantity;
mod workloads;

/// A JSON object.
type Members = Map<String, Json>;

/// The object as mutating admission sees it on CREATE. What only the cluster can know (names generated, addresses, owner of
/// tokens) is left out, as are the results of admission plugins (default tolerations, service account tokens).
///
/// Values that do not fit the schema stay as they are; deeper than [`MAX_DOCUMENT_DEPTH`] nothing is changed.
pub fn normalise(object: Json) -> Json {
    let mut object = object;
    let text = |key: &str| object.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    match Kinds::builtin().by_api_version(&api_version, &name) {
        None => drop_nulls(&mut object, 0),
        Some(kind) => {
            if let Json::Object(members) = &mut object {
                prepare(&name, kind.root(), members);
            }
            present(kind.root(), &mut object, 0);
        }
    }
    object
}

/// What concerns the kind as a whole and not one of its types.
fn prepare(kind: &str, root: TypeId, object: &mut Members) {
    let group = root.name().unwrap_or_default();
    match kind {
        "Pod" => pod::whole(object),
        "Job" if group.starts_with("io.k8s.api.batch") => workloads::job(object),
        "Secret" => secret(object),
        "Namespace" => namespace(object),
        "ReplicationController" => workloads::replication_controller(object),
        "DaemonSet" => workloads::template_generation(object),
        "NetworkPolicy" => workloads::network_policy(object),
        "HorizontalPodAutoscaler" => workloads::autoscaler(object, group.contains(".v2.")),
        "CustomResourceDefinition" => workloads::custom_resource_definition(object),
        _ => {}
    }
}

/// One value of a type and all below it.
fn present(ty: TypeId, value: &mut Json, depth: usize) {
    if depth >= MAX_DOCUMENT_DEPTH {
        return;
    }
    match (ty.shape(), &mut *value) {
        (Shape::Struct { fields, .. }, Json::Object(members)) => {
            members.retain(|key, value| !value.is_null() && fields.fields().get(key).is_some());
            defaults::fill(fields.fields().name, members);
            for field in fields.fields().iter() {
                present_field(field, members, depth);
            }
        }
        (Shape::Map { element, .. }, Json::Object(members)) => {
            let resources = matches!(element.shape(), Shape::Quantity);
            for value in members.values_mut() {
                if value.is_null() {
                    *value = zero(*element).unwrap_or_default();
                }
                if resources { canonical(value, true) } else { present(*element, value, depth + 1) }
            }
            members.retain(|_, value| !value.is_null());
        }
        (Shape::List { element, .. }, Json::Array(items)) => {
            for item in items {
                if item.is_null() {
                    *item = zero(*element).unwrap_or_default();
                }
                present(*element, item, depth + 1);
            }
        }
        (Shape::Quantity, _) => canonical(value, false),
        _ => {}
    }
}

fn present_field(field: &Field, members: &mut Members, depth: usize) {
    declared_default(field, members);
    if let Some(value) = members.get_mut(field.name) {
        present(field.ty, value, depth + 1);
    }
    let value = members.get(field.name);
    let shape = field.ty.shape();
    match field.presence {
        Presence::Pointer => {}
        Presence::Nullable => {
            members.entry(field.name).or_insert(Json::Null);
        }
        Presence::NeverZero => {
            if value.is_some_and(is_empty) {
                members.shift_remove(field.name);
            }
        }
        Presence::Omitted if !is_go_struct(shape) => {
            if value.is_some_and(is_empty) {
                members.shift_remove(field.name);
            }
        }
        Presence::Omitted | Presence::Always => {
            if value.is_none()
                && let Some(mut zero) = zero(field.ty).or_else(|| always(field, shape))
            {
                present(field.ty, &mut zero, depth + 1);
                members.insert(field.name.to_owned(), zero);
            }
        }
    }
}

/// Fills a default that the document declares: one that is no zero value, or any where absence is told from zero.
fn declared_default(field: &Field, members: &mut Members) {
    let Some(default) = field.default.and_then(|text| serde_json::from_str::<Json>(text).ok()) else { return };
    let pointer = matches!(field.presence, Presence::Pointer | Presence::Nullable);
    let absent = match members.get(field.name) {
        None => true,
        Some(value) => !pointer && is_empty(value),
    };
    if absent && (pointer || !is_empty(&default)) {
        members.insert(field.name.to_owned(), default);
    }
}

/// Types that Go's `omitempty` never leaves out.
fn is_go_struct(shape: &Shape) -> bool {
    matches!(shape, Shape::Struct { .. } | Shape::IntOrString | Shape::Quantity | Shape::Object)
        || matches!(shape, Shape::String(StringFormat::DateTime))
}

/// The zero value of a type that is not null.
fn zero(ty: TypeId) -> Option<Json> {
    match ty.shape() {
        Shape::Struct { .. } => Some(Json::Object(Members::new())),
        Shape::String(StringFormat::DateTime | StringFormat::Byte) => None,
        Shape::String(_) => Some(Json::from("")),
        Shape::Int { .. } | Shape::IntOrString => Some(Json::from(0)),
        Shape::Double => Some(Json::from(0)),
        Shape::Bool => Some(Json::from(false)),
        Shape::Quantity => Some(Json::from("0")),
        _ => None,
    }
}

/// What a field that is written without a value shows: null for lists, maps and times.
fn always(field: &Field, shape: &Shape) -> Option<Json> {
    let nullable = matches!(shape, Shape::List { .. } | Shape::Map { .. } | Shape::String(_));
    let time = matches!(shape, Shape::String(StringFormat::DateTime));
    (time || nullable && field.presence == Presence::Always).then_some(Json::Null)
}

fn canonical(value: &mut Json, milli: bool) {
    let text = match &*value {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(text) = quantity::canonical(&text, milli) {
        *value = Json::from(text);
    }
}

/// Zero in Go's sense of `omitempty`.
fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
    }
}

fn drop_nulls(value: &mut Json, depth: usize) {
    if depth >= MAX_DOCUMENT_DEPTH {
        return;
    }
    match value {
        Json::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(|value| drop_nulls(value, depth + 1));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, depth + 1)),
        _ => {}
    }
}

/// `stringData` goes into `data` as base64.
fn secret(object: &mut Members) {
    let Some(Json::Object(plain)) = object.shift_remove("stringData") else { return };
    let Some(data) = child(object, "data") else { return };
    for (key, value) in plain {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, Json::from(base64(text.as_bytes())));
    }
}

fn namespace(object: &mut Members) {
    let name = object.get("metadata").and_then(|m| m.get("name")).and_then(Json::as_str).unwrap_or_default();
    if !name.is_empty() {
        let name = Json::from(name);
        if let Some(labels) = child(object, "metadata").and_then(|metadata| child(metadata, "labels")) {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        }
    }
    if let Some(status) = child(object, "status") {
        set(status, "phase", || Json::from("Active"));
    }
}

/// The object at a key, made when it is absent or null; `None` where something else stands.
fn child<'m>(members: &'m mut Members, key: &str) -> Option<&'m mut Members> {
    let value = members.entry(key).or_insert(Json::Null);
    if value.is_null() {
        *value = Json::Object(Members::new());
    }
    value.as_object_mut()
}

/// Sets a member that is absent or empty.
fn set(members: &mut Members, key: &str, value: impl FnOnce() -> Json) {
    if members.get(key).is_none_or(is_empty) {
        members.insert(key.to_owned(), value());
    }
}

/// Sets a member that is absent or null, where zero means zero.
fn set_absent(members: &mut Members, key: &str, value: impl FnOnce() -> Json) {
    if members.get(key).is_none_or(Json::is_null) {
        members.insert(key.to_owned(), value());
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let index = (bits >> (18 - 6 * i)) as usize & 63;
            text.push(if i <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests;
