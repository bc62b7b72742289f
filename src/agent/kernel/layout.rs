//! Structures that the programs and the agent share, as they lie in memory. `bpf/shared.h` has the same, with what
//! each field means; [`check`] compares both when the programs are opened.

use libbpf_rs::btf::types::{Array, Int, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, BtfType, HasSize, TypeId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::error::KernelError;

/// Bits of a leaf's word that are the rule's action.
pub(super) const ACTION_BITS: u32 = 2;

/// `struct config.flags`: open connections stay open when the policy changes.
pub(super) const CONFIG_KEEP: u32 = 1;
/// `struct config.flags`: packets to Services are judged once their destination is known.
pub(super) const CONFIG_SERVICES: u32 = 2;

/// `struct direction.flags`.
pub(super) const DIRECTION_JUDGED: u32 = 1;
/// `struct direction.flags`.
pub(super) const DIRECTION_ISOLATED: u32 = 2;
/// `struct direction.flags`.
pub(super) const DIRECTION_BLOCKS: u32 = 4;

/// A structure in memory: its name in C, its size, and offset and size of each field.
struct Layout {
    structure: &'static str,
    size: usize,
    fields: &'static [(&'static str, usize, usize)],
}

/// Declares a structure as C does, and what [`check`] compares.
macro_rules! shared {
    ($(struct $name:ident $c:literal { $($field:ident: $kind:ty,)+ })+) => {
        $(
            #[doc = concat!("`struct ", $c, "`.")]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub(super) struct $name { $(pub(super) $field: $kind,)+ }
        )+
        const ALL: &[Layout] = &[$(Layout {
            structure: $c,
            size: size_of::<$name>(),
            fields: &[$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$kind>()),)+],
        },)+];
    };
}

shared! {
    struct RawEndpoint "endpoint" {
        identity: u64,
        table: u64,
        audit_table: u64,
        generation: u32,
        unused: u32,
        v4: [u8; 16],
        v6: [u8; 16],
    }
    struct RawDirection "direction" { everyone: u64, every_pod: u64, flags: u32, unused: u32, }
    struct RawHead "head" { directions: [RawDirection; 2], digest: [u8; 32], }
    struct RawPeerKey "peer_key" { table: u64, identity: u64, direction: u32, unused: u32, }
    struct RawBlockKey "block_key" { prefix: u32, table: [u8; 8], direction: u32, address: [u8; 16], }
    struct RawPortsKey "ports_key" { prefix: u32, set: [u8; 8], protocol: u8, port: [u8; 2], unused: u8, }
    struct RawServiceKey "service_key" { prefix: u32, address: [u8; 16], }
    struct RawLeaf "leaf" { admin: u32, network: u32, baseline: u32, }
    struct RawConfig "config" { epoch: u64, retell: u64, flags: u32, events_per_second: u32, }
    struct RawCounters "counters" { packets: [[u64; 10]; 2], }
    struct RawBudget "budget" { refilled: u64, untold: u64, tokens: u64, }
    struct RawEvent "flow_event" {
        time: u64,
        table: u64,
        identity: u64,
        count: u64,
        bytes: u64,
        local: [u8; 16],
        remote: [u8; 16],
        ifindex: u32,
        word: u32,
        local_port: [u8; 2],
        remote_port: [u8; 2],
        direction: u8,
        outcome: u8,
        protocol: u8,
        tier: u8,
    }
}

/// Compares all structures with what the programs were compiled with.
pub(super) fn check(btf: &Btf<'_>) -> Result<(), KernelError> {
    for layout in ALL {
        let differs = |difference: String| KernelError::Layout { structure: layout.structure, difference };
        let found: Struct<'_> = btf.type_by_name(layout.structure).ok_or_else(|| differs("it is not there".into()))?;
        if found.size() != layout.size {
            return Err(differs(format!("{} bytes instead of {}", found.size(), layout.size)));
        }
        let fields = fields(btf, &found);
        let expected: Vec<_> = layout.fields.iter().map(|(name, at, size)| ((*name).to_owned(), *at, *size)).collect();
        if fields != expected {
            return Err(differs(format!("{fields:?} instead of {expected:?}")));
        }
    }
    Ok(())
}

/// Name, offset and size of each field of a structure.
fn fields(btf: &Btf<'_>, structure: &Struct<'_>) -> Vec<(String, usize, usize)> {
    let field = |member: libbpf_rs::btf::types::StructMember<'_>| {
        let name = member.name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let at = match member.attr {
            MemberAttr::Normal { offset } | MemberAttr::BitField { offset, .. } => offset as usize / 8,
        };
        (name, at, size_of_type(btf, member.ty, MAX_NESTING))
    };
    structure.iter().map(field).collect()
}

/// An array of arrays of a typedef of a qualified number is the deepest that there is.
const MAX_NESTING: u8 = 8;

/// Size of a type in bytes; 0 for one that no shared structure has.
fn size_of_type(btf: &Btf<'_>, id: TypeId, nesting: u8) -> usize {
    let Some(found) = btf.type_by_id::<BtfType<'_>>(id) else { return 0 };
    let found = found.skip_mods_and_typedefs();
    if let Ok(array) = Array::try_from(found) {
        let element = nesting.checked_sub(1).map(|left| size_of_type(btf, array.ty(), left));
        return array.capacity() * element.unwrap_or_default();
    }
    let number = Int::try_from(found).map(|int| usize::from(int.bits) / 8);
    number.or_else(|found| Struct::try_from(found).map(|s| s.size())).unwrap_or_default()
}

/// All structures as text: what a set of maps is named by.
pub(super) fn description() -> String {
    ALL.iter().map(|layout| format!("{} {} {:?};", layout.structure, layout.size, layout.fields)).collect()
}
