//! The expressions of one policy.

use std::sync::Arc;

use stockade_cel::source::Span;
use stockade_cel::{Env, Program, Symbols, Type};

use super::environments::Environments;
use super::{help, questions, reads};
use crate::compiled::{AuditAnnotation, Binding, Expression, Flavour, MatchCondition, Mutation, Policy, Validation};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::environment::{APPLY_CONFIGURATION, JSON_PATCH, Surroundings, variable_type};
use crate::images::{Attestation, ImageRules};
use crate::source::{AttestationSource, MutationSource, PolicySource, Text, ValidationSource};

/// Compiles one policy.
pub(super) struct Compiler<'c> {
    pub(super) source: &'c PolicySource,
    pub(super) symbols: &'c mut Symbols,
    pub(super) environments: &'c mut Environments,
    pub(super) diagnostics: &'c mut Diagnostics,
}

/// Where an expression stands, for the help texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    MatchCondition,
    Variable,
    Rule,
    Message,
    Mutation,
}

impl Compiler<'_> {
    /// The policy without the bindings of others; `None` when an expression has faults, which are reported.
    pub(super) fn policy(&mut self) -> Option<Policy> {
        let source = self.source;
        let faults = self.diagnostics.len();
        let with_authorizer = self.surroundings();
        let plain = self.environments.get(with_authorizer).clone();
        let conditions: Vec<_> = source
            .match_conditions
            .iter()
            .map(|(name, text)| (name, self.compile(&plain, text, Place::MatchCondition, &[Type::Bool])))
            .collect();
        // Variables of an ImagePolicy are for the checks of its attestations, which alone can name them.
        let attestation = source.flavour == Flavour::Image;
        let around_rules = Surroundings { attestation, ..with_authorizer };
        let of_rules = self.environments.get(around_rules).clone();
        let (programs, members) = self.variables(&of_rules);
        // As upstream: without variables a validating policy has no root `variables`.
        let composed = !members.is_empty() || source.flavour == Flavour::Mutating;
        let compose = |env: &Env| if composed { env.clone().lazy_variables(members.clone()) } else { env.clone() };
        let rules = compose(&of_rules);
        let message_env = compose(self.environments.get(Surroundings { authorizer: false, ..around_rules }));
        let validations = self.validations(&source.validations, &rules, &message_env);
        let image_rules = source.image.as_ref().map(|i| self.image_rules(i, &rules, &message_env));
        let image_questions = questions::of_policy(source, self.diagnostics);
        let annotations: Vec<_> = source
            .audit_annotations
            .iter()
            .map(|(key, text)| (key, self.compile(&rules, text, Place::Rule, &[Type::String, Type::Null])))
            .collect();
        let patch_env = compose(self.environments.get(Surroundings { patch_types: true, ..with_authorizer }));
        let mutations = self.mutations(&patch_env);
        if self.diagnostics.len() > faults {
            return None;
        }
        let reads = reads::of_policy(source, self.diagnostics);
        if image_questions.is_none() {
            questions::warn_of_no_effect(source, self.diagnostics);
        }
        Some(Policy {
            name: source.name.as_str().into(),
            flavour: source.flavour,
            origin: source.origin.clone(),
            metadata: source.metadata.clone(),
            match_constraints: source.match_constraints.clone(),
            match_conditions: conditions
                .into_iter()
                .filter_map(|(name, e)| Some(MatchCondition { name: name.clone(), expression: e? }))
                .collect(),
            variables: programs.into(),
            variable_names: source.variables.iter().map(|(name, _)| name.clone()).collect(),
            validations,
            audit_annotations: annotations
                .into_iter()
                .filter_map(|(key, value)| Some(AuditAnnotation { key: key.clone(), value: value? }))
                .collect(),
            mutations,
            failure_policy: source.failure_policy,
            reinvocation: source.reinvocation,
            param_kind: source.param_kind.clone(),
            bindings: self.inline_binding().into_iter().collect(),
            type_warnings: Vec::new(),
            namespace_groups: source.namespace_groups.iter().map(|g| g.name.as_str().into()).collect(),
            rollout: source.rollout.clone(),
            shadow_of: source.shadow_of.as_ref().map(|s| s.name.as_str().into()),
            revision: source.revision,
            reads,
            reads_requester: reads::requester(source),
            image_rules: image_rules.map(Arc::new),
            image_questions: image_questions.map(Arc::new),
        })
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            params: self.source.param_kind.is_some(),
            authorizer: self.source.flavour != Flavour::Image,
            patch_types: false,
            host: self.source.flavour.is_own(),
            images: self.source.flavour == Flavour::Admission,
            attestation: false,
        }
    }

    fn inline_binding(&self) -> Option<Binding> {
        let inline = self.source.inline.as_ref()?;
        Some(Binding {
            name: self.source.name.as_str().into(),
            origin: self.source.origin.clone(),
            match_resources: None,
            params: inline.params.clone(),
            actions: inline.actions,
        })
    }

    /// Compiles the variables in order; each sees those before it. One with faults is `dyn` for the rest.
    fn variables(&mut self, plain: &Env) -> (Vec<Program>, Vec<(String, Type)>) {
        let (mut programs, mut members) = (Vec::new(), Vec::new());
        for (name, text) in &self.source.variables {
            let env = plain.clone().lazy_variables(members.clone());
            let program = self.program(&env, text, Place::Variable);
            let ty = program.as_ref().map_or(Type::Dyn, |p| variable_type(p.output_type()));
            members.push((name.clone(), ty));
            programs.extend(program);
        }
        (programs, members)
    }

    /// Checks; one with faults, which are reported, is left out.
    fn validations(&mut self, sources: &[ValidationSource], rules: &Env, messages: &Env) -> Vec<Validation> {
        let mut validations = Vec::with_capacity(sources.len());
        for v in sources {
            let expression = self.compile(rules, &v.expression, Place::Rule, &[Type::Bool]);
            let message_expression = v
                .message_expression
                .as_ref()
                .and_then(|text| self.compile(messages, text, Place::Message, &[Type::String]));
            let message = v.message.clone();
            validations.extend(expression.map(|expression| Validation {
                expression,
                message,
                message_expression,
                reason: v.reason,
            }));
        }
        validations
    }

    fn image_rules(&mut self, image: &ImageRules, rules: &Env, messages: &Env) -> ImageRules {
        let trust = &self.source.trust;
        let attestation = |a: &AttestationSource| Attestation {
            name: Arc::clone(&a.name),
            predicate_type: Arc::clone(&a.predicate_type),
            authorities: a.authorities.clone(),
            validations: self.validations(&a.validations, rules, messages),
        };
        ImageRules {
            authorities: trust.authorities.clone(),
            attestations: trust.attestations.iter().map(attestation).collect(),
            details: reads::names_image(self.source),
            registries: trust.registries.iter().map(|(settings, _)| Arc::clone(settings)).collect(),
            ..image.clone()
        }
    }

    fn mutations(&mut self, env: &Env) -> Vec<Mutation> {
        let mut mutations = Vec::new();
        for mutation in &self.source.mutations {
            mutations.extend(match mutation {
                MutationSource::ApplyConfiguration(text) => {
                    let wanted = [Type::structure(APPLY_CONFIGURATION)];
                    self.compile(env, text, Place::Mutation, &wanted).map(Mutation::ApplyConfiguration)
                }
                MutationSource::JsonPatch(text) => {
                    let wanted = [Type::list(Type::structure(JSON_PATCH))];
                    self.compile(env, text, Place::Mutation, &wanted).map(Mutation::JsonPatch)
                }
            });
        }
        mutations
    }

    /// Compiles an expression that must have one of these types, exactly: `dyn` will not do.
    fn compile(&mut self, env: &Env, text: &Text, place: Place, wanted: &[Type]) -> Option<Expression> {
        let program = self.program(env, text, place)?;
        let file = &self.source.file;
        if !wanted.contains(program.output_type()) {
            let end = text.as_str().len() as u32;
            let span = text.node.locate(file, Span::new(0, end));
            let got = program.output_type();
            let message = match wanted {
                [one] => format!("must evaluate to {one} but got {got}"),
                many => {
                    let list: Vec<_> = many.iter().map(Type::to_string).collect();
                    format!("must evaluate to one of [{}] but got {got}", list.join(" "))
                }
            };
            let mut d = Diagnostic::at(Severity::Error, file, span, message).field(&text.path);
            d.help = help::for_type(wanted, got);
            self.diagnostics.push(d);
            return None;
        }
        let line = file.position(text.node.locate(file, Span::default()).start).line;
        Some(Expression { program: Arc::new(program), field: text.path.clone(), line })
    }

    fn program(&mut self, env: &Env, text: &Text, place: Place) -> Option<Program> {
        let issues = match env.compile(text.as_str(), self.symbols) {
            Ok(program) => return Some(program),
            Err(issues) => issues,
        };
        for issue in &issues.list {
            if self.diagnostics.is_full() {
                break;
            }
            let span = text.node.locate(&self.source.file, help::widened(issue, text.as_str()));
            let mut d =
                Diagnostic::at(Severity::Error, &self.source.file, span, issue.message.as_str()).field(&text.path);
            d.help = help::for_issue(&issue.message, self.source, place);
            self.diagnostics.push(d);
        }
        None
    }
}
