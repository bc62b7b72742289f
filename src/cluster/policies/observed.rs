//! How much of the own kinds somebody has looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::SourceKind;

/// The newest `resourceVersion` among the objects of each own kind. Numbers of one cluster compare (KEP-5504), and a
/// watch brings them in order: who knows an object has looked at all older ones of its kind. Watches of several kinds
/// say nothing of each other, one of them can be dead while another goes on.
///
/// As text `AdmissionPolicy=12,PolicyException=7`. What is not understood counts as not looked at; so replicas of
/// versions that write another form claim too little of each other, never too much.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed(BTreeMap<SourceKind, u64>);

// === impl Observed ===

impl Observed {
    /// Up to where a kind was looked at; 0 when nothing of it is known.
    pub fn of(&self, kind: SourceKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// Whether of each kind as much was looked at as somebody else has.
    pub fn reaches(&self, other: &Self) -> bool {
        other.0.iter().all(|(kind, version)| self.of(*kind) >= *version)
    }

    /// Reads what [`Observed`] writes.
    pub fn parse(text: &str) -> Self {
        let own = || SourceKind::OBJECTS.into_iter().filter(|kind| kind.is_own());
        let entry = |entry: &str| {
            let (name, version) = entry.split_once('=')?;
            Some((own().find(|kind| kind.as_str() == name)?, version.parse().ok()?))
        };
        text.split(',').filter_map(entry).collect()
    }

    pub(super) fn set(&mut self, kind: SourceKind, version: u64) {
        match version {
            0 => self.0.remove(&kind),
            version => self.0.insert(kind, version),
        };
    }
}

impl FromIterator<(SourceKind, u64)> for Observed {
    fn from_iter<I: IntoIterator<Item = (SourceKind, u64)>>(versions: I) -> Self {
        let mut observed = Self::default();
        versions.into_iter().for_each(|(kind, version)| observed.set(kind, version));
        observed
    }
}

/// An object with the kinds as keys.
impl Serialize for Observed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, version)| (kind.as_str(), version)))
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, version)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}={version}", kind.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(policies: u64, groups: u64) -> Observed {
        [(SourceKind::AdmissionPolicy, policies), (SourceKind::NamespaceGroup, groups)].into_iter().collect()
    }

    #[test]
    fn it_is_read_as_it_was_written_and_what_is_not_understood_counts_for_nothing() {
        assert_eq!(observed(12, 7).to_string(), "AdmissionPolicy=12,NamespaceGroup=7");
        assert_eq!(Observed::parse("AdmissionPolicy=12,NamespaceGroup=7"), observed(12, 7));
        assert_eq!((observed(0, 0).to_string(), Observed::parse("")), (String::new(), observed(0, 0)));
        assert_eq!(Observed::parse("1234"), observed(0, 0));
        assert_eq!(Observed::parse("Folders=1,AdmissionPolicy=x,NamespaceGroup=7,Other=9"), observed(0, 7));
    }

    #[test]
    fn one_kind_that_was_looked_at_further_does_not_stand_for_another() {
        assert!(observed(12, 7).reaches(&observed(12, 0)));
        assert!(!observed(11, 900).reaches(&observed(12, 7)));
        assert!(observed(0, 0).reaches(&observed(0, 0)));
    }
}
