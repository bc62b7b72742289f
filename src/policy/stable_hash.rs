//! A hash that is the same in every process, release and architecture: replicas of different versions must agree.

/// Hashes texts in order; where one ends and the next begins counts.
///
/// FNV-1a, finished as MurmurHash3 does so that each bit depends on all of the input. No secret is in it: who can choose
/// names can choose their hash.
pub fn stable_hash(texts: &[&str]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    // 0xff is in no UTF-8 text.
    let bytes = texts.iter().flat_map(|t| t.bytes().chain([0xff]));
    let mut hash = bytes.fold(OFFSET, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes_and_tells_texts_apart() {
        assert_eq!(stable_hash(&["policy", "shop", "web"]), 15_470_947_715_234_995_390);
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
        assert_ne!(stable_hash(&[]), stable_hash(&[""]));
    }

    #[test]
    fn names_that_hardly_differ_spread_evenly() {
        let below =
            |limit| (0..10_000).filter(|i| stable_hash(&["p", "ns", &format!("web-{i}")]) % 100 < limit).count();
        for (limit, count) in [1, 10, 50, 90].map(|l| (l as usize, below(l))) {
            assert!(count.abs_diff(limit * 100) < 200, "{limit}% of the names are {count} of 10,000");
        }
    }
}
