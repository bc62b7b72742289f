//! `stockade audit`: what exists already against policies that are, or would be, in force.

mod cluster;
mod folder;

use std::sync::Arc;

use anyhow::{Result, bail};
use stockade_engine::audit::Auditor;
use stockade_engine::engine::Engine;
use stockade_engine::exceptions::age;

use crate::cli::AuditArgs;
use crate::exit::Exit;
use crate::images_seen::Looker;
use crate::inputs;

/// Judges every object as if it were created now.
///
/// # Errors
/// Policies or objects that cannot be used.
pub(crate) fn run(args: &AuditArgs, quiet: bool) -> Result<Exit> {
    let compiled = inputs::compile(inputs::policy_sources(&args.source, &[])?, quiet)?;
    if compiled.set.policies.is_empty() {
        bail!("no policies in what --policies names: nothing would be judged");
    }
    let engine = Engine::new(Arc::new(compiled.set));
    let auditor = if args.verify_images { Auditor::with_images(&engine) } else { Auditor::new(&engine) };
    let report = match &args.from {
        Some(folder) => {
            let looker = args.verify_images.then(Looker::new).transpose()?;
            folder::audit(folder, &auditor, looker.as_ref(), compiled.objects)?
        }
        None => cluster::audit(args, &auditor)?,
    };
    let now = jiff::Timestamp::now().as_second();
    let exceptions = auditor.exceptions().iter();
    let exceptions = exceptions.map(|e| (format!("{}/{}", e.namespace, e.name), age(e, now)));
    let report = report.with_unjudged(auditor.unjudged()).with_exceptions(exceptions);
    super::print(&report, args.output)?;
    Ok(if report.is_clean() { Exit::Clean } else { Exit::Findings })
}
