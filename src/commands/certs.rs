//! `stockade certs`: the webhook's certificates.

use std::io::Write;

use anyhow::{Context, Result};
use stockade_cluster::access::{self, Access};
use stockade_cluster::certificates;
use stockade_webhook::certs::{CertificateFacts, Ensured, Folder, MintOptions, inspect};

use crate::cli::{CertsAction, CertsArgs, CertsCluster, CertsDir};
use crate::exit::Exit;

/// Mints, inspects or rotates.
///
/// # Errors
/// Files that cannot be read or written, an API server that refuses.
pub(crate) fn run(args: CertsArgs) -> Result<Exit> {
    let mut out = anstream::stdout().lock();
    match args.action {
        CertsAction::Mint(dir) => {
            let (folder, options) = (Folder::new(&dir.dir), options(&dir));
            let done = match folder.ensure(&options)? {
                Ensured::Present => "already there",
                Ensured::Minted => "minted",
                Ensured::Renewed => "renewed: two thirds of its time were over",
            };
            writeln!(out, "{}: {done}", folder.certificate().display())?;
        }
        CertsAction::Rotate(dir) => {
            let folder = Folder::new(&dir.dir);
            folder.rotate(&options(&dir))?;
            writeln!(out, "{}: new certificate", folder.certificate().display())?;
        }
        CertsAction::RotateCa(cluster) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(rotate(&cluster))?;
            writeln!(out, "{}/{}: a new CA is asked for", cluster.namespace, cluster.certificate_secret)?;
        }
        CertsAction::Inspect(dir) => {
            let folder = Folder::new(&dir.dir);
            for path in [folder.certificate(), folder.authority()] {
                let pem = std::fs::read(&path).with_context(|| path.display().to_string())?;
                for facts in inspect(&pem)? {
                    writeln!(out, "{}", path.display())?;
                    show(&facts, &mut out)?;
                }
            }
        }
    }
    Ok(Exit::Clean)
}

async fn rotate(cluster: &CertsCluster) -> Result<()> {
    let CertsCluster { kubeconfig, namespace, certificate_secret } = cluster.clone();
    let options = access::Options { kubeconfig, namespace: Some(namespace), identity: None };
    let access = Access::new(&options).await.context("access to the API server")?;
    certificates::request_rotation(&access, &certificate_secret).await.context("asking for a new CA")
}

fn options(dir: &CertsDir) -> MintOptions {
    let mut options = MintOptions::default();
    options.names.extend(dir.names.iter().cloned());
    options
}

fn show(facts: &CertificateFacts, out: &mut dyn Write) -> Result<()> {
    let CertificateFacts { subject, issuer, names, serial, not_before, not_after, is_ca, sha256 } = facts;
    writeln!(out, "  subject     {subject}{}", if *is_ca { " (certificate authority)" } else { "" })?;
    writeln!(out, "  issuer      {issuer}")?;
    if !names.is_empty() {
        writeln!(out, "  names       {}", names.join(", "))?;
    }
    writeln!(out, "  serial      {serial}")?;
    writeln!(out, "  valid       {} to {}", instant(*not_before), instant(*not_after))?;
    writeln!(out, "  sha256      {sha256}")?;
    Ok(())
}

/// Seconds since the epoch as people read them.
fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}
