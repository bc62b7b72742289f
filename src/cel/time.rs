//! Timestamps and durations: reading, arithmetic and fields, as Go's `time` package does them.

use jiff::Timestamp as Instant;
use jiff::tz::{Offset, TimeZone};

use crate::error::ErrorKind;
use crate::value::Timestamp;

/// `0001-01-01T00:00:00Z`
const MIN_SECONDS: i64 = -62_135_596_800;
/// `9999-12-31T23:59:59Z`
const MAX_SECONDS: i64 = 253_402_300_799;
const NANOS: i64 = 1_000_000_000;

/// Fields of a civil time.
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12
    pub(crate) month: i64,
    /// 1 to 31
    pub(crate) day: i64,
    /// 0 to 365
    pub(crate) day_of_year: i64,
    /// 0 is Sunday
    pub(crate) weekday: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

/// Year, month and day of a day counted from the epoch.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Day counted from the epoch of a date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A timestamp in range.
///
/// # Errors
/// Timestamp overflow.
pub(crate) fn timestamp(seconds: i64, nanos: u32, offset: i32) -> Result<Timestamp, ErrorKind<'static>> {
    if (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Ok(Timestamp { seconds, nanos, offset });
    }
    Err(ErrorKind::Overflow("timestamp"))
}

/// Reads RFC 3339 as leniently as Go does (one digit of the hour, a comma before the fraction). `None` when malformed.
pub(crate) fn parse_rfc3339(text: &str) -> Option<(i64, u32, i32)> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = digits(&mut rest, 2).filter(|m| (1..=12).contains(m))?;
    literal(&mut rest, b'-')?;
    let day = digits(&mut rest, 2)?;
    literal(&mut rest, b'T')?;
    let hour = digits(&mut rest, 2).or_else(|| digits(&mut rest, 1)).filter(|h| *h < 24)?;
    literal(&mut rest, b':')?;
    let minute = digits(&mut rest, 2).filter(|m| *m < 60)?;
    literal(&mut rest, b':')?;
    let second = digits(&mut rest, 2).filter(|s| *s < 60)?;
    let nanos = fraction(&mut rest);
    let offset = zone(&mut rest)?;
    if !rest.is_empty() || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((local - i64::from(offset), nanos, offset))
}

fn literal(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    if !head.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = tail;
    Some(head.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
}

fn fraction(rest: &mut &[u8]) -> u32 {
    let [b'.' | b',', tail @ ..] = *rest else { return 0 };
    let count = tail.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return 0;
    }
    *rest = &tail[count..];
    let nine = (0..9).map(|i| tail.get(i).filter(|_| i < count).map_or(0, |b| u32::from(b - b'0')));
    nine.fold(0, |n, d| n * 10 + d)
}

fn zone(rest: &mut &[u8]) -> Option<i32> {
    if literal(rest, b'Z').is_some() {
        return Some(0);
    }
    let sign = match rest.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = digits(rest, 2).filter(|h| *h <= 24)?;
    literal(rest, b':')?;
    let minutes = digits(rest, 2).filter(|m| *m <= 60)?;
    i32::try_from(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Reads a duration as Go's `time.ParseDuration`. `None` when malformed or too long.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if rest == b"0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (amount, tail) = duration_part(rest)?;
        total = total.checked_add(amount).filter(|t| *t <= 1 << 63)?;
        rest = tail;
    }
    if negative {
        return Some(total.wrapping_neg() as i64);
    }
    i64::try_from(total).ok()
}

/// One number with its unit, in nanoseconds.
fn duration_part(rest: &[u8]) -> Option<(u64, &[u8])> {
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut whole: u64 = 0;
    for b in &rest[..count] {
        whole = whole.checked_mul(10)?.checked_add(u64::from(b - b'0')).filter(|w| *w <= 1 << 63)?;
    }
    let mut tail = &rest[count..];
    let (mut part, mut scale, mut part_digits) = (0u64, 1f64, 0);
    if let [b'.', after @ ..] = tail {
        part_digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
        for b in &after[..part_digits] {
            // Digits beyond what 63 bits hold are below a nanosecond of any unit.
            let next = part.checked_mul(10).and_then(|p| p.checked_add(u64::from(b - b'0')));
            let Some(next) = next.filter(|n| *n <= 1 << 63) else { break };
            part = next;
            scale *= 10.0;
        }
        tail = &after[part_digits..];
    }
    if count == 0 && part_digits == 0 {
        return None;
    }
    let unit_len = tail.iter().take_while(|b| **b != b'.' && !b.is_ascii_digit()).count();
    let unit: u64 = match &tail[..unit_len] {
        b"ns" => 1,
        b"us" => 1_000,
        u if u == "µs".as_bytes() || u == "μs".as_bytes() => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    let mut amount = whole.checked_mul(unit).filter(|a| *a <= 1 << 63)?;
    if part > 0 {
        amount = amount.checked_add((part as f64 * (unit as f64 / scale)) as u64).filter(|a| *a <= 1 << 63)?;
    }
    Some((amount, &tail[unit_len..]))
}

/// Timestamp plus duration.
///
/// # Errors
/// Timestamp overflow.
pub(crate) fn add(t: Timestamp, nanos: i64) -> Result<Timestamp, ErrorKind<'static>> {
    let total = i128::from(t.seconds) * i128::from(NANOS) + i128::from(t.nanos) + i128::from(nanos);
    let seconds = total.div_euclid(i128::from(NANOS));
    let rest = total.rem_euclid(i128::from(NANOS));
    let seconds = i64::try_from(seconds).map_err(|_| ErrorKind::Overflow("timestamp"))?;
    timestamp(seconds, rest as u32, t.offset)
}

/// Time from `b` to `a`.
///
/// # Errors
/// Integer overflow: more than 292 years.
pub(crate) fn between(a: Timestamp, b: Timestamp) -> Result<i64, ErrorKind<'static>> {
    let nanos = i128::from(a.seconds - b.seconds) * i128::from(NANOS) + i128::from(a.nanos) - i128::from(b.nanos);
    i64::try_from(nanos).map_err(|_| ErrorKind::Overflow("integer"))
}

/// Civil time in a zone: a name of the time zone database or an offset such as `-07:30`; empty is UTC.
///
/// # Errors
/// What is wrong with the zone, in Go's words, put together by `explain`.
pub(crate) fn civil<'a>(
    t: Timestamp,
    zone: &str,
    explain: impl Fn(std::fmt::Arguments<'_>) -> &'a str,
) -> Result<Civil, ErrorKind<'a>> {
    let offset = zone_offset(t, zone).map_err(|fault| match fault {
        ZoneFault::Unknown => ErrorKind::Function(explain(format_args!("unknown time zone {zone}"))),
        ZoneFault::Location => ErrorKind::Function("time: invalid location name"),
        ZoneFault::Number(part) => {
            ErrorKind::Function(explain(format_args!("strconv.Atoi: parsing \"{part}\": invalid syntax")))
        }
    })?;
    let local = t.seconds + offset;
    let days = local.div_euclid(86_400);
    let (year, month, day) = civil_from_days(days);
    let second = local.rem_euclid(86_400);
    Ok(Civil {
        year,
        month,
        day,
        day_of_year: days - days_from_civil(year, 1, 1),
        weekday: (days + 4).rem_euclid(7),
        hour: second / 3600,
        minute: second / 60 % 60,
        second: second % 60,
    })
}

enum ZoneFault<'z> {
    Unknown,
    Location,
    Number(&'z str),
}

fn zone_offset(t: Timestamp, zone: &str) -> Result<i64, ZoneFault<'_>> {
    // The API server's own zone is UTC wherever it runs as a container.
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(0);
    }
    if let Some((hours, minutes)) = zone.split_once(':') {
        let hours = atoi(hours)?;
        let minutes = atoi(minutes)?;
        let east = if zone.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
        return Ok(east * 60);
    }
    if zone.contains("..") || zone.starts_with(['/', '\\']) {
        return Err(ZoneFault::Location);
    }
    let found = TimeZone::get(zone).map_err(|_| ZoneFault::Unknown)?;
    // The database here ignores case; Go's does not.
    if found.iana_name() != Some(zone) {
        return Err(ZoneFault::Unknown);
    }
    // The database's time ends a day before ours does.
    let seconds = t.seconds.clamp(Instant::MIN.as_second(), Instant::MAX.as_second());
    let instant = Instant::from_second(seconds).unwrap_or_default();
    let offset: Offset = found.to_offset(instant);
    Ok(i64::from(offset.seconds()))
}

fn atoi(text: &str) -> Result<i64, ZoneFault<'_>> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ZoneFault::Number(text));
    }
    text.parse().map_err(|_| ZoneFault::Number(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_go_reads_them() {
        assert_eq!(parse_rfc3339("2009-02-13T23:31:30Z"), Some((1_234_567_890, 0, 0)));
        assert_eq!(parse_rfc3339("2009-02-13T23:31:30+01:00"), Some((1_234_564_290, 0, 3600)));
        assert_eq!(parse_rfc3339("2009-02-13T23:31:30,5Z"), Some((1_234_567_890, 500_000_000, 0)));
        assert_eq!(parse_rfc3339("2009-02-13T3:31:30.123456789123Z"), Some((1_234_495_890, 123_456_789, 0)));
        for malformed in [
            "2009-02-13t23:31:30z",
            "2009-02-30T23:31:30Z",
            "2009-02-13T24:31:30Z",
            "2009-02-13T23:31:60Z",
            "2009-02-13T23:31:30.Z",
            "2009-02-13T23:31:30Z ",
            "2009-2-13T23:31:30Z",
            "",
        ] {
            assert_eq!(parse_rfc3339(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("-1.5s", -1_500_000_000),
            ("+3s", 3_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0", 0),
            ("1µs", 1000),
            ("0.1234567891234567891234s", 123_456_789),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for malformed in ["", "1", "1e3s", ".s", "3000000h", "1d", "9223372036854775808ns", "-"] {
            assert_eq!(parse_duration(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_zone_is_a_name_in_its_own_case_or_an_offset() {
        let t = Timestamp::utc(1_234_567_890, 0);
        let hour = |zone: &str| civil(t, zone, |_| "unknown").map(|c| (c.hour, c.minute)).ok();
        assert_eq!(hour("America/New_York"), Some((18, 31)));
        assert_eq!(hour("-07:30"), Some((16, 1)));
        assert_eq!(hour("02:00"), Some((1, 31)));
        assert_eq!(hour("america/new_york"), None);
        assert_eq!(hour("+1:x"), None);
    }
}
