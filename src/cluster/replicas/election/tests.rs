use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tokio::task::JoinHandle;

use super::*;
use crate::replicas::fake::{Link, Store};

/// One replica that stands for election.
struct Candidate {
    leadership: watch::Receiver<bool>,
    link: Link,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn candidate(store: &Arc<Store>, identity: &str) -> Candidate {
    let (link, stop) = (Link::default(), CancellationToken::new());
    let (leading, leadership) = watch::channel(false);
    let election = Election::new(store.connect(&link), identity.to_owned(), Times::default(), leading);
    let task = tokio::spawn(election.run(stop.clone()));
    Candidate { leadership, link, stop, task }
}

/// Steps through time and notes who leads whenever that changes.
async fn history(candidates: &[Candidate], lasting: Duration) -> Vec<(Duration, Vec<usize>)> {
    let (began, mut history) = (Instant::now(), Vec::new());
    while began.elapsed() < lasting {
        let leaders: Vec<usize> = (0..candidates.len()).filter(|at| *candidates[*at].leadership.borrow()).collect();
        if history.last().is_none_or(|(_, before)| *before != leaders) {
            history.push((began.elapsed(), leaders));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    history
}

fn leaders(history: &[(Duration, Vec<usize>)]) -> Vec<&[usize]> {
    history.iter().map(|(_, leaders)| &leaders[..]).collect()
}

async fn until_one_leads(candidates: &[Candidate]) -> usize {
    history(candidates, Duration::from_secs(5)).await;
    let leading: Vec<usize> = (0..candidates.len()).filter(|at| *candidates[*at].leadership.borrow()).collect();
    assert_eq!(leading.len(), 1);
    leading[0]
}

fn holder(store: &Store) -> Option<String> {
    store.lease(LEADER_LEASE)?.spec?.holder_identity
}

#[tokio::test(start_paused = true)]
async fn of_three_that_start_together_one_leads_and_stays() {
    let store = Arc::new(Store::default());
    let candidates = ["a", "b", "c"].map(|identity| candidate(&store, identity));
    let leader = until_one_leads(&candidates).await;
    let history = history(&candidates, Duration::from_secs(300)).await;
    assert_eq!(leaders(&history), [[leader]]);
    assert_eq!(holder(&store).as_deref(), Some(["a", "b", "c"][leader]));
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_stops_before_another_begins_whether_requests_fail_or_hang() {
    for hang in [false, true] {
        let store = Arc::new(Store::default());
        let candidates = ["a", "b", "c"].map(|identity| candidate(&store, identity));
        let old = until_one_leads(&candidates).await;
        let link = &candidates[old].link;
        if hang { &link.mute } else { &link.down }.store(true, SeqCst);
        let history = history(&candidates, Duration::from_secs(60)).await;
        let [(_, first), (ended, nobody), (taken, next)] = &history[..] else { panic!("{history:?}") };
        assert_eq!((&first[..], &nobody[..], next.len()), (&[old][..], &[][..], 1));
        assert_ne!(next[0], old);
        // From the last renewal: 10 s until the old leader ends; 15 s, and two jittered attempts, until the next.
        assert!(*ended <= Duration::from_secs(10) + Duration::from_millis(20), "{history:?}");
        assert!(*taken <= Duration::from_secs(24), "{history:?}");

        // Connected again, it follows.
        if hang { &link.mute } else { &link.down }.store(false, SeqCst);
        let history = self::history(&candidates, Duration::from_secs(60)).await;
        assert_eq!(leaders(&history), [&next[..]]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_api_server_is_away_for_minutes_nobody_leads_nobody_ends_and_one_leads_again() {
    let store = Arc::new(Store::default());
    let candidates = ["a", "b", "c"].map(|identity| candidate(&store, identity));
    until_one_leads(&candidates).await;
    candidates.iter().for_each(|c| c.link.down.store(true, SeqCst));
    let away = history(&candidates, Duration::from_secs(600)).await;
    assert_eq!(away.last().map(|(_, leaders)| leaders.len()), Some(0));
    candidates.iter().for_each(|c| c.link.down.store(false, SeqCst));
    until_one_leads(&candidates).await;
    assert!(candidates.iter().all(|c| !c.task.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over_without_waiting_for_the_lease_to_end() {
    let store = Arc::new(Store::default());
    let candidates = ["a", "b", "c"].map(|identity| candidate(&store, identity));
    let old = until_one_leads(&candidates).await;
    candidates[old].stop.cancel();
    let history = history(&candidates, Duration::from_secs(10)).await;
    let (taken, next) = history.last().unwrap();
    assert!(next.len() == 1 && next[0] != old && *taken < Duration::from_secs(6), "{history:?}");
    assert!(candidates[old].task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_task_is_dropped_does_not_go_on_leading() {
    let store = Arc::new(Store::default());
    let candidates = [candidate(&store, "a")];
    until_one_leads(&candidates).await;
    candidates[0].task.abort();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!*candidates[0].leadership.borrow());
}

#[tokio::test(start_paused = true)]
async fn clocks_of_other_nodes_do_not_matter() {
    let store = Arc::new(Store::default());
    let first = [candidate(&store, "a")];
    until_one_leads(&first).await;
    // Renewed, by its own clock, decades ago; and still renewing.
    let second = candidate(&store, "b");
    let all = [first.into_iter().next().unwrap(), second];
    let skewed = store.connect(&Link::default());
    for _ in 0..30 {
        if let Some(mut lease) = store.lease(LEADER_LEASE) {
            lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
            let _ = skewed.replace(LEADER_LEASE, &PostParams::default(), &lease).await;
        }
        let history = history(&all, Duration::from_secs(1)).await;
        assert_eq!(leaders(&history), [[0]]);
    }
}
