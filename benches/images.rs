//! What it costs to ask whether images are signed: known already, asked over a slow link, asked by many at once; and
//! what ten thousand of them take in memory.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures, on input of its own")]

use std::time::{Duration, Instant};

use serde_json::json;
use stockade_benches::inputs;
use stockade_benches::measure::{at_least, at_most, figure, interleaved, micros, resident};
use stockade_benches::registry::{Registry, Shelf};
use stockade_benches::signed::{SignedPod, images, judge, policy};
use stockade_engine::FolderFacts;
use stockade_engine::images::{Answer, ImageFacts as _, Wanted, WithImages};
use stockade_images::Images;
use stockade_mint::Key;
use stockade_policy::images::ImageReference;
use tokio::runtime::Runtime;

/// Rounds in which the rows take turns, and calls of a row in each.
const TURNS: usize = 400;
const CALLS: u32 = 20;
/// Of the slow link.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// Least round trips from an image's tag to its four signatures: a connection; the tag; three more connections beside it;
/// on these four at once the list of referrers, its fallback tag, and cosign's two tags; the four manifests that the list
/// names; their four contents. Each needs what the one before it brought.
const ROUND_TRIPS: u32 = 6;
/// Signatures of the image that is asked for over it.
const SIGNATURES: usize = 4;
/// Cold requests over it, of which the median counts.
const COLD: usize = 9;
/// Pods that come at once.
const PODS: usize = 200;
/// Images that are remembered at a time.
const MANY: usize = 10_000;
/// Of these, how many are asked for at a time.
const AT_ONCE: usize = 200;
/// What a server with the packs may have resident while it is idle, as `make bench` has it.
const IDLE_MIB: f64 = 30.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // First, while little else is resident.
    many(&runtime);
    warm(&runtime);
    cold(&runtime);
    at_once(&runtime);
}

/// A Pod whose images are known already, beside the same policies without the one about images.
fn warm(runtime: &Runtime) {
    let SignedPod { body, policy } = SignedPod::new().unwrap();
    let without = inputs::matching_policies().into_iter().take(1).collect::<Vec<_>>();
    let with = inputs::engine(&[without.clone(), vec![policy]].concat()).unwrap();
    let (without, images, facts) = (inputs::engine(&without).unwrap(), images(), FolderFacts::default());
    let knowing = WithImages { facts: &facts, images: &images };
    gather(runtime, &images, judge(&with, &knowing, &body).unwrap());
    let review = |engine| assert!(judge(engine, &knowing, &body).unwrap().is_empty());
    let [plain, images] = interleaved(TURNS, CALLS, [&mut || review(&without), &mut || review(&with)]);
    figure("review of a Pod by one policy", micros(plain), "µs");
    figure("and its 3 images by an image policy, known already", micros(images), "µs");
    at_most("what 3 known images cost", micros(images.saturating_sub(plain)), 20.0, "µs");
}

fn gather(runtime: &Runtime, images: &Images, wanted: Vec<Wanted>) {
    runtime.block_on(images.gather(wanted, (Instant::now() + Duration::from_secs(30)).into()));
}

/// What is wanted of an image by the policy.
fn wanted(key: &Key, registry: &Registry) -> Wanted {
    let mut pod = inputs::pod();
    pod["spec"]["containers"] = json!([{"name": "a", "image": format!("{}/app:0", registry.address)}]);
    let (engine, images, facts) = (inputs::engine(&[policy(key, registry)]).unwrap(), images(), FolderFacts::default());
    judge(&engine, &WithImages { facts: &facts, images: &images }, &inputs::review(&pod)).unwrap().remove(0)
}

fn assert_verified(images: &Images, wanted: &Wanted) {
    let evidence = images.evidence(wanted).unwrap();
    assert!(matches!(evidence.signatures[0].1, Answer::Verified(_)), "{evidence:?}");
}

fn cold(runtime: &Runtime) {
    let (key, others) = (Key::p256(), [(); SIGNATURES - 1].map(|()| Key::p256()));
    let mut shelf = Shelf::default();
    shelf.add("app", "0", &[&others[0], &others[1], &others[2], &key]);
    let registry = Registry::start(shelf, ROUND_TRIP).unwrap();
    let wanted = wanted(&key, &registry);
    let mut times: Vec<Duration> = (0..COLD)
        .map(|_| {
            let images = images();
            let from = Instant::now();
            gather(runtime, &images, vec![wanted.clone()]);
            let took = from.elapsed();
            assert_verified(&images, &wanted);
            took
        })
        .collect();
    times.sort_unstable();
    let least = ROUND_TRIP * ROUND_TRIPS;
    let median = times[COLD / 2];
    figure("cold, 4 signatures over a link of 50 ms", median.as_secs_f64() * 1e3, "ms");
    at_most("that, of the least that 6 round trips take", median.as_secs_f64() / least.as_secs_f64(), 1.2, "×");
}

fn at_once(runtime: &Runtime) {
    let (key, mut shelf) = (Key::p256(), Shelf::default());
    shelf.add("app", "0", &[]);
    let registry = Registry::start(shelf, ROUND_TRIP).unwrap();
    let wanted = wanted(&key, &registry);
    gather(runtime, &images(), vec![wanted.clone()]);
    let once = registry.asked();
    gather(runtime, &images(), vec![wanted; PODS]);
    figure("requests for an image that nobody signed", once as f64, "");
    at_most("requests for it by 200 Pods at once", (registry.asked() - once) as f64, once as f64, "");
}

fn many(runtime: &Runtime) {
    let (key, mut shelf) = (Key::p256(), Shelf::default());
    for number in 0..MANY {
        shelf.add("app", &number.to_string(), &[&key]);
    }
    let registry = Registry::start(shelf, Duration::ZERO).unwrap();
    let (images, one) = (images(), wanted(&key, &registry));
    let all: Vec<Wanted> = (0..MANY)
        .map(|number| {
            let reference = ImageReference::parse(&format!("{}/app:{number}", registry.address)).unwrap();
            Wanted { reference, ..one.clone() }
        })
        .collect();
    let before = resident("self").unwrap();
    let from = Instant::now();
    for some in all.chunks(AT_ONCE) {
        gather(runtime, &images, some.to_vec());
        assert_verified(&images, &some[0]);
    }
    println!("{MANY} images looked at in {:.1} s, {} requests", from.elapsed().as_secs_f64(), registry.asked());
    let after = resident("self").unwrap();
    let known = all.iter().filter(|wanted| images.evidence(wanted).is_some()).count();
    at_least("images known at the end", known as f64, MANY as f64, "");
    figure("resident with a registry of 10,000 images in this process", before, "MiB");
    at_most("resident, 10,000 images remembered, beside an idle server", after - before + IDLE_MIB, 150.0, "MiB");
}
