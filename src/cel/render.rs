//! Values as text: what `string(x)`, error messages and JSON show, formatted as Go formats them.

use std::fmt::{self, Display, Write};

use crate::time::civil_from_days;
use crate::value::{Timestamp, Value};

/// Shows a bytes, duration, timestamp or library value as the text that the API server's JSON has for it.
pub(crate) struct Text<'a>(pub(crate) Value<'a>);

/// Shows a value as an error message shows it (Go's `%v` of cel-go's value).
pub(crate) struct Shown<'a>(pub(crate) Value<'a>);

/// A double as Go's `%g` with the shortest digits that read back the same.
pub(crate) struct GoDouble(pub(crate) f64);

/// A duration as cel-go's `string(duration)`: seconds with a fraction and `s`.
pub(crate) struct Seconds(pub(crate) i64);

/// A timestamp as RFC 3339 with as many digits of the second as it has, in the zone it was written in.
pub(crate) struct Rfc3339(pub(crate) Timestamp);

/// Bytes as standard base64.
struct Base64<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bytes(b) => Base64(b).fmt(f),
            Value::Duration(d) => Seconds(d).fmt(f),
            Value::Timestamp(t) => Rfc3339(t).fmt(f),
            Value::Opaque(o) => o.fmt(f),
            Value::Optional(Some(v)) => Text(*v).fmt(f),
            other => Shown(other).fmt(f),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // cel-go's null is an enumeration whose only number is 0.
            Value::Null => f.write_str("0"),
            Value::Bool(b) => b.fmt(f),
            Value::Int(i) => i.fmt(f),
            Value::Uint(u) => u.fmt(f),
            Value::Double(d) => GoDouble(d).fmt(f),
            Value::String(s) | Value::Type(s) => f.write_str(s),
            Value::Bytes(b) => shown_bytes(b, f),
            Value::Duration(d) => Seconds(d).fmt(f),
            Value::Timestamp(t) => Rfc3339(t).fmt(f),
            Value::List(l) => {
                f.write_char('[')?;
                for (i, v) in l.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    Shown(*v).fmt(f)?;
                }
                f.write_char(']')
            }
            Value::Object(_) | Value::Map(_) => {
                f.write_char('{')?;
                for i in 0..self.0.map_len().unwrap_or(0) {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    if let Some((k, v)) = self.0.map_entry(i) {
                        write!(f, "{}: {}", Shown(k), Shown(v))?;
                    }
                }
                f.write_char('}')
            }
            Value::Struct(s) => f.write_str(s.type_name),
            Value::Optional(None) => f.write_str("optional.none()"),
            Value::Optional(Some(v)) => write!(f, "optional({})", Shown(*v)),
            Value::Opaque(o) => o.fmt(f),
        }
    }
}

fn shown_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('[')?;
    for (i, b) in bytes.iter().enumerate() {
        f.write_str(if i > 0 { " " } else { "" })?;
        b.fmt(f)?;
    }
    f.write_char(']')
}

impl fmt::Display for GoDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = self.0;
        if d.is_nan() {
            return f.write_str("NaN");
        }
        if d.is_infinite() {
            return f.write_str(if d > 0.0 { "+Inf" } else { "-Inf" });
        }
        // Rust's shortest digits are Go's; only the choice of notation and the exponent's form differ.
        let mut text = ArrayText::default();
        write!(text, "{d:e}")?;
        let Some((mantissa, exponent)) = text.as_str().split_once('e') else { return f.write_str(text.as_str()) };
        let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
        if (-4..6).contains(&exponent) {
            return write!(f, "{d}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As Go: through a double, so that very long durations lose digits exactly as upstream's do.
        let (whole, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        write!(f, "{}s", whole as f64 + rest as f64 / 1e9)
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { seconds, nanos, offset } = self.0;
        let local = seconds + i64::from(offset);
        let (year, month, day) = civil_from_days(local.div_euclid(86_400));
        let second = local.rem_euclid(86_400);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
        if nanos > 0 {
            let mut digits = nanos;
            let mut width = 9;
            while digits % 10 == 0 {
                digits /= 10;
                width -= 1;
            }
            write!(f, ".{digits:0width$}")?;
        }
        if offset == 0 {
            return f.write_char('Z');
        }
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in self.0.chunks(3) {
            let bits = chunk.iter().fold(0u32, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let symbol = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
                f.write_char(if i <= chunk.len() { char::from(symbol) } else { '=' })?;
            }
        }
        Ok(())
    }
}

/// Room for the longest shortest form of a double.
#[derive(Default)]
struct ArrayText {
    bytes: [u8; 32],
    len: usize,
}

impl ArrayText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl fmt::Write for ArrayText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + s.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_go_writes_them() {
        let cases = [
            (1.0, "1"),
            (-0.0, "-0"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (123_456.7, "123456.7"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (5e-324, "5e-324"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ];
        for (d, text) in cases {
            assert_eq!(GoDouble(d).to_string(), text);
        }
    }

    #[test]
    fn durations_show_seconds() {
        assert_eq!(Seconds(5_400_000_000_000).to_string(), "5400s");
        assert_eq!(Seconds(-1_500_000_000).to_string(), "-1.5s");
        assert_eq!(Seconds(1000).to_string(), "0.000001s");
    }

    #[test]
    fn timestamps_keep_the_zone_they_were_written_in() {
        let t = Timestamp { seconds: 1_234_564_290, nanos: 500_000_000, offset: 3600 };
        assert_eq!(Rfc3339(t).to_string(), "2009-02-13T23:31:30.5+01:00");
        assert_eq!(Rfc3339(Timestamp::utc(-62_135_596_800, 1)).to_string(), "0001-01-01T00:00:00.000000001Z");
    }

    #[test]
    fn bytes_become_base64_in_json() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
            assert_eq!(Text(Value::Bytes(bytes.as_bytes())).to_string(), text);
        }
    }
}
