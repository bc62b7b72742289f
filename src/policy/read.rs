//! Strict typed reading of a positioned tree: every fault of an object at once, with field paths and words of the API
//! server's validation (k8s.io/apimachinery `field.Error`).

use serde_json::Value;
use stockade_cel::source::Span;

use crate::compiled::{Flavour, Origin, ParameterNotFoundAction};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::objects::Item;
use crate::source::{BindingSource, ExceptionSource, GroupSource, PolicySource, Reference};
use crate::source_file::SourceFile;
use crate::tree::{Content, Node};

pub(crate) mod binding;
pub(crate) mod bounds;
pub(crate) mod case;
pub(crate) mod exception;
pub(crate) mod expressions;
pub(crate) mod group;
pub(crate) mod image_policy;
pub(crate) mod image_trust;
pub mod labels;
pub(crate) mod matching;
pub mod metadata;
pub mod names;
pub(crate) mod policy;
pub(crate) mod rollout;
pub(crate) mod suggest;

/// A value and its path (`spec.validations[0].expression`).
#[derive(Debug, Clone)]
pub struct Field<'n> {
    /// The value.
    pub node: &'n Node,
    /// From the object's root.
    pub path: String,
}

/// A string with its place, kept until it is compiled.
#[derive(Debug, Clone)]
pub struct Text {
    /// The string node.
    pub node: Node,
    /// `spec.validations[0].expression`
    pub path: String,
}

/// A mapping while its fields are taken out. What was never asked for is unknown.
pub struct Members<'n> {
    field: Field<'n>,
    known: Vec<&'static str>,
}

/// Collects the faults of one file.
pub struct Reader<'f> {
    /// Text the places point into.
    pub file: &'f SourceFile,
    /// What was found so far.
    pub diagnostics: Diagnostics,
}

// === impl Text ===

impl Text {
    /// The string.
    pub fn as_str(&self) -> &str {
        self.node.as_str().unwrap_or("")
    }
}

// === impl Field ===

impl<'n> Field<'n> {
    /// The object itself.
    pub fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    /// `spec.a` of `spec`.
    pub fn child_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn text(&self) -> Text {
        Text { node: self.node.clone(), path: self.path.clone() }
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        Reference { name: name.to_owned(), span: self.node.span, path: self.path.clone() }
    }
}

// === impl Members ===

impl<'n> Members<'n> {
    /// The value of a field; null counts as absent.
    pub fn get(&mut self, name: &'static str) -> Option<Field<'n>> {
        self.known.push(name);
        let node = self.field.node.get(name).filter(|n| !n.is_null())?;
        Some(Field { node, path: self.field.child_path(name) })
    }

    /// The value of a field, or `Required value` when it is absent.
    pub fn require(&mut self, reader: &mut Reader<'_>, name: &'static str, detail: &str) -> Option<Field<'n>> {
        let found = self.get(name);
        if found.is_none() {
            reader.missing(&self.field, name, detail);
        }
        found
    }

    /// Accepts a field without looking into it.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.known.extend_from_slice(names);
    }

    /// The mapping itself.
    pub fn field(&self) -> &Field<'n> {
        &self.field
    }

    /// Reports every field that was never asked for.
    pub fn finish(self, reader: &mut Reader<'_>) {
        let Content::Mapping(members) = &self.field.node.content else { return };
        for member in members.iter().filter(|m| !self.known.contains(&m.key.as_str())) {
            if reader.diagnostics.is_full() {
                return;
            }
            let path = self.field.child_path(&member.key);
            let mut d =
                Diagnostic::at(Severity::Error, reader.file, member.key_span, format!("unknown field {path:?}"));
            d = match suggest::closest(&member.key, self.known.iter().copied()) {
                Some(name) => d.help(format!("did you mean `{name}`?")),
                None => d.help(format!("known fields: {}", listed(&self.known))),
            };
            reader.diagnostics.push(d);
        }
    }
}

fn listed(known: &[&str]) -> String {
    let mut names: Vec<_> = known.to_vec();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

// === impl Reader ===

impl<'f> Reader<'f> {
    /// Of one file.
    pub fn new(file: &'f SourceFile) -> Self {
        Self { file, diagnostics: Diagnostics::default() }
    }

    /// A fault of a value.
    pub fn report(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.report_at(field.node.span, &field.path, message);
    }

    /// A fault of a place.
    pub fn report_at(&mut self, span: Span, path: &str, message: impl Into<String>) {
        if !self.diagnostics.is_full() {
            self.diagnostics.push(Diagnostic::at(Severity::Error, self.file, span, message).field(path));
        }
    }

    /// A fault of a value, and what to do about it.
    pub fn report_with_help(&mut self, field: &Field<'_>, message: impl Into<String>, help: impl Into<String>) {
        if !self.diagnostics.is_full() {
            let d = Diagnostic::at(Severity::Error, self.file, field.node.span, message).field(&field.path);
            self.diagnostics.push(d.help(help));
        }
    }

    /// What is probably not meant, and what to do about it.
    pub fn warn(&mut self, field: &Field<'_>, message: impl Into<String>, help: impl Into<String>) {
        if !self.diagnostics.is_full() {
            let d = Diagnostic::at(Severity::Warning, self.file, field.node.span, message).field(&field.path);
            self.diagnostics.push(d.help(help));
        }
    }

    /// Reports without showing the text: it holds a secret.
    pub(crate) fn report_hidden(&mut self, span: Span, path: &str, message: &str) {
        if !self.diagnostics.is_full() {
            let shown = Diagnostic::at(Severity::Error, self.file, span, message).field(path);
            self.diagnostics.push(Diagnostic { excerpt: None, ..shown });
        }
    }

    /// `Invalid value: "x": detail`
    pub fn invalid(&mut self, field: &Field<'_>, detail: &str) {
        self.report(field, format!("Invalid value: {}: {detail}", shown(field.node)));
    }

    /// `Required value: detail` of a field that is there but empty.
    pub fn empty(&mut self, field: &Field<'_>, detail: &str) {
        self.report(field, required(detail));
    }

    /// `Required value: detail` of a field that is absent, shown at its parent.
    pub fn missing(&mut self, parent: &Field<'_>, name: &str, detail: &str) {
        self.report_at(parent.node.span, &parent.child_path(name), required(detail));
    }

    /// `Duplicate value: "x"`
    pub fn duplicate(&mut self, field: &Field<'_>) {
        self.report(field, format!("Duplicate value: {}", shown(field.node)));
    }

    /// `Forbidden: detail`
    pub fn forbidden(&mut self, field: &Field<'_>, detail: &str) {
        self.report(field, format!("Forbidden: {detail}"));
    }

    /// `Unsupported value: "x": supported values: "a", "b"`
    pub fn unsupported(&mut self, field: &Field<'_>, supported: &[&'static str]) {
        if self.diagnostics.is_full() {
            return;
        }
        let values: Vec<_> = supported.iter().map(|v| format!("{v:?}")).collect();
        let message = format!("Unsupported value: {}: supported values: {}", shown(field.node), values.join(", "));
        let mut d = Diagnostic::at(Severity::Error, self.file, field.node.span, message).field(&field.path);
        if let Some(close) = field.node.as_str().and_then(|s| suggest::closest(s, supported.iter().copied())) {
            d = d.help(format!("did you mean `{close}`?"));
        }
        self.diagnostics.push(d);
    }

    fn wrong_type(&mut self, field: &Field<'_>, wanted: &str) {
        if self.diagnostics.is_full() {
            return;
        }
        let written = self.file.slice(field.node.span).to_owned();
        let message = format!("expected {wanted}, found {}", field.node.describe());
        let mut d = Diagnostic::at(Severity::Error, self.file, field.node.span, message).field(&field.path);
        let scalar = matches!(field.node.content, Content::Bool(_) | Content::Int(_) | Content::Float(_));
        if wanted == "a string" && scalar && !written.is_empty() && written.len() < 80 {
            d = d.help(format!("write it in quotes: \"{written}\""));
        } else if wanted == "a list" {
            d = d.help("put `- ` before each element, or write it in `[…]`");
        }
        self.diagnostics.push(d);
    }

    /// The members of a mapping; anything else is a fault.
    pub fn members<'n>(&mut self, field: &Field<'n>) -> Option<Members<'n>> {
        if matches!(field.node.content, Content::Mapping(_)) {
            return Some(Members { field: field.clone(), known: Vec::new() });
        }
        self.wrong_type(field, "a mapping");
        None
    }

    /// The text of a string; anything else is a fault.
    pub fn string<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        if let Some(s) = field.node.as_str() {
            return Some(s);
        }
        self.wrong_type(field, "a string");
        None
    }

    /// Elements of a list with their paths; null elements are faults.
    pub fn list<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        let Content::Sequence(items) = &field.node.content else {
            self.wrong_type(field, "a list");
            return Vec::new();
        };
        items.iter().enumerate().map(|(i, node)| Field { node, path: format!("{}[{i}]", field.path) }).collect()
    }

    /// A list of strings; those of another type are reported and left out.
    pub fn strings<'n>(&mut self, field: &Field<'n>) -> Vec<(Field<'n>, &'n str)> {
        let items = self.list(field);
        items.into_iter().filter_map(|item| self.string(&item).map(|s| (item, s))).collect()
    }

    /// As [`Self::list`]; nothing when the field is absent.
    pub fn optional_list<'n>(&mut self, field: Option<&Field<'n>>) -> Vec<Field<'n>> {
        field.map(|f| self.list(f)).unwrap_or_default()
    }

    /// As [`Self::strings`]; nothing when the field is absent.
    pub fn optional_strings<'n>(&mut self, field: Option<&Field<'n>>) -> Vec<(Field<'n>, &'n str)> {
        field.map(|f| self.strings(f)).unwrap_or_default()
    }

    /// A list of at most so many elements that is not empty.
    pub fn bounded_list<'n>(&mut self, field: &Field<'n>, most: usize) -> Vec<Field<'n>> {
        let before = self.diagnostics.len();
        let items = self.list(field);
        if items.is_empty() && self.diagnostics.len() == before {
            self.empty(field, "");
        }
        if items.len() > most {
            self.report(field, format!("Too many: {}: must have at most {most} items", items.len()));
        }
        items
    }

    /// A string that is neither empty nor longer than so many bytes.
    pub(crate) fn bounded_string<'n>(&mut self, field: &Field<'n>, most: usize) -> Option<&'n str> {
        let text = self.string(field)?;
        if text.trim().is_empty() {
            self.empty(field, "");
        } else if text.len() > most {
            self.report(field, format!("Too long: may not be more than {most} bytes"));
        }
        Some(text)
    }

    /// The name of a cluster-scoped object.
    pub(crate) fn reference(&mut self, field: &Field<'_>) -> Option<Reference> {
        let name = self.string(field)?;
        for fault in names::dns_subdomain(name) {
            self.invalid(field, &fault);
        }
        Some(field.reference(name))
    }

    /// An integer within bounds.
    pub fn integer(&mut self, field: &Field<'_>, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let Some(number) = field.node.as_i64() else {
            self.wrong_type(field, "an integer");
            return None;
        };
        let within = u32::try_from(number).ok().filter(|n| bounds.contains(n));
        if within.is_none() {
            self.invalid(field, &format!("must be between {} and {}", bounds.start(), bounds.end()));
        }
        within
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        if let Content::Bool(value) = field.node.content {
            return Some(value);
        }
        self.wrong_type(field, "a boolean");
        None
    }

    /// One of a closed set of words.
    pub fn choice<T: Copy>(&mut self, field: &Field<'_>, choices: &[(&'static str, T)]) -> Option<T> {
        let word = self.string(field)?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let mut names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            self.unsupported(field, &names);
        }
        found
    }
}

fn required(detail: &str) -> String {
    if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") }
}

/// A value as `field.Error` prints it, cut where it is long.
fn shown(node: &Node) -> String {
    let value = node.to_json();
    let text = match &value {
        Value::String(s) => format!("{s:?}"),
        other => other.to_string(),
    };
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What an object of a file is.
pub(crate) enum Loaded {
    /// A policy.
    Policy(Box<PolicySource>),
    /// A binding.
    Binding(Box<BindingSource>),
    /// An exception.
    Exception(Box<ExceptionSource>),
    /// A group of namespaces.
    Group(Box<GroupSource>),
    /// Something else; it may be params.
    Other,
    /// One of these with faults, which were reported.
    Broken,
}

const REGISTRATION_GROUP: &str = "admissionregistration.k8s.io";
const STOCKADE_GROUP: &str = "stockade.dev";

/// Kinds of the registration group that are no business of ours.
const WEBHOOK_KINDS: [&str; 2] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];

const VALIDATING: &str = "ValidatingAdmissionPolicy";
const VALIDATING_BINDING: &str = "ValidatingAdmissionPolicyBinding";
const MUTATING: &str = "MutatingAdmissionPolicy";
const MUTATING_BINDING: &str = "MutatingAdmissionPolicyBinding";
const ADMISSION: &str = "AdmissionPolicy";
const EXCEPTION: &str = "PolicyException";
const IMAGE: &str = "ImagePolicy";
const GROUP: &str = "NamespaceGroup";

/// Reads one object when it is of a policy kind.
pub(crate) fn read_object(reader: &mut Reader<'_>, item: &Item<'_>) -> Loaded {
    let node = item.node;
    let root = Field::root(node);
    let Some((api_version, kind)) = item.kind() else { return Loaded::Other };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if !is_policy_kind(reader, node, group, version, kind) {
        return if matches!(group, REGISTRATION_GROUP | STOCKADE_GROUP) && !WEBHOOK_KINDS.contains(&kind) {
            Loaded::Broken
        } else {
            Loaded::Other
        };
    }
    let Some(mut object) = reader.members(&root) else { return Loaded::Broken };
    object.ignore(&["apiVersion", "kind"]);
    let line = reader.file.position(node.span.start).line;
    let origin = Origin { file: reader.file.name().clone(), line };
    // v1alpha1 is the only version that has a default here.
    let not_found = (version == "v1alpha1").then_some(ParameterNotFoundAction::Deny);
    let policy = |p: Option<PolicySource>| p.map(|p| Loaded::Policy(Box::new(p)));
    let binding = |b: Option<BindingSource>| b.map(|b| Loaded::Binding(Box::new(b)));
    let read = match kind {
        VALIDATING => policy(policy::read(reader, object, Flavour::Validating, origin)),
        MUTATING => policy(policy::read(reader, object, Flavour::Mutating, origin)),
        ADMISSION => policy(policy::read(reader, object, Flavour::Admission, origin)),
        IMAGE => policy(policy::read(reader, object, Flavour::Image, origin)),
        EXCEPTION => exception::read(reader, object, origin).map(|e| Loaded::Exception(Box::new(e))),
        GROUP => group::read(reader, object, origin).map(|g| Loaded::Group(Box::new(g))),
        VALIDATING_BINDING => binding(binding::read(reader, object, Flavour::Validating, origin, not_found)),
        _ => binding(binding::read(reader, object, Flavour::Mutating, origin, not_found)),
    };
    read.unwrap_or(Loaded::Broken)
}

/// Whether an object is of a policy kind. A policy that would be overlooked for a typo is reported.
fn is_policy_kind(reader: &mut Reader<'_>, node: &Node, group: &str, version: &str, kind: &str) -> bool {
    let registration = [VALIDATING, VALIDATING_BINDING, MUTATING, MUTATING_BINDING];
    let mut fault = |field: &str, message: String, help: String| {
        let span = node.get(field).map_or(node.span, |n| n.span);
        let d = Diagnostic::at(Severity::Error, reader.file, span, message).field(field).help(help);
        reader.diagnostics.push(d);
        false
    };
    let (known, versions): (&[&'static str], &[&str]) = match group {
        REGISTRATION_GROUP if WEBHOOK_KINDS.contains(&kind) => return false,
        REGISTRATION_GROUP => (&registration, &["v1", "v1beta1", "v1alpha1"]),
        STOCKADE_GROUP => (&[ADMISSION, IMAGE, EXCEPTION, GROUP], &["v1alpha1"]),
        _ if registration.contains(&kind) => {
            let help = format!("this kind belongs to `{REGISTRATION_GROUP}/v1`");
            return fault("apiVersion", format!("unknown group {group:?} for {kind}"), help);
        }
        _ => return false,
    };
    if !known.contains(&kind) {
        let help = match suggest::closest(kind, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("kinds that are read: {}", listed(known)),
        };
        return fault("kind", format!("unknown kind {kind:?} in {group}"), help);
    }
    if !versions.contains(&version) {
        let help = format!("versions that are read: {}", versions.join(", "));
        return fault("apiVersion", format!("unknown version {version:?} of {kind}"), help);
    }
    true
}
