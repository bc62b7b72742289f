//! Tags to the digests that were verified: `name:tag` becomes `name:tag@sha256:…`.

use stockade_cel::Value;
use stockade_policy::compiled::Binding;
use stockade_policy::images::{ImageReference, ImageRules};
use stockade_schema::json_patch::{self, Operation};

use super::patch;
use crate::conditions;
use crate::consequence::Consequence;
use crate::context::Context;
use crate::decision::{FindingAction, FindingResult};
use crate::engine::Prepared;
use crate::images::request::{credentials, places, wanted};
use crate::images::{MAX_WANTED, Resolved};
use crate::outcome::{Outcome, Place};
use crate::pod_template::ImagePlace;
use crate::request::Request;
use crate::validate::is_excepted;

/// Pins the images of a request for all policies that say so where they deny. What cannot be found out stays as it is: that
/// is for the same policy to tell when it judges what came of it, signatures included.
pub(super) fn pin<'c>(
    candidates: impl Iterator<Item = Prepared<'c>>,
    request: &mut Request<'c>,
    context: &Context<'c>,
    out: &mut Outcome,
) {
    for prepared in candidates {
        let policy = prepared.policy;
        let Some(rules) = policy.image_rules.as_deref().filter(|_| policy.pins()) else { continue };
        // A policy that is not sure to be about the request changes nothing.
        let Ok(Some(matched)) = prepared.matches(request, context) else { continue };
        for binding in &policy.bindings {
            let before_it = *request;
            let consequence = Consequence { prepared, request: &before_it, context, image: None };
            if !consequence.actions(binding.actions).deny {
                continue;
            }
            let (Ok(seen), Ok(namespace)) = (context.see(request, &matched), context.namespace_object(request)) else {
                continue;
            };
            let holds = conditions::hold(policy, &seen, Value::Null, context).unwrap_or(false);
            if !holds || is_excepted(rules, request, namespace) {
                continue;
            }
            let mut pinning = Pinning { consequence, binding, rules, out };
            let object = pinning.object(seen.object(), seen.old_object());
            // Images are in the same places in all versions of the built-in kinds.
            if let Ok(object) = crate::conversion::convert(object, matched.kind, request.kind, context.into()) {
                request.object = object;
            }
        }
    }
}

struct Pinning<'c, 'x> {
    consequence: Consequence<'c, 'x>,
    binding: &'c Binding,
    rules: &'c ImageRules,
    out: &'x mut Outcome,
}

impl<'c> Pinning<'c, '_> {
    /// The object with its images pinned.
    fn object(&mut self, object: Value<'c>, old_object: Value<'c>) -> Value<'c> {
        let Consequence { prepared, request, context, .. } = self.consequence;
        let mut operations = Vec::new();
        for place in places(request, object, old_object).take(MAX_WANTED) {
            operations.extend(self.operation(place, object));
        }
        if operations.is_empty() {
            return object;
        }
        // Paths of what is there always apply.
        let Ok(pinned) = json_patch::apply(object, &operations, context.arena(), context.symbols()) else {
            return object;
        };
        let place = Place { policy: prepared.policy, binding: Some(self.binding) };
        let message = format!("changed {}", patch::summary(&operations));
        self.out.find(place.finding("digest", (FindingAction::Mutate, FindingResult::Mutated), message, 0));
        pinned
    }

    /// The change of one place.
    fn operation(&mut self, place: ImagePlace<'c>, object: Value<'c>) -> Option<Operation<'c>> {
        let Consequence { prepared, request, context, .. } = self.consequence;
        let reference = ImageReference::parse(place.image).ok()?;
        if reference.digest().is_some() || !self.rules.selects(&reference) {
            return None;
        }
        let about = Consequence { image: Some(place.image), ..self.consequence };
        if about.waiver("digest").is_some() {
            return None;
        }
        let credentials = credentials(request.namespace, object);
        let wanted = wanted(&reference, self.rules, prepared.engine.set(), &credentials);
        let Some(evidence) = context.facts.images()?.evidence(&wanted) else {
            self.out.want(wanted);
            return None;
        };
        let Resolved::Known(digest) = &evidence.digest else { return None };
        // As it was written, so that whoever reads it knows it again.
        let pinned = context.arena().alloc_str(&format!("{}@{digest}", place.image));
        ImageReference::parse(pinned).ok()?;
        let path = context.arena().alloc_str(&place.pointer());
        Some(Operation { op: "replace", path, from: None, value: Some(Value::String(pinned)) })
    }
}
