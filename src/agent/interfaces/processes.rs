//! A process of each Pod, by the control groups that kubelets put them in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// Most processes that are looked at, the kernel's own bound of their numbers.
const MAX_PROCESSES: usize = 1 << 22;

/// Bytes of one `/proc/<pid>/cgroup`: a line for each hierarchy, of which there are some 15.
const MAX_CGROUP_BYTES: usize = 16 * 1024;

/// A process of each of these Pods that has one, by UID.
///
/// # Errors
/// `/proc` cannot be read. A process that ends meanwhile is none.
pub fn of_pods(uids: &BTreeSet<String>) -> io::Result<BTreeMap<String, u32>> {
    of_pods_in(Path::new("/proc"), uids)
}

fn of_pods_in(proc: &Path, uids: &BTreeSet<String>) -> io::Result<BTreeMap<String, u32>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(proc)?.take(MAX_PROCESSES) {
        if found.len() == uids.len() {
            break;
        }
        let entry = entry?;
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(cgroup) = fs::read_to_string(entry.path().join("cgroup")) else { continue };
        if let Some(uid) = pod_of(&cgroup).filter(|uid| uids.contains(uid)) {
            found.entry(uid).or_insert(process);
        }
    }
    Ok(found)
}

/// UID of the Pod in whose control group a process is: the first part of a path that begins with `pod`, where systemd
/// names it with `_` for `-`. Parts after it are named by whoever is in the Pod. What is before may be missing: a path is
/// told from where the reader is.
///
/// `/kubepods/burstable/pod1b2c…/<container>`, `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b_2c.slice/…`
fn pod_of(cgroup: &str) -> Option<String> {
    let cgroup = cgroup.get(..cgroup.len().min(MAX_CGROUP_BYTES)).unwrap_or_default();
    cgroup.lines().find_map(|line| line.split('/').find_map(uid_of_part))
}

fn uid_of_part(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let at = if part.starts_with("pod") { 0 } else { part.find("-pod")? + 1 };
    let uid = part.get(at + 3..)?;
    let is_uid = !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    is_uid.then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_of_a_process_is_read_from_its_control_group_whoever_names_it() {
        let uid = "6a3f0c1e-52f1-4b7e-9d0a-0123456789ab";
        let systemd = format!(
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{}.slice/cri-containerd-4f.scope\n",
            uid.replace('-', "_")
        );
        let guaranteed = format!("0::/kubepods.slice/kubepods-pod{}.slice/crio-1\n", uid.replace('-', "_"));
        let cgroupfs =
            format!("12:cpu:/kubepods/burstable/pod{uid}/4f\n1:name=systemd:/kubepods/burstable/pod{uid}/4f\n");
        // A static Pod of the kubelet has a digest for a UID; a reader in a control group of its own sees no more.
        let nested = "0::/../../pod0123456789abcdef/4f/pod1\n";
        let pods = [&*systemd, &guaranteed, &cgroupfs, nested].map(pod_of);
        let uid = Some(uid.to_owned());
        assert_eq!(pods, [uid.clone(), uid.clone(), uid, Some("0123456789abcdef".to_owned())]);
        for other in ["", "0::/\n", "0::/system.slice/podman.service\n", "0::/kubepods/pod/x\n", "0::/kubepods-pod..\n"]
        {
            assert_eq!(pod_of(other), None, "{other}");
        }
    }

    #[test]
    fn each_pod_that_was_asked_for_has_one_process() {
        let proc = tempfile::tempdir().unwrap();
        let process = |name: &str, cgroup: &str| {
            fs::create_dir(proc.path().join(name)).unwrap();
            fs::write(proc.path().join(name).join("cgroup"), cgroup).unwrap();
        };
        process("10", "0::/kubepods/poda-1/x\n");
        process("12", "0::/kubepods/podb/x\n");
        process("self", "0::/kubepods/poda-1/x\n");
        let uids = BTreeSet::from(["a-1".to_owned(), "c".to_owned()]);
        assert_eq!(of_pods_in(proc.path(), &uids).unwrap(), BTreeMap::from([("a-1".to_owned(), 10)]));
    }
}
