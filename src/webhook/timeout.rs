//! How long the caller waits: the `timeout` that the API server puts into the query, written as Go writes durations.

use std::time::Duration;

use crate::limits::{DEFAULT_TIMEOUT, MAX_TIMEOUT, MAX_TIMEOUT_MARGIN, MIN_TIMEOUT};

/// Time for a review, from its arrival: the query's `timeout` (or [`DEFAULT_TIMEOUT`]), bounded, less the margin for
/// the way home.
///
/// # Errors
/// The text of a `timeout` that is not a duration.
pub(crate) fn budget(query: Option<&str>) -> Result<Duration, &str> {
    let given = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("timeout="));
    let wanted = match given {
        None | Some("") => DEFAULT_TIMEOUT,
        Some(text) => go_duration(text).ok_or(text)?,
    };
    let bounded = wanted.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
    Ok(bounded - (bounded / 10).min(MAX_TIMEOUT_MARGIN))
}

/// `1m30s`, `500ms`, `1.5s`: what Go's `Duration.String` writes, which is not negative here. Saturates.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest == "0" {
        return Some(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "%C2%B5s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.saturating_add(Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX));
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(query: &str) -> Result<u128, &str> {
        budget(Some(query)).map(|d| d.as_millis())
    }

    #[test]
    fn the_callers_timeout_less_a_margin_is_the_budget() {
        let read: Vec<_> = [
            "timeout=10s",
            "a=b&timeout=1s",
            "timeout=1m0s",
            "timeout=1.5s",
            "timeout=5s",
            "timeout=1ms",
            "",
            "timeout=",
        ]
        .map(millis)
        .into();
        let want: Vec<Result<u128, &str>> = [9500, 900, 29_500, 1350, 4500, 90, 9500, 9500].map(Ok).into();
        assert_eq!(read, want);
    }

    #[test]
    fn a_timeout_that_is_no_duration_is_named() {
        let texts = ["10", "s", "-1s", "1.2.3s", "10 s", "1e3s", "10sx", "."];
        let read: Vec<_> = texts.iter().map(|t| budget(Some(&format!("timeout={t}"))).map_err(str::to_owned)).collect();
        let want: Vec<_> = texts.iter().map(|t| Err((*t).to_owned())).collect();
        assert_eq!(read, want);
    }
}
