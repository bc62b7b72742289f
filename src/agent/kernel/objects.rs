//! The compiled programs, loaded with their maps.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use libbpf_rs::btf::Btf;
use libbpf_rs::{
    MapCore, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramAttachType, ProgramHandle, ProgramMut,
};
use sha2::{Digest, Sha256};

use super::error::KernelError;
use super::layout;
use super::maps::Map;
use super::options::Options;

/// A program in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The kernel's digest of its instructions.
    pub tag: [u8; 8],
}

/// Programs that hang on interfaces.
const DATAPATH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/datapath.o"));
/// The program behind address translation; kernels below 6.4 refuse it, so it is on its own.
const TRANSLATION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/translation.o"));

/// What comes from a Pod.
pub(super) const FROM_POD: &str = "from_pod";
/// What goes to a Pod.
pub(super) const TO_POD: &str = "to_pod";
/// In the place of [`FROM_POD`] while that hangs by clsact.
pub(super) const NEXT_FROM_POD: &str = "next_from_pod";
/// In the place of [`TO_POD`] while that hangs by clsact.
pub(super) const NEXT_TO_POD: &str = "next_to_pod";
/// What passes the node after address translation.
const FORWARDED: &str = "forwarded";

/// Changed with the meaning of an entry that looks as before: then older maps are not to be taken on.
const MEANING: u32 = 2;

/// All objects.
#[derive(Debug)]
pub(super) struct Objects {
    datapath: Object,
    translation: Result<Object, String>,
    folder: PathBuf,
    maps: PathBuf,
}

// === impl Objects ===

impl Objects {
    pub(super) fn open(folder: &Path, options: &Options) -> Result<Self, KernelError> {
        let refused = || KernelError::refused("opening the programs");
        // The library's words are the verifier's, among them why an older kernel refuses what it does not know.
        libbpf_rs::set_print(Some((PrintLevel::Warn, |_, text| tracing::debug!(text = text.trim_end(), "libbpf"))));
        let mut open = ObjectBuilder::default().open_memory(DATAPATH).map_err(refused())?;
        let btf = Btf::from_raw("datapath", DATAPATH).map_err(refused())?;
        layout::check(&btf.ok_or_else(|| refused()(missing("BTF")))?)?;
        for (name, size) in options.sizes.checked()? {
            for mut map in open.maps_mut().filter(|map| map.name() == name) {
                map.set_max_entries(size).map_err(refused())?;
            }
        }
        let maps = folder.join(format!("maps-{}", digest(&open)));
        fs::create_dir_all(&maps).map_err(|source| KernelError::Folder { folder: maps.clone(), source })?;
        for mut map in open.maps_mut().filter(|map| is_ours(map.name())) {
            let path = maps.join(map.name());
            map.set_pin_path(path).map_err(refused())?;
        }
        for mut program in open.progs_mut() {
            let ingress = [FROM_POD, NEXT_FROM_POD].iter().any(|name| program.name() == *name);
            program.set_attach_type(if ingress { ProgramAttachType::TcxIngress } else { ProgramAttachType::TcxEgress });
        }
        let datapath = open.load().map_err(KernelError::refused("loading the programs that hang on interfaces"))?;
        let translation = load_translation(&datapath);
        Ok(Self { datapath, translation, folder: folder.to_owned(), maps })
    }

    /// Where the maps are pinned.
    pub(super) fn maps_folder(&self) -> &Path {
        &self.maps
    }

    /// A map by its name.
    pub(super) fn map(&self, name: &'static str) -> Result<Map, KernelError> {
        let found = self.datapath.maps().find(|map| map.name() == name);
        let handle = found.map_or_else(|| Err(missing(name)), |map| MapHandle::try_from(&map));
        handle.map(|handle| Map::new(name, handle)).map_err(KernelError::refused(format!("opening map {name}")))
    }

    /// A program that hangs on interfaces.
    pub(super) fn program(&self, name: &'static str) -> Result<ProgramMut<'_>, KernelError> {
        let found = self.datapath.progs_mut().find(|program| program.name() == name);
        found.ok_or_else(|| KernelError::Refused { doing: "opening the programs".into(), source: missing(name) })
    }

    /// The program behind address translation, or why there is none.
    pub(super) fn translation(&self) -> Result<ProgramMut<'_>, String> {
        let object = self.translation.as_ref().map_err(Clone::clone)?;
        let found = object.progs_mut().find(|program| program.name() == FORWARDED);
        found.ok_or_else(|| missing(FORWARDED).to_string())
    }

    /// The number that the kernel gave a program.
    pub(super) fn id(&self, name: &'static str) -> Result<u32, KernelError> {
        let program = self.program(name)?;
        let handle = ProgramHandle::try_from(&program).map_err(KernelError::refused("reading programs"))?;
        Ok(handle.id())
    }

    /// Those that judge.
    pub(super) fn programs(&self) -> Result<Vec<Program>, KernelError> {
        let judges =
            |program: &ProgramMut<'_>| [FROM_POD, TO_POD, FORWARDED].iter().any(|name| program.name() == *name);
        let all = self.datapath.progs_mut().filter(judges).chain(self.translation.iter().flat_map(Object::progs_mut));
        let read = |program: ProgramMut<'_>| {
            let handle = ProgramHandle::try_from(&program).map_err(KernelError::refused("reading programs"))?;
            Ok(Program { name: handle.name().to_string_lossy().into_owned(), tag: handle.tag() })
        };
        all.map(read).collect()
    }

    pub(super) fn forget_others(&self) -> Result<(), KernelError> {
        let failed = |source| KernelError::Folder { folder: self.folder.clone(), source };
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let maps = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"maps-"));
            if maps && path != self.maps {
                remove_folder(&path)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove(self) -> Result<(), KernelError> {
        self.forget_others()?;
        remove_folder(&self.maps)?;
        match fs::remove_dir(&self.folder) {
            // What others put there is theirs.
            Err(source) if source.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(KernelError::Folder { folder: self.folder, source })
            }
            _ => Ok(()),
        }
    }
}

/// Removes a folder of pins; one that is not there is removed.
pub(super) fn remove_folder(folder: &Path) -> Result<(), KernelError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Folder { folder: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn missing(name: &str) -> libbpf_rs::Error {
    libbpf_rs::Error::from(io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in the object")))
}

fn load_translation(datapath: &Object) -> Result<Object, String> {
    let load = || -> Result<Object, libbpf_rs::Error> {
        let mut open = ObjectBuilder::default().open_memory(TRANSLATION)?;
        for mut map in open.maps_mut().filter(|map| is_ours(map.name())) {
            let shared = datapath.maps().find(|other| other.name() == map.name());
            let shared = shared.ok_or_else(|| missing(&map.name().to_string_lossy()))?;
            map.set_max_entries(shared.max_entries())?;
            map.reuse_fd(shared.as_fd())?;
        }
        open.load()
    };
    load().map_err(|error| error.to_string())
}

/// Constants of the programs are in a map of the compiler's, each object's own.
fn is_ours(name: &OsStr) -> bool {
    !name.as_encoded_bytes().contains(&b'.')
}

/// What a set of maps is named by: all that must agree so that its entries mean the same.
fn digest(open: &OpenObject) -> String {
    let mut content = Sha256::new();
    content.update(MEANING.to_le_bytes());
    content.update(layout::description());
    for map in open.maps().filter(|map| is_ours(map.name())) {
        content.update(map.name().as_encoded_bytes());
        let numbers = [map.map_type().into(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags()];
        for number in numbers {
            content.update(u32::to_le_bytes(number));
        }
    }
    content.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
