//! `stockade check`: manifests, as CI sees them before anything is applied.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use stockade_engine::engine::Engine;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::request::RequestBuilder;
use stockade_policy::objects::LoadedObject;
use stockade_report::{CheckReport, Judged, Subject};
use stockade_schema::normalise::normalise;

use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::images_seen::Looker;
use crate::{inputs, judge};

/// Judges every object as if it were created, beside all the others and what exists already.
///
/// # Errors
/// Policies or manifests that cannot be used.
pub(crate) fn run(args: &CheckArgs, quiet: bool) -> Result<Exit> {
    let compiled = inputs::compile(inputs::policy_sources(&args.source, &[])?, quiet)?;
    if compiled.set.policies.is_empty() {
        bail!("no policies in what --policies names: nothing would be judged");
    }
    let objects = inputs::objects(&args.paths)?;
    if objects.is_empty() {
        // The program before a pipe failed, more likely than that there is nothing to judge.
        bail!("nothing to judge: the files hold no object");
    }
    let checked = objects.iter().map(|o| o.value.clone());
    let beside = compiled.objects.into_iter().chain(checked.filter(inputs::is_named));
    let facts = inputs::facts(args.cluster_state.as_deref(), beside)?;
    let engine = Engine::new(Arc::new(compiled.set));

    let looker = args.verify_images.then(Looker::new).transpose()?;
    let mut judged = Vec::with_capacity(objects.len());
    for object in objects {
        let subject = subject(&object);
        let place = || format!("{}:{}", object.origin.file, object.origin.line);
        let review = RequestBuilder::new().object(normalise(object.value.clone())).review().with_context(place)?;
        let judge = |facts: &dyn ClusterFacts| judge::judge(&engine, facts, &review);
        let decision = match &looker {
            Some(looker) => looker.decide(&facts, judge).map(|(decision, _)| decision),
            None => judge(&facts),
        };
        let decision = decision.with_context(place)?;
        judged.push(Judged { subject, decision });
    }
    let report = CheckReport::new(judged);
    super::print(&report, args.output)?;
    Ok(if report.allowed { Exit::Clean } else { Exit::Findings })
}

fn subject(object: &LoadedObject) -> Subject {
    let text = |pointer: &str| object.value.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut name = text("/metadata/name");
    if name.is_empty() {
        name = text("/metadata/generateName") + "*";
    }
    Subject {
        file: object.origin.file.to_string(),
        line: object.origin.line,
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name,
    }
}
