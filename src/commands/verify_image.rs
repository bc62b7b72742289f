//! `stockade verify-image`: whether an image may run, by which policy, and why not.

use std::sync::Arc;

use anyhow::{Result, bail};
use serde_json::json;
use stockade_engine::engine::Engine;
use stockade_engine::images::Evidence;
use stockade_engine::request::RequestBuilder;
use stockade_policy::compiled::Policy;
use stockade_policy::images::{Authority, ImageReference, ImageRules};
use stockade_report::verify_image::{Attested, PolicyReport, Signed, Verdict, VerifyImageReport};

use crate::cli::VerifyImageArgs;
use crate::exit::Exit;
use crate::images_seen::Looker;
use crate::{inputs, judge};

/// Judges a Pod that runs the image, as the webhook would.
///
/// # Errors
/// Policies or a reference that cannot be used; no policy that is about the image.
pub(crate) fn run(args: &VerifyImageArgs, quiet: bool) -> Result<Exit> {
    let Ok(reference) = ImageReference::parse(&args.image) else {
        bail!("{:?} is no image reference", args.image);
    };
    let compiled = inputs::compile(inputs::policy_sources(&args.source, &[])?, quiet)?;
    let mut set = compiled.set;
    set.policies.retain(|p| p.image_rules.as_ref().is_some_and(|rules| rules.selects(&reference)));
    if set.policies.is_empty() {
        bail!("no ImagePolicy is about {reference}: nothing would be verified");
    }
    let policies = set.policies.clone();
    let facts = inputs::facts(args.cluster_state.as_deref(), compiled.objects)?;
    let engine = Engine::new(Arc::new(set));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "verify-image", "namespace": args.namespace},
        "spec": {"containers": [{"name": "image", "image": args.image}]},
    });
    let review = RequestBuilder::new().object(pod).review()?;
    let (decision, seen) = Looker::new()?.decide(&facts, |facts| judge::judge(&engine, facts, &review))?;
    let policies = policies.iter().map(|policy| policy_report(policy, &seen)).collect();
    let report = VerifyImageReport::new(&reference, &seen, policies, decision);
    super::print(&report, args.output)?;
    Ok(match report.verdict {
        Verdict::Verified => Exit::Clean,
        Verdict::Refused => Exit::Findings,
        Verdict::Unknown => Exit::Unknown,
    })
}

fn policy_report(policy: &Policy, seen: &[Arc<Evidence>]) -> PolicyReport {
    let rules = policy.image_rules.as_deref();
    PolicyReport {
        policy: policy.name.to_string(),
        authorities: rules.map(|rules| signed(rules, seen)).unwrap_or_default(),
        attestations: rules.map(|rules| attested(rules, seen)).unwrap_or_default(),
    }
}

fn signed(rules: &ImageRules, seen: &[Arc<Evidence>]) -> Vec<Signed> {
    let one = |authority: &Arc<Authority>| {
        let answer = seen.iter().rev().find_map(|e| e.signed_by(authority.id));
        Signed::new(&authority.name, answer)
    };
    rules.authorities.iter().map(one).collect()
}

fn attested(rules: &ImageRules, seen: &[Arc<Evidence>]) -> Vec<Attested> {
    let mut all = Vec::new();
    for attestation in &rules.attestations {
        for authority in &attestation.authorities {
            let answer = seen.iter().rev().find_map(|e| e.attested_by(&attestation.predicate_type, authority.id));
            all.push(Attested::new(&attestation.name, &attestation.predicate_type, &authority.name, answer));
        }
    }
    all
}
