//! Fields that differ from ours in their spelling alone.
//!
//! Runtimes read JSON with Go's `encoding/json`, for which `Manifests` is `manifests` and the last of both counts. Here
//! only one of them is a field. A document that has such a name means one image to us and another to who runs it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Names of fields that are read, with exactly this spelling.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    pub(crate) fields: &'static [&'static str],
    /// Those of them whose members have names of their own: annotations, labels.
    pub(crate) free: &'static [&'static str],
}

// === impl Spelling ===

impl Spelling {
    /// The first name in a document that somebody else reads as one of these fields. None for what is no JSON, too:
    /// whoever reads the fields tells that.
    pub(crate) fn other_in(self, document: &[u8]) -> Option<String> {
        let mut found = None;
        let walk = Walk { spelling: self, found: &mut found };
        // What is found ends the walk with an error.
        let _ = serde_json::Deserializer::from_slice(document).deserialize_any(walk);
        found
    }

    fn is_other(self, name: &str) -> bool {
        !self.fields.contains(&name) && self.fields.iter().any(|field| folded(name).eq(folded(field)))
    }
}

/// As `encoding/json` compares names: without case, and the two letters outside of ASCII that have one in it.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|c| match c {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

struct Walk<'w> {
    spelling: Spelling,
    found: &'w mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { spelling, found } = self;
        while let Some(name) = map.next_key::<String>()? {
            if spelling.is_other(&name) {
                *found = Some(name);
                return Err(serde::de::Error::custom("another spelling"));
            }
            if spelling.free.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Walk { spelling, found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { spelling, found } = self;
        while list.next_element_seed(Walk { spelling, found })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_read_as_a_field_are_found_wherever_they_are() {
        let spelling = Spelling { fields: &["manifests", "digest", "kind", "notes"], free: &["notes"] };
        let table = [
            (r#"{"manifests": [{"digest": 1, "other": [true, null, 1.5, -1, "Digest"]}]}"#, None),
            (r#"{"manifests": [], "Manifests": []}"#, Some("Manifests")),
            (r#"{"manifests": [{"digest": 1}, {"DIGEST": 1}]}"#, Some("DIGEST")),
            (r#"{"any": {"manife\u017ft\u017f": 1}}"#, Some("manifeſtſ")),
            ("{\"\u{212A}ind\": 1}", Some("\u{212A}ind")),
            (r#"{"notes": {"Digest": 1}}"#, None),
            (r#"{"Notes": {}}"#, Some("Notes")),
            ("no JSON", None),
        ];
        for (text, name) in table {
            assert_eq!(spelling.other_in(text.as_bytes()).as_deref(), name, "{text}");
        }
    }
}
