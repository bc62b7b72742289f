//! Certificates in folders and in memory: minted, renewed, swapped, refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stockade_webhook::certs::{
    Authority, Ensured, Pair, Refresh, inspect, serving_names, verify_authority, verify_serving,
};
use stockade_webhook::{CertError, Certificates, Folder, MintOptions};
use tempfile::TempDir;
use tokio::sync::watch;

const DAY: i64 = 24 * 3600;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn minted() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Minted);
    (dir, folder)
}

fn pair(now: i64) -> Pair {
    let options = MintOptions::default();
    Authority::mint(&options, now).unwrap().issue(&options, now).unwrap()
}

fn put(dir: &Path, pair: &Pair) {
    fs::write(dir.join("tls.crt"), &pair.certificate).unwrap();
    fs::write(dir.join("tls.key"), &pair.key).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_empty_folder_gets_an_authority_a_certificate_and_private_keys() {
    let (dir, folder) = minted();
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    assert_eq!((mode(&folder.key()), mode(&folder.authority_key())), (0o600, 0o600));
    let leaf = &inspect(&fs::read(folder.certificate()).unwrap()).unwrap()[0];
    let authority = &inspect(&fs::read(folder.authority()).unwrap()).unwrap()[0];
    assert_eq!((leaf.subject.as_str(), leaf.is_ca, authority.is_ca), ("CN=stockade webhook", false, true));
    assert_eq!(leaf.issuer, authority.subject);
    assert_eq!(leaf.names, serving_names(Some(("stockade", "stockade-system"))));
    assert_eq!((leaf.sha256.len(), (leaf.not_after - now() + 60) / DAY), (64, 365));
}

#[test]
fn a_folder_with_a_pair_is_left_alone() {
    let (_dir, folder) = minted();
    let before = fs::read(folder.certificate()).unwrap();
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Present);
    assert_eq!(fs::read(folder.certificate()).unwrap(), before);
}

#[test]
fn half_a_pair_is_an_error_that_names_the_missing_file() {
    let (_dir, folder) = minted();
    fs::remove_file(folder.key()).unwrap();
    let error = folder.ensure(&MintOptions::default()).unwrap_err();
    assert!(matches!(&error, CertError::HalfPair { missing, .. } if *missing == folder.key()), "{error}");
}

#[test]
fn a_certificate_minted_here_is_renewed_when_due_under_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    // Its backdating alone is over two thirds of so short a time.
    let short = MintOptions { validity: Duration::from_secs(1000), ..MintOptions::default() };
    assert_eq!(folder.ensure(&short).unwrap(), Ensured::Minted);
    let authority = fs::read(folder.authority()).unwrap();
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Renewed);
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Present);
    assert_eq!(fs::read(folder.authority()).unwrap(), authority);
}

#[test]
fn a_renewed_certificate_keeps_the_names_it_was_minted_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let short = MintOptions { validity: Duration::from_secs(1000), ..MintOptions::default() };
    let named = MintOptions { names: vec!["webhook.example.com".to_owned(), "192.0.2.7".to_owned()], ..short };
    folder.ensure(&named).unwrap();
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Renewed);
    let mut names = inspect(&fs::read(folder.certificate()).unwrap()).unwrap()[0].names.clone();
    let mut want = [MintOptions::default().names, named.names].concat();
    names.sort();
    want.sort();
    assert_eq!(names, want);
}

#[test]
fn an_authority_that_ends_too_soon_is_replaced_and_stays_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let short = MintOptions { authority_validity: Duration::from_secs(30 * DAY as u64), ..MintOptions::default() };
    folder.ensure(&short).unwrap();
    let old = inspect(&fs::read(folder.authority()).unwrap()).unwrap();
    folder.rotate(&MintOptions::default()).unwrap();
    let both = inspect(&fs::read(folder.authority()).unwrap()).unwrap();
    assert_eq!((both.len(), &both[1]), (2, &old[0]));
    let outliving = MintOptions { validity: Duration::from_secs(4000 * DAY as u64), ..MintOptions::default() };
    for _ in 0..4 {
        folder.rotate(&outliving).unwrap();
    }
    assert_eq!(inspect(&fs::read(folder.authority()).unwrap()).unwrap().len(), 3);
}

#[test]
fn certificates_of_others_are_never_renewed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &pair(now() - 1000 * DAY));
    let folder = Folder::new(dir.path());
    assert_eq!(folder.ensure(&MintOptions::default()).unwrap(), Ensured::Present);
    assert!(matches!(Certificates::load(&folder, None), Err(CertError::Expired { .. })));
}

#[test]
fn a_good_pair_is_swapped_in_and_a_broken_one_is_refused_once() {
    let (dir, folder) = minted();
    let live = Certificates::load(&folder, None).unwrap();
    let first = live.facts().unwrap();
    assert_eq!(live.refresh(), Refresh::Unchanged);

    let good = pair(now());
    let other_key = pair(now()).key;
    let broken = [
        (
            good.certificate.clone(),
            other_key,
            "certificate and key cannot be used: keys may not be consistent: KeyMismatch",
        ),
        (
            good.certificate.clone(),
            "nonsense".to_owned(),
            "the key file holds no usable PEM private key: no items found",
        ),
        ("nonsense".to_owned(), good.key.clone(), "the certificate file holds no PEM certificate"),
        (String::new(), String::new(), "the certificate file holds no PEM certificate"),
    ];
    for (certificate, key, fault) in broken {
        put(dir.path(), &Pair { certificate, key });
        let looks = [live.refresh(), live.refresh(), live.refresh()];
        let refused = Refresh::Refused(fault.to_owned());
        assert_eq!(looks, [Refresh::Unchanged, refused, Refresh::Unchanged]);
        assert_eq!(live.facts().as_ref(), Some(&first));
    }
    put(dir.path(), &pair(now() - 1000 * DAY));
    assert_eq!(live.refresh(), Refresh::Unchanged);
    assert!(matches!(live.refresh(), Refresh::Refused(fault) if fault.starts_with("the certificate is valid from ")));

    put(dir.path(), &good);
    let want = inspect(good.certificate.as_bytes()).unwrap().remove(0);
    assert_eq!((live.refresh(), live.facts()), (Refresh::Swapped(want.clone()), Some(want)));
}

#[test]
fn a_symlink_swapped_as_a_secret_volume_does_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (old, new) = (pair(now()), pair(now()));
    for (name, pair) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(root.join(name)).unwrap();
        put(&root.join(name), pair);
    }
    symlink("..1", root.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), root.join(file)).unwrap();
    }
    let live = Certificates::load(&Folder::new(root), None).unwrap();
    for (target, pair) in [("..2", &new), ("..1", &old), ("..2", &new)] {
        symlink(target, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        let want = inspect(pair.certificate.as_bytes()).unwrap().remove(0);
        assert_eq!(live.refresh(), Refresh::Swapped(want));
    }
    fs::remove_file(root.join("..data")).unwrap();
    assert_eq!(live.refresh(), Refresh::Unchanged);
    assert!(matches!(live.refresh(), Refresh::Refused(fault) if fault.contains("tls.crt")));
}

#[test]
fn what_is_published_in_memory_is_swapped_in_as_files_are() {
    let (publish, published) = watch::channel(None);
    let live = Certificates::published(published, None);
    assert_eq!((live.refresh(), live.facts()), (Refresh::Unchanged, None));
    for pair in [pair(now()), pair(now())] {
        let want = inspect(pair.certificate.as_bytes()).unwrap().remove(0);
        publish.send_replace(Some(Arc::new(pair)));
        assert_eq!((live.refresh(), live.facts()), (Refresh::Swapped(want.clone()), Some(want)));
        assert_eq!(live.refresh(), Refresh::Unchanged);
    }
    let want = live.facts();
    publish.send_replace(Some(Arc::new(Pair { key: pair(now()).key, ..pair(now()) })));
    assert_eq!(live.refresh(), Refresh::Unchanged);
    assert!(matches!(live.refresh(), Refresh::Refused(_)));
    assert_eq!(live.facts(), want);
}

#[test]
fn a_pair_is_verified_as_a_client_and_as_a_signer_would() {
    let options = MintOptions::default();
    let authority = Authority::mint(&options, now()).unwrap();
    let serving = authority.issue(&options, now()).unwrap();
    let other = Authority::mint(&options, now() - DAY).unwrap().pair().clone();
    let bundle = authority.pair().certificate.as_bytes();
    assert_eq!(verify_serving(&serving, bundle, now()).unwrap().names, options.names);
    for (pair, bundle, time, fault) in [
        (&serving, other.certificate.as_bytes(), now(), "invalid peer certificate: UnknownIssuer"),
        (&serving, &b"nonsense"[..], now(), "the bundle of authorities holds no PEM certificate"),
        (&serving, bundle, now() + 400 * DAY, "the certificate is valid from"),
        (authority.pair(), bundle, now(), "the certificate names no host"),
        (&Pair { key: other.key.clone(), ..serving.clone() }, bundle, now(), "keys may not be consistent"),
    ] {
        let error = verify_serving(pair, bundle, time).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
    assert!(verify_authority(authority.pair(), now()).unwrap().is_ca);
    for (pair, time, fault) in [
        (&serving, now(), "not the certificate of an authority"),
        (&Pair { key: other.key, ..authority.pair().clone() }, now(), "the authority's key does not belong"),
        (authority.pair(), now() + 4000 * DAY, "the certificate is valid from"),
    ] {
        let error = verify_authority(pair, time).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}
