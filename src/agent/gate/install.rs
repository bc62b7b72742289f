//! The plugin on its node: its file among the runtime's plugins, and its entry in the configuration that the runtime uses.
//!
//! containerd and CRI-O take the first file of their folder by name (`.conf`, `.conflist`, `.json`) that is a network
//! configuration; so is it here. A list gets our entry. A configuration of one plugin is put aside (`X` as `X.stockade`)
//! for a list that holds it (`X.stockade.conflist`, which stands where `X` stood). Files are replaced whole, by a rename.
//!
//! Other plugins write their files anew when they like, so the folder is looked at every [`LOOK`]. Not by inotify: a Pod
//! that starts in between is found and counted as exposed, and a look costs less than 0.01 % of a core.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use stockade_cni::call::{MAX_EXEMPT_NAMESPACES, OnTimeout};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::gate::chain::{self, ChainError, PLUGIN};

/// Between two looks at the folder of configurations.
const LOOK: Duration = Duration::from_secs(1);

/// Files of that folder. Nodes have one or two.
const MAX_FILES: usize = 1_000;

/// Bytes of one of them.
const MAX_FILE: u64 = 1024 * 1024;

/// The end of the name of a configuration that was put aside.
const ASIDE: &str = ".stockade";

/// The end of the name of the list in its place.
const IN_PLACE: &str = ".stockade.conflist";

/// Where things are on the node, as we see them.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Network configurations (`/etc/cni/net.d`).
    pub configurations: PathBuf,
    /// Plugins (`/opt/cni/bin`).
    pub plugins: PathBuf,
}

/// What our entry says (`stockade_cni::call::Config`).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The agent's socket, as the runtime sees it.
    pub socket: PathBuf,
    /// How long a Pod's network is held at most.
    pub wait_seconds: u64,
    /// What becomes of it then.
    pub on_timeout: OnTimeout,
    /// Namespaces that are not held.
    pub exempt_namespaces: Vec<String>,
}

/// Whether Pods are held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Chain {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// They are, by our entry in this file.
    Chained(String),
    /// The node has no network yet, so no Pods but the host's.
    NoNetwork,
    /// They are not.
    Refused(String),
}

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Our entry cannot be added to it.
    #[error("{path}: {error}")]
    Chain {
        /// Which.
        path: PathBuf,
        /// Why.
        error: ChainError,
    },
    /// What it says leads to another place, which may not be ours to change.
    #[error("{0}: is no plain file")]
    NotPlain(PathBuf),
    /// There is too much.
    #[error("{path}: more than {limit}")]
    TooMuch {
        /// Which file or folder.
        path: PathBuf,
        /// Of what there is too much.
        limit: &'static str,
    },
    /// Somebody else changed it meanwhile.
    #[error("{0}: was changed by somebody else")]
    Changed(PathBuf),
    /// More namespaces are not held than the plugin takes.
    #[error("more than {MAX_EXEMPT_NAMESPACES} namespaces are exempt from the start gate")]
    TooManyExempt,
    /// What our entry says cannot be written.
    #[error("the entry cannot be written: {0}")]
    Entry(#[from] serde_json::Error),
}

/// Puts the plugin into its place, and takes it away.
#[derive(Debug)]
pub struct Installer {
    folders: Folders,
    entry: Box<RawValue>,
    /// The plugin's file when it was last seen to be ours.
    placed: Option<Version>,
}

/// What changes when a file does: its inode, and when that was changed.
type Version = (u64, u64, i64, i64);

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    plugin: &'static str,
    #[serde(flatten)]
    options: &'a Options,
}

/// A file as it was read.
struct Read {
    text: String,
    was: Metadata,
}

// === impl Installer ===

impl Installer {
    /// One for these folders.
    ///
    /// # Errors
    /// When a path is not UTF-8.
    pub fn new(folders: Folders, options: &Options) -> Result<Self, InstallError> {
        let entry = serde_json::value::to_raw_value(&Entry { plugin: PLUGIN, options })?;
        Ok(Self { folders, entry, placed: None })
    }

    /// Installs the plugin from `binary`, and keeps it in the chain until it is told to stop. Then it stays: Pods that
    /// start meanwhile are held for the next agent.
    pub async fn keep(&mut self, binary: &Path, told: &watch::Sender<Chain>, stop: &CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let now = self.install(binary).unwrap_or_else(|error| Chain::Refused(error.to_string()));
            told.send_if_modified(|before| {
                let changed = *before != now;
                if changed {
                    tell(&now);
                    *before = now;
                }
                changed
            });
        }
    }

    /// Makes what is not yet so: the plugin's file, and its entry.
    ///
    /// # Errors
    /// When a file cannot be read or written, or what the runtime uses cannot be chained.
    pub fn install(&mut self, binary: &Path) -> Result<Chain, InstallError> {
        self.place(binary)?;
        for name in self.names()? {
            let path = self.folders.configurations.join(&name);
            let chained = if name.ends_with(".conflist") { self.join_list(&path) } else { self.replace_single(&path) };
            match chained {
                Ok(()) => return Ok(Chain::Chained(name)),
                // The runtime goes on to the next one too.
                Err(InstallError::Chain { error: ChainError::Unreadable(_) | ChainError::Empty, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Chain::NoNetwork)
    }

    /// Takes our entry out of every list, puts back what was put aside, and then removes the plugin's file.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn remove(&self) -> Result<(), InstallError> {
        for name in self.all_names()? {
            let path = self.folders.configurations.join(&name);
            if let Some(original) = name.strip_suffix(ASIDE) {
                self.put_back(&path, &self.folders.configurations.join(original))?;
            } else if name.ends_with(".conflist") && !name.ends_with(IN_PLACE) {
                leave_list(&path)?;
            }
        }
        remove_if_there(&self.folders.plugins.join(PLUGIN))
    }

    /// The plugin's file, as `binary` has it. What a runtime executes at this moment goes on to be what it was.
    fn place(&mut self, binary: &Path) -> Result<(), InstallError> {
        let path = self.folders.plugins.join(PLUGIN);
        let is = || fs::symlink_metadata(&path).ok().filter(Metadata::is_file).map(|is| version(&is));
        let before = is();
        if before.is_some() && before == self.placed {
            return Ok(());
        }
        let contents = fs::read(binary).map_err(of(binary))?;
        if before.is_none() || fs::read(&path).map_err(of(&path))? != contents {
            let new = self.folders.plugins.join(format!(".{PLUGIN}.new"));
            write(&new, &contents, &Permissions::from_mode(0o755))?;
            rename(&new, &path)?;
        }
        self.placed = is();
        Ok(())
    }

    fn join_list(&self, path: &Path) -> Result<(), InstallError> {
        let read = read(path)?;
        match chain::add(&read.text, &self.entry).map_err(|error| in_chain(path, error))? {
            Some(text) => read.replace(path, &text),
            None => Ok(()),
        }
    }

    fn replace_single(&self, path: &Path) -> Result<(), InstallError> {
        let read = read(path)?;
        let list = chain::list_of(&read.text, &self.entry).map_err(|error| in_chain(path, error))?;
        let new = with_end(path, ".stockade-new");
        write(&new, list.as_bytes(), &read.was.permissions())?;
        rename(&new, &with_end(path, IN_PLACE))?;
        read.is_unchanged(path)?;
        rename(path, &with_end(path, ASIDE))
    }

    /// Where somebody has written the configuration anew, that is the one that counts.
    fn put_back(&self, aside: &Path, original: &Path) -> Result<(), InstallError> {
        if original.exists() {
            remove_if_there(aside)?;
        } else {
            rename(aside, original)?;
        }
        remove_if_there(&with_end(original, IN_PLACE))
    }

    /// Names of the files that a runtime reads, in its order.
    fn names(&self) -> Result<Vec<String>, InstallError> {
        let mut names = self.all_names()?;
        names.retain(|name| [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end)));
        names.sort_unstable();
        Ok(names)
    }

    /// Those of all files. One whose name is not UTF-8 is nobody's network.
    fn all_names(&self) -> Result<Vec<String>, InstallError> {
        let folder = &self.folders.configurations;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(of(folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            if names.len() == MAX_FILES {
                return Err(InstallError::TooMuch { path: folder.clone(), limit: "1,000 files" });
            }
            names.extend(entry.map_err(of(folder))?.file_name().into_string());
        }
        Ok(names)
    }
}

// === impl Read ===

impl Read {
    /// Writes a new text in the place of the one that was read.
    fn replace(&self, path: &Path, text: &str) -> Result<(), InstallError> {
        let new = with_end(path, ".stockade-new");
        write(&new, text.as_bytes(), &self.was.permissions())?;
        self.is_unchanged(path).inspect_err(|_| drop(fs::remove_file(&new)))?;
        rename(&new, path)
    }

    /// What somebody else has written meanwhile must not be lost. The next look takes it up.
    fn is_unchanged(&self, path: &Path) -> Result<(), InstallError> {
        let is = fs::symlink_metadata(path).map_err(of(path))?;
        if version(&is) == version(&self.was) { Ok(()) } else { Err(InstallError::Changed(path.to_owned())) }
    }
}

fn version(of: &Metadata) -> Version {
    (of.ino(), of.len(), of.ctime(), of.ctime_nsec())
}

fn leave_list(path: &Path) -> Result<(), InstallError> {
    let read = read(path)?;
    match chain::remove(&read.text) {
        Ok(Some(text)) => read.replace(path, &text),
        // What is no list has no entry of ours.
        Ok(None) | Err(_) => Ok(()),
    }
}

fn read(path: &Path) -> Result<Read, InstallError> {
    let was = fs::symlink_metadata(path).map_err(of(path))?;
    if !was.is_file() {
        return Err(InstallError::NotPlain(path.to_owned()));
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(of(path))?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(of(path))?;
    if text.len() as u64 > MAX_FILE {
        return Err(InstallError::TooMuch { path: path.to_owned(), limit: "1 MiB" });
    }
    Ok(Read { text, was })
}

fn write(path: &Path, contents: &[u8], permissions: &Permissions) -> Result<(), InstallError> {
    remove_if_there(path)?;
    let mut file = fs::File::create_new(path).map_err(of(path))?;
    file.write_all(contents).map_err(of(path))?;
    file.set_permissions(permissions.clone()).map_err(of(path))?;
    file.sync_all().map_err(of(path))
}

fn rename(from: &Path, to: &Path) -> Result<(), InstallError> {
    fs::rename(from, to).map_err(of(to))
}

fn remove_if_there(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of(path)(error)),
        _ => Ok(()),
    }
}

/// The file of the same name with this at its end.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn of(path: &Path) -> impl Fn(io::Error) -> InstallError {
    let path = path.to_owned();
    move |error| InstallError::File { path: path.clone(), error }
}

fn in_chain(path: &Path, error: ChainError) -> InstallError {
    InstallError::Chain { path: path.to_owned(), error }
}

fn tell(chain: &Chain) {
    match chain {
        Chain::Chained(file) => tracing::info!(file, "Pods that start are held until their policies are in the kernel"),
        Chain::NoNetwork => tracing::info!("the node has no network configuration yet"),
        Chain::Refused(why) => tracing::warn!(why, "Pods that start are not held"),
        Chain::Unknown => {}
    }
}

#[cfg(test)]
mod tests;
