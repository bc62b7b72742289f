//! Quantities in the form in which the server writes them.

/// Scale in which quantities are kept: the server's smallest, 10⁻⁹.
const NANO: i32 = 9;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

/// The canonical text of a quantity; `milli`: of a resource list, where the server rounds up to 10⁻³.
///
/// `None` when the text is no quantity, or larger than what can be counted here: it is then left as it is.
pub(super) fn canonical(text: &str, milli: bool) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let (format, exponent) = interpret(suffix)?;
    if is_kept(format, exponent, whole, fraction, milli) {
        return Some(text.to_owned());
    }
    let digits = format!("{whole}{fraction}");
    let mut mantissa: i128 = digits.parse().ok()?;
    let mut scale = NANO - i32::try_from(fraction.len()).ok()?;
    match format {
        Format::Binary => mantissa = mantissa.checked_mul(1i128.checked_shl(u32::try_from(exponent).ok()?)?)?,
        Format::Decimal | Format::Exponent => scale = scale.checked_add(exponent)?,
    }
    let nano = shift(mantissa, scale)?;
    let nano = if milli { round_up(nano, 1_000_000)? } else { nano };
    let sign = if negative && nano != 0 { "-" } else { "" };
    Some(format!("{sign}{}", write(nano, format)))
}

/// Format and exponent (of 2 for binary, of 10 otherwise) of a suffix.
fn interpret(suffix: &str) -> Option<(Format, i32)> {
    let decimal = |exponent| Some((Format::Decimal, exponent));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => Some((Format::Binary, 10)),
        "Mi" => Some((Format::Binary, 20)),
        "Gi" => Some((Format::Binary, 30)),
        "Ti" => Some((Format::Binary, 40)),
        "Pi" => Some((Format::Binary, 50)),
        "Ei" => Some((Format::Binary, 60)),
        _ => suffix.strip_prefix(['e', 'E'])?.parse().ok().map(|exponent| (Format::Exponent, exponent)),
    }
}

/// The server keeps the text where a glance says that it is canonical, although not all such texts are (`1.500`).
fn is_kept(format: Format, exponent: i32, whole: &str, fraction: &str, milli: bool) -> bool {
    let Ok(places) = i32::try_from(fraction.len()) else { return false };
    let Ok(length) = i32::try_from(whole.len()) else { return false };
    let shifted = format!("{whole}{fraction}");
    match format {
        Format::Binary => {
            let last: u64 = whole.parse().unwrap_or(0);
            fraction.is_empty() && 15 - length - exponent * 3 / 10 > 0 && last & 7 != 0
        }
        Format::Decimal | Format::Exponent => {
            let Some(scale) = exponent.checked_sub(places) else { return false };
            length + places <= 18
                && scale >= if milli { -3 } else { -NANO }
                && scale % 3 == 0
                && !shifted.ends_with("000")
                && !shifted.starts_with('0')
        }
    }
}

/// `mantissa`·10^`scale`, rounded up.
fn shift(mantissa: i128, scale: i32) -> Option<i128> {
    let power = 10i128.checked_pow(scale.unsigned_abs());
    match (scale >= 0, power) {
        (true, Some(power)) => mantissa.checked_mul(power),
        (true, None) => (mantissa == 0).then_some(0),
        (false, Some(power)) => Some(mantissa.div_euclid(power) + i128::from(mantissa % power != 0)),
        (false, None) => Some(i128::from(mantissa != 0)),
    }
}

fn round_up(nano: i128, unit: i128) -> Option<i128> {
    nano.checked_add(unit - 1).map(|n| n / unit * unit)
}

fn write(nano: i128, format: Format) -> String {
    const ONE: i128 = 1_000_000_000;
    if nano == 0 {
        return "0".to_owned();
    }
    if format == Format::Binary && nano >= 1024 * ONE && nano % ONE == 0 {
        let mut value = nano / ONE;
        let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter();
        let mut suffix = suffixes.next();
        while value % 1024 == 0 {
            let Some(next) = suffixes.next() else { break };
            (value, suffix) = (value / 1024, Some(next));
        }
        return format!("{value}{}", suffix.unwrap_or(&""));
    }
    let mut value = nano;
    let mut suffixes =
        [(-9, "n"), (-6, "u"), (-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")]
            .iter();
    let mut suffix = suffixes.next();
    while value % 1000 == 0 {
        let Some(next) = suffixes.next() else { break };
        (value, suffix) = (value / 1000, Some(next));
    }
    match (format, suffix) {
        (Format::Exponent, Some((exponent, _))) if *exponent != 0 => format!("{value}e{exponent}"),
        (Format::Exponent, _) | (_, None) => value.to_string(),
        (_, Some((_, suffix))) => format!("{value}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_the_server_writes_them() {
        let cases = [
            ("1", "1"),
            ("1000m", "1"),
            ("0.1", "100m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("2000Mi", "2000Mi"),
            ("0.5Ki", "512"),
            ("5000", "5k"),
            ("1200", "1200"),
            ("100Mi", "100Mi"),
            ("0Mi", "0"),
            ("1e3", "1e3"),
            ("10e3", "10e3"),
            ("1000e3", "1e6"),
            ("1.500", "1.500"),
            ("0.0001", "1m"),
            ("100.5Mi", "102912Ki"),
            ("-2000m", "-2"),
            ("0.1Gi", "107374182400m"),
            ("64M", "64M"),
            ("8Gi", "8Gi"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text, true).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(canonical("0.0001", false).as_deref(), Some("100u"));
    }

    #[test]
    fn what_is_no_quantity_is_left_alone() {
        for text in ["", "x", "1.2.3", "1Zi", "1 Gi", ".", "999999999999999999999999999999Ei", "1e99999999999"] {
            assert_eq!(canonical(text, true), None, "{text}");
        }
    }
}
