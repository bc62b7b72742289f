//! Fields of a line as text.

/// A point in time, to the millisecond.
pub(super) mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{time:.3}"))
    }

    pub(in super::super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'d, str>::deserialize(from)?;
        text.parse().map_err(|_| de::Error::custom("a time is wanted, as in 2026-01-02T03:04:05Z"))
    }
}
