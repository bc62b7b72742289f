//! Lengths of time for people.

/// `90 days`, `5 hours`, `30 minutes`: the largest unit of which there are at least two, rounded down.
pub fn in_words(seconds: u32) -> String {
    let (number, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "days"),
        s if s >= 2 * 3_600 => (s / 3_600, "hours"),
        s if s >= 2 * 60 => (s / 60, "minutes"),
        s => (s, "seconds"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn the_largest_fitting_unit_is_used() {
        let words = [0, 119, 7_199, 7_200, 172_799, 7_776_000].map(in_words);
        assert_eq!(words, ["0 seconds", "119 seconds", "119 minutes", "2 hours", "47 hours", "90 days"]);
    }
}
