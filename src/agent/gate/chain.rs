//! Our entry in a network configuration list (CNI 1.1.0), put in and taken out as text: what others wrote keeps every byte.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use stockade_cni::call::VERSIONS;

/// The plugin's name: of its file and of its type.
pub const PLUGIN: &str = "stockade-cni";

/// What is wrong with a configuration of the network.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A runtime would not take it either.
    #[error("it is no network configuration: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A runtime would, but what our entry would do there is not certain.
    #[error("nothing can be chained to it: {0}")]
    Doubtful(serde_json::Error),
    /// A runtime would not take it.
    #[error("it names no plugin")]
    Empty,
    /// It is older than chains.
    #[error("its cniVersion {0:?} is none in which plugins can be chained")]
    Version(String),
}

/// A list, with its plugins where they stand in its text.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "cniVersion", default)]
    version: String,
    #[serde(borrow)]
    plugins: Vec<&'a RawValue>,
}

/// A configuration of one plugin, which is no list.
#[derive(Deserialize)]
struct Single<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(rename = "cniVersion", borrow)]
    version: Option<&'a RawValue>,
    #[serde(rename = "type")]
    _plugin: String,
}

#[derive(Serialize)]
struct NewList<'a> {
    #[serde(rename = "cniVersion")]
    version: &'a str,
    name: &'a RawValue,
    plugins: [&'a RawValue; 2],
}

#[derive(Deserialize)]
struct Plugin {
    #[serde(rename = "type")]
    plugin: String,
}

/// The list with our entry, last or where it was; none when it says so already.
///
/// # Errors
/// When it is none to which plugins can be added.
pub fn add(text: &str, entry: &RawValue) -> Result<Option<String>, ChainError> {
    let list = List::read(text)?;
    if let Some(index) = list.ours()? {
        let place = list.plugins[index];
        if serde_json::from_str::<Value>(place.get())? == serde_json::from_str::<Value>(entry.get())? {
            return Ok(None);
        }
        let (before, after) = (&text[..begin(text, place)], &text[end(text, place)..]);
        return Ok(Some([before, entry.get(), after].concat()));
    }
    let last = list.plugins.last().ok_or(ChainError::Empty)?;
    let (before, after) = text.split_at(end(text, last));
    let indent = &text[..begin(text, last)];
    let indent = &indent[indent.trim_end().len()..];
    Ok(Some([before, ",", indent, entry.get(), after].concat()))
}

/// The list without our entry; none when it has none.
///
/// # Errors
/// When it is no list.
pub fn remove(text: &str) -> Result<Option<String>, ChainError> {
    let list = List::read(text)?;
    let Some(index) = list.ours()? else { return Ok(None) };
    let place = list.plugins[index];
    let (from, to) = match (index.checked_sub(1), list.plugins.get(index + 1)) {
        (Some(before), _) => (end(text, list.plugins[before]), end(text, place)),
        (None, Some(after)) => (begin(text, place), begin(text, after)),
        (None, None) => (begin(text, place), end(text, place)),
    };
    Ok(Some([&text[..from], &text[to..]].concat()))
}

/// The list that says what a configuration of one plugin says, and our entry.
///
/// # Errors
/// When it is no such configuration.
pub fn list_of(text: &str, entry: &RawValue) -> Result<String, ChainError> {
    let single: Single<'_> = serde_json::from_str(text).map_err(|error| doubtful(text, error))?;
    let version: String =
        single.version.map(|version| serde_json::from_str(version.get())).transpose()?.unwrap_or_default();
    let version = chainable(&version)?;
    let own: &RawValue = serde_json::from_str(text)?;
    let list = NewList { version, name: single.name, plugins: [own, entry] };
    Ok(serde_json::to_string(&list)? + "\n")
}

// === impl List ===

impl<'a> List<'a> {
    fn read(text: &'a str) -> Result<Self, ChainError> {
        let list: Self = serde_json::from_str(text).map_err(|error| doubtful(text, error))?;
        if list.plugins.is_empty() {
            return Err(ChainError::Empty);
        }
        chainable(&list.version)?;
        Ok(list)
    }

    /// Where our entry is.
    fn ours(&self) -> Result<Option<usize>, ChainError> {
        for (index, plugin) in self.plugins.iter().enumerate() {
            if serde_json::from_str::<Plugin>(plugin.get())?.plugin == PLUGIN {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

/// Runtimes read more than we do: the last of what is said twice, a version that is null.
fn doubtful(text: &str, error: serde_json::Error) -> ChainError {
    let Ok(Value::Object(said)) = serde_json::from_str(text) else { return error.into() };
    let plugins = said.get("plugins").and_then(Value::as_array).is_some_and(|plugins| !plugins.is_empty());
    if said.get("name").is_some_and(Value::is_string) && (plugins || said.contains_key("type")) {
        ChainError::Doubtful(error)
    } else {
        error.into()
    }
}

fn chainable(version: &str) -> Result<&str, ChainError> {
    if VERSIONS.contains(&version) { Ok(version) } else { Err(ChainError::Version(version.to_owned())) }
}

/// Where a part of a text begins in it.
fn begin(text: &str, part: &RawValue) -> usize {
    part.get().as_ptr().addr() - text.as_ptr().addr()
}

fn end(text: &str, part: &RawValue) -> usize {
    begin(text, part) + part.get().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &str = r#"{"type":"stockade-cni","waitSeconds":10}"#;

    const LIST: &str = r#"{
  "name": "pods",
  "cniVersion": "1.0.0",
  "plugins": [
    {
      "type": "ptp",
      "mtu": 1450.0
    },
    { "type": "portmap", "capabilities": {"portMappings": true} }
  ]
}
"#;

    fn entry() -> &'static RawValue {
        serde_json::from_str(ENTRY).unwrap()
    }

    #[test]
    fn the_entry_comes_last_and_what_is_left_without_it_is_the_file_that_was() {
        let added = add(LIST, entry()).unwrap().unwrap();
        let expected = LIST.replace(
            "{\"portMappings\": true} }\n",
            "{\"portMappings\": true} },\n    {\"type\":\"stockade-cni\",\"waitSeconds\":10}\n",
        );
        assert_eq!(added, expected);
        assert_eq!(add(&added, entry()).unwrap(), None);
        assert_eq!(remove(&added).unwrap().as_deref(), Some(LIST));
        assert_eq!(remove(LIST).unwrap(), None);
    }

    #[test]
    fn an_entry_that_says_something_else_is_replaced_where_it_stands() {
        let list = |ours: &str| {
            format!(
                r#"{{"cniVersion":"0.4.0","name":"n","plugins":[{{"type":"bridge"}} , {ours} ,{{"type":"tuning"}}]}}"#
            )
        };
        let old = list(r#"{"type":"stockade-cni","waitSeconds":3}"#);
        assert_eq!(add(&old, entry()).unwrap(), Some(list(ENTRY)));
        let same = list(r#"{ "waitSeconds": 10, "type": "stockade-cni" }"#);
        assert_eq!(add(&same, entry()).unwrap(), None);
        let without = r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"bridge"} ,{"type":"tuning"}]}"#;
        assert_eq!(remove(&old).unwrap().as_deref(), Some(without));
    }

    #[test]
    fn what_others_put_behind_a_first_entry_stays() {
        let list = r#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"stockade-cni"}, {"type":"ptp"}]}"#;
        let without = r#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"ptp"}]}"#;
        assert_eq!(remove(list).unwrap().as_deref(), Some(without));
    }

    #[test]
    fn a_configuration_of_one_plugin_becomes_a_list_that_holds_it_whole() {
        let single = r#"{"cniVersion": "0.3.1", "name": "n", "type": "ptp", "ipam": {"subnet": "10.0.0.0/24"}}"#;
        let expected = format!("{{\"cniVersion\":\"0.3.1\",\"name\":\"n\",\"plugins\":[{single},{ENTRY}]}}\n");
        assert_eq!(list_of(single, entry()).unwrap(), expected);
    }

    fn space() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["", " ", "\n", "\n    ", "\t"])
    }

    proptest! {
        #[test]
        fn whatever_a_list_looks_like_the_entry_comes_last_and_goes_without_a_trace(
            plugins in prop::collection::vec(("[a-z\u{e9}\\[\\]{},\"]{0,8}", space(), space()), 1..5),
            around in [space(), space(), space()],
        ) {
            let plugins: Vec<String> = plugins
                .into_iter()
                .map(|(plugin, before, after)| {
                    let plugin = serde_json::json!({ "type": plugin, "plugins": [{ "type": PLUGIN }] });
                    format!("{before}{plugin}{after}")
                })
                .collect();
            let [a, b, c] = around;
            let list =
                format!(r#"{a}{{"plugins"{b}:{c}[{}]{a},"name":"n","cniVersion":"0.3.1"}}{b}"#, plugins.join(","));
            let added = add(&list, entry()).unwrap().unwrap();
            let mut expected: Value = serde_json::from_str(&list).unwrap();
            expected["plugins"].as_array_mut().unwrap().push(serde_json::from_str(ENTRY).unwrap());
            prop_assert_eq!(serde_json::from_str::<Value>(&added).unwrap(), expected);
            prop_assert_eq!(add(&added, entry()).unwrap(), None);
            prop_assert_eq!(remove(&added).unwrap(), Some(list));
        }
    }

    #[test]
    fn what_cannot_be_chained_is_told() {
        let lists = [
            "",
            "[]",
            r#"{"cniVersion":"1.0.0","name":"n"}"#,
            r#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#,
            r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"}],"plugins":[{"type":"b"}]}"#,
            r#"{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"a"}]}"#,
            r#"{"name":"n","plugins":[{"type":"a"}]}"#,
        ];
        let mut said: Vec<String> = lists.iter().map(|list| add(list, entry()).unwrap_err().to_string()).collect();
        said.push(list_of(r#"{"name":"n","type":"ptp"}"#, entry()).unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n"), @r#"
        it is no network configuration: EOF while parsing a value at line 1 column 0
        it is no network configuration: invalid length 0, expected struct List with 3 elements at line 1 column 2
        it is no network configuration: missing field `plugins` at line 1 column 33
        it names no plugin
        nothing can be chained to it: duplicate field `plugins` at line 1 column 67
        its cniVersion "0.2.0" is none in which plugins can be chained
        its cniVersion "" is none in which plugins can be chained
        its cniVersion "" is none in which plugins can be chained
        "#);
    }
}
