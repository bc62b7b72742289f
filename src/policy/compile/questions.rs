//! What the expressions of an AdmissionPolicy ask about images, told from the functions they call and the names they call
//! them with.

use std::sync::Arc;

use stockade_cel::ast::{Expr, ExprKind, Literal};
use stockade_cel::parse::{Syntax, parse};
use stockade_cel::source::Span;

use super::reads::texts;
use crate::compiled::Flavour;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::image_library as library;
use crate::images::ImageQuestions;
use crate::images::questions::Attested;
use crate::read::suggest;
use crate::source::{AttestationSource, ImageTrust, PolicySource, Text};

/// What is asked; none when no expression calls the library. A constant that names nobody is reported: no request should
/// have to find it.
pub(super) fn of_policy(source: &PolicySource, diagnostics: &mut Diagnostics) -> Option<ImageQuestions> {
    if source.flavour != Flavour::Admission {
        return None;
    }
    let mut found = Vec::new();
    for text in texts(source) {
        let Ok(ast) = parse(text.as_str(), Syntax::KUBERNETES) else { continue };
        let before = found.len();
        walk(&ast.root, &mut found);
        for question in &found[before..] {
            if let Question::Of(list, Some(name), span) = question
                && !list.declared(&source.trust).contains(&name.as_str())
            {
                report(source, text, (*list, name, *span), diagnostics);
            }
        }
    }
    (!found.is_empty()).then(|| questions(&found, &source.trust))
}

/// Warns of what a policy declares that asks nothing: it is a mistake, or was left behind.
pub(super) fn warn_of_no_effect(source: &PolicySource, diagnostics: &mut Diagnostics) {
    if source.flavour != Flavour::Admission {
        return;
    }
    let ImageTrust { authorities, attestations, registries } = &source.trust;
    let declared = [
        ("authorities", authorities.is_empty()),
        ("attestations", attestations.is_empty()),
        ("registries", registries.is_empty()),
    ];
    if let Some((field, _)) = declared.into_iter().find(|(_, is_empty)| !is_empty) {
        let message = "has no effect: no expression asks about images";
        let d = Diagnostic::at(Severity::Warning, &source.file, source.name_span, message);
        diagnostics.push(d.field(&format!("spec.{field}")).help("ask with `images.added(object, oldObject)`"));
    }
}

/// One call of the library.
enum Question {
    /// Of images by an object or a reference.
    Images,
    /// Of platforms or configurations.
    Details,
    /// Of a name, if it is a constant, with its place.
    Of(List, Option<String>, Span),
}

/// Where names are declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Authorities,
    Attestations,
}

/// Recursion is bounded by the parser's depth limit.
fn walk(expr: &Expr, found: &mut Vec<Question>) {
    if let ExprKind::Call { target: Some(target), function, args } = &expr.kind {
        found.extend(question(target, function, args));
    }
    expr.kind.for_each_child(&mut |child| walk(child, found));
}

fn question(target: &Expr, function: &str, args: &[Expr]) -> Option<Question> {
    let of = |list| {
        let [name] = args else { return None };
        let constant = match &name.kind {
            ExprKind::Literal(Literal::String(text)) => Some(text.clone()),
            _ => None,
        };
        Some(Question::Of(list, constant, name.span))
    };
    match function {
        _ if matches!(&target.kind, ExprKind::Ident(name) if name == library::LIBRARY) => Some(Question::Images),
        f if library::OF_DETAILS.contains(&f) => Some(Question::Details),
        f if library::BY_AUTHORITY.contains(&f) => of(List::Authorities),
        f if library::BY_ATTESTATION.contains(&f) => of(List::Attestations),
        _ => None,
    }
}

/// All that is asked of each image.
fn questions(found: &[Question], trust: &ImageTrust) -> ImageQuestions {
    // A name that is known only when it is evaluated may be any.
    let is_asked = |list: List, name: &str| {
        found.iter().any(|q| matches!(q, Question::Of(l, n, _) if *l == list && n.as_deref().is_none_or(|n| n == name)))
    };
    let attested = |a: &AttestationSource| Attested {
        name: Arc::clone(&a.name),
        predicate_type: Arc::clone(&a.predicate_type),
        authorities: a.authorities.clone(),
    };
    let authorities = trust.authorities.iter().filter(|a| is_asked(List::Authorities, &a.name));
    let attestations = trust.attestations.iter().filter(|a| is_asked(List::Attestations, &a.name));
    ImageQuestions {
        authorities: authorities.cloned().collect(),
        attestations: attestations.map(attested).collect(),
        details: found.iter().any(|q| matches!(q, Question::Details)),
        registries: trust.registries.iter().map(|(settings, _)| Arc::clone(settings)).collect(),
    }
}

/// An error at the name, with the one that was meant.
fn report(source: &PolicySource, text: &Text, (list, name, span): (List, &str, Span), diagnostics: &mut Diagnostics) {
    let span = text.node.locate(&source.file, span);
    let message = format!("spec.{} has no {name:?}", list.field());
    let mut d = Diagnostic::at(Severity::Error, &source.file, span, message).field(&text.path);
    let known = list.declared(&source.trust);
    d.help = Some(match suggest::closest(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if known.is_empty() => format!("declare it in `spec.{}`, as an ImagePolicy does", list.field()),
        None => format!("declared are {}", known.join(", ")),
    });
    diagnostics.push(d);
}

// === impl List ===

impl List {
    fn field(self) -> &'static str {
        match self {
            Self::Authorities => "authorities",
            Self::Attestations => "attestations",
        }
    }

    fn declared(self, trust: &ImageTrust) -> Vec<&str> {
        match self {
            Self::Authorities => trust.authorities.iter().map(|a| &*a.name).collect(),
            Self::Attestations => trust.attestations.iter().map(|a| &*a.name).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
