//! What a decision costs: against crate `cel`, and with a thousand policies of which twelve match.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures, on input of its own")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_benches::expressions::Programs;
use stockade_benches::inputs::{self, EXPRESSIONS};
use stockade_benches::measure::{at_least, at_most, figure, interleaved, micros, ratio};
use stockade_engine::{DecideOptions, Engine, FolderFacts, Verb};
use stockade_webhook::review;

/// Rounds in which the rows take turns, and calls of a row in each.
const TURNS: usize = 400;
const CALLS: u32 = 20;

/// Decodes and decides; all expressions hold of the Pod.
fn decide(engine: &Engine, facts: &FolderFacts, body: &[u8]) {
    review::with_arena(|arena| {
        let request = review::decode(body, arena, engine.symbols()).unwrap();
        let deadline = Some(Instant::now() + Duration::from_secs(10));
        let decision = engine.decide(
            &request,
            facts,
            arena,
            &DecideOptions { verb: Verb::Validate, deadline, ..DecideOptions::default() },
        );
        assert!(decision.allowed && decision.findings.is_empty(), "{decision:?}");
    });
}

fn main() {
    let pod = inputs::pod();
    let body = inputs::review(&pod);
    println!("Pod {} bytes, AdmissionReview {} bytes", pod.to_string().len(), body.len());
    against_cel(&pod, &body);
    among_many(&body);
}

fn against_cel(pod: &Json, body: &[u8]) {
    let (engine, facts) = (inputs::engine(&inputs::matching_policies()).unwrap(), FolderFacts::default());
    let ours = Programs::new().unwrap();
    let theirs: Vec<cel::Program> = EXPRESSIONS.iter().map(|e| cel::Program::compile(e).unwrap()).collect();
    let run = |context: &cel::Context<'_, '_>| {
        let held = theirs.iter().filter(|p| matches!(p.execute(context), Ok(cel::Value::Bool(true)))).count();
        assert_eq!(held, EXPRESSIONS.len());
    };
    let mut context = cel::Context::default();
    context.add_variable("object", pod).unwrap();
    let documents = Bump::new();
    let object = ours.object(body, &documents).unwrap();
    let mut arena = Bump::new();
    let [decoding, whole, their_whole, evaluating, their_evaluating] = interleaved(
        TURNS,
        CALLS,
        [
            &mut || {
                review::with_arena(|arena| {
                    black_box(review::decode(body, arena, engine.symbols()).unwrap().uid.len());
                });
            },
            &mut || decide(&engine, &facts, body),
            &mut || {
                let review: Json = serde_json::from_slice(body).unwrap();
                let mut context = cel::Context::default();
                context.add_variable("object", &review["request"]["object"]).unwrap();
                run(&context);
            },
            &mut || {
                arena.reset();
                assert_eq!(ours.holding(object, &arena), EXPRESSIONS.len());
            },
            &mut || run(&context),
        ],
    );
    figure("decode", micros(decoding), "µs");
    figure("12 expressions", micros(evaluating), "µs");
    figure("12 expressions, crate cel", micros(their_evaluating), "µs");
    at_least("12 expressions: crate cel / stockade", ratio(their_evaluating, evaluating), 100.0, "×");
    at_most("decode + match + 12 policies", micros(whole), 50.0, "µs");
    figure("decode + 12 expressions, crate cel", micros(their_whole), "µs");
    at_least("decode + match + 12: crate cel / stockade", ratio(their_whole, whole), 18.0, "×");
}

fn among_many(body: &[u8]) {
    let twelve = inputs::engine(&inputs::matching_policies()).unwrap();
    let many = inputs::engine(&[inputs::matching_policies(), inputs::other_policies()].concat()).unwrap();
    assert_eq!(many.set().policies.len(), inputs::MANY);
    let facts = FolderFacts::default();
    let [few, many] =
        interleaved(TURNS, CALLS, [&mut || decide(&twelve, &facts, body), &mut || decide(&many, &facts, body)]);
    figure("12 policies alone", micros(few), "µs");
    figure("1,000 policies of which 12 match", micros(many), "µs");
    at_most("1,000 policies of which 12 match / 12 policies", ratio(many, few), 1.2, "×");
}
