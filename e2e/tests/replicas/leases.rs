//! Leases: one leads, never two; the dead are given up; an API server that is away does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use stockade_cluster::policies::{Observed, SourceKind};
use stockade_cluster::replicas::{self, Inputs, Leadership, Replica, Replicas, Times};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::tools;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{NAMESPACE, access, install, runtime, until};

const IDENTITIES: [&str; 3] = ["stockade-a", "stockade-b", "stockade-c"];

struct Node {
    leadership: Leadership,
    replicas: Replicas,
    ready: watch::Sender<bool>,
    observed: watch::Sender<Observed>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(runtime: &Runtime, cluster: &Cluster, identity: &str) -> Node {
    let access = runtime.block_on(access(cluster, identity));
    let ((ready, ready_in), (observed, observed_in)) = (watch::channel(false), watch::channel(Observed::default()));
    let inputs = Inputs { ready: ready_in, observed: observed_in, pod_uid: None };
    let stop = CancellationToken::new();
    let (leadership, replicas, task) = replicas::run(&access, inputs, Times::default(), stop.clone());
    Node { leadership, replicas, ready, observed, stop, task: runtime.spawn(task) }
}

/// Looks all the time at who leads and who is seen.
struct Sampler {
    most_leaders: Arc<AtomicUsize>,
    fewest_seen: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    fn start(nodes: &[Node]) -> Sampler {
        let all: Vec<_> = nodes.iter().map(|node| (node.leadership.clone(), node.replicas.clone())).collect();
        let (most_leaders, fewest_seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let stop = Arc::new(AtomicBool::new(false));
        let (most, fewest, stopped) = (most_leaders.clone(), fewest_seen.clone(), stop.clone());
        let look = move || {
            let mut looks = 0;
            while !stopped.load(Ordering::Relaxed) {
                most.fetch_max(all.iter().filter(|(leads, _)| *leads.borrow()).count(), Ordering::Relaxed);
                let live = all.iter().filter(|(leads, _)| leads.has_changed().is_ok());
                let seen = live.map(|(_, seen)| seen.borrow().len()).min().unwrap_or(0);
                fewest.fetch_min(seen, Ordering::Relaxed);
                looks += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            looks
        };
        Sampler { most_leaders, fewest_seen, stop, thread: std::thread::spawn(look) }
    }
}

fn leader(nodes: &[Node]) -> Option<usize> {
    nodes.iter().position(|node| *node.leadership.borrow())
}

fn seen(node: &Node) -> Vec<Replica> {
    node.replicas.borrow().to_vec()
}

#[test]
fn one_leads_another_follows_it_and_an_api_server_that_is_away_ends_nobody() {
    if !tools::present() {
        return;
    }
    let (cluster, runtime) = (Cluster::start(), runtime());
    install(&cluster);
    let nodes = IDENTITIES.map(|identity| start(&runtime, &cluster, identity));
    let took = until("one leads", || leader(&nodes).is_some());
    eprintln!("of three replicas started together one leads after {took:?}");
    let sampler = Sampler::start(&nodes);
    everybody_sees_what_everybody_tells(&nodes);

    let dead = leader(&nodes).unwrap();
    nodes[dead].task.abort();
    let takes_over = || leader(&nodes).is_some_and(|next| next != dead);
    let took = until("another leads", takes_over);
    eprintln!("after the leader died another leads after {took:?}");
    let live: Vec<usize> = (0..3).filter(|at| *at != dead).collect();
    let given_up = || live.iter().all(|at| seen(&nodes[*at]).len() == 2);
    let took = until("the dead is given up", given_up);
    eprintln!("and is no longer counted {took:?} later");

    sampler.fewest_seen.store(usize::MAX, Ordering::Relaxed);
    cluster.stop_server();
    let took = until("the leader gives up", || leader(&nodes).is_none());
    eprintln!("without an API server the leader gives up after {took:?}");
    std::thread::sleep(Duration::from_secs(20));
    assert!(leader(&nodes).is_none() && live.iter().all(|at| !nodes[*at].task.is_finished()));
    cluster.start_server();
    let took = until("one leads again", || leader(&nodes).is_some());
    eprintln!("with the API server back one leads again after {took:?}");
    assert_eq!(sampler.fewest_seen.load(Ordering::Relaxed), 2, "who could not be heard was given up");

    let old = leader(&nodes).unwrap();
    nodes[old].stop.cancel();
    let took = until("the other leads", || leader(&nodes).is_some_and(|next| next != old));
    until("the task ends", || nodes[old].task.is_finished());
    let path =
        format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/stockade-replica-{}", IDENTITIES[old]);
    assert_eq!(cluster.client.get(&path).code, 404);
    sampler.stop.store(true, Ordering::Relaxed);
    let looks = sampler.thread.join().unwrap();
    let most = sampler.most_leaders.load(Ordering::Relaxed);
    eprintln!("a leader that stops is followed after {took:?}; leaders at once in {looks} looks: {most} at most");
    assert_eq!(most, 1);
    runtime.shutdown_background();
}

fn looked_at(version: u64) -> Observed {
    [(SourceKind::AdmissionPolicy, version)].into_iter().collect()
}

fn everybody_sees_what_everybody_tells(nodes: &[Node]) {
    for (at, node) in nodes.iter().enumerate() {
        node.ready.send_replace(true);
        node.observed.send_replace(looked_at(40 + at as u64));
    }
    let told = |(at, identity): (usize, &&str)| Replica {
        identity: (*identity).to_owned(),
        ready: true,
        observed: looked_at(40 + at as u64),
    };
    let wanted: Vec<Replica> = IDENTITIES.iter().enumerate().map(told).collect();
    let took = until("all see all", || nodes.iter().all(|node| seen(node) == wanted));
    std::thread::sleep(Duration::from_secs(1));
    nodes[0].observed.send_replace(looked_at(50));
    let news = until("all see news", || {
        nodes.iter().all(|node| seen(node).first().is_some_and(|replica| replica.observed == looked_at(50)))
    });
    eprintln!("all replicas see all after {took:?}, news of one after {news:?}");
}
