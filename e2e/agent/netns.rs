//! Network namespaces that a test makes: hosts and Pods of its own, so that nothing touches this machine's network.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::LinkNameSpaceType;
use stockade_agent::hold::HostInterface;

/// A network namespace; removed with all its interfaces when this is dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

// === impl Netns ===

impl Netns {
    /// A new one whose loopback interface is up.
    ///
    /// # Panics
    /// Without root.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("stockade-e2e-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        assert!(rustix::process::geteuid().is_root(), "network namespaces need root");
        must(Command::new("ip").args(["netns", "add", &name]));
        let netns = Self { name };
        netns.ip("link set lo up");
        netns
    }

    /// Its name, as `ip netns` has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file of it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// A program that will run in it. Its files are this machine's.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// What `ip` says there.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        must(Command::new("ip").args(["-n", &self.name]).args(arguments.split_whitespace()))
    }

    /// So many interfaces that lead nowhere: frames that are tried need some that are there.
    ///
    /// # Panics
    /// Without root.
    pub fn add_interfaces(&self, count: usize) -> Vec<HostInterface> {
        let add = |n| {
            let name = format!("pod{n}");
            self.ip(&format!("link add {name} type bridge"));
            HostInterface { index: self.interface(&name), name }
        };
        (0..count).map(add).collect()
    }

    /// The number of an interface.
    ///
    /// # Panics
    /// When there is none.
    pub fn interface(&self, name: &str) -> u32 {
        let line = self.ip(&format!("-o link show {name}"));
        line.split(':').next().unwrap().trim().parse().unwrap()
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "delete", &self.name]).output());
    }
}

/// Runs something in a new network namespace, in a thread of its own.
///
/// # Panics
/// When it does, or without root.
pub fn in_new<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let netns = Netns::new();
    let entered = || {
        let file = std::fs::File::open(netns.path()).unwrap();
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        run()
    };
    std::thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a command says.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn must(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
