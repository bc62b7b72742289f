//! Certificates in a folder: minted when absent, renewed when due, written so that no reader sees half a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::inspect::{certificate_blocks, inspect};
use super::mint::{Authority, MintOptions, Pair};
use super::{CertError, unix_now};
use crate::limits::MAX_CERTIFICATE_FILE_BYTES;

/// Authorities that `ca.crt` keeps beside the newest, so that callers who were given an older bundle and callers who
/// get the new one both trust what is served.
const KEPT_AUTHORITIES: usize = 2;

/// A folder of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    dir: PathBuf,
}

/// One end of mutual TLS.
#[derive(Debug, Clone, Copy)]
pub struct End<'f> {
    /// What its certificate calls it.
    pub name: &'f str,
    /// Where its certificate, its key and the authority's certificate are put.
    pub folder: &'f Folder,
}

/// What [`Folder::ensure`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// A pair was there; it was not touched.
    Present,
    /// A new authority and certificate were minted.
    Minted,
    /// A certificate minted earlier was due and has been renewed.
    Renewed,
}

impl Folder {
    /// Names a folder; nothing is read or made.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Serving certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("tls.crt")
    }

    /// Its private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.dir.join("tls.key")
    }

    /// Certificates of the authorities to trust, PEM: the `caBundle` of a webhook configuration.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Key of the newest authority; only in a folder that was minted here.
    pub fn authority_key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// Mints what is absent; renews a certificate minted here of whose time two thirds are over; leaves
    /// certificates of others alone.
    ///
    /// # Errors
    /// One file of the pair without the other; a file that cannot be read or written; minting.
    pub fn ensure(&self, options: &MintOptions) -> Result<Ensured, CertError> {
        let (certificate, key) = (self.certificate(), self.key());
        match (certificate.exists(), key.exists()) {
            (false, false) => {
                self.rotate(options)?;
                Ok(Ensured::Minted)
            }
            (true, false) => Err(CertError::HalfPair { present: certificate, missing: key }),
            (false, true) => Err(CertError::HalfPair { present: key, missing: certificate }),
            (true, true) => match self.due(unix_now()) {
                true => self.rotate(options).map(|()| Ensured::Renewed),
                false => Ok(Ensured::Present),
            },
        }
    }

    /// Whether [`Self::ensure`] would renew: minted here, and two thirds of its time are over. A certificate that cannot
    /// be read is not: whatever is being done to it is not finished, or for a person to see.
    pub fn due(&self, now: i64) -> bool {
        if !self.authority_key().exists() {
            return false;
        }
        let facts = read(&self.certificate()).and_then(|pem| inspect(&pem));
        match facts.as_deref() {
            Ok([leaf, ..]) => now >= leaf.not_before + (leaf.not_after - leaf.not_before) / 3 * 2,
            _ => false,
        }
    }

    /// Issues a new serving certificate. The authority stays while it outlives the certificate; else, or when there is
    /// none, a new one is minted and the older ones stay in `ca.crt` beside it. A certificate that was minted here
    /// keeps its names, those of the options are added: who renews need not know under which names it is called.
    ///
    /// # Errors
    /// As [`Self::ensure`].
    pub fn rotate(&self, options: &MintOptions) -> Result<(), CertError> {
        let now = unix_now();
        let authority = self.authority_that_outlives(options, now)?;
        let mut options = options.clone();
        let kept = self.minted_names().into_iter().filter(|n| !options.names.contains(n)).collect::<Vec<_>>();
        options.names.extend(kept);
        self.put(&authority.issue(&options, now)?)
    }

    /// Issues certificates for the two ends of mutual TLS by the authority of this folder, which is kept or minted as in
    /// [`Self::rotate`]. Each end has a folder of its own, with the authority's certificate and without its key. What was
    /// issued before stays good.
    ///
    /// # Errors
    /// As [`Self::ensure`].
    pub fn issue_ends(&self, server: &End<'_>, client: &End<'_>, options: &MintOptions) -> Result<(), CertError> {
        let now = unix_now();
        let authority = self.authority_that_outlives(options, now)?;
        let bundle = String::from_utf8_lossy(&read(&self.authority())?).into_owned();
        let serving = authority.issue_server(server.name, options, now)?;
        let asking = authority.issue_client(client.name, options, now)?;
        for (end, pair) in [(server, serving), (client, asking)] {
            end.folder.make()?;
            write(&end.folder.authority(), &bundle, 0o644)?;
            end.folder.put(&pair)?;
        }
        Ok(())
    }

    fn make(&self) -> Result<(), CertError> {
        fs::create_dir_all(&self.dir).map_err(|source| CertError::Io { path: self.dir.clone(), source })
    }

    /// Key first: a reader between the two writes finds a pair that does not match and keeps what it has.
    fn put(&self, pair: &Pair) -> Result<(), CertError> {
        write(&self.key(), &pair.key, 0o600)?;
        write(&self.certificate(), &pair.certificate, 0o644)
    }

    /// The authority that is there while it outlives what it is to sign; else a new one.
    fn authority_that_outlives(&self, options: &MintOptions, now: i64) -> Result<Authority, CertError> {
        self.make()?;
        match self.current_authority(now + options.validity.as_secs() as i64) {
            Some(authority) => Ok(authority),
            None => self.new_authority(options, now),
        }
    }

    /// Names of the certificate that is there, when it was minted here.
    fn minted_names(&self) -> Vec<String> {
        if !self.authority_key().exists() {
            return Vec::new();
        }
        let facts = read(&self.certificate()).and_then(|pem| inspect(&pem)).unwrap_or_default();
        facts.into_iter().next().map(|leaf| leaf.names).unwrap_or_default()
    }

    fn current_authority(&self, until: i64) -> Option<Authority> {
        let key = String::from_utf8(read(&self.authority_key()).ok()?).ok()?;
        let bundle = read(&self.authority()).ok()?;
        let newest = inspect(&bundle).ok()?.into_iter().next()?;
        if !newest.is_ca || newest.not_after < until {
            return None;
        }
        let certificate = certificate_blocks(&String::from_utf8(bundle).ok()?).next()?.to_owned();
        Some(Authority::from_pair(Pair { certificate, key }))
    }

    fn new_authority(&self, options: &MintOptions, now: i64) -> Result<Authority, CertError> {
        let authority = Authority::mint(options, now)?;
        let mut bundle = authority.pair().certificate.clone();
        let older = read(&self.authority()).ok().and_then(|pem| String::from_utf8(pem).ok()).unwrap_or_default();
        for block in certificate_blocks(&older).take(KEPT_AUTHORITIES) {
            bundle.push_str(block);
            bundle.push('\n');
        }
        write(&self.authority_key(), &authority.pair().key, 0o600)?;
        write(&self.authority(), &bundle, 0o644)?;
        Ok(authority)
    }
}

/// A small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CertError> {
    let io = |source| CertError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(io)?.take(MAX_CERTIFICATE_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_CERTIFICATE_FILE_BYTES {
        return Err(CertError::TooLarge { path: path.to_owned(), limit: MAX_CERTIFICATE_FILE_BYTES });
    }
    Ok(bytes)
}

/// Replaces a file in one step, never readable by more than `mode` says.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let io = |source| CertError::Io { path: path.to_owned(), source };
    let new = path.with_extension(format!("new{}", std::process::id()));
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&new, path).map_err(io)
}
