//! Maps are read back whole, however much they hold: what an agent does not see it would neither keep nor remove.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stockade_agent::kernel::{BlockKey, Entries, Kernel, Options, PeerKey, Tables as _};
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_netpol::plan::Prefix;
use stockade_netpol::policy::Direction;

/// Writes so many entries, and reads them.
fn is_whole<K: Ord + Copy + Debug>(map: &dyn Entries<K, u64>, count: u32, key: impl Fn(u32) -> K) {
    let written: BTreeMap<K, u64> = (0..count).map(|at| (key(at), u64::from(at) + 7)).collect();
    map.set(&written.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>()).unwrap();
    assert!(map.all().unwrap() == written, "{count} entries");
}

#[test]
fn a_map_is_read_back_whole_however_much_it_holds() {
    let pins = Bpffs::new();
    let kernel = Kernel::open(&pins.path(), &Options::default()).unwrap();
    let direction = Direction::Egress;
    for count in [0, 1, 4_095, 4_096, 4_097, 30_000, 200_000] {
        is_whole(kernel.peers(), count, |at| PeerKey { table: 9, identity: u64::from(at), direction });
    }
    is_whole(kernel.identities(), 100_000, |at| IpAddr::V6(Ipv6Addr::from(u128::from(at) << 7)));
    let block = |at: u32| BlockKey { table: 9, direction, block: Prefix::of(Ipv4Addr::from(at << 4).into(), 124) };
    is_whole(kernel.blocks(), 20_000, block);
}
