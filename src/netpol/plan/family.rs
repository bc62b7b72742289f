//! Nested blocks of numbers: prefixes of ports or of addresses, of which two lie in each other or apart.

/// First and last number of a block.
pub(super) type Block = (u128, u128);

/// Blocks, each once, an outer one before those in it.
#[derive(Debug, Default)]
pub(super) struct Family {
    blocks: Vec<Block>,
    /// The next larger block around each.
    parents: Vec<Option<u32>>,
    /// A number of each that is in no smaller block, by number; a block that is full of smaller ones has none. What is
    /// true of this number is true of all that only this block has.
    points: Vec<(u128, u32)>,
}

/// Prefixes of a width that together are a range: at most `2 * width - 2`, and one when it is everything.
pub(super) fn prefixes(range: Block, width: u32) -> impl Iterator<Item = Block> {
    let mut next = Some(range.0);
    std::iter::from_fn(move || {
        let first = next.filter(|first| *first <= range.1)?;
        let mut host_bits = first.trailing_zeros().min(width);
        let last = |host_bits: u32| first | 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        while last(host_bits) > range.1 {
            host_bits -= 1;
        }
        next = last(host_bits).checked_add(1);
        Some((first, last(host_bits)))
    })
}

// === impl Family ===

impl Family {
    /// Of blocks that are prefixes, in any order.
    pub(super) fn new(mut blocks: Vec<Block>) -> Self {
        blocks.sort_unstable_by_key(|block| (block.0, std::cmp::Reverse(block.1)));
        blocks.dedup();
        let mut family = Self { blocks, ..Self::default() };
        // Open blocks from the outermost in, each with the first number that no block in it has so far.
        let mut open: Vec<(u32, Option<u128>)> = Vec::new();
        for (at, block) in (0..).zip(family.blocks.iter()) {
            while let Some((closed, free)) = open.pop_if(|(outer, _)| family.blocks[*outer as usize].1 < block.0) {
                family.points.extend(point(family.blocks[closed as usize], free).map(|number| (number, closed)));
            }
            if let Some((_, free)) = open.last_mut()
                && *free == Some(block.0)
            {
                *free = block.1.checked_add(1);
            }
            family.parents.push(open.last().map(|(outer, _)| *outer));
            open.push((at, Some(block.0)));
        }
        for (closed, free) in open {
            family.points.extend(point(family.blocks[closed as usize], free).map(|number| (number, closed)));
        }
        family.points.sort_unstable();
        family
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks whose own numbers a range has, which begins and ends where blocks do; each with one of these numbers.
    pub(super) fn in_range(&self, range: Block) -> impl Iterator<Item = (usize, u128)> {
        let from = self.points.partition_point(|(number, _)| *number < range.0);
        self.points[from..]
            .iter()
            .take_while(move |(number, _)| *number <= range.1)
            .map(|(number, at)| (*at as usize, *number))
    }

    /// Blocks where a value is another than around them, outer ones first; `nothing` is around all.
    pub(super) fn changes<V: Copy + PartialEq>(&self, values: &[V], nothing: V) -> Vec<(Block, V)> {
        let mut own = vec![false; self.blocks.len()];
        for (_, at) in &self.points {
            own[*at as usize] = true;
        }
        let mut effective: Vec<V> = Vec::with_capacity(self.blocks.len());
        let mut changes = Vec::new();
        for (at, block) in self.blocks.iter().enumerate() {
            let around = self.parents[at].map_or(nothing, |parent| effective[parent as usize]);
            let value = if own[at] { values[at] } else { around };
            if value != around {
                changes.push((*block, value));
            }
            effective.push(value);
        }
        changes
    }
}

/// The number, unless it is beyond the block.
fn point(block: Block, free: Option<u128>) -> Option<u128> {
    free.filter(|number| *number <= block.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_few_prefixes() {
        let of = |from, to| prefixes((from, to), 16).collect::<Vec<_>>();
        assert_eq!(of(0, 65_535), [(0, 65_535)]);
        assert_eq!(of(80, 80), [(80, 80)]);
        assert_eq!(of(1, 6), [(1, 1), (2, 3), (4, 5), (6, 6)]);
        assert_eq!(of(1, 65_534).len(), 30);
        assert_eq!(prefixes((0, u128::MAX), 128).collect::<Vec<_>>(), [(0, u128::MAX)]);
        assert_eq!(prefixes((1, u128::MAX - 1), 128).count(), 254);
    }

    #[test]
    fn a_value_is_told_where_it_is_another_than_around() {
        let family = Family::new(vec![(0, 7), (2, 3), (2, 3), (4, 7), (4, 5), (6, 7), (6, 6)]);
        assert_eq!(family.len(), 6);
        let within = |range| family.in_range(range).map(|(at, number)| (family.blocks[at], number)).collect::<Vec<_>>();
        // 4 to 7 is full of smaller blocks, so nothing is true of it alone.
        assert_eq!(within((0, 7)), [((0, 7), 0), ((2, 3), 2), ((4, 5), 4), ((6, 6), 6), ((6, 7), 7)]);
        assert_eq!(within((4, 6)), [((4, 5), 4), ((6, 6), 6)]);
        assert_eq!(family.changes(&['a', 'b', 'x', 'a', 'a', 'c'], '-'), [((0, 7), 'a'), ((2, 3), 'b'), ((6, 6), 'c')]);
        assert_eq!(family.changes(&['-'; 6], '-'), []);
    }
}
