//! The last known inputs in a file, for a start while the API server is away.
//!
//! The first line is the SHA-256 of the rest in hexadecimal: a file that was cut or touched is none. It is replaced as a
//! whole, so there is always one or none.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Read as _, Write};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};

use super::Inputs;
use crate::memory;

/// Largest file that is written or read: 20,000 identities and 1,000 policies are some 10 MB.
pub const MAX_BYTES: u64 = 256 << 20;

/// Its name in the state folder.
const FILE: &str = "inputs.json";

/// Writes snapshots beside everything else, one at a time: a disk takes longer than anybody is to wait for the kernel.
/// Dropping it waits for the last one.
#[derive(Debug)]
pub struct SnapshotWriter {
    folder: PathBuf,
    writing: Option<JoinHandle<()>>,
}

/// Length of a SHA-256 in hexadecimal.
const DIGEST: usize = 64;

/// A file, and what was written to it so far; no more than [`MAX_BYTES`] are.
struct Digested<'f> {
    file: &'f File,
    digest: Sha256,
    bytes: u64,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// See [`MAX_BYTES`].
    #[error("the inputs are larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// What is in it is not what was written.
    #[error("the file is not as it was written")]
    Damaged,
    /// Written by another version.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Replaces the snapshot of a folder, which is made when it is not there.
///
/// # Errors
/// The file system's; inputs that are too large.
pub fn write(folder: &Path, inputs: &Inputs) -> Result<(), SnapshotError> {
    fs::create_dir_all(folder)?;
    let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    let mut written = File::create(&new)?;
    // It tells labels and policies of all namespaces.
    written.set_permissions(Permissions::from_mode(0o600))?;
    // Its text is never in memory as a whole: what it is, is known when it is written.
    writeln!(written, "{}", "-".repeat(DIGEST))?;
    let mut text = BufWriter::new(Digested { file: &written, digest: Sha256::new(), bytes: 0 });
    let told = serde_json::to_writer(&mut text, inputs);
    text.flush()?;
    let Digested { digest, bytes, .. } = text.into_inner().map_err(IntoInnerError::into_error)?;
    if bytes > MAX_BYTES {
        return Err(SnapshotError::TooLarge);
    }
    told?;
    written.write_all_at(crate::hex(&digest.finalize()).as_bytes(), 0)?;
    written.sync_all()?;
    fs::rename(&new, &file)?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Reads the snapshot of a folder; none where none was written.
///
/// # Errors
/// The file system's; a file that was not written by [`write`].
pub fn read(folder: &Path) -> Result<Option<Inputs>, SnapshotError> {
    let file = match File::open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 66).read_to_end(&mut bytes)?;
    let at = bytes.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Damaged)?;
    let (told, json) = (&bytes[..at], &bytes[at + 1..]);
    if digest(json).as_bytes() != told {
        return Err(SnapshotError::Damaged);
    }
    Ok(Some(serde_json::from_slice(json)?))
}

/// Removes the snapshot of a folder, if there is one.
///
/// # Errors
/// The file system's.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

// === impl SnapshotWriter ===

impl SnapshotWriter {
    /// Of a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, writing: None }
    }

    /// Begins to write; not while it still does.
    pub fn begin(&mut self, inputs: Arc<Inputs>) -> bool {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return false;
        }
        let folder = self.folder.clone();
        let write = move || {
            if let Err(error) = write(&folder, &inputs) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last known inputs could not be written");
            }
            // Much was read to have them, and more to write them.
            drop(inputs);
            memory::give_back();
        };
        let writing = thread::Builder::new().name("snapshot".to_owned()).spawn(write);
        self.writing = writing.ok();
        self.writing.is_some()
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        // What became of it was told.
        drop(self.writing.take().map(JoinHandle::join));
    }
}

impl Write for Digested<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = if self.bytes > MAX_BYTES { text.len() } else { self.file.write(text)? };
        self.digest.update(&text[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn digest(json: &[u8]) -> String {
    crate::hex(&Sha256::digest(json))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{NamespaceFacts, PodFacts, PolicyObject};
    use super::*;

    #[test]
    fn inputs_are_read_back_as_they_were_written_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert!(matches!(read(&state), Ok(None)));
        let mut inputs = Inputs::default();
        inputs.pods.insert("u1".to_owned(), PodFacts { name: "web".to_owned(), created: 7, ..PodFacts::default() });
        inputs.namespaces.insert("shop".to_owned(), NamespaceFacts { audit: true, ..NamespaceFacts::default() });
        let policy = PolicyObject::from(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "web", "namespace": "shop", "generation": 3 },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
        }));
        assert!(policy.policy.is_some());
        inputs.policies.insert(policy.key(), policy);
        write(&state, &inputs).unwrap();
        write(&state, &inputs).unwrap();
        assert_eq!(read(&state).unwrap(), Some(inputs));
        let file = state.join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("web", "wed")).unwrap();
        assert!(matches!(read(&state), Err(SnapshotError::Damaged)));
        fs::write(&file, &text[..70]).unwrap();
        assert!(matches!(read(&state), Err(SnapshotError::Damaged)));
    }
}
