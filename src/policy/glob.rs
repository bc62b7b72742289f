//! Globs of names and image references, as `.gitignore` and shells have them: `*` stands for any characters but `/`,
//! `**` for any at all, everything else for itself. A glob is about the whole text.
//!
//! `registry.example.com/team/*` matches `registry.example.com/team/app:1.2` and not
//! `registry.example.com/team/sub/app`; `registry.example.com/**` matches both. References are compared as they are
//! written: a glob for `nginx` does not match `docker.io/library/nginx`.

/// Longest glob: twice the longest name of an image's repository.
pub const MAX_PATTERN_BYTES: usize = 512;

/// Longest text that any glob matches; references and names are shorter.
pub const MAX_TEXT_BYTES: usize = 1_024;

/// Whether a text matches. Steps are bounded by the product of the two lengths; what is longer than the bounds does not
/// match.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    if pattern.len() > MAX_PATTERN_BYTES || text.len() > MAX_TEXT_BYTES {
        return false;
    }
    // The places in the pattern that the text read so far may have come to.
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    pass_stars(pattern, &mut at);
    for &byte in text {
        let mut next = vec![false; pattern.len() + 1];
        for (place, _) in at.iter().enumerate().filter(|(_, reached)| **reached) {
            match pattern.get(place) {
                Some(b'*') => next[place] |= byte != b'/' || is_double(pattern, place),
                Some(wanted) if *wanted == byte => next[place + 1] = true,
                _ => {}
            }
        }
        pass_stars(pattern, &mut next);
        at = next;
    }
    at[pattern.len()]
}

/// Whether every text that begins with a prefix matches.
pub fn matches_all_after(pattern: &str, prefix: &str) -> bool {
    pattern.ends_with('*') && matches(pattern, prefix)
}

/// A star may stand for nothing.
fn pass_stars(pattern: &[u8], at: &mut [bool]) {
    for place in 0..pattern.len() {
        if at[place] && pattern[place] == b'*' {
            at[place + 1] = true;
        }
    }
}

/// Whether the star is one of two neighbours.
fn is_double(pattern: &[u8], place: usize) -> bool {
    pattern.get(place + 1) == Some(&b'*') || (place > 0 && pattern[place - 1] == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_segment_and_two_do_not() {
        let image = "registry.example.com/team/sub/app:1.2@sha256:0a";
        let table = [
            ("registry.example.com/team/sub/app:1.2@sha256:0a", true),
            ("registry.example.com/team/sub/*", true),
            ("registry.example.com/team/*/app:*", true),
            ("registry.example.com/**", true),
            ("**", true),
            ("**/app:*", true),
            ("registry.example.com/**/app*", true),
            ("registry.example.com/team/*", false),
            ("registry.example.com/*", false),
            ("*", false),
            ("team/sub/app*", false),
            ("registry.example.com/team/sub/app", false),
            ("registry?example.com/**", false),
            ("", false),
        ];
        assert_eq!(table.map(|(pattern, _)| (pattern, matches(pattern, image))), table);
    }

    #[test]
    fn a_glob_for_one_registry_does_not_match_another_whose_name_begins_alike() {
        assert!(matches("nginx*", "nginx:1.27"));
        assert!(!matches("nginx*", "nginx.example.net/evil"));
        assert!(!matches("registry.example.com/**", "registry.example.com.evil.net/app"));
    }

    #[test]
    fn stars_side_by_side_end_in_bounded_time() {
        let pattern = "*a".repeat(MAX_PATTERN_BYTES / 2 - 1) + "*b";
        assert!(!matches(&pattern, &"a".repeat(MAX_TEXT_BYTES)));
        assert!(!matches("*", &"a".repeat(MAX_TEXT_BYTES + 1)));
        assert!(!matches(&"*".repeat(MAX_PATTERN_BYTES + 1), "a"));
    }

    #[test]
    fn a_name_that_is_yet_to_be_generated_must_match_whatever_it_becomes() {
        let table = [("web-*", true), ("*", true), ("we*", true), ("web-x*", false), ("*-abc", false), ("web-", false)];
        assert_eq!(table.map(|(pattern, _)| (pattern, matches_all_after(pattern, "web-"))), table);
    }
}
