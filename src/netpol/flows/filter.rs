//! Which flows somebody wants to hear of.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::wire::is_name;
use super::{End, Flow, Outcome};

/// What a flow must be; what is none is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One end is a Pod of this namespace.
    pub namespace: Option<String>,
    /// One end is a Pod of this name, where the recording node knew it.
    pub pod: Option<String>,
    /// It became of it.
    pub verdict: Option<Outcome>,
    /// It was seen since. Without it a stream begins now.
    pub since: Option<Timestamp>,
}

/// Why a query is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFilter {
    /// A key that is not known.
    #[error("the query has a key that is not namespace, pod, verdict or since")]
    Key,
    /// A value that cannot be.
    #[error("the value of {0} is none that it can have")]
    Value(&'static str),
}

// === impl Filter ===

impl Filter {
    /// Reads the query of a URL: `namespace=shop&verdict=denied`. No value needs to be escaped.
    ///
    /// # Errors
    /// Other keys; values that cannot be.
    pub fn parse(query: &str) -> Result<Self, NoFilter> {
        let mut filter = Self::default();
        let name = |value: &str, key| {
            let good = is_name(value) && !value.is_empty();
            if good { Ok(Some(value.to_owned())) } else { Err(NoFilter::Value(key)) }
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').ok_or(NoFilter::Key)? {
                ("namespace", value) => filter.namespace = name(value, "namespace")?,
                ("pod", value) => filter.pod = name(value, "pod")?,
                ("verdict", value) => {
                    let verdict = Outcome::ALL.into_iter().find(|outcome| outcome.name() == value);
                    filter.verdict = Some(verdict.ok_or(NoFilter::Value("verdict"))?);
                }
                ("since", value) => filter.since = Some(value.parse().map_err(|_| NoFilter::Value("since"))?),
                _ => return Err(NoFilter::Key),
            }
        }
        Ok(filter)
    }

    /// As the query of a URL.
    pub fn query(&self) -> String {
        let mut query = String::new();
        let mut add = |key, value: Option<&dyn std::fmt::Display>| {
            if let Some(value) = value {
                let and = if query.is_empty() { "" } else { "&" };
                // Writing to a text does not fail.
                let _ = write!(query, "{and}{key}={value}");
            }
        };
        add("namespace", self.namespace.as_ref().map(|value| value as _));
        add("pod", self.pod.as_ref().map(|value| value as _));
        add("verdict", self.verdict.as_ref().map(|value| value as _));
        add("since", self.since.as_ref().map(|value| value as _));
        query
    }

    /// Whether a flow is wanted.
    pub fn means(&self, flow: &Flow) -> bool {
        let ends = [&flow.from, &flow.to];
        let in_namespace = |wanted: &String| ends.iter().any(|end| end.namespace() == Some(wanted));
        let is_pod =
            |wanted: &String| ends.iter().any(|end| matches!(end, End::Pods { pod: Some(pod), .. } if pod == wanted));
        self.namespace.as_ref().is_none_or(in_namespace)
            && self.pod.as_ref().is_none_or(is_pod)
            && self.verdict.is_none_or(|verdict| verdict == flow.verdict)
            && self.since.is_none_or(|since| flow.last >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_query_and_the_query_is_the_filter() {
        let query = "namespace=shop&pod=web-1&verdict=would-deny&since=2026-03-01T10:00:00Z";
        let filter = Filter::parse(query).unwrap();
        assert_eq!(filter.query(), query);
        assert_eq!(Filter::parse("").unwrap(), Filter::default());
        let faults = ["name=shop", "namespace", "namespace=", "pod=a%20b", "verdict=fine", "since=now"];
        use NoFilter::{Key, Value};
        let expected =
            [Key, Key, Value("namespace"), Value("pod"), Value("verdict"), Value("since")].map(Err::<Filter, _>);
        assert_eq!(faults.map(Filter::parse), expected);
    }

    #[test]
    fn a_flow_is_wanted_when_either_end_is_meant() {
        let flow = Flow::parse(super::super::tests::LINE).unwrap();
        let means = |query: &str| Filter::parse(query).unwrap().means(&flow);
        let wanted = ["", "namespace=shop", "pod=web-1", "verdict=allowed", "since=2026-03-01T10:05:00Z"];
        let others = ["namespace=bank", "pod=web-2", "verdict=denied", "since=2026-03-01T10:06:00Z"];
        assert_eq!((wanted.map(means), others.map(means)), ([true; 5], [false; 4]));
    }
}
