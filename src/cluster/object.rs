//! An object as a watch brings it: its identity is read, the rest stays the text that the API server wrote.
//!
//! Nothing but the members on the way to `metadata` is ever parsed here. So no object, however deep or strange, can
//! end a watch, and every number and string reaches a policy as the API server sent it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One object of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// `name`, `namespace`, `generation` and `resourceVersion` alone.
    metadata: ObjectMeta,
    text: Text,
}

/// The JSON of an object without `metadata.managedFields`.
///
/// Those are often half of an object and nothing that a policy of the cluster's state asks for. Everything else stays:
/// an annotation or a status that a policy could read must not look absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    json: Arc<[u8]>,
    /// Where `metadata.labels` lies in it; empty when there are none.
    labels: Range<u32>,
}

/// Members of a JSON object in order, their values unread.
struct Members<'j>(Vec<(Key<'j>, &'j RawValue)>);

#[derive(serde::Deserialize)]
struct Key<'j>(#[serde(borrow)] Cow<'j, str>);

// === impl Object ===

impl Object {
    /// `metadata.namespace`, empty for a cluster-scoped object.
    pub(crate) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or("")
    }

    /// `metadata.name`
    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or("")
    }

    /// `metadata.generation`; 0 where there is none.
    pub(crate) fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// `resourceVersion`, which of one cluster compare as numbers (KEP-5504); 0 where there is none.
    pub(crate) fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
    }

    /// Its JSON.
    pub(crate) fn text(&self) -> &Text {
        &self.text
    }

    /// Its JSON, to be kept.
    pub(crate) fn into_text(self) -> Text {
        self.text
    }

    /// Reads the text of one object.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let members: Members<'_> = serde_json::from_str(json)?;
        let mut writer = Writer::new(json.len());
        let mut metadata = ObjectMeta::default();
        for (key, value) in members.0 {
            writer.key(&key.0)?;
            match &*key.0 {
                "metadata" => writer.metadata(value, &mut metadata)?,
                _ => writer.value(value),
            }
        }
        Ok(Self { metadata, text: writer.finish() })
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(de)?;
        Self::parse(json.get()).map_err(D::Error::custom)
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

// === impl Text ===

impl Text {
    /// The JSON.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// Whether the labels read the same; the API server writes them in order.
    pub(crate) fn has_labels_of(&self, other: &Self) -> bool {
        self.labels() == other.labels()
    }

    fn labels(&self) -> &[u8] {
        let Range { start, end } = self.labels;
        self.json.get(start as usize..end as usize).unwrap_or(&[])
    }
}

/// Puts an object together anew.
struct Writer {
    json: Vec<u8>,
    labels: Range<u32>,
    /// Whether the next member is the first of its object.
    first: bool,
}

// === impl Writer ===

impl Writer {
    fn new(room: usize) -> Self {
        let mut json = Vec::with_capacity(room);
        json.push(b'{');
        Self { json, labels: 0..0, first: true }
    }

    fn key(&mut self, key: &str) -> Result<(), serde_json::Error> {
        if !std::mem::take(&mut self.first) {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, key)?;
        self.json.push(b':');
        Ok(())
    }

    fn value(&mut self, value: &RawValue) {
        self.json.extend_from_slice(value.get().as_bytes());
    }

    /// # Errors
    /// The metadata are no JSON object.
    fn metadata(&mut self, value: &RawValue, identity: &mut ObjectMeta) -> Result<(), serde_json::Error> {
        let members: Members<'_> = serde_json::from_str(value.get())?;
        self.json.push(b'{');
        self.first = true;
        for (key, value) in members.0 {
            let text = || serde_json::from_str::<Option<String>>(value.get());
            match &*key.0 {
                "managedFields" => continue,
                "name" => identity.name = text()?,
                "namespace" => identity.namespace = text()?,
                "generation" => identity.generation = serde_json::from_str(value.get())?,
                "resourceVersion" => identity.resource_version = text()?,
                _ => {}
            }
            self.key(&key.0)?;
            let start = self.json.len() as u32;
            self.value(value);
            if key.0 == "labels" {
                self.labels = start..self.json.len() as u32;
            }
        }
        self.json.push(b'}');
        self.first = false;
        Ok(())
    }

    fn finish(mut self) -> Text {
        self.json.push(b'}');
        Text { json: self.json.into(), labels: self.labels }
    }
}

// === impl Members ===

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        de.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;

    use super::*;

    fn text(object: &Object) -> &str {
        std::str::from_utf8(object.text.json()).unwrap()
    }

    #[test]
    fn an_object_stays_as_it_was_written_but_for_its_managed_fields() {
        let json = r#"{"kind":"A","metadata":{"name":"n","managedFields":[{"manager":"m"}],"namespace":"s","labels":{"a":"b"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"a\":1}"}},"spec":{"n":1.50,"big":123456789012345678901234567890,"\u00e9":"\u00e9"}}"#;
        let object = Object::parse(json).unwrap();
        assert_eq!(text(&object), json.replace(r#""managedFields":[{"manager":"m"}],"#, ""));
        assert_eq!((object.namespace(), object.name()), ("s", "n"));
        assert_eq!(object.text.labels(), br#"{"a":"b"}"#);
    }

    #[test]
    fn an_object_that_nests_deeper_than_any_parser_follows_does_not_end_the_watch() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let event = format!(
            r#"{{"type":"ADDED","object":{{"metadata":{{"name":"deep","resourceVersion":"7"}},"spec":{deep}}}}}"#
        );
        let WatchEvent::Added(object) = serde_json::from_str::<WatchEvent<Object>>(&event).unwrap() else { panic!() };
        assert_eq!((object.name(), object.meta().resource_version.as_deref()), ("deep", Some("7")));
        assert!(text(&object).contains(&deep));
    }

    #[test]
    fn a_change_of_labels_is_told_from_other_changes() {
        let object = |labels: &str, spec: &str| {
            let json = format!(r#"{{"metadata":{{"name":"n"{labels}}},"spec":{spec}}}"#);
            Object::parse(&json).unwrap().into_text()
        };
        let before = object(r#","labels":{"a":"b"}"#, "1");
        assert!(before.has_labels_of(&object(r#","labels":{"a":"b"}"#, "2")));
        assert!(!before.has_labels_of(&object(r#","labels":{"a":"c"}"#, "1")));
        assert!(!before.has_labels_of(&object("", "1")));
    }
}
