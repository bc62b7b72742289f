use std::fmt::Write as _;

use super::*;

fn admission(name: &str, expression: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: \
         [pods]}}]}}\n  validations: [{{expression: '{expression}'}}]\n"
    )
}

fn native(name: &str, expression: &str) -> String {
    admission(name, expression)
        .replace("stockade.dev/v1alpha1", "admissionregistration.k8s.io/v1")
        .replace("AdmissionPolicy", "ValidatingAdmissionPolicy")
}

fn binding(name: &str, policy: &str, action: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: \
         {name}}}\nspec: {{policyName: {policy}, validationActions: [{action}]}}\n"
    )
}

fn part(id: &str, scope: Scope, text: &str) -> Part {
    let mut sources = PolicySources::default();
    sources.add(id, text, true);
    Part { id: id.into(), scope, sources: Arc::new(sources) }
}

fn own(id: &str, text: &str) -> Part {
    part(id, Scope::Enforced, text)
}

/// Names with the first expression of each, and the standings.
fn shown(increment: &Increment) -> String {
    let mut out = String::new();
    let list = |set: &PolicySet| {
        let of = |p: &Arc<Policy>| {
            format!("{}: {} x{}", p.name, p.validations[0].expression.program.text(), p.bindings.len())
        };
        set.policies.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(out, "enforced [{}]", list(&increment.enforced));
    if let Some(audited) = &increment.audited {
        let _ = write!(out, " audited [{}]", list(audited));
    }
    for report in &increment.parts {
        let faults = report.diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>().join("; ");
        let _ = write!(out, "\n{}", format!("{:?} {faults}", report.standing).trim_end());
    }
    out
}

#[test]
fn what_did_not_change_is_the_same_policy_and_field_numbers_stay() {
    let mut compiler = Compiler::new();
    let (a, b) = (own("a", &admission("a", "object.x == 1")), own("b", &admission("b", "object.y == 1")));
    let first = compiler.compile(&[a.clone(), b]);
    let changed = own("b", &admission("b", "object.z == 1"));
    let second = compiler.compile(&[a, changed]);
    let same: Vec<bool> =
        first.enforced.policies.iter().zip(&second.enforced.policies).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, false]);
    let numbers = |set: &PolicySet| ["x", "y"].map(|name| set.symbols.lookup(name));
    assert_eq!(numbers(&first.enforced), numbers(&second.enforced));
    assert_eq!((first.enforced.symbols.len() + 1, second.audited.is_none()), (second.enforced.symbols.len(), true));
}

#[test]
fn a_file_that_changed_leaves_the_policies_of_other_files_of_its_part_as_they_were() {
    let folder = |b: &str| {
        let mut sources = PolicySources::default();
        sources.add("a.yaml", &admission("a", "true"), true);
        sources.add("b.yaml", &admission("b", b), true);
        Part { id: "folder".into(), scope: Scope::Enforced, sources: Arc::new(sources) }
    };
    let mut compiler = Compiler::new();
    let (first, second) = (compiler.compile(&[folder("true")]), compiler.compile(&[folder("false")]));
    let same: Vec<bool> =
        first.enforced.policies.iter().zip(&second.enforced.policies).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, false]);
}

#[test]
fn a_broken_part_keeps_its_last_good_version_until_it_is_mended_or_deleted() {
    let mut compiler = Compiler::new();
    let other = own("b", &admission("b", "true"));
    let mut steps = Vec::new();
    for text in ["1 == 1", "objekt.x", "2 == 2"] {
        steps.push(shown(&compiler.compile(&[own("a", &admission("a", text)), other.clone()])));
    }
    compiler.compile(&[own("a", &admission("a", "objekt.x")), other.clone()]);
    steps.push(shown(&compiler.compile(std::slice::from_ref(&other))));
    steps.push(shown(&compiler.compile(&[own("a", &admission("a", "objekt.x")), other])));
    insta::assert_snapshot!(steps.join("\n\n"), @r#"
    enforced [a: 1 == 1 x1, b: true x1]
    InForce
    InForce

    enforced [a: 1 == 1 x1, b: true x1]
    LastGood undeclared reference to 'objekt' (in container '')
    InForce

    enforced [a: 2 == 2 x1, b: true x1]
    InForce
    InForce

    enforced [b: true x1]
    InForce

    enforced [b: true x1]
    NotInForce undeclared reference to 'objekt' (in container '')
    InForce
    "#);
}

#[test]
fn of_two_parts_that_define_one_name_the_later_is_refused_until_the_first_is_gone() {
    let mut compiler = Compiler::new();
    let folder = own("folder", &native("p", "1 == 1"));
    let cluster = part("ValidatingAdmissionPolicy/p", Scope::Audited, &native("p", "2 == 2"));
    let both = compiler.compile(&[folder, cluster.clone()]);
    let alone = compiler.compile(&[cluster]);
    insta::assert_snapshot!([shown(&both), shown(&alone)].join("\n\n"), @r#"
    enforced [p: 1 == 1 x1]
    InForce ValidatingAdmissionPolicy "p" has no binding: treated as bound everywhere with Deny
    NotInForce ValidatingAdmissionPolicy "p" is already defined in folder:3:18

    enforced [] audited [p: 2 == 2 x0]
    InForce ValidatingAdmissionPolicy "p" has no binding: it judges nothing
    "#);
}

#[test]
fn bindings_join_policies_of_their_own_scope_and_a_changed_one_renews_only_its_policy() {
    let mut compiler = Compiler::new();
    let parts = |action: &str| {
        [
            own("folder", &format!("{}---\n{}", native("own", "1 == 1"), native("other", "true"))),
            part("p", Scope::Audited, &native("p", "2 == 2")),
            part("q", Scope::Audited, &native("q", "3 == 3")),
            part("b", Scope::Audited, &binding("b", "p", action)),
            part("c", Scope::Audited, &binding("c", "own", action)),
        ]
    };
    let before = parts("Deny");
    let first = compiler.compile(&before);
    let mut after = before.clone();
    after[3] = parts("Warn")[3].clone();
    let second = compiler.compile(&after);
    insta::assert_snapshot!(shown(&first), @r#"
    enforced [other: true x1, own: 1 == 1 x1] audited [other: true x1, own: 1 == 1 x1, p: 2 == 2 x1, q: 3 == 3 x0]
    InForce ValidatingAdmissionPolicy "own" has no binding: treated as bound everywhere with Deny; ValidatingAdmissionPolicy "other" has no binding: treated as bound everywhere with Deny
    InForce
    InForce ValidatingAdmissionPolicy "q" has no binding: it judges nothing
    InForce
    InForce no ValidatingAdmissionPolicy named "own" was read: this binding does nothing
    "#);
    let (first, second) = (first.audited.unwrap(), second.audited.unwrap());
    let same: Vec<_> =
        first.policies.iter().zip(&second.policies).map(|(a, b)| (&*a.name, Arc::ptr_eq(a, b))).collect();
    assert_eq!(same, [("other", true), ("own", true), ("p", false), ("q", true)]);
    assert!(second.policies[2].bindings[0].actions.warn);
}

#[test]
fn the_table_of_field_names_is_made_anew_when_most_of_it_is_of_policies_that_are_gone() {
    let mut compiler = Compiler::new();
    let wide = |from: usize| {
        let fields: Vec<_> = (from..from + 500).map(|n| format!("has(object.f{n})")).collect();
        admission("wide", &fields.join(" || "))
    };
    let keeper = own("keeper", &admission("keeper", "object.kept == 1"));
    let sizes: Vec<usize> = (0..12)
        .map(|n| compiler.compile(&[keeper.clone(), own("wide", &wide(n * 500))]).enforced.symbols.len())
        .collect();
    let (most, last) = (sizes.iter().max().copied().unwrap_or_default(), sizes.last().copied().unwrap_or_default());
    assert!(most <= SYMBOLS_BEFORE_REBUILD && last < most, "{sizes:?}");
}

#[test]
fn a_part_with_more_policies_than_there_is_room_for_is_refused() {
    let mut names = Names::default();
    names.policies = MAX_POLICIES - 1;
    let two = own("folder", &format!("{}---\n{}", admission("a", "true"), admission("b", "true")));
    let refusal = names.claim(&two.sources).unwrap_err().to_string();
    assert!(refusal.contains("there are 9999 policies already, at most 10000 are taken"), "{refusal}");
    assert_eq!(names.claim(&own("a", &admission("a", "true")).sources), Ok(()));
}

fn exception(name: &str, policy: &str, expires: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: {name}, namespace: shop, \
         creationTimestamp: 2026-01-01T00:00:00Z}}\nspec: {{policies: [{{name: {policy}}}], images: ['**'], reason: r, \
         owner: o, expires: {expires}}}\n"
    )
}

#[test]
fn an_exception_takes_part_and_one_that_is_for_too_long_keeps_its_last_good_version() {
    let mut compiler = Compiler::new().max_exception_seconds(Some(3_000 * 86_400));
    let waived = |increment: &Increment| -> Vec<(String, i64)> {
        let of = |e: &crate::compiled::Exception| (format!("{}/{}", e.namespace, e.name), e.expires);
        increment.enforced.exceptions.iter().map(of).collect()
    };
    let good = own("e", &exception("e", "gone", "2030-01-01T00:00:00Z"));
    let first = compiler.compile(&[good, own("same", &exception("e", "gone", "2030-01-01T00:00:00Z"))]);
    let in_force = vec![("shop/e".to_owned(), 1_893_456_000)];
    assert_eq!(waived(&first), in_force);
    insta::assert_snapshot!(shown(&first), @r#"
    enforced []
    InForce no policy named "gone": it is not waived by this exception
    NotInForce PolicyException "shop/e" is already defined in e:3:18
    "#);
    let group = "apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: g}\nspec: {names: [a]}\n";
    let long = own("e", &exception("e", "a", "2040-01-01T00:00:00Z"));
    let second = compiler.compile(&[long, own("a", &admission("a", "true")), own("g", group)]);
    assert_eq!((waived(&second), second.enforced.groups.len()), (in_force, 1));
    insta::assert_snapshot!(shown(&second), @"
    enforced [a: true x1]
    LastGood Invalid value: at most 3000 days from its creation at 2026-01-01T00:00:00Z are allowed
    InForce
    InForce
    ");
}
