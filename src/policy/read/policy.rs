//! ValidatingAdmissionPolicy, MutatingAdmissionPolicy and AdmissionPolicy, and what an ImagePolicy shares with them.
//!
//! `stockade.dev/v1alpha1` AdmissionPolicy is one object that is one policy:
//!
//! ```yaml
//! apiVersion: stockade.dev/v1alpha1
//! kind: AdmissionPolicy
//! metadata: {name: pods-need-a-network-policy}
//! spec:
//!   title: A NetworkPolicy selects every Pod      # optional, as are the next four
//!   category: network
//!   severity: high                                # critical, high, medium, low or info
//!   description: …
//!   remediation: …                                # text or link
//!   actions: [Deny, Audit]                        # Deny (default), Warn, Audit; not Deny and Warn together
//!   matchConstraints: {…}                         # as of a ValidatingAdmissionPolicy, selectors included
//!   matchConditions: […]
//!   paramKind: {apiVersion: v1, kind: ConfigMap}
//!   paramRef: {name: settings, namespace: stockade-system, parameterNotFoundAction: Deny}  # Deny is the default
//!   variables: […]
//!   validations: […]                              # at least one of these three
//!   auditAnnotations: […]
//!   mutations: […]                                # as of a MutatingAdmissionPolicy; skipped on DELETE
//!   failurePolicy: Fail                           # default
//!   reinvocationPolicy: Never                     # default
//!   namespaceGroups: [production]                 # only in namespaces of these NamespaceGroups
//!   rollout: {…}                                  # where Deny denies already: [`super::rollout`]
//!   shadowOf: old-policy                          # judged silently beside it, only differences are counted
//!   authorities: […]                              # whom expressions may ask about, as of an ImagePolicy:
//!   attestations: […]                             # [`super::image_trust`]
//!   registries: […]
//! ```
//!
//! A policy with mutations has neither `rollout` nor `shadowOf`: an object is changed or it is not.
//!
//! Its expressions may call the libraries of [`crate::host_library`] and [`crate::image_library`].

use super::matching::Operations;
use super::{Members, Reader, binding, bounds, expressions, image_policy, image_trust, matching, metadata, rollout};
use crate::compiled::{
    Actions, FailurePolicy, Flavour, Metadata, Origin, ParamRef, ParameterNotFoundAction, ReinvocationPolicy,
};
use crate::matching::MatchResources;
use crate::source::{ImageTrust, InlineBinding, PolicySource};
use crate::stable_hash::stable_hash;

/// Most groups that a policy names.
const MAX_GROUPS: usize = 32;

/// Reads a policy; `None` when it lacks what it cannot be without.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    mut object: Members<'_>,
    flavour: Flavour,
    origin: Origin,
) -> Option<PolicySource> {
    let meta = metadata::read(reader, &mut object, metadata::Scope::Cluster);
    let spec_field = object.require(reader, "spec", "");
    let status = if flavour == Flavour::Mutating { None } else { object.get("status") };
    object.finish(reader);
    let mut spec = reader.members(&spec_field?)?;
    let (name, name_span, described, generation) = match meta {
        Some(m) => (Some(m.name), m.name_span, m.described, m.generation),
        None => (None, spec.field().node.span, Metadata::default(), None),
    };
    let param_kind_field = if flavour == Flavour::Image { None } else { spec.get("paramKind") };
    let param_kind = param_kind_field.as_ref().and_then(|f| expressions::param_kind(reader, f));
    let match_constraints = read_constraints(reader, &mut spec, flavour);
    let mut policy = PolicySource {
        flavour,
        name: name.clone().unwrap_or_default(),
        name_span,
        file: reader.file.clone(),
        origin,
        metadata: described,
        param_kind,
        match_constraints: match_constraints.unwrap_or_default(),
        match_conditions: spec
            .get("matchConditions")
            .map(|f| expressions::match_conditions(reader, &f))
            .unwrap_or_default(),
        variables: spec.get("variables").map(|f| expressions::variables(reader, &f)).unwrap_or_default(),
        validations: Vec::new(),
        audit_annotations: Vec::new(),
        mutations: Vec::new(),
        failure_policy: FailurePolicy::default(),
        reinvocation: ReinvocationPolicy::default(),
        inline: None,
        namespace_groups: Vec::new(),
        rollout: None,
        shadow_of: None,
        revision: 0,
        image: None,
        trust: ImageTrust::default(),
    };
    let choices = [("Fail", FailurePolicy::Fail), ("Ignore", FailurePolicy::Ignore)];
    if let Some(choice) = spec.get("failurePolicy").and_then(|f| reader.choice(&f, &choices)) {
        policy.failure_policy = choice;
    }
    if matches!(flavour, Flavour::Validating | Flavour::Admission) {
        read_checks(reader, &mut spec, &mut policy, name.as_deref());
    }
    if matches!(flavour, Flavour::Mutating | Flavour::Admission) {
        read_changes(reader, &mut spec, &mut policy);
    }
    if flavour.is_own() {
        policy.trust = image_trust::read(reader, &mut spec, flavour);
        if flavour == Flavour::Image {
            policy.image = Some(Box::new(image_policy::read(reader, &mut spec)));
        }
        let params = match flavour {
            Flavour::Admission => read_params(reader, &mut spec, param_kind_field.is_some()),
            _ => None,
        };
        policy.inline = Some(InlineBinding { actions: read_actions(reader, &mut spec), params });
        read_description(reader, &mut spec, &mut policy.metadata);
        read_groups(reader, &mut spec, &mut policy);
        read_stages(reader, &mut spec, &mut policy);
        bounds::check(reader, spec.field());
        if let Some(rollout) = &mut policy.rollout {
            rollout.held = status.is_some_and(|s| rollout::is_held(s.node, generation));
        }
    }
    spec.finish(reader);
    name.map(|_| policy)
}

fn read_checks(reader: &mut Reader<'_>, spec: &mut Members<'_>, policy: &mut PolicySource, name: Option<&str>) {
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if let Some(f) = &validations {
        policy.validations = expressions::validations(reader, f);
    }
    if let Some(f) = &annotations {
        policy.audit_annotations = expressions::audit_annotations(reader, f, name);
    }
    let written = [&validations, &annotations].into_iter().flatten().any(|f| reader_list_is_filled(f));
    if !written && policy.flavour == Flavour::Validating {
        let detail = "validations or auditAnnotations must contain at least one item";
        reader.missing(spec.field(), "validations", detail);
        reader.missing(spec.field(), "auditAnnotations", detail);
    }
}

/// Whether a list holds anything, good or broken; what is no list was reported as such.
fn reader_list_is_filled(field: &super::Field<'_>) -> bool {
    !matches!(&field.node.content, crate::tree::Content::Sequence(items) if items.is_empty())
}

fn read_changes(reader: &mut Reader<'_>, spec: &mut Members<'_>, policy: &mut PolicySource) {
    let field = spec.get("mutations");
    if let Some(f) = &field {
        policy.mutations = expressions::mutations(reader, f);
    }
    let choices = [("Never", ReinvocationPolicy::Never), ("IfNeeded", ReinvocationPolicy::IfNeeded)];
    let reinvocation = if policy.flavour == Flavour::Mutating {
        if field.is_none_or(|f| !reader_list_is_filled(&f)) {
            reader.missing(spec.field(), "mutations", "mutations must contain at least one item");
        }
        spec.require(reader, "reinvocationPolicy", "")
    } else {
        spec.get("reinvocationPolicy")
    };
    if let Some(choice) = reinvocation.and_then(|f| reader.choice(&f, &choices)) {
        policy.reinvocation = choice;
    }
}

/// Where the policy is in force.
fn read_groups(reader: &mut Reader<'_>, spec: &mut Members<'_>, policy: &mut PolicySource) {
    if let Some(field) = spec.get("namespaceGroups") {
        for item in reader.bounded_list(&field, MAX_GROUPS) {
            let Some(group) = reader.reference(&item) else { continue };
            if policy.namespace_groups.iter().any(|g| g.name == group.name) {
                reader.duplicate(&item);
            }
            policy.namespace_groups.push(group);
        }
    }
}

/// How far its actions are in force.
fn read_stages(reader: &mut Reader<'_>, spec: &mut Members<'_>, policy: &mut PolicySource) {
    let (rollout, shadow) = (spec.get("rollout"), spec.get("shadowOf"));
    for field in [&rollout, &shadow].into_iter().flatten().filter(|_| !policy.mutations.is_empty()) {
        reader.forbidden(field, "not beside mutations: an object is changed or it is not");
    }
    if let (Some(rollout), Some(_)) = (&rollout, &shadow) {
        reader.forbidden(rollout, "not beside shadowOf: a shadow never denies");
    }
    if rollout.is_some() || shadow.is_some() {
        policy.revision = stable_hash(&[&spec.field().node.to_json().to_string()]);
    }
    if let Some(field) = &rollout {
        policy.rollout = rollout::read(reader, field);
        if policy.inline.as_ref().is_some_and(|i| !i.actions.deny) {
            reader.forbidden(field, "needs the action Deny: the stages say where it denies already");
        }
    }
    if let Some(field) = &shadow {
        policy.shadow_of = reader.reference(field);
        if policy.shadow_of.as_ref().is_some_and(|s| s.name == policy.name) {
            reader.invalid(field, "must be another policy");
        }
    }
}

/// Params of an AdmissionPolicy, and that it does anything at all.
fn read_params(reader: &mut Reader<'_>, spec: &mut Members<'_>, has_param_kind: bool) -> Option<ParamRef> {
    let nothing = ["validations", "auditAnnotations", "mutations"].iter().all(|name| {
        spec.field()
            .node
            .get(name)
            .is_none_or(|n| n.is_null() || matches!(&n.content, crate::tree::Content::Sequence(l) if l.is_empty()))
    });
    if nothing {
        let detail = "validations, auditAnnotations or mutations must contain at least one item";
        reader.missing(spec.field(), "validations", detail);
    }
    let field = spec.get("paramRef");
    match (&field, has_param_kind) {
        (Some(f), false) => reader.forbidden(f, "needs spec.paramKind"),
        (None, true) => reader.missing(spec.field(), "paramRef", "which params: spec.paramKind names only their kind"),
        _ => {}
    }
    field.and_then(|f| binding::param_ref(reader, &f, Some(ParameterNotFoundAction::Deny)))
}

fn read_actions(reader: &mut Reader<'_>, spec: &mut Members<'_>) -> Actions {
    match spec.get("actions") {
        Some(f) => binding::actions(reader, &f),
        None => Actions { deny: true, ..Actions::default() },
    }
}

/// What people want to know; it wins over the annotations.
fn read_description(reader: &mut Reader<'_>, spec: &mut Members<'_>, metadata: &mut Metadata) {
    let mut text = |name| spec.get(name).and_then(|f| reader.string(&f).map(|s| (f.clone(), s.to_owned())));
    let (title, category, severity) = (text("title"), text("category"), text("severity"));
    let (description, remediation) = (text("description"), text("remediation"));
    if let Some((f, word)) = &severity
        && !metadata::SEVERITIES.contains(&word.as_str())
    {
        reader.unsupported(f, &metadata::SEVERITIES);
    }
    let m = metadata;
    for (slot, value) in [
        (&mut m.title, title),
        (&mut m.category, category),
        (&mut m.severity, severity),
        (&mut m.description, description),
        (&mut m.remediation, remediation),
    ] {
        if let Some((_, value)) = value {
            *slot = Some(value);
        }
    }
}

/// Which requests; an ImagePolicy is about all that make Pods unless it says otherwise.
fn read_constraints(reader: &mut Reader<'_>, spec: &mut Members<'_>, flavour: Flavour) -> Option<MatchResources> {
    let operations = if flavour == Flavour::Mutating { Operations::Mutating } else { Operations::Any };
    let field = match flavour {
        Flavour::Image => match spec.get("matchConstraints") {
            None => return Some(image_policy::whatever_runs_images()),
            field => field,
        },
        _ => spec.require(reader, "matchConstraints", ""),
    };
    field.and_then(|f| matching::read(reader, &f, operations, true))
}
