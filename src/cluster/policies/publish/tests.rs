use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use stockade_policy::compile::incremental::Standing;
use tokio::task::JoinHandle;

use super::*;

/// Facts that sync when the test says so, and write down what they are to hold.
struct Fake {
    held: Arc<Mutex<Vec<String>>>,
    synced: watch::Receiver<bool>,
    equivalents: watch::Receiver<Option<Arc<Equivalents>>>,
}

impl HeldReads for Fake {
    fn hold<'r>(&self, reads: impl IntoIterator<Item = &'r Read>) {
        let kinds: Vec<&str> = reads.into_iter().map(|r| r.kind.kind.as_str()).collect();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(kinds.join(" "));
    }

    fn equivalents(&self) -> watch::Receiver<Option<Arc<Equivalents>>> {
        self.equivalents.clone()
    }

    async fn synced(&self, reads: &BTreeSet<Read>, timeout: Duration) -> BTreeSet<Read> {
        let mut synced = self.synced.clone();
        let in_time = tokio::time::timeout(timeout, synced.wait_for(|synced| *synced)).await.is_ok();
        if in_time { BTreeSet::new() } else { reads.clone() }
    }
}

/// A publisher with events that the test makes.
struct Scene {
    tell: mpsc::UnboundedSender<(SourceKind, Event<Object>)>,
    generations: Generations,
    sync: watch::Sender<bool>,
    held: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        let (tell, mut events) = mpsc::unbounded_channel();
        let (publish, generations) = watch::channel(Arc::new(Generation::none()));
        let (sync, synced) = watch::channel(false);
        let (_, equivalents) = watch::channel(Some(Arc::new(Equivalents::builtin())));
        let held = Arc::default();
        let publisher = Publisher {
            facts: Fake { held: Arc::clone(&held), synced, equivalents: equivalents.clone() },
            equivalents,
            compiler: Compiler::new(),
            max_exception_seconds: None,
            held: BTreeSet::new(),
            given_up: BTreeSet::new(),
            publish,
            essentials: Essentials::new("stockade-system"),
        };
        let events = futures_util::stream::poll_fn(move |context| events.poll_recv(context));
        let running = tokio::spawn(run(events, Vec::new(), publisher));
        Self { tell, generations, sync, held, running }
    }

    /// One with all own kinds listed, each empty.
    async fn listed() -> Self {
        let mut scene = Self::new();
        for kind in SourceKind::OBJECTS.into_iter().filter(|k| k.is_own()) {
            scene.event(kind, Event::Init);
            scene.event(kind, Event::InitDone);
        }
        scene.until(|g| g.number == 1).await;
        scene
    }

    fn event(&self, kind: SourceKind, event: Event<Object>) {
        self.tell.send((kind, event)).unwrap();
    }

    fn apply(&self, policy: Object) {
        self.event(SourceKind::AdmissionPolicy, Event::Apply(policy));
    }

    async fn until(&mut self, wanted: impl FnMut(&Arc<Generation>) -> bool) -> Arc<Generation> {
        let found = self.generations.wait_for(wanted);
        tokio::time::timeout(Duration::from_secs(60), found).await.unwrap().unwrap().clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn policy(name: &str, version: u64, expression: &str) -> Object {
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    object(&json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
        "metadata": { "name": name, "resourceVersion": version.to_string(), "generation": version },
        "spec": { "matchConstraints": { "resourceRules": [rule] }, "validations": [{ "expression": expression }] },
    }))
}

fn object(json: &Value) -> Object {
    Object::parse(&json.to_string()).unwrap()
}

/// How far the AdmissionPolicies of a generation were looked at.
fn observed(generation: &Generation) -> u64 {
    generation.observed.of(SourceKind::AdmissionPolicy)
}

fn names(generation: &Generation) -> Vec<&str> {
    generation.engine.set().policies.iter().map(|p| &*p.name).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_force_before_every_own_kind_was_listed_whole() {
    let mut scene = Scene::new();
    let own: Vec<SourceKind> = SourceKind::OBJECTS.into_iter().filter(|k| k.is_own()).collect();
    let (last, others) = own.split_last().unwrap();
    for kind in others {
        scene.event(*kind, Event::Init);
        scene.event(*kind, Event::InitDone);
    }
    scene.event(*last, Event::Init);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.generations.borrow().number, 0);
    scene.event(*last, Event::InitDone);
    let first = scene.until(|g| g.number > 0).await;
    assert_eq!((first.number, names(&first).len(), first.refused.len()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_broken_object_is_told_with_its_generation_and_holds_up_nobody() {
    let mut scene = Scene::listed().await;
    scene.apply(policy("a", 11, "true"));
    scene.until(|g| observed(g) == 11).await;
    scene.apply(policy("a", 12, "objekt.x"));
    scene.apply(policy("b", 13, "true"));
    let both = scene.until(|g| observed(g) == 13).await;
    let refused: Vec<_> = both.refused.iter().map(|r| (r.name.as_str(), r.generation, r.standing)).collect();
    assert_eq!((names(&both), refused), (vec!["a", "b"], vec![("a", 12, Standing::LastGood)]));
    assert_eq!(both.engine.set().policies[0].validations[0].expression.program.text(), "true");

    scene.event(SourceKind::AdmissionPolicy, Event::Delete(policy("a", 14, "true")));
    let one = scene.until(|g| names(g) == ["b"]).await;
    assert_eq!((one.refused.len(), observed(&one)), (0, 13));
}

#[tokio::test(start_paused = true)]
async fn what_changes_no_text_is_no_new_generation_but_is_observed() {
    let mut scene = Scene::listed().await;
    scene.apply(policy("a", 11, "true"));
    let before = scene.until(|g| observed(g) == 11).await;
    let mut status: Value = serde_json::from_slice(policy("a", 12, "true").text().json()).unwrap();
    status["status"] = json!({ "conditions": [{ "type": "Ready" }] });
    scene.apply(object(&status));
    let after = scene.until(|g| observed(g) == 12).await;
    assert_eq!(after.number, before.number);
    assert!(Arc::ptr_eq(&after.engine, &before.engine));
}

#[tokio::test(start_paused = true)]
async fn what_a_new_list_lacks_is_gone_and_stays_in_force_until_the_list_is_whole() {
    let mut scene = Scene::listed().await;
    scene.apply(policy("a", 11, "true"));
    scene.apply(policy("b", 12, "true"));
    scene.until(|g| names(g) == ["a", "b"]).await;
    scene.event(SourceKind::AdmissionPolicy, Event::Init);
    scene.event(SourceKind::AdmissionPolicy, Event::InitApply(policy("b", 13, "1 == 1")));
    let expression = |g: &Generation| g.engine.set().policies[1].validations[0].expression.program.text().to_owned();
    let listing = scene.until(|g| expression(g) == "1 == 1").await;
    // Of what is older than what the list has brought, all or nothing may have been in it.
    assert_eq!((names(&listing), observed(&listing)), (vec!["a", "b"], 12));
    scene.event(SourceKind::AdmissionPolicy, Event::InitDone);
    scene.until(|g| names(g) == ["b"] && observed(g) == 13).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_nests_too_deep_to_be_read_is_refused_and_its_last_version_stays() {
    let mut scene = Scene::listed().await;
    scene.apply(policy("a", 11, "true"));
    scene.until(|g| names(g) == ["a"]).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let metadata = json!({ "name": "a", "resourceVersion": "12", "generation": 2 });
    let json = format!(r#"{{"metadata":{metadata},"spec":{{"variables":{deep}}}}}"#);
    scene.apply(Object::parse(&json).unwrap());
    let both = scene.until(|g| observed(g) == 12).await;
    let [refused] = &*both.refused else { panic!("{:?}", both.refused) };
    assert_eq!((refused.name.as_str(), refused.generation, refused.standing), ("a", 2, Standing::LastGood));
    assert!(refused.diagnostics.to_string().contains("recursion limit"), "{}", refused.diagnostics);
    assert_eq!(names(&both), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn how_far_one_kind_was_looked_at_says_nothing_of_another() {
    let mut scene = Scene::listed().await;
    scene.apply(policy("a", 11, "true"));
    let metadata = json!({ "name": "g", "resourceVersion": "90", "generation": 1 });
    let group = json!({ "metadata": metadata, "spec": { "names": ["shop"] } });
    scene.event(SourceKind::NamespaceGroup, Event::Apply(object(&group)));
    let expected = [(SourceKind::AdmissionPolicy, 11), (SourceKind::NamespaceGroup, 90)];
    scene.until(|g| g.observed == expected.into_iter().collect()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_for_in_vain_holds_up_no_later_generation() {
    let mut scene = Scene::listed().await;
    let reading = "cluster.list('v1', 'Node', '').size() > 0";
    scene.apply(policy("a", 11, reading));
    scene.until(|g| names(g) == ["a"]).await;
    let begun = tokio::time::Instant::now();
    for version in (12..20).step_by(4) {
        scene.event(SourceKind::AdmissionPolicy, Event::Delete(policy("a", version, reading)));
        scene.apply(policy("b", version + 1, &format!("{version} > 0")));
        scene.until(|g| names(g) == ["b"] && observed(g) == version + 1).await;
        scene.apply(policy("a", version + 2, reading));
        let both = scene.until(|g| names(g) == ["a", "b"]).await;
        assert_eq!(both.not_synced.iter().map(|r| r.kind.kind.as_str()).collect::<Vec<_>>(), ["Namespace", "Node"]);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Another read is waited for, and so is this one once it was known.
    scene.apply(policy("b", 30, "cluster.list('v1', 'Service', '').size() > 0"));
    scene.until(|g| observed(g) == 30).await;
    assert_eq!(begun.elapsed(), SYNC_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_generation_waits_for_the_kinds_it_newly_reads_but_not_for_ever() {
    let mut scene = Scene::listed().await;
    let read = |kind: &str| format!("cluster.list('v1', '{kind}', '').size() > 0");
    scene.apply(policy("a", 11, &read("Node")));
    let late = scene.until(|g| names(g) == ["a"]).await;
    assert_eq!(late.not_synced.iter().map(|r| r.kind.kind.as_str()).collect::<Vec<_>>(), ["Namespace", "Node"]);

    scene.sync.send_replace(true);
    let synced = scene.until(|g| g.not_synced.is_empty()).await;
    assert_eq!(synced.number, late.number);
    scene.apply(policy("a", 12, &read("Service")));
    scene.until(|g| observed(g) == 12).await;
    scene.event(SourceKind::AdmissionPolicy, Event::Delete(policy("a", 13, "true")));
    scene.until(|g| names(g).is_empty()).await;
    // What was read stays held until the generation that no longer reads it is in force.
    tokio::task::yield_now().await;
    let held = scene.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let both = "Namespace Node Service";
    assert_eq!(held[..4], ["Namespace Node", "Namespace Node", both, "Namespace Service"]);
}
