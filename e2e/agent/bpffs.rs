//! A BPF file system that a test has to itself, which no path leads to from outside and nobody must take away.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Mounted nowhere; gone with the last pin when this is dropped or the test ends.
#[derive(Debug)]
pub struct Bpffs {
    mount: OwnedFd,
}

// === impl Bpffs ===

impl Bpffs {
    /// A new one.
    ///
    /// # Panics
    /// Without root, or where the kernel has no BPF.
    pub fn new() -> Self {
        let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC).expect("the kernel has BPF file systems, for root");
        fsconfig_create(&context).expect("a BPF file system can be made");
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
        Self { mount: mount.expect("a BPF file system can be mounted") }
    }

    /// Its root, for this process.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.mount.as_raw_fd()))
    }
}

impl Default for Bpffs {
    fn default() -> Self {
        Self::new()
    }
}
