//! Protocols, and sets of ports.

use std::fmt;

use serde::Serialize;

/// Protocols that rules speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// What a rule means that names none.
    Tcp,
    /// Datagrams.
    Udp,
    /// Streams of messages.
    Sctp,
}

/// Ports of one protocol: inclusive ranges, sorted, disjoint, not touching.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

/// Protocols and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connections {
    sets: [PortSet; 3],
}

/// Last port there is; the first is 1.
const LAST: u16 = u16::MAX;

// === impl Protocol ===

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// `TCP`
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl PortSet ===

impl PortSet {
    /// Every port.
    pub fn all() -> Self {
        Self { ranges: vec![(1, LAST)] }
    }

    /// From a first to a last port; none when they are the wrong way round.
    pub fn range(first: u16, last: u16) -> Self {
        Self { ranges: if first <= last { vec![(first, last)] } else { Vec::new() } }
    }

    /// From first to last ports, in any order.
    pub fn of_ranges(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges.into_iter().filter(|(from, to)| from <= to) {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Self { ranges: merged }
    }

    /// Sorted, disjoint, not touching.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// Whether a port is one of them. Port 0, which no rule can name and packets can have, is where all others are.
    pub fn contains(&self, port: u16) -> bool {
        if port == 0 {
            return self.is_all();
        }
        let after = self.ranges.partition_point(|range| range.0 <= port);
        after.checked_sub(1).is_some_and(|at| port <= self.ranges[at].1)
    }

    /// Whether nothing is missing.
    pub fn is_all(&self) -> bool {
        self.ranges == [(1, LAST)]
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        if other.ranges.is_empty() {
            return;
        }
        self.ranges.extend_from_slice(&other.ranges);
        *self = Self::of_ranges(std::mem::take(&mut self.ranges));
    }

    /// Those that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut ranges, mut a, mut b) = (Vec::new(), 0, 0);
        while let (Some(x), Some(y)) = (self.ranges.get(a), other.ranges.get(b)) {
            let (from, to) = (x.0.max(y.0), x.1.min(y.1));
            if from <= to {
                ranges.push((from, to));
            }
            if x.1 < y.1 { a += 1 } else { b += 1 }
        }
        Self { ranges }
    }

    /// Those that are not in another.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let (mut gaps, mut next) = (Vec::with_capacity(other.ranges.len() + 1), Some(1));
        for &(from, to) in &other.ranges {
            if let Some(start) = next.filter(|start| *start < from) {
                gaps.push((start, from - 1));
            }
            next = to.checked_add(1);
        }
        gaps.extend(next.map(|start| (start, LAST)));
        self.intersection(&Self { ranges: gaps })
    }
}

/// `80,8000-8080`
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.ranges.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            if from == to { write!(f, "{comma}{from}")? } else { write!(f, "{comma}{from}-{to}")? }
        }
        Ok(())
    }
}

// === impl Connections ===

impl Connections {
    /// Every port of every protocol.
    pub fn all() -> Self {
        Self { sets: [PortSet::all(), PortSet::all(), PortSet::all()] }
    }

    /// The ports of a protocol.
    pub fn ports(&self, protocol: Protocol) -> &PortSet {
        &self.sets[protocol as usize]
    }

    /// Adds ports of a protocol.
    pub fn add_ports(&mut self, protocol: Protocol, ports: &PortSet) {
        self.sets[protocol as usize].add(ports);
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for protocol in Protocol::ALL {
            self.add_ports(protocol, other.ports(protocol));
        }
    }

    /// Those that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { sets: Protocol::ALL.map(|p| self.ports(p).intersection(other.ports(p))) }
    }

    /// Those that are not in another.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self { sets: Protocol::ALL.map(|p| self.ports(p).without(other.ports(p))) }
    }

    /// Whether a port of a protocol is one of them.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.ports(protocol).contains(port)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.ranges.is_empty())
    }

    /// How many ranges there are, of all protocols.
    pub(crate) fn ranges(&self) -> usize {
        self.sets.iter().map(|set| set.ranges.len()).sum()
    }

    /// Whether nothing is missing.
    pub fn is_all(&self) -> bool {
        self.sets.iter().all(PortSet::is_all)
    }
}

/// `all`, `none`, or `TCP 80,443 UDP all`
impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut space = "";
        for protocol in Protocol::ALL {
            let ports = self.ports(protocol);
            if *ports == PortSet::all() {
                write!(f, "{space}{protocol} all")?;
            } else if !ports.ranges.is_empty() {
                write!(f, "{space}{protocol} {ports}")?;
            } else {
                continue;
            }
            space = " ";
        }
        Ok(())
    }
}

impl Serialize for Connections {
    /// `{"TCP": "80,443"}`, with `all` for every port; a protocol without ports is left out.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let present = Protocol::ALL.into_iter().filter(|p| !self.ports(*p).ranges.is_empty());
        serializer.collect_map(present.map(|p| {
            let ports = self.ports(p);
            (p.name(), if *ports == PortSet::all() { "all".to_owned() } else { ports.to_string() })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> PortSet {
        let mut set = PortSet::default();
        for &(from, to) in ranges {
            set.add(&PortSet::range(from, to));
        }
        set
    }

    #[test]
    fn sets_of_ports_are_merged_cut_and_subtracted_to_the_last_port() {
        let some = set(&[(80, 80), (81, 90), (LAST, LAST), (70, 75)]);
        assert_eq!(some.ranges(), [(70, 75), (80, 90), (LAST, LAST)]);
        assert_eq!(some.intersection(&set(&[(74, 80), (90, 100)])).ranges(), [(74, 75), (80, 80), (90, 90)]);
        assert_eq!(PortSet::all().without(&some).ranges(), [(1, 69), (76, 79), (91, LAST - 1)]);
        assert_eq!(some.without(&PortSet::all()), PortSet::default());
        assert_eq!(
            [some.contains(80), some.contains(79), some.contains(LAST), some.contains(0)],
            [true, false, true, false]
        );
        assert_eq!(set(&[(9, 8)]), PortSet::default());
    }

    #[test]
    fn connections_are_shown_as_people_say_them() {
        let mut some = Connections::default();
        assert_eq!(some.to_string(), "none");
        some.add_ports(Protocol::Tcp, &set(&[(80, 80), (8000, 8080)]));
        some.add_ports(Protocol::Udp, &PortSet::all());
        assert_eq!(some.to_string(), "TCP 80,8000-8080 UDP all");
        assert_eq!(Connections::all().to_string(), "all");
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"{"TCP":"80,8000-8080","UDP":"all"}"#);
    }
}
