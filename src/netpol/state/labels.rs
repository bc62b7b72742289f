//! Labels, of which there are more than of anything else that is kept of a large cluster.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use stockade_policy::selector::LabelSelector;

use super::NAMESPACE_NAME_LABEL;

/// Labels, sorted by key. A clone shares them.
///
/// They are in one piece: how many words there are, where each ends, then the words, keys and values by turns; numbers are
/// 32 bits. Words apart from each other would take three times as much, and without the ends a Pod with a hundred thousand
/// labels would be read from its first to its last for each selector.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

/// Bytes of a number.
const NUMBER: usize = size_of::<u32>();

// === impl Labels ===

impl Labels {
    /// Of one key the last value counts.
    pub fn new<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        let sorted: BTreeMap<&str, &str> = labels.into_iter().collect();
        if sorted.is_empty() {
            return Self::default();
        }
        let words: Vec<&str> = sorted.into_iter().flat_map(|(key, value)| [key, value]).collect();
        let ends = words.iter().scan(0, |end, word| {
            *end += word.len() as u32;
            Some(*end)
        });
        let numbers = std::iter::once(words.len() as u32).chain(ends).flat_map(u32::to_ne_bytes);
        Self(numbers.chain(words.iter().flat_map(|word| word.bytes())).collect())
    }

    /// Of a namespace: with its name.
    pub fn of_namespace<'l>(name: &'l str, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Self {
        Self::new(labels.into_iter().chain([(NAMESPACE_NAME_LABEL, name)]))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.words() / 2);
        while from < to {
            let middle = from.midpoint(to);
            match self.word(2 * middle).cmp(key.as_bytes()) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Some(text(self.word(2 * middle + 1))),
                Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// Whether a selector means them.
    pub fn match_selector(&self, selector: &LabelSelector) -> bool {
        selector.matches_by(|key| self.get(key))
    }

    /// In order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.words() / 2).map(|at| (text(self.word(2 * at)), text(self.word(2 * at + 1))))
    }

    fn words(&self) -> usize {
        self.number(0)
    }

    /// The number at a place; 0 where there is none, as of no labels.
    fn number(&self, at: usize) -> usize {
        let bytes = self.0.get(at * NUMBER..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes) as usize)
    }

    fn word(&self, at: usize) -> &[u8] {
        let words = &self.0[(self.words() + 1) * NUMBER..];
        let begin = if at == 0 { 0 } else { self.number(at) };
        &words[begin..self.number(at + 1)]
    }
}

/// What was text when the labels were made.
fn text(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_they_were_made_of_sorted_and_the_last_of_a_key_counts() {
        let labels = Labels::new([("tier", "db"), ("app", "old"), ("", "5:,"), ("app", "w\u{e9}b"), ("empty", "")]);
        let sorted = [("", "5:,"), ("app", "w\u{e9}b"), ("empty", ""), ("tier", "db")];
        assert_eq!(labels.iter().collect::<Vec<_>>(), sorted);
        let keys = ["", "ap", "app", "empty", "t", "tier", "z"];
        assert_eq!(
            keys.map(|key| labels.get(key)),
            [Some("5:,"), None, Some("w\u{e9}b"), Some(""), None, Some("db"), None]
        );
        assert_eq!((Labels::new([]), Labels::default().get("app")), (Labels::default(), None));
    }

    #[test]
    fn labels_are_ordered_by_their_keys_and_values_whatever_the_length_of_these() {
        let sorted =
            [("a", "9"), ("a", "99999999999"), ("aaaaaaaaaaaa", ""), ("b", "")].map(|label| Labels::new([label]));
        assert!(sorted.is_sorted());
        assert_ne!(Labels::new([("ab", "c")]), Labels::new([("a", "bc")]));
    }
}
