//! `stockade certs`: the webhook's certificates, and those of flows.

use std::io::Write;

use anyhow::{Context, Result};
use stockade_cluster::access::{self, Access};
use stockade_cluster::certificates;
use stockade_webhook::certs::{CertificateFacts, End, Ensured, Folder, MintOptions, inspect};

use crate::cli::{AGENT_NAME, CertsAction, CertsArgs, CertsCluster, CertsDir, CertsFlows};
use crate::exit::Exit;

/// What whoever asks for flows is called.
const CLIENT: &str = "stockade net flows";

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
        CertsAction::Flows(CertsFlows { dir }) => {
            let [agent, client] = ["agent", "client"].map(|end| Folder::new(dir.join(end)));
            let options = MintOptions { names: vec![AGENT_NAME.to_owned()], ..MintOptions::default() };
            let ends = [End { name: AGENT_NAME, folder: &agent }, End { name: CLIENT, folder: &client }];
            Folder::new(dir).issue_ends(&ends[0], &ends[1], &options)?;
            for (folder, whose) in [(agent, "of node agents"), (client, "of stockade net flows")] {
                writeln!(out, "{}: new certificate {whose}", folder.certificate().display())?;
            }
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
