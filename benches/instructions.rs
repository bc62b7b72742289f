//! Instructions of the hot paths, counted by callgrind, against committed ceilings. Unlike time they are the same on
//! a busy machine, so that a test can hold them.
//!
//! Without arguments it runs itself under valgrind and compares; `--write` sets new ceilings.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints figures")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bumpalo::Bump;
use stockade_benches::expressions::Programs;
use stockade_benches::inputs;
use stockade_benches::reviewer::Policies;
use stockade_benches::signed::{self, SignedPod};
use stockade_engine::images::WithImages;
use stockade_engine::{DecideOptions, FolderFacts};
use stockade_webhook::{Reviewer as _, Verb, review};

type Failure = Box<dyn std::error::Error>;

/// What is counted, in the order of the output, and how often it is run: the shorter, the more often.
const PATHS: [(&str, u64); 5] =
    [("decode", 1500), ("match", 30_000), ("expressions", 5000), ("judge", 1500), ("images", 300)];

/// Iterations before those that count. A run of them alone is subtracted, and with it the start, whose hash maps with
/// random seeds make it vary by some hundred thousand instructions.
const WARMING: u64 = 100;

/// Head of the file of ceilings.
const EXPLAINED: &str = "\
# Most instructions that one iteration of a hot path may take, as `make instructions` counts them: the measured figure
# and a tenth. `make instructions WRITE=1` sets them anew; say in the commit why they rose.
#
# decode       the AdmissionReview with a Pod of 8.2 KB
# match        that request against 988 policies of which none matches
# expressions  12 expressions on that Pod
# judge        bytes to decision to bytes, 1,000 policies of which 12 match
# images       bytes to decision to bytes, an image policy about 3 images that are known to be signed
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => compare(),
        ["--write"] => write(),
        [path, iterations] => iterate(path, iterations).map(|()| ExitCode::SUCCESS),
        _ => Err("arguments: none, or --write".into()),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::FAILURE
    })
}

fn ceilings_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ceilings.toml")
}

fn compare() -> Result<ExitCode, Failure> {
    let ceilings: BTreeMap<String, u64> = toml::from_str(&std::fs::read_to_string(ceilings_file())?)?;
    let mut good = ceilings.len() == PATHS.len();
    for (path, iterations) in PATHS {
        let counted = count(path, iterations)?;
        let ceiling = *ceilings.get(path).ok_or_else(|| format!("no ceiling for {path}"))?;
        let says = match counted {
            n if n > ceiling => "ABOVE the ceiling",
            // Further below than a fresh ceiling would be.
            n if n + n / 5 < ceiling => "ok; lower the ceiling (make instructions WRITE=1)",
            _ => "ok",
        };
        good &= counted <= ceiling;
        println!("{path:12} {counted:>9} instructions, ceiling {ceiling:>9}: {says}");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write() -> Result<ExitCode, Failure> {
    let mut text = EXPLAINED.to_owned();
    for (path, iterations) in PATHS {
        let counted = count(path, iterations)?;
        println!("{path:12} {counted:>9} instructions");
        writeln!(text, "{path} = {}", counted + counted / 10)?;
    }
    std::fs::write(ceilings_file(), text)?;
    Ok(ExitCode::SUCCESS)
}

/// Instructions of one iteration.
fn count(path: &str, iterations: u64) -> Result<u64, Failure> {
    let (warming, all) = (start(path, WARMING)?, start(path, WARMING + iterations)?);
    Ok(end(path, all)?.saturating_sub(end(path, warming)?) / iterations)
}

/// Starts this program under callgrind.
fn start(path: &str, iterations: u64) -> Result<Child, Failure> {
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([path, &iterations.to_string()])
        .stderr(Stdio::piped())
        .spawn();
    child.map_err(|e| format!("valgrind: {e}").into())
}

/// Instructions of the whole run.
fn end(path: &str, run: Child) -> Result<u64, Failure> {
    let output = run.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|l| l.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(instructions) if output.status.success() => Ok(instructions),
        _ => Err(format!("{path} under valgrind: {}\n{said}", output.status).into()),
    }
}

/// What runs under valgrind.
fn iterate(path: &str, iterations: &str) -> Result<(), Failure> {
    let body = inputs::review(&inputs::pod());
    let far = Instant::now() + Duration::from_secs(3600);
    let matching = inputs::matching_policies();
    let times = 0..iterations.parse::<u64>()?;
    match path {
        "decode" => {
            let engine = inputs::engine(&matching)?;
            for _ in times {
                let decode = |a: &Bump| review::decode(&body, a, engine.symbols()).map(|r| black_box(r.uid.len()));
                review::with_arena(decode)?;
            }
        }
        "match" => {
            let engine = inputs::engine(&inputs::other_policies())?;
            let (documents, facts, mut arena) = (Bump::new(), FolderFacts::default(), Bump::new());
            let options = DecideOptions {
                verb: stockade_engine::Verb::Validate,
                deadline: Some(far),
                ..DecideOptions::default()
            };
            let request = review::decode(&body, &documents, engine.symbols())?;
            for _ in times {
                arena.reset();
                black_box(engine.decide(&request, &facts, &arena, &options).allowed);
            }
        }
        "expressions" => {
            let (programs, documents, mut arena) = (Programs::new()?, Bump::new(), Bump::new());
            let object = programs.object(&body, &documents).ok_or("no object")?;
            for _ in times {
                arena.reset();
                black_box(programs.holding(object, &arena));
            }
        }
        "judge" => {
            let reviewer = Policies::new(inputs::engine(&[matching, inputs::other_policies()].concat())?);
            for _ in times {
                black_box(reviewer.review(Verb::Validate, &body, far)?);
            }
        }
        "images" => {
            let (pod, images, facts) = (SignedPod::new()?, signed::images(), FolderFacts::default());
            let engine = inputs::engine(&[pod.policy])?;
            let knowing = WithImages { facts: &facts, images: &images };
            let judge = || signed::judge(&engine, &knowing, &pod.body);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(images.gather(judge()?, far.into()));
            for _ in times {
                if !judge()?.is_empty() {
                    return Err("what was known of the images was forgotten before they had all been judged".into());
                }
            }
        }
        _ => return Err(format!("no path {path:?}").into()),
    }
    Ok(())
}
