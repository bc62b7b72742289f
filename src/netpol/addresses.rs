//! Addresses as ranges, IPv4 and IPv6 apart.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// 32 bits.
    V4,
    /// 128 bits.
    V6,
}

/// Inclusive; both ends as the address's number.
pub type Range = (u128, u128);

/// A block of addresses (`10.0.0.0/8`); bits beyond the prefix are dropped, as the API server's readers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// Of both ends.
    pub family: Family,
    /// First and last address.
    pub range: Range,
    bits: u32,
}

/// Any addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSet {
    /// Sorted, disjoint, not touching.
    v4: Vec<Range>,
    v6: Vec<Range>,
}

/// Why a text is no block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCidr {
    /// No prefix length.
    #[error("must have an address and a prefix length, as in 10.0.0.0/8 or fd00::/8")]
    NoLength,
    /// Not an address.
    #[error("must begin with an IPv4 or IPv6 address, without leading zeros")]
    NoAddress,
    /// An IPv4 address in IPv6 clothes, which readers take for either.
    #[error("must not be an IPv4 address written as IPv6: write it as IPv4")]
    Mapped,
    /// Not a number, or too large.
    #[error("must end with a prefix length of at most {0}")]
    TooLong(u32),
}

// === impl Family ===

impl Family {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// First and last address there is.
    pub fn everything(self) -> Range {
        match self {
            Self::V4 => (0, u128::from(u32::MAX)),
            Self::V6 => (0, u128::MAX),
        }
    }

    /// The address with a number.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            Self::V6 => Ipv6Addr::from(number).into(),
        }
    }
}

/// `IPv4`
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The number of an address in its family.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

// === impl Cidr ===

impl Cidr {
    /// Reads `10.0.0.0/8` or `fd00::/8`.
    ///
    /// # Errors
    /// Anything else, with what it must be.
    pub fn parse(text: &str) -> Result<Self, NoCidr> {
        let (address, bits) = text.split_once('/').ok_or(NoCidr::NoLength)?;
        let address: IpAddr = address.parse().map_err(|_| NoCidr::NoAddress)?;
        if matches!(address, IpAddr::V6(a) if a.to_ipv4_mapped().is_some()) {
            return Err(NoCidr::Mapped);
        }
        let family = Family::of(address);
        let width = if family == Family::V4 { 32 } else { 128 };
        let digits = !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.parse().ok().filter(|bits| digits && *bits <= width).ok_or(NoCidr::TooLong(width))?;
        let host_bits = width - bits;
        let mask = if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
        let number = number(address);
        Ok(Self { family, range: (number & !mask, number | mask), bits })
    }

    /// Whether another block lies in this one and is smaller.
    pub fn is_larger_than(&self, other: &Self) -> bool {
        let holds = self.range.0 <= other.range.0 && other.range.1 <= self.range.1;
        self.family == other.family && self.bits < other.bits && holds
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family.address(self.range.0), self.bits)
    }
}

// === impl AddressSet ===

impl AddressSet {
    /// The addresses of some blocks, each without its holes. Sorted and swept: whoever may write a policy chooses how
    /// many there are.
    pub fn of_blocks<'b>(blocks: impl IntoIterator<Item = (&'b Cidr, &'b [Cidr])>) -> Self {
        let mut set = Self::default();
        for (block, holes) in blocks {
            let holes = holes.iter().filter(|hole| hole.family == block.family).map(|hole| hole.range).collect();
            set.list(block.family).extend(without(block.range, holes));
        }
        set.merged()
    }

    /// Single addresses.
    pub fn of_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut set = Self::default();
        for address in addresses {
            let number = number(address);
            set.list(Family::of(address)).push((number, number));
        }
        set.merged()
    }

    /// Ranges of one family.
    pub fn of_ranges(family: Family, ranges: Vec<Range>) -> Self {
        let mut set = Self::default();
        *set.list(family) = ranges;
        set.merged()
    }

    /// The addresses of all of some sets.
    pub fn union<'s>(sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut all = Self::default();
        for set in sets {
            all.v4.extend_from_slice(&set.v4);
            all.v6.extend_from_slice(&set.v6);
        }
        all.merged()
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ranges, number) = (self.ranges(Family::of(address)), number(address));
        let after = ranges.partition_point(|range| range.0 <= number);
        after.checked_sub(1).is_some_and(|at| number <= ranges[at].1)
    }

    /// Sorted, disjoint, not touching.
    pub fn ranges(&self, family: Family) -> &[Range] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Whether every address of a family is one of them.
    pub fn covers(&self, family: Family) -> bool {
        self.ranges(family) == [family.everything()]
    }

    /// All others.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self {
            v4: without(Family::V4.everything(), self.v4.clone()),
            v6: without(Family::V6.everything(), self.v6.clone()),
        }
    }

    /// Whether another has no address that is not here.
    pub fn holds(&self, other: &Self) -> bool {
        Self::union([self, other]) == *self
    }

    /// Any of them.
    pub fn first(&self) -> Option<IpAddr> {
        let of = |family: Family| self.ranges(family).first().map(|range| family.address(range.0));
        of(Family::V4).or_else(|| of(Family::V6))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn list(&mut self, family: Family) -> &mut Vec<Range> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn merged(mut self) -> Self {
        for family in [Family::V4, Family::V6] {
            let list = self.list(family);
            list.sort_unstable();
            let mut merged: Vec<Range> = Vec::with_capacity(list.len());
            for &(from, to) in &*list {
                match merged.last_mut() {
                    Some(last) if last.1.checked_add(1).is_none_or(|next| from <= next) => last.1 = last.1.max(to),
                    _ => merged.push((from, to)),
                }
            }
            *list = merged;
        }
        self
    }
}

/// What holes leave of a range.
fn without(range: Range, mut holes: Vec<Range>) -> Vec<Range> {
    holes.sort_unstable();
    let mut left = Vec::new();
    let mut next = range.0;
    for (from, to) in holes.into_iter().filter(|h| h.0 <= range.1) {
        if from > next {
            left.push((next, from - 1));
        }
        match to.checked_add(1) {
            Some(after) if after <= range.1 => next = next.max(after),
            _ => return left,
        }
    }
    left.push((next, range.1));
    left
}

/// `10.0.0.0/8, 1.2.3.4-1.2.3.9, IPv6`; where that is shorter, `IPv4 but 10.0.0.0/8`.
impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.complement();
        let mut parts = Vec::new();
        for family in [Family::V4, Family::V6] {
            let list = |set: &Self| {
                let ranges: Vec<String> = set.ranges(family).iter().map(|range| shown(family, *range)).collect();
                ranges.join(", ")
            };
            match (self.ranges(family).len(), others.ranges(family).len()) {
                (0, _) => {}
                (_, 0) => parts.push(family.to_string()),
                (own, missing) if missing < own => parts.push(format!("{family} but {}", list(&others))),
                _ => parts.push(list(self)),
            }
        }
        f.write_str(&parts.join(", "))
    }
}

/// A range as people write it: a block where it is one, else its ends.
pub fn shown(family: Family, range: Range) -> String {
    let (first, last) = (family.address(range.0), family.address(range.1));
    if range.0 == range.1 {
        return first.to_string();
    }
    let size = range.1 - range.0;
    let is_block = size & size.wrapping_add(1) == 0 && range.0 & size == 0;
    if !is_block {
        return format!("{first}-{last}");
    }
    let width = if family == Family::V4 { 32 } else { 128 };
    format!("{first}/{}", width - size.count_ones())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn blocks_are_read_and_shown_and_what_is_none_says_what_it_must_be() {
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(cidr("fd00::1/8").to_string(), "fd00::/8");
        let faults =
            ["10.0.0.0", "10.0.0/8", "010.0.0.0/8", "10.0.0.0/33", "::/129", "::/+1", "::/", "::ffff:1.2.3.4/128"];
        use NoCidr::{Mapped, NoAddress, NoLength, TooLong};
        let expected = [NoLength, NoAddress, NoAddress, TooLong(32), TooLong(128), TooLong(128), TooLong(128), Mapped];
        assert_eq!(faults.map(Cidr::parse), expected.map(Err));
    }

    #[test]
    fn ranges_are_shown_as_blocks_where_they_are() {
        let v4 = |from, to| shown(Family::V4, (from, to));
        assert_eq!(v4(0, 0xffff_ffff), "0.0.0.0/0");
        assert_eq!(v4(0x0a00_0000, 0x0aff_ffff), "10.0.0.0/8");
        assert_eq!(v4(1, 2), "0.0.0.1-0.0.0.2");
        assert_eq!(v4(7, 7), "0.0.0.7");
        assert_eq!(shown(Family::V6, (0, u128::MAX)), "::/0");
    }

    #[test]
    fn a_set_is_shown_as_what_it_is_or_what_it_is_not_whichever_is_shorter() {
        let shown = |blocks: &[(&str, &[&str])]| {
            let blocks: Vec<(Cidr, Vec<Cidr>)> = blocks
                .iter()
                .map(|(block, holes)| (cidr(block), holes.iter().map(|hole| cidr(hole)).collect()))
                .collect();
            AddressSet::of_blocks(blocks.iter().map(|(block, holes)| (block, holes.as_slice()))).to_string()
        };
        assert_eq!(shown(&[("0.0.0.0/0", &["10.0.0.0/8"])]), "IPv4 but 10.0.0.0/8");
        assert_eq!(shown(&[("10.0.0.0/8", &[]), ("::/0", &[])]), "10.0.0.0/8, IPv6");
        assert_eq!(
            shown(&[("0.0.0.0/0", &[]), ("fd00::/8", &["fd00::/16"])]),
            "IPv4, fd01::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
    }

    #[test]
    fn a_set_merges_what_touches_and_keeps_families_apart() {
        let blocks = ["0.0.0.0/1", "128.0.0.0/1", "::/1"].map(cidr);
        let set = AddressSet::of_blocks(blocks.iter().map(|b| (b, &[][..])));
        assert!(set.covers(Family::V4) && !set.covers(Family::V6));
        assert_eq!([set.contains("255.255.255.255".parse().unwrap()), set.contains("::1".parse().unwrap())], [true; 2]);
        assert!(!set.contains("ffff::".parse().unwrap()));
    }

    #[test]
    fn holes_may_nest_overlap_and_lie_outside_their_block() {
        let cases: [(&[Range], &[Range]); 5] = [
            (
                &[(0x0a00_0000, 0x0aff_ffff), (0x0a01_0000, 0x0a01_ffff)],
                &[(0, 0x09ff_ffff), (0x0b00_0000, 0xffff_ffff)],
            ),
            (&[(0, 0x7fff_ffff)], &[(0x8000_0000, 0xffff_ffff)]),
            (&[(0xffff_ffff, 0xffff_ffff), (0, 0)], &[(1, 0xffff_fffe)]),
            (&[(0, 0xffff_ffff)], &[]),
            (&[], &[(0, 0xffff_ffff)]),
        ];
        for (holes, left) in cases {
            assert_eq!(without((0, 0xffff_ffff), holes.to_vec()), left);
        }
        assert_eq!(without((10, 20), vec![(0, 5), (8, 10), (20, 30), (25, 26)]), [(11, 19)]);
        assert_eq!(without((0, u128::MAX), vec![(5, u128::MAX)]), [(0, 4)]);
    }

    #[test]
    fn as_many_holes_as_fit_into_a_request_are_cut_in_one_sweep() {
        // Every second address, which cuts the block into as many pieces.
        let holes: Vec<Cidr> = (0..100_000_u32).map(|i| cidr(&format!("{}/32", Ipv4Addr::from(i * 2)))).collect();
        let everything = cidr("0.0.0.0/0");
        let cut = AddressSet::of_blocks([(&everything, &holes[..])]);
        assert_eq!(cut.ranges(Family::V4).len(), 100_000);
        let filled = AddressSet::of_blocks(holes.iter().map(|hole| (hole, &[][..])));
        assert!(AddressSet::union([&cut, &filled]).covers(Family::V4));
    }
}
