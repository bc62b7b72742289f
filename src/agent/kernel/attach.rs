//! How programs hang on interfaces: by tcx, with pinned links, or by clsact, whose filters the kernel keeps itself.
//!
//! A Pod that starts waits for its programs. By clsact they hang within 2 ms, by tcx in 34, as the kernel waits for all
//! CPUs twice: so they hang by clsact first, and by tcx once nobody waits.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::{fs, io};

use libbpf_rs::query::LinkTypeInfo;
use libbpf_rs::{AsRawLibbpf, ErrorKind, Link, ProgramMut, TC_EGRESS, TC_INGRESS, TcAttachPoint, TcHook};

use super::error::KernelError;
use super::objects::{FROM_POD, NEXT_FROM_POD, NEXT_TO_POD, Objects, TO_POD, remove_folder};
use super::options::Hooks;

/// How programs hang on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachedBy {
    /// By tcx (kernel 6.6).
    Tcx,
    /// By filters of the queueing discipline clsact.
    Clsact,
}

/// What hangs on an interface: ids of programs in the kernel, none where a program is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// How.
    pub by: AttachedBy,
    /// What judges packets from the Pod.
    pub from_pod: Option<u32>,
    /// What judges packets to the Pod.
    pub to_pod: Option<u32>,
}

/// The links of a folder.
#[derive(Debug)]
pub(super) struct Links {
    folder: PathBuf,
    hooks: Hooks,
}

/// Both. What comes from the Pod enters the host, what goes to it leaves it.
const POINTS: [Point; 2] = [
    Point { name: FROM_POD, next: NEXT_FROM_POD, of_clsact: TC_INGRESS },
    Point { name: TO_POD, next: NEXT_TO_POD, of_clsact: TC_EGRESS },
];

/// Where a program hangs on an interface.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// The program.
    name: &'static str,
    /// One that leaves packets to whoever comes next, in its place by tcx while it hangs by clsact.
    next: &'static str,
    of_clsact: TcAttachPoint,
}

/// Ours among clsact's filters, so that another one's is neither replaced nor removed: "st" and a priority that is late,
/// as filters before it may change packets.
const CLSACT_HANDLE: u32 = 0x7374;
/// See [`CLSACT_HANDLE`].
const CLSACT_PRIORITY: u32 = 0x7374;

/// Where traffic passes the node behind address translation: forwarded, and (IPVS) sent on by the node itself.
const TRANSLATED: [(&str, libc::c_int, libc::c_int); 4] = [
    ("forward-v4", libc::NFPROTO_IPV4, libc::NF_INET_FORWARD),
    ("forward-v6", libc::NFPROTO_IPV6, libc::NF_INET_FORWARD),
    ("output-v4", libc::NFPROTO_IPV4, libc::NF_INET_LOCAL_OUT),
    ("output-v6", libc::NFPROTO_IPV6, libc::NF_INET_LOCAL_OUT),
];

/// Places in the order of a hook, just before filters (0). The kernel lets no two programs have the same, nor exchanges
/// the program of such a link: an agent takes the place that its predecessor does not have.
const TRANSLATED_PRIORITIES: [i32; 2] = [-2, -1];

// === impl Links ===

impl Links {
    pub(super) fn open(folder: &Path, hooks: Hooks) -> Result<Self, KernelError> {
        let folder = folder.join("links");
        fs::create_dir_all(&folder).map_err(|source| KernelError::Folder { folder: folder.clone(), source })?;
        Ok(Self { folder, hooks })
    }

    /// Puts programs in the place of those that hang by tcx, and hangs the others by clsact.
    pub(super) fn attach(&self, objects: &Objects, interface: u32) -> Result<AttachedBy, KernelError> {
        let mut by = AttachedBy::Tcx;
        for point in POINTS {
            if self.hooks == Hooks::Clsact || !self.exchange(objects, interface, point)? {
                filter(objects, interface, point)?;
                by = AttachedBy::Clsact;
            }
        }
        Ok(by)
    }

    /// Hangs by tcx what hangs by clsact. A packet is judged all the time, for a moment by both.
    pub(super) fn settle(&self, objects: &Objects, interface: u32) -> Result<AttachedBy, KernelError> {
        if self.hooks == Hooks::Clsact {
            return Ok(AttachedBy::Clsact);
        }
        for point in POINTS {
            if self.exchange(objects, interface, point)? {
                continue;
            }
            let refused = || KernelError::refused(format!("hanging {} on interface {interface} by tcx", point.name));
            match link_tcx(&objects.program(point.next)?, interface) {
                // Below 6.6 the kernel knows no such link.
                Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(AttachedBy::Clsact),
                Err(error) => return Err(refused()(error)),
                Ok(mut link) => link.pin(self.path(interface, point.name)).map_err(refused())?,
            }
            self.exchange(objects, interface, point)?;
        }
        Ok(AttachedBy::Tcx)
    }

    /// Puts a program in the place of the one that hangs by tcx, and takes it off clsact; whether one hung by tcx.
    fn exchange(&self, objects: &Objects, interface: u32, point: Point) -> Result<bool, KernelError> {
        let Some(mut link) = self.link(interface, point)? else { return Ok(false) };
        let refused = KernelError::refused(format!("hanging {} on interface {interface} by tcx", point.name));
        let program = objects.program(point.name)?;
        link.update_prog(&program).map_err(refused)?;
        unfilter(objects, interface, point)?;
        Ok(true)
    }

    /// When this returns, neither hangs.
    pub(super) fn detach(&self, objects: &Objects, interface: u32) -> Result<(), KernelError> {
        for point in POINTS {
            let path = self.path(interface, point.name);
            if let Some(link) = open_link(&path)? {
                // Without its pin it would go too, some time later.
                link.detach().map_err(KernelError::refused(format!("taking {} off {interface}", point.name)))?;
                unpin(&path)?;
            }
            unfilter(objects, interface, point)?;
        }
        Ok(())
    }

    /// What hangs on the interfaces that are asked about, and on all that have links.
    pub(super) fn attached(
        &self,
        objects: &Objects,
        interfaces: impl Iterator<Item = u32>,
    ) -> Result<BTreeMap<u32, Attached>, KernelError> {
        let mut all: BTreeSet<u32> = interfaces.collect();
        for name in self.names()? {
            all.extend(name.split_once('-').and_then(|(interface, _)| interface.parse::<u32>().ok()));
        }
        let read = |interface| Ok(self.read(objects, interface)?.map(|attached| (interface, attached)));
        all.into_iter().filter_map(|interface| read(interface).transpose()).collect()
    }

    fn read(&self, objects: &Objects, interface: u32) -> Result<Option<Attached>, KernelError> {
        let mut found = Attached { by: AttachedBy::Tcx, from_pod: None, to_pod: None };
        for (point, id) in POINTS.into_iter().zip([&mut found.from_pod, &mut found.to_pod]) {
            *id = self.linked(objects, interface, point)?;
            if id.is_none() {
                *id = filtering(objects, interface, point)?;
                found.by = AttachedBy::Clsact;
            }
        }
        Ok((found.from_pod.is_some() || found.to_pod.is_some()).then_some(found))
    }

    /// The link of a point; the pin of an interface that had this index and is gone is removed.
    fn link(&self, interface: u32, point: Point) -> Result<Option<Link>, KernelError> {
        let path = self.path(interface, point.name);
        let Some(link) = open_link(&path)? else { return Ok(None) };
        if interface_of(&link)? == Some(interface) {
            return Ok(Some(link));
        }
        unpin(&path).map(|()| None)
    }

    /// Id of the program of a link, but for what only keeps its place.
    fn linked(&self, objects: &Objects, interface: u32, point: Point) -> Result<Option<u32>, KernelError> {
        let Some(link) = self.link(interface, point)? else { return Ok(None) };
        let info = link.info().map_err(KernelError::refused("reading a link"))?;
        Ok((info.prog_id != objects.id(point.next)?).then_some(info.prog_id))
    }

    /// Hangs the program behind address translation, then takes its predecessor off.
    pub(super) fn translate(&self, program: &ProgramMut<'_>) -> Result<(), KernelError> {
        let names = self.names()?;
        for (name, family, hook) in TRANSLATED {
            let taken = names.contains(&format!("{name}-0"));
            let place = usize::from(taken);
            // Left where an agent ended between both steps.
            let path = self.folder.join(format!("{name}-{place}"));
            unpin(&path)?;
            let priority = TRANSLATED_PRIORITIES[place];
            let refused = || KernelError::refused(format!("hanging the program behind address translation ({name})"));
            let link = link_netfilter(program, family, hook, priority);
            link.map_err(refused())?.pin(&path).map_err(refused())?;
            unpin(&self.folder.join(format!("{name}-{}", 1 - place)))?;
        }
        Ok(())
    }

    /// Whether all links behind address translation are there.
    pub(super) fn has_translation(&self) -> Result<bool, KernelError> {
        let names = self.names()?;
        let there = |name: &str| (0..TRANSLATED_PRIORITIES.len()).any(|n| names.contains(&format!("{name}-{n}")));
        Ok(TRANSLATED.iter().all(|(name, ..)| there(name)))
    }

    /// Takes everything off.
    pub(super) fn remove(&self, objects: &Objects, interfaces: impl Iterator<Item = u32>) -> Result<(), KernelError> {
        for interface in self.attached(objects, interfaces)?.into_keys() {
            self.detach(objects, interface)?;
        }
        remove_folder(&self.folder)
    }

    fn names(&self) -> Result<BTreeSet<String>, KernelError> {
        let failed = |source| KernelError::Folder { folder: self.folder.clone(), source };
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn path(&self, interface: u32, program: &str) -> PathBuf {
        self.folder.join(format!("{interface}-{program}"))
    }
}

fn open_link(path: &Path) -> Result<Option<Link>, KernelError> {
    match Link::open(path) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KernelError::refused(format!("opening the link {}", path.display()))(error)),
    }
}

fn unpin(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Folder { folder: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Where a link hangs; none once its interface is gone.
fn interface_of(link: &Link) -> Result<Option<u32>, KernelError> {
    let info = link.info().map_err(KernelError::refused("reading a link"))?;
    Ok(match info.info {
        LinkTypeInfo::Tcx(tcx) => (tcx.ifindex != 0).then_some(tcx.ifindex),
        _ => None,
    })
}

#[expect(unsafe_code, reason = "the library wraps every other kind of link")]
fn link_tcx(program: &ProgramMut<'_>, interface: u32) -> Result<Link, libbpf_rs::Error> {
    let interface = i32::try_from(interface).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: the program is loaded and lives as long as its borrow; no options are given, which is allowed.
    let link =
        unsafe { libbpf_sys::bpf_program__attach_tcx(program.as_libbpf_object().as_ptr(), interface, ptr::null()) };
    let link = NonNull::new(link).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: libbpf made this link and gave it to us alone.
    Ok(unsafe { Link::from_ptr(link) })
}

#[expect(unsafe_code, reason = "the library wraps it, and keeps its options to itself")]
fn link_netfilter(
    program: &ProgramMut<'_>,
    family: libc::c_int,
    hook: libc::c_int,
    priority: i32,
) -> Result<Link, libbpf_rs::Error> {
    let options = libbpf_sys::bpf_netfilter_opts {
        sz: size_of::<libbpf_sys::bpf_netfilter_opts>() as libbpf_sys::size_t,
        pf: family.unsigned_abs(),
        hooknum: hook.unsigned_abs(),
        priority,
        ..Default::default()
    };
    // SAFETY: the program is loaded and lives as long as its borrow; libbpf reads the options, whose size they name.
    let link = unsafe { libbpf_sys::bpf_program__attach_netfilter(program.as_libbpf_object().as_ptr(), &options) };
    let link = NonNull::new(link).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: libbpf made this link and gave it to us alone.
    Ok(unsafe { Link::from_ptr(link) })
}

/// Hangs a program by clsact, in the place of one that hangs there.
fn filter(objects: &Objects, interface: u32, point: Point) -> Result<(), KernelError> {
    let refused = || KernelError::refused(format!("hanging {} on interface {interface} by clsact", point.name));
    let mut hook = clsact(&objects.program(point.name)?, interface, point);
    hook.create().map_err(refused())?;
    hook.replace(true).attach().map(drop).map_err(refused())
}

/// Takes a program off clsact, if it hangs there.
fn unfilter(objects: &Objects, interface: u32, point: Point) -> Result<(), KernelError> {
    match clsact(&objects.program(point.name)?, interface, point).detach() {
        Err(error) if !is_absent(&error) => {
            Err(KernelError::refused(format!("taking {} off interface {interface}", point.name))(error))
        }
        _ => Ok(()),
    }
}

/// Id of our program among the filters of clsact.
fn filtering(objects: &Objects, interface: u32, point: Point) -> Result<Option<u32>, KernelError> {
    match clsact(&objects.program(point.name)?, interface, point).query() {
        Ok(id) => Ok(Some(id)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(KernelError::refused(format!("reading filters of interface {interface}"))(error)),
    }
}

fn clsact(program: &ProgramMut<'_>, interface: u32, point: Point) -> TcHook {
    let mut hook = TcHook::new(program.as_fd());
    // Indexes are positive numbers of the kernel's int.
    hook.ifindex(i32::try_from(interface).unwrap_or(i32::MAX)).attach_point(point.of_clsact);
    hook.handle(CLSACT_HANDLE).priority(CLSACT_PRIORITY);
    hook
}

/// No such filter, no such discipline, no such interface.
fn is_absent(error: &libbpf_rs::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.kind() == ErrorKind::InvalidInput
        || error.to_string().contains(&format!("os error {}", libc::ENODEV))
}
