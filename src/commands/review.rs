//! `stockade review`: one request, answered as the webhook answers it.

use std::sync::Arc;

use anyhow::{Result, bail};
use serde_json::Value as Json;
use stockade_engine::engine::Engine;
use stockade_engine::facts::ClusterFacts;
use stockade_engine::request::{Operation, RequestBuilder};
use stockade_engine::source_object::carry_over;
use stockade_report::ReviewReport;
use stockade_schema::normalise::normalise;

use crate::cli::{self, ReviewArgs};
use crate::exit::Exit;
use crate::images_seen::Looker;
use crate::{inputs, judge};

/// Decides one request.
///
/// # Errors
/// Policies, objects or a review that cannot be used.
pub(crate) fn run(args: &ReviewArgs, quiet: bool) -> Result<Exit> {
    let compiled = inputs::compile(inputs::policy_sources(&args.source, &args.binding)?, quiet)?;
    let namespace = args.namespace.as_deref().map(inputs::object).transpose()?.map(|o| o.value);
    let mut beside = compiled.objects;
    beside.extend(inputs::objects(&args.params)?.into_iter().map(|o| o.value));
    beside.extend(namespace.clone());
    let facts = inputs::facts(args.cluster_state.as_deref(), beside)?;
    let engine = Engine::new(Arc::new(compiled.set));

    let review = match &args.review {
        Some(path) => inputs::document(path)?,
        None => made(args, namespace.as_ref())?,
    };
    let judge = |facts: &dyn ClusterFacts| judge::judge(&engine, facts, &review);
    let mut decision = match args.verify_images {
        true => Looker::new()?.decide(&facts, judge)?.0,
        false => judge(&facts)?,
    };
    let allowed = decision.allowed;
    if let (Some(path), Some(mutated)) = (&args.object, &decision.object) {
        decision.object = Some(carry_over(&inputs::object(path)?.value, &review["request"]["object"], mutated));
    }
    super::print(&ReviewReport(decision), args.output)?;
    Ok(if allowed { Exit::Clean } else { Exit::Findings })
}

/// Makes the AdmissionReview that the API server would send for these objects.
fn made(args: &ReviewArgs, namespace: Option<&Json>) -> Result<Json> {
    let read = |path: &Option<std::path::PathBuf>| -> Result<Option<Json>> {
        Ok(path.as_deref().map(inputs::object).transpose()?.map(|o| normalise(o.value)))
    };
    let (object, old_object) = (read(&args.object)?, read(&args.old_object)?);
    let operation = match args.operation {
        cli::Operation::Create => Operation::Create,
        cli::Operation::Update => Operation::Update,
        cli::Operation::Delete => Operation::Delete,
        cli::Operation::Connect => Operation::Connect,
    };
    let mut request = RequestBuilder::new().operation(operation);
    match (object, old_object) {
        (Some(object), None) if operation == Operation::Delete => request = request.old_object(object),
        (object, old_object) => {
            if operation == Operation::Create && object.is_none() {
                bail!("a CREATE needs --object");
            }
            if let Some(object) = object.filter(|_| operation != Operation::Delete) {
                request = request.object(object);
            }
            if let Some(old) = old_object.filter(|_| operation != Operation::Create) {
                request = request.old_object(old);
            }
        }
    }
    if let Some(name) = namespace.and_then(|n| n.pointer("/metadata/name")).and_then(Json::as_str) {
        request = request.namespace(name);
    }
    if let Some(path) = &args.user_info {
        request = request.user_info(inputs::document(path)?);
    }
    Ok(request.review()?)
}
