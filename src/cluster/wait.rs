//! The two questions that a request may have to ask the API server, and how its task waits for the answer.

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs a future on the runtime and waits for it, at most `limit`; none when it did not end in time.
///
/// A request is judged synchronously, on its own task. The future runs on a task of its own and the waiting thread is
/// given up by the runtime first, so that a slow API server holds up this request and no other. Called where the
/// runtime cannot do so, on a runtime of one thread, it ends after `limit` without an answer.
pub(crate) fn wait<T: Send + 'static>(
    runtime: &Handle,
    limit: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        if let Ok(value) = tokio::time::timeout(limit, future).await {
            // Nobody waits any more when the limit passed just now.
            let _ = answer.try_send(value);
        }
    });
    let receive = || answered.recv_timeout(limit).ok();
    match Handle::try_current().map(|here| here.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(receive),
        _ => receive(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_wait_gives_the_answer_or_ends_at_its_limit() {
        let here = Handle::current();
        assert_eq!(wait(&here, Duration::from_secs(60), async { 7 }), Some(7));
        assert_eq!(wait(&here, Duration::from_millis(1), std::future::pending::<u8>()), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_run_while_one_waits() {
        let here = Handle::current();
        let (started, other) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(async move { wait(&here, Duration::from_secs(60), async { other.await.ok() }) });
        tokio::spawn(async move { started.send(7) }).await.unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Some(7)));
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_gets_no_answer_instead_of_a_panic() {
        assert_eq!(wait(&Handle::current(), Duration::from_millis(1), async { 7 }), None);
    }
}
