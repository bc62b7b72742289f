//! What ids depend on ([`stockade_netpol::plan::keep_secret`]): random bytes in a map that no program reads, pinned with
//! the maps whose keys these ids are. So they are as old as each other, outlive the agent, and go together.

use std::io;
use std::path::Path;

use libbpf_rs::{ErrorKind, MapCore as _, MapFlags, MapHandle, MapType, libbpf_sys};
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::KernelError;

/// The map, and its pin.
const NAME: &str = "secret";
/// Its one key.
const KEY: [u8; 4] = [0; 4];
/// Bytes of the secret.
const LENGTH: usize = 32;

/// The secret of a folder of maps, made where there is none.
pub(super) fn of(maps: &Path) -> Result<[u8; LENGTH], KernelError> {
    let path = maps.join(NAME);
    match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let made = make(&path);
            // Another agent may have pinned its own meanwhile: that one counts.
            read(&path).or_else(|error| made.and(Err(error)))
        }
        found => found,
    }
    .map_err(KernelError::refused("reading the secret of ids"))
}

fn read(path: &Path) -> Result<[u8; LENGTH], libbpf_rs::Error> {
    let found = MapHandle::from_pinned_path(path)?.lookup(&KEY, MapFlags::ANY)?;
    let secret = found.and_then(|bytes| bytes.try_into().ok());
    secret.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has another length").into())
}

/// Pinned once it has its value.
fn make(path: &Path) -> Result<(), libbpf_rs::Error> {
    let mut secret = [0; LENGTH];
    getrandom(&mut secret, GetRandomFlags::empty()).map_err(io::Error::from)?;
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let mut map = MapHandle::create(MapType::Array, Some(NAME), KEY.len() as u32, LENGTH as u32, 1, &options)?;
    map.update(&KEY, &secret, MapFlags::ANY)?;
    map.pin(path)
}
