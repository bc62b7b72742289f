//! An evaluation allocates in its arena only.

use bumpalo::Bump;
use stockade_cel::functions::Scope;
use stockade_cel::{Env, Evaluation, Program, Symbols, Type, document};

const POD: &str = r#"{"metadata": {"name": "web-0", "labels": {"app": "web", "tier": "front"}}, "spec": {
    "containers": [{"name": "a", "image": "r.example.com/a:1", "resources": {"limits": {"memory": "128Mi"}}},
                   {"name": "b", "image": "r.example.com/b:2", "ports": [{"containerPort": 8080}]}]}}"#;

#[test]
fn evaluating_allocates_nothing_on_the_heap() {
    let expressions = [
        "object.spec.containers.all(c, c.image.startsWith('r.example.com/') && !c.image.endsWith(':latest'))",
        "object.spec.containers.exists(c, has(c.ports) && c.ports.all(p, p.containerPort > 1024))",
        "object.spec.containers.filter(c, has(c.resources)).map(c, c.name + '!') == ['a!']",
        "object.metadata.labels.all(k, v, k.matches('^[a-z]+$') && v in ['web', 'front'])",
        "object.metadata.labels.transformMap(k, v, v.size()) == {'app': 3, 'tier': 5}",
        "object.?spec.?missing.orValue({'a': ['1', '2', string(3)]}).a.size() == 3",
        "quantity(object.spec.containers[0].resources.limits.memory).compareTo(quantity('1Gi')) < 0",
        "object.none == 1 || object.metadata.name.matches('^web-[0-9]+$')",
        "timestamp('2026-01-01T00:00:00Z') + duration('36h') > timestamp('2026-01-02T00:00:00Z')",
    ];
    let mut symbols = Symbols::new();
    let env = Env::kubernetes().variable("object", Type::Dyn);
    let programs: Vec<Program> = expressions.iter().map(|e| env.compile(e, &mut symbols).expect("compiles")).collect();
    let arena = Bump::with_capacity(1 << 20);
    let roots = [document::decode(POD.as_bytes(), &arena, &symbols).expect("a document")];
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    for (expression, program) in expressions.iter().zip(&programs) {
        let evaluate = || Evaluation::new(scope, &roots, &[]).evaluate(program, u64::MAX).result;
        // The first use of a regular expression makes its cache.
        let value = evaluate().map_err(|e| e.kind.to_string());
        assert_eq!(value.map(|v| v.as_bool()), Ok(Some(true)), "{expression}");
        let counted = allocation_counter::measure(|| {
            std::hint::black_box(evaluate().is_ok());
        });
        assert_eq!(counted.count_total, 0, "{expression}");
    }
}
