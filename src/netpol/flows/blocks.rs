//! Addresses outside, put together to few blocks that a policy can name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::addresses::{AddressSet, Cidr, Family, number, shown};

/// Most blocks for addresses of one kind: what a reviewer still reads.
const MAX_BLOCKS: usize = 8;

/// What is not the Internet, each a kind of its own: addresses of two are never put together.
const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "fc00::/7",
    "fe80::/10",
];

/// Public addresses in larger blocks than these are the whole Internet: no network of one owner is that large.
const WIDEST_PUBLIC: [u32; 2] = [16, 32];

/// Blocks, as YAML.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Each with its holes.
    pub(super) list: Vec<(String, Vec<&'static str>)>,
    /// Whether they hold addresses that were not among those that were to be put together.
    pub(super) widened: bool,
}

/// Puts addresses together: as they are while they are few, in larger blocks when they are many.
pub(super) fn cover(addresses: &BTreeSet<IpAddr>) -> Blocks {
    let private: Vec<Cidr> = PRIVATE.iter().filter_map(|text| Cidr::parse(text).ok()).collect();
    let kind = |address: &IpAddr| {
        let holds = |c: &Cidr| c.family == Family::of(*address) && (c.range.0..=c.range.1).contains(&number(*address));
        private.iter().position(holds)
    };
    let mut blocks = Blocks::default();
    for family in [Family::V4, Family::V6] {
        for of in (0..private.len()).map(Some).chain([None]) {
            let alike = addresses.iter().filter(|address| Family::of(**address) == family && kind(address) == of);
            let numbers: Vec<u128> = alike.copied().map(number).collect();
            if !numbers.is_empty() {
                blocks.add(family, of.map(|at| private[at]), &numbers);
            }
        }
    }
    blocks
}

// === impl Blocks ===

impl Blocks {
    /// Adds addresses of one kind; of no block: of the Internet.
    fn add(&mut self, family: Family, within: Option<Cidr>, numbers: &[u128]) {
        let exact = AddressSet::of_addresses(numbers.iter().map(|number| family.address(*number)));
        let mut list: Vec<(u128, u32)> = exact.ranges(family).iter().flat_map(|range| split(family, *range)).collect();
        let width = width(family);
        if list.len() > MAX_BLOCKS {
            self.widened = true;
            let widest = within.map_or(WIDEST_PUBLIC[family as usize], |cidr| length(&cidr));
            let Some(found) = (widest..width).rev().find_map(|bits| at_length(numbers, width, bits)) else {
                self.list.push(internet(family));
                return;
            };
            list = found;
        }
        self.list.extend(list.into_iter().map(|(first, bits)| (text(family, first, bits), Vec::new())));
    }
}

/// Distinct blocks of a length, unless they are too many.
fn at_length(numbers: &[u128], width: u32, bits: u32) -> Option<Vec<(u128, u32)>> {
    let host = width - bits;
    let firsts: BTreeSet<u128> = numbers.iter().map(|number| number >> host << host).collect();
    (firsts.len() <= MAX_BLOCKS).then(|| firsts.into_iter().map(|first| (first, bits)).collect())
}

/// Everything that is not private.
fn internet(family: Family) -> (String, Vec<&'static str>) {
    match family {
        Family::V4 => ("0.0.0.0/0".to_owned(), PRIVATE.into_iter().filter(|text| !text.contains(':')).collect()),
        Family::V6 => ("\"2000::/3\"".to_owned(), Vec::new()),
    }
}

/// A range as blocks: first address and length of each.
fn split(family: Family, (first, last): (u128, u128)) -> Vec<(u128, u32)> {
    let (width, mut blocks, mut next) = (width(family), Vec::new(), Some(first));
    while let Some(at) = next.filter(|at| *at <= last) {
        let fits = |host: &u32| at.checked_add((1 << host) - 1).is_some_and(|end| end <= last);
        let host = (0..=at.trailing_zeros().min(width - 1)).rev().find(fits).unwrap_or(0);
        blocks.push((at, width - host));
        next = at.checked_add(1 << host);
    }
    blocks
}

fn width(family: Family) -> u32 {
    if family == Family::V4 { 32 } else { 128 }
}

fn length(cidr: &Cidr) -> u32 {
    width(cidr.family) - (cidr.range.1 - cidr.range.0).count_ones()
}

/// In quotes where YAML would read something else.
fn text(family: Family, first: u128, bits: u32) -> String {
    let address = shown(family, (first, first));
    if family == Family::V4 { format!("{address}/{bits}") } else { format!("\"{address}/{bits}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(addresses: impl IntoIterator<Item = String>) -> String {
        let blocks = cover(&addresses.into_iter().map(|text| text.parse().unwrap()).collect());
        let list: Vec<String> = blocks.list.iter().map(|(cidr, except)| format!("{cidr} {}", except.len())).collect();
        format!("{} widened={}", list.join(", "), blocks.widened)
    }

    #[test]
    fn few_addresses_are_named_as_they_are_and_many_in_larger_blocks_of_one_kind() {
        let some = |texts: &[&str]| covered(texts.iter().map(ToString::to_string));
        assert_eq!(some(&["192.0.2.1", "2001:db8::1"]), "192.0.2.1/32 0, \"2001:db8::1/128\" 0 widened=false");
        assert_eq!(some(&["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"]), "10.0.0.4/30 0 widened=false");
        let spread = covered((0..40).map(|i| format!("198.51.100.{}", i * 5)));
        assert_eq!(
            spread,
            "198.51.100.0/27 0, 198.51.100.32/27 0, 198.51.100.64/27 0, 198.51.100.96/27 0, 198.51.100.128/27 0, \
             198.51.100.160/27 0, 198.51.100.192/27 0 widened=true"
        );
        let two_kinds = covered((0..40).flat_map(|i| [format!("10.{i}.0.1"), format!("9.{i}.{i}.1")]));
        assert_eq!(
            two_kinds,
            "10.0.0.0/13 0, 10.8.0.0/13 0, 10.16.0.0/13 0, 10.24.0.0/13 0, 10.32.0.0/13 0, 0.0.0.0/0 7 widened=true"
        );
    }
}
