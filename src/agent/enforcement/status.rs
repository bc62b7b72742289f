//! The kernel, looked at.

use std::fs;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use stockade_node::node_enforcement::{Canary, EnforcedPolicy, NodeEnforcementStatus, Program};

use super::{canary, capabilities};
use crate::agent::View;
use crate::desired::{Desired, PolicyState};
use crate::gate::install::Chain;
use crate::kernel::{AttachedBy, Kernel, KernelError, Translated};
use crate::readback;

/// Most policies that are told of; that there are more is seen by their count.
const MAX_POLICIES: usize = 1_000;
/// Longest text of a fault, in bytes.
const MAX_TEXT: usize = 1_024;

/// What was seen.
struct Seen {
    programs: Vec<Program>,
    attach: String,
    endpoints: usize,
    digest: String,
    canary: Canary,
    /// What is not as it must be.
    fault: Option<String>,
}

/// Reads back and tries. What cannot be read is a fault. Times of conditions are those of `before` where they say the same.
pub(super) fn look(
    kernel: &Kernel,
    view: &View,
    chain: &Chain,
    before: &NodeEnforcementStatus,
) -> NodeEnforcementStatus {
    let now = Time(Timestamp::now());
    let mut status = NodeEnforcementStatus {
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: capabilities::effective().unwrap_or_default(),
        observed_time: Some(now.clone()),
        ..NodeEnforcementStatus::default()
    };
    let desired = view.desired.as_deref();
    let policies = desired.map(policies).unwrap_or_default();
    status.policy_count = policies.len() as u32;
    status.policies = policies.into_iter().take(MAX_POLICIES).collect();
    let fault = match see(kernel, desired, &now) {
        Ok(read) => {
            status.programs = read.programs;
            status.attach = read.attach;
            status.endpoints = read.endpoints as u32;
            status.tables_digest = read.digest;
            status.canary = Some(read.canary);
            read.fault
        }
        Err(error) => Some(error.to_string()),
    };
    let nothing = || desired.is_none().then(|| "the API server has not told everything yet".to_owned());
    let fault = view.fault.clone().or_else(nothing).or(fault);
    let conditions = [ready(fault), gated(chain), judged_behind_services(view)];
    status.conditions = conditions.into_iter().map(|condition| timed(condition, before, &now)).collect();
    status
}

fn see(kernel: &Kernel, desired: Option<&Desired>, now: &Time) -> Result<Seen, KernelError> {
    let attached = kernel.attached()?;
    let on = |name: &str| match name {
        "from_pod" => attached.values().filter(|has| has.from_pod.is_some()).count(),
        "to_pod" => attached.values().filter(|has| has.to_pod.is_some()).count(),
        _ => usize::from(kernel.translated()),
    };
    let programs = kernel.programs()?.into_iter().map(|program| Program {
        attached: on(&program.name) as u32,
        tag: crate::hex(&program.tag),
        name: program.name,
    });
    let attach = attached.values().next().map(|has| match has.by {
        AttachedBy::Tcx => "tcx",
        AttachedBy::Clsact => "clsact",
    });
    let message = canary::attempt(kernel)?;
    let canary = Canary { time: now.clone(), refused: message.is_none(), message: message.map(str::to_owned) };
    let held = readback::read_back(kernel, desired.map(|desired| &desired.contents))?;
    let bare = held
        .endpoints
        .keys()
        .find(|interface| attached.get(interface).is_none_or(|has| has.from_pod.is_none() || has.to_pod.is_none()));
    let fault = match (&canary.message, held.lacks, bare) {
        (Some(message), ..) => Some(message.clone()),
        (None, Some(table), _) => Some(format!("the kernel's table of {table} is not as it was written")),
        (None, None, Some(interface)) => Some(format!("interface {interface} of a Pod lacks a program")),
        (None, None, None) => None,
    };
    Ok(Seen {
        programs: programs.collect(),
        attach: attach.unwrap_or_default().to_owned(),
        endpoints: held.endpoints.len(),
        digest: held.digest,
        canary,
        fault,
    })
}

fn policies(desired: &Desired) -> Vec<EnforcedPolicy> {
    let told = desired.policies.iter().map(|policy| {
        let (generation, refused) = match &policy.state {
            PolicyState::Planned => (Some(policy.generation), None),
            PolicyState::Closed(why) => (Some(policy.generation), Some(cut(why))),
            PolicyState::Refused { why, held } => (*held, Some(cut(why))),
        };
        EnforcedPolicy {
            kind: policy.kind.clone(),
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
            generation,
            refused,
        }
    });
    told.collect()
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// A condition without its time: type, status, reason, message.
type Said = (&'static str, &'static str, &'static str, String);

fn ready(fault: Option<String>) -> Said {
    match fault {
        None => ("Ready", "True", "ReadBack", "the kernel holds what policies ask for".to_owned()),
        Some(fault) => ("Ready", "False", "Fault", cut(&fault)),
    }
}

fn gated(chain: &Chain) -> Said {
    match chain {
        Chain::Unknown => ("Gated", "Unknown", "NotChained", "no start gate was asked for".to_owned()),
        Chain::Chained(file) => ("Gated", "True", "Chained", cut(file)),
        Chain::NoNetwork => ("Gated", "True", "NoNetwork", "the node has no network for Pods yet".to_owned()),
        Chain::Refused(why) => ("Gated", "False", "Refused", cut(why)),
    }
}

fn judged_behind_services(view: &View) -> Said {
    match &view.translated {
        None => ("Translated", "Unknown", "NotTried", String::new()),
        Some(Translated::Judged) => {
            ("Translated", "True", "Judged", "packets to Services are judged by whom they reach".to_owned())
        }
        Some(Translated::AsTheyAre { refused }) => ("Translated", "False", "Refused", cut(refused)),
    }
}

fn timed((kind, said, reason, message): Said, before: &NodeEnforcementStatus, now: &Time) -> Condition {
    let same = before.conditions.iter().find(|condition| condition.type_ == kind && condition.status == said);
    Condition {
        type_: kind.to_owned(),
        status: said.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: same.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone()),
        observed_generation: None,
    }
}
