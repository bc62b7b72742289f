//! The authorizer library: who may do what, asked of [`crate::authorizer::Authorizer`].

use bumpalo::Bump;

use super::names::Rule;
use super::support::{Answer, fail, native, print};
use crate::authorizer::Attributes;
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// Cost of one question: two of them fit into one evaluation.
const CHECK_COST: u64 = 350_000;

/// Whom a question is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Namespace and name of a service account; the requesting user when there is none.
    service_account: Option<(&'a str, &'a str)>,
}

/// `authorizer.path('/healthz')`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathCheck<'a> {
    subject: Subject<'a>,
    path: &'a str,
}

/// `authorizer.group('apps')`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCheck<'a> {
    subject: Subject<'a>,
    group: &'a str,
}

/// `authorizer.group('apps').resource('deployments')` and what narrows it; empty where not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceCheck<'a> {
    check: GroupCheck<'a>,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    field_selector: &'a str,
    label_selector: &'a str,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    allowed: bool,
    reason: &'a str,
    error: Option<&'a str>,
}

/// The functions of this library, selectors included.
pub fn functions() -> Vec<Function> {
    let mut functions = builders();
    functions.extend(answers());
    functions
}

fn builders() -> Vec<Function> {
    vec![
        native(
            "path",
            &[(
                "authorizer_path",
                "kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.PathCheck",
            )],
            path,
            constant_cost,
        ),
        native(
            "group",
            &[(
                "authorizer_group",
                "kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.GroupCheck",
            )],
            group,
            constant_cost,
        ),
        native(
            "serviceAccount",
            &[(
                "authorizer_serviceaccount",
                "kubernetes.authorization.Authorizer.(string, string) -> kubernetes.authorization.Authorizer",
            )],
            service_account,
            constant_cost,
        ),
        native(
            "resource",
            &[(
                "groupcheck_resource",
                "kubernetes.authorization.GroupCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            resource,
            constant_cost,
        ),
        native(
            "subresource",
            &[(
                "resourcecheck_subresource",
                "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            |scope, args| narrow(scope, args, |check, text| check.subresource = text),
            constant_cost,
        ),
        native(
            "namespace",
            &[(
                "resourcecheck_namespace",
                "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            |scope, args| narrow(scope, args, |check, text| check.namespace = text),
            constant_cost,
        ),
        native(
            "name",
            &[(
                "resourcecheck_name",
                "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            |scope, args| narrow(scope, args, |check, text| check.name = text),
            constant_cost,
        ),
        native(
            "fieldSelector",
            &[(
                "authorizer_fieldselector",
                "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            |scope, args| narrow(scope, args, |check, text| check.field_selector = text),
            selector_cost,
        ),
        native(
            "labelSelector",
            &[(
                "authorizer_labelselector",
                "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck",
            )],
            |scope, args| narrow(scope, args, |check, text| check.label_selector = text),
            selector_cost,
        ),
    ]
}

fn answers() -> Vec<Function> {
    vec![
        native(
            "check",
            &[
                ("pathcheck_check", "kubernetes.authorization.PathCheck.(string) -> kubernetes.authorization.Decision"),
                (
                    "resourcecheck_check",
                    "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.Decision",
                ),
            ],
            check,
            |_, _, _| CHECK_COST,
        ),
        native(
            "allowed",
            &[("decision_allowed", "kubernetes.authorization.Decision.() -> bool")],
            |_, args| Ok(Value::Bool(decision(args)?.allowed)),
            constant_cost,
        ),
        native(
            "reason",
            &[("decision_reason", "kubernetes.authorization.Decision.() -> string")],
            |_, args| Ok(Value::String(decision(args)?.reason)),
            constant_cost,
        ),
        native(
            "errored",
            &[("decision_errored", "kubernetes.authorization.Decision.() -> bool")],
            |_, args| Ok(Value::Bool(decision(args)?.error.is_some())),
            constant_cost,
        ),
        native(
            "error",
            &[("decision_error", "kubernetes.authorization.Decision.() -> string")],
            |_, args| Ok(Value::String(decision(args)?.error.unwrap_or(""))),
            constant_cost,
        ),
    ]
}

/// Value of the variable `authorizer`: questions about the requesting user.
pub fn authorizer(arena: &Bump) -> Value<'_> {
    Value::Opaque(arena.alloc(Opaque::Authorizer(Subject::default())))
}

/// Value of `authorizer.requestResource`: a check of the requesting user on the resource of the request.
pub fn request_resource<'a>(
    arena: &'a Bump,
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Value<'a> {
    let check = GroupCheck { subject: Subject::default(), group };
    let check = ResourceCheck { check, resource, subresource, namespace, name, field_selector: "", label_selector: "" };
    Value::Opaque(arena.alloc(Opaque::ResourceCheck(check)))
}

/// Parsing a selector: reading it, and a list of requirements, one for every two characters.
fn selector_cost(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    /// Cost of a list (10) and of one requirement in it, a struct (40) with a list (10).
    const LIST: u64 = 10;
    const REQUIREMENT: f64 = 50.0;
    let Some(selector) = args.get(1) else { return 1 };
    let len = selector.cost_size() as f64;
    LIST + (len * 0.1).ceil() as u64 + ((len * 0.5).ceil() * REQUIREMENT).ceil() as u64
}

fn path<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Authorizer(subject)), Value::String(path)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    if path.trim().is_empty() {
        return Err(ErrorKind::Function("path must not be empty"));
    }
    Ok(Value::Opaque(scope.arena.alloc(Opaque::PathCheck(PathCheck { subject: *subject, path }))))
}

fn group<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Authorizer(subject)), Value::String(group)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    Ok(Value::Opaque(scope.arena.alloc(Opaque::GroupCheck(GroupCheck { subject: *subject, group }))))
}

fn service_account<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Authorizer(_)), Value::String(namespace), Value::String(name)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    if !Rule::Dns1123Subdomain.faults(name.as_bytes()).is_empty() {
        return Err(ErrorKind::Function("Invalid service account name"));
    }
    if !Rule::Dns1123Label.faults(namespace.as_bytes()).is_empty() {
        return Err(ErrorKind::Function("Invalid service account namespace"));
    }
    let subject = Subject { service_account: Some((namespace, name)) };
    Ok(Value::Opaque(scope.arena.alloc(Opaque::Authorizer(subject))))
}

fn resource<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::GroupCheck(check)), Value::String(resource)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    if resource.trim().is_empty() {
        return Err(ErrorKind::Function("resource must not be empty"));
    }
    let check = ResourceCheck {
        check: *check,
        resource,
        subresource: "",
        namespace: "",
        name: "",
        field_selector: "",
        label_selector: "",
    };
    Ok(Value::Opaque(scope.arena.alloc(Opaque::ResourceCheck(check))))
}

fn narrow<'a>(scope: &Scope<'a>, args: &[Value<'a>], set: fn(&mut ResourceCheck<'a>, &'a str)) -> Answer<'a> {
    let [Value::Opaque(Opaque::ResourceCheck(check)), Value::String(text)] = *args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    let mut check = *check;
    set(&mut check, text);
    Ok(Value::Opaque(scope.arena.alloc(Opaque::ResourceCheck(check))))
}

fn check<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (check, verb) = match *args {
        [Value::Opaque(check), Value::String(verb)] => (check, verb),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let mut attributes = match check {
        Opaque::PathCheck(check) => Attributes { path: check.path.to_owned(), ..check.subject.attributes() },
        Opaque::ResourceCheck(check) => Attributes {
            group: check.check.group.to_owned(),
            resource: check.resource.to_owned(),
            subresource: check.subresource.to_owned(),
            namespace: check.namespace.to_owned(),
            name: check.name.to_owned(),
            field_selector: check.field_selector.to_owned(),
            label_selector: check.label_selector.to_owned(),
            ..check.check.subject.attributes()
        },
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    verb.clone_into(&mut attributes.verb);
    let Some(authorizer) = scope.authorizer else {
        return Err(fail(scope, format_args!("no authorizer answers here: {verb} cannot be checked")));
    };
    let answer = authorizer.authorize(&attributes);
    let decision = Decision {
        allowed: answer.allowed,
        reason: print(scope, format_args!("{}", answer.reason)),
        error: answer.error.map(|error| print(scope, format_args!("{error}"))),
    };
    Ok(Value::Opaque(scope.arena.alloc(Opaque::Decision(decision))))
}

fn decision<'a>(args: &[Value<'a>]) -> Result<&'a Decision<'a>, ErrorKind<'a>> {
    match *args {
        [Value::Opaque(Opaque::Decision(decision))] => Ok(decision),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

impl Subject<'_> {
    fn attributes(self) -> Attributes {
        let Some((namespace, name)) = self.service_account else { return Attributes::default() };
        Attributes {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            ..Attributes::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::authorizer::{Authorizer, Decision as Answered};
    use crate::symbols::Symbols;

    struct Recorder(Mutex<Vec<Attributes>>);

    impl Authorizer for Recorder {
        fn authorize(&self, attributes: &Attributes) -> Answered {
            self.0.lock().unwrap().push(attributes.clone());
            Answered { allowed: attributes.verb == "get", reason: "because".to_owned(), error: None }
        }
    }

    #[test]
    fn a_question_carries_all_that_was_said_before_it() {
        let (arena, symbols, recorder) = (Bump::new(), Symbols::new(), Recorder(Mutex::default()));
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: Some(&recorder), host: None };
        let text = Value::String;
        let subject = service_account(&scope, &[authorizer(&arena), text("ns"), text("sa")]).unwrap();
        let checked = group(&scope, &[subject, text("apps")]).unwrap();
        let checked = resource(&scope, &[checked, text("deployments")]).unwrap();
        let checked = narrow(&scope, &[checked, text("prod")], |check, text| check.namespace = text).unwrap();
        let checked = narrow(&scope, &[checked, text("a=b")], |check, text| check.label_selector = text).unwrap();
        let answer = check(&scope, &[checked, text("get")]).unwrap();
        let expected = Attributes {
            user: "system:serviceaccount:ns:sa".to_owned(),
            groups: vec!["system:serviceaccounts".to_owned(), "system:serviceaccounts:ns".to_owned()],
            verb: "get".to_owned(),
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            namespace: "prod".to_owned(),
            label_selector: "a=b".to_owned(),
            ..Attributes::default()
        };
        assert_eq!(*recorder.0.lock().unwrap(), [expected]);
        assert_eq!(decision(&[answer]).unwrap(), &Decision { allowed: true, reason: "because", error: None });
    }

    #[test]
    fn nothing_is_allowed_where_nobody_answers() {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let checked = path(&scope, &[authorizer(&arena), Value::String("/healthz")]).unwrap();
        let error = check(&scope, &[checked, Value::String("get")]).unwrap_err();
        assert_eq!(error.to_string(), "no authorizer answers here: get cannot be checked");
    }

    #[test]
    fn service_accounts_have_valid_names() {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let ask = |namespace, name| {
            let args = [authorizer(&arena), Value::String(namespace), Value::String(name)];
            service_account(&scope, &args).unwrap_err().to_string()
        };
        assert_eq!(ask("ns", "A"), "Invalid service account name");
        assert_eq!(ask("n.s", "a"), "Invalid service account namespace");
    }
}
