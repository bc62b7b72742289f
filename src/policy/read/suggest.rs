//! "Did you mean": the known word nearest to an unknown one.

/// The closest of some words, when it is close enough to be what was meant.
pub(crate) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    known
        .into_iter()
        .map(|k| (distance(&word, &k.to_ascii_lowercase().chars().take(64).collect::<Vec<_>>()), k))
        .filter(|(d, k)| *d <= (k.len().max(word.len()) / 3).max(1))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Edits (insert, drop, replace, swap of neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let known = ["validations", "variables", "matchConditions", "failurePolicy"];
        let asked = ["validation", "Variables", "matchCondition", "failurPolciy", "spec", "x"];
        assert_eq!(
            asked.map(|w| closest(w, known)),
            [Some("validations"), Some("variables"), Some("matchConditions"), Some("failurePolicy"), None, None]
        );
    }
}
