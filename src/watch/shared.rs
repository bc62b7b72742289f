//! Facts by key that are shared instead of copied: what did not change is the same for whoever has an older copy.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Facts by key. A clone costs nothing, and a change of it what it changes and a pointer for each of the others.
#[derive(Debug)]
pub struct Shared<V>(Arc<BTreeMap<String, Arc<V>>>);

// === impl Shared ===

impl<V> Shared<V> {
    /// Whether nothing has changed between the two. It is not said that anything has where it has not.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Puts facts in the place of those with this key.
    pub fn insert(&mut self, key: String, facts: V) {
        Arc::make_mut(&mut self.0).insert(key, Arc::new(facts));
    }

    /// Removes facts, and gives them.
    pub fn remove(&mut self, key: &str) -> Option<Arc<V>> {
        // What is not there costs no copy.
        if self.0.contains_key(key) { Arc::make_mut(&mut self.0).remove(key) } else { None }
    }
}

impl<V: Clone> Shared<V> {
    /// Facts to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        Arc::make_mut(&mut self.0).get_mut(key).map(Arc::make_mut)
    }
}

impl<V> Default for Shared<V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<V> Clone for Shared<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V: PartialEq> PartialEq for Shared<V> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl<V> Deref for Shared<V> {
    type Target = BTreeMap<String, Arc<V>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<V> FromIterator<(String, V)> for Shared<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(facts: I) -> Self {
        facts.into_iter().map(|(key, facts)| (key, Arc::new(facts))).collect()
    }
}

impl<V> FromIterator<(String, Arc<V>)> for Shared<V> {
    fn from_iter<I: IntoIterator<Item = (String, Arc<V>)>>(facts: I) -> Self {
        Self(Arc::new(facts.into_iter().collect()))
    }
}

impl<V: Serialize> Serialize for Shared<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, facts)| (key, &**facts)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Shared<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<String, V>::deserialize(deserializer)?.into_iter().collect())
    }
}
