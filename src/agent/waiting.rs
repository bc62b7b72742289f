//! Whoever waits for a Pod to be in the kernel.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::hold::{GateError, PodName, PodRequest};
use crate::inputs::Inputs;

/// How long a Pod may be unknown to the watch of Pods before it is let go on closed: a kubelet that starts it has seen it
/// by a watch of its own.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// Those who wait.
#[derive(Debug, Default)]
pub struct Waiting {
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    request: PodRequest,
    since: Instant,
    /// It was looked at after [`KNOWN_WITHIN`]: from then on only what is told can help.
    is_late: bool,
    answer: oneshot::Sender<Result<(), GateError>>,
}

// === impl Waiting ===

impl Waiting {
    /// Adds one.
    pub fn add(&mut self, request: PodRequest, answer: oneshot::Sender<Result<(), GateError>>) {
        self.waiting.push(Waiter { request, since: Instant::now(), is_late: false, answer });
    }

    /// Answers those whose Pod the kernel holds, by what is known of it; forgets those who do not wait any more.
    pub fn answer(&mut self, is_held: impl Fn(&PodRequest) -> bool, inputs: &Inputs) {
        for mut waiter in std::mem::take(&mut self.waiting) {
            waiter.is_late = waiter.since.elapsed() >= KNOWN_WITHIN;
            let is_known = waiter.is_late || is_known(&waiter.request.pod, inputs);
            if is_known && is_held(&waiter.request) {
                // Whoever asked may be gone.
                drop(waiter.answer.send(Ok(())));
            } else if !waiter.answer.is_closed() {
                self.waiting.push(waiter);
            }
        }
    }

    /// When to look again, though nothing changes.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.iter().filter(|waiter| !waiter.is_late).map(|waiter| waiter.since + KNOWN_WITHIN).min()
    }
}

fn is_known(pod: &PodName, inputs: &Inputs) -> bool {
    inputs.pods.contains_key(&pod.uid)
        || inputs.pods.values().any(|facts| facts.namespace == pod.namespace && facts.name == pod.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::HostInterface;
    use crate::inputs::PodFacts;

    #[tokio::test(start_paused = true)]
    async fn who_is_late_is_looked_at_once_when_that_begins_and_then_when_something_changes() {
        let pod = PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "u".to_owned() };
        let interface = HostInterface { index: 7, name: "veth7".to_owned() };
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let (answer, _waits) = oneshot::channel();
        waiting.add(PodRequest { pod, interface, addresses: Vec::new() }, answer);
        waiting.answer(|_| false, &Inputs::default());
        tokio::time::sleep(KNOWN_WITHIN * 2).await;
        assert_eq!(waiting.next(), Some(start + KNOWN_WITHIN), "nobody has looked since");
        waiting.answer(|_| false, &Inputs::default());
        assert_eq!(waiting.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_answered_when_the_pod_is_held_and_known_or_unknown_for_long() {
        let pod = PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "u".to_owned() };
        let interface = HostInterface { index: 7, name: "veth7".to_owned() };
        let request = PodRequest { pod, interface, addresses: vec!["10.0.0.7".parse().unwrap()] };
        let (mut waiting, mut inputs) = (Waiting::default(), Inputs::default());
        let [(a, mut first), (b, mut second)] = [oneshot::channel(), oneshot::channel()];
        waiting.add(request.clone(), a);
        let held = |asked: &PodRequest| *asked == request;
        waiting.answer(held, &inputs);
        assert!(first.try_recv().is_err());
        inputs.pods.insert("u".to_owned(), PodFacts::default());
        waiting.answer(|_| false, &inputs);
        assert!(first.try_recv().is_err());
        waiting.answer(held, &inputs);
        assert_eq!(first.try_recv(), Ok(Ok(())));
        waiting.add(request.clone(), b);
        tokio::time::sleep_until(waiting.next().unwrap()).await;
        waiting.answer(held, &Inputs::default());
        assert_eq!(second.try_recv(), Ok(Ok(())));
        assert_eq!(waiting.next(), None);
    }
}
