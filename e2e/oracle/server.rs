//! The API server judges: one policy set in force at a time, its cases as dry runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod markers;
mod sent;

use markers::markers;

use super::mutations::{Boldness, Random, mutate};
use super::requests::Sent;
use super::verdict::{Verdict, policy_warnings};
use super::{Case, Observation, Operation, PolicySet};
use crate::client::{Answer, Client};
use crate::cluster::Cluster;
use crate::discovery::{Discovery, Resource};
use crate::documents::text;
use crate::recorder::{Recorder, Reviews};

/// Requests in flight at once.
const PARALLEL: usize = 6;

/// The server looks at changed policies once a second; a kind new to its REST mapper may take half a minute.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(180);

/// What requests are refused with while the server does not know the params of a policy.
const NOT_YET: [&str; 2] = ["failed to find resource referenced by paramKind", "not yet synced to use for admission"];

/// Audit annotations that are not of policies.
const SERVER_ANNOTATIONS: [&str; 8] = [
    "authorization.k8s.io/",
    "mutation.webhook.",
    "patch.webhook.",
    "pod-security.kubernetes.io/",
    "k8s.io/",
    "authentication.k8s.io/",
    "authentication.kubernetes.io/",
    "apiserver.latency.k8s.io/",
];

/// An API server with a recorder in its admission chain.
pub struct Oracle<'c> {
    cluster: &'c Cluster,
    client: Client,
    /// Where kinds live.
    pub discovery: Discovery,
    recorder: Recorder,
    requests: AtomicUsize,
    generation: AtomicUsize,
    namespaces: Mutex<BTreeMap<String, Value>>,
}

/// A set that can be judged.
pub struct Ready<'s> {
    /// The set.
    pub set: &'s PolicySet,
    prepared: Vec<Prepared<'s>>,
    unprepared: Vec<Observation>,
}

/// A case with what its request needs: where it goes and what is sent.
struct Prepared<'s> {
    index: usize,
    case: &'s Case,
    target: Target<'s>,
    /// What a webhook sees of it while no policy is in force: a mutating one for a set that mutates, else a
    /// validating one.
    review: Option<Value>,
}

/// What a request is about.
enum Target<'s> {
    /// An object; `stored` is that of an UPDATE or DELETE.
    Object { resource: Resource, stored: Option<Value> },
    /// What the case says.
    Sent(&'s Sent),
}

impl<'c> Oracle<'c> {
    /// Registers the recorder.
    pub fn new(cluster: &'c Cluster) -> Oracle<'c> {
        let client = cluster.client.clone();
        let oracle = Oracle {
            cluster,
            discovery: Discovery::new(&client),
            recorder: Recorder::register(&client),
            client,
            requests: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            namespaces: Mutex::default(),
        };
        oracle.keep_config_maps_watched();
        oracle
    }

    /// The server stops its shared watch of ConfigMaps with the last policy whose params they are, and never starts it
    /// again (1.36: later policies find no params). A policy that stays keeps it running.
    fn keep_config_maps_watched(&self) {
        let [mut policy, mut binding] = [2, 3].map(|index| markers(usize::MAX)[index].clone());
        for document in [&mut policy, &mut binding] {
            document["metadata"]["name"] = json!("stockade-keeper");
        }
        policy["spec"]["paramKind"] = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        binding["spec"]["policyName"] = json!("stockade-keeper");
        binding["spec"]["paramRef"] =
            json!({ "name": "none", "namespace": "default", "parameterNotFoundAction": "Allow" });
        for document in [policy, binding] {
            self.client.post(&collection_of(&document), &document).expect_ok();
        }
    }

    /// What exists beside the params: the namespaces and the definitions of custom kinds.
    pub fn existing(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for (path, api_version, kind) in [
            ("/api/v1/namespaces", "v1", "Namespace"),
            (
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
            ),
        ] {
            let list = self.client.get(path).expect_ok();
            for item in list["items"].as_array().into_iter().flatten() {
                let mut object = item.clone();
                object["apiVersion"] = json!(api_version);
                object["kind"] = json!(kind);
                objects.push(object);
            }
        }
        objects
    }

    /// As the administrator.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the server makes of an object that we mutated: the same, with its defaults filled in. Nothing may be in
    /// force.
    pub fn normalised(&self, case: &Case, object: &Value) -> Option<Value> {
        let case = Case { operation: Operation::Create, object: object.clone(), ..case.clone() };
        let ready = self.prepare(0, &case, true).ok()?;
        ready.review?.pointer("/request/object").cloned()
    }

    /// Waits until the removed policies have stopped acting.
    pub fn settle(&self) {
        self.wait_until_in_force();
    }

    /// Makes the kinds of params and of unknown objects, so that the server's REST mapper knows them in time.
    pub fn define_kinds(&self, set: &PolicySet) {
        for object in &set.params {
            let namespaced = !text(object, "/metadata/namespace").is_empty();
            self.discovery.resource_or_define(text(object, "/apiVersion"), text(object, "/kind"), namespaced);
        }
        for document in &set.documents {
            if let Some(kind) = document.pointer("/spec/paramKind") {
                self.discovery.resource_or_define(text(kind, "/apiVersion"), text(kind, "/kind"), false);
            }
        }
        for case in &set.cases {
            self.discovery.resource_or_define(text(&case.object, "/apiVersion"), text(&case.object, "/kind"), true);
        }
    }

    /// Makes what the cases of a set need: namespaces, stored objects. To be done for all sets before the first is
    /// judged: the policies of a set go on acting for a moment after they are removed.
    pub fn make_ready<'s>(&self, set: &'s PolicySet) -> Ready<'s> {
        let mut ready = Ready { set, prepared: Vec::new(), unprepared: Vec::new() };
        let numbered: Vec<(usize, &Case)> = set.cases.iter().enumerate().collect();
        for (index, result) in
            in_parallel(&numbered, |(index, case)| (*index, self.prepare(*index, case, set.mutates())))
        {
            match result {
                Ok(prepared) => ready.prepared.push(prepared),
                Err(why) => ready.unprepared.push(not_judged(index, why)),
            }
        }
        ready
    }

    /// Judges all cases of a set. The answers are in the order of the cases.
    ///
    /// # Errors
    /// When the server refuses the policies themselves.
    pub fn judge(&self, ready: Ready<'_>) -> Result<Vec<Observation>, String> {
        let Ready { set, prepared, unprepared } = ready;
        let mut observations = unprepared;
        let installed = self.install(set, &prepared);
        if installed.is_ok() {
            observations.extend(in_parallel(&prepared, |ready| {
                let (answer, reviews, request) = self.send(ready);
                let verdict = match ready.target {
                    Target::Object { .. } => Verdict::of(&answer),
                    Target::Sent(_) => Verdict::of_any(&answer, reviews.validating.is_some()),
                };
                // What the server itself put into it (a generated name) is another one each time.
                let review = match (&ready.target, set.mutates()) {
                    (Target::Sent(_), false) => reviews.validating.or_else(|| ready.review.clone()),
                    _ => ready.review.clone(),
                };
                let mutated = reviews.mutating.and_then(|review| review.pointer("/request/object").cloned());
                Observation {
                    case: ready.index,
                    mutated: if set.mutates() { mutated } else { None },
                    review,
                    verdict,
                    warnings: policy_warnings(&answer),
                    request,
                    audit: BTreeMap::new(),
                }
            }));
        }
        self.remove(set);
        installed?;
        observations.sort_by_key(|observation| observation.case);
        Ok(observations)
    }

    fn prepare<'s>(&self, index: usize, case: &'s Case, mutates: bool) -> Result<Prepared<'s>, String> {
        let target = match &case.sent {
            Some(sent) => Target::Sent(sent),
            None => self.target(case)?,
        };
        let mut prepared = Prepared { index, case, target, review: None };
        let (_, reviews, _) = self.send(&prepared);
        prepared.review = if mutates { reviews.mutating } else { reviews.validating };
        Ok(prepared)
    }

    fn target(&self, case: &Case) -> Result<Target<'static>, String> {
        let (api_version, kind) = (text(&case.object, "/apiVersion"), text(&case.object, "/kind"));
        let resource =
            self.discovery.resource(api_version, kind).ok_or(format!("{api_version} {kind} is not served"))?;
        if resource.namespaced {
            self.ensure_namespace(&case.namespace, case.namespace_object.as_ref());
        }
        let stored = match case.operation {
            Operation::Create | Operation::Sent => None,
            Operation::Update(_) | Operation::Delete => {
                let answer = self
                    .client
                    .post(&resource.collection(&case.namespace), &postable(&case.object, &case.namespace, &resource));
                if !answer.ok() {
                    return Err(format!("the old object: {}", answer.message()));
                }
                Some(answer.body)
            }
        };
        Ok(Target::Object { resource, stored })
    }

    fn ensure_namespace(&self, name: &str, object: Option<&Value>) {
        let mut namespaces = self.namespaces.lock().unwrap();
        if namespaces.contains_key(name) {
            return;
        }
        let path = format!("/api/v1/namespaces/{name}");
        if !self.client.get(&path).ok() {
            let plain = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            self.client.post("/api/v1/namespaces", object.unwrap_or(&plain)).expect_ok();
        } else if let Some(metadata) = object.and_then(|object| object.get("metadata")) {
            let patch = json!({ "metadata": { "labels": metadata["labels"], "annotations": metadata["annotations"] } });
            self.client.merge(&path, &patch).expect_ok();
        }
        namespaces.insert(name.to_owned(), self.client.get(&path).expect_ok());
    }

    /// One dry run: the answer, what the recorder saw, the request's name in the audit log.
    fn send(&self, ready: &Prepared<'_>) -> (Answer, Reviews, String) {
        let name = format!("case-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        match &ready.target {
            Target::Object { resource, stored } => self.send_object(ready.case, resource, stored.as_ref(), name),
            Target::Sent(sent) => self.send_sent(sent, name),
        }
    }

    fn send_object(
        &self,
        case: &Case,
        resource: &Resource,
        stored: Option<&Value>,
        manager: String,
    ) -> (Answer, Reviews, String) {
        let query = format!("?dryRun=All&fieldValidation=Ignore&fieldManager={manager}");
        let name = text(&case.object, "/metadata/name");
        let place = resource.object(&case.namespace, name);
        let answer = match case.operation {
            Operation::Create | Operation::Sent => {
                let path = format!("{}{query}", resource.collection(&case.namespace));
                self.client.post(&path, &postable(&case.object, &case.namespace, resource))
            }
            Operation::Update(seed) => {
                let mut object = stored.cloned().unwrap_or_default();
                if seed != 0 {
                    mutate(&mut object, &mut Random::new(seed), Boldness::Valid);
                }
                self.client.put(&format!("{place}{query}"), &object)
            }
            Operation::Delete => {
                let namespace = if resource.namespaced { case.namespace.as_str() } else { "" };
                let key = format!("DELETE {} {namespace}/{name}", resource.plural);
                let path = format!("{place}?dryRun=All");
                let answer = self.client.delete(&path);
                return (answer, self.recorder.take(&key), path);
            }
        };
        (answer, self.recorder.take(&manager), manager)
    }

    /// Fills in what the policies wrote to the audit log.
    pub fn add_audit<'o>(&self, observations: impl Iterator<Item = &'o mut Observation>) {
        let log = std::fs::read_to_string(self.cluster.audit_log()).unwrap();
        let mut written: HashMap<String, BTreeMap<String, String>> = HashMap::new();
        for line in log.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let uri = text(&event, "/requestURI");
            let request = match sent::name_in_log(&event) {
                Some(name) => name,
                None => uri.rsplit_once("fieldManager=").map_or(uri, |(_, manager)| manager),
            };
            let annotations = event.get("annotations").and_then(Value::as_object).into_iter().flatten();
            let of_policies = annotations
                .filter(|(key, _)| !SERVER_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)))
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            written.insert(request.to_owned(), of_policies);
        }
        for observation in observations {
            observation.audit = written.remove(&observation.request).unwrap_or_default();
        }
    }

    fn install(&self, set: &PolicySet, prepared: &[Prepared<'_>]) -> Result<(), String> {
        for object in &set.params {
            let namespace = text(object, "/metadata/namespace");
            let Some(resource) = self.discovery.resource(text(object, "/apiVersion"), text(object, "/kind")) else {
                return Err(format!("params of an unknown kind: {}", object["kind"]));
            };
            if !namespace.is_empty() {
                self.ensure_namespace(namespace, None);
            }
            let answer = self.client.post(&resource.collection(namespace), object);
            if !answer.ok() && answer.reason() != "AlreadyExists" {
                return Err(format!("params: {}", answer.message()));
            }
        }
        for document in &set.documents {
            let answer = self.client.post(&collection_of(document), document);
            if !answer.ok() {
                return Err(format!(
                    "{} {}: {}",
                    text(document, "/kind"),
                    text(document, "/metadata/name"),
                    answer.message()
                ));
            }
        }
        self.wait_until_in_force();
        let kinds: BTreeSet<&str> = set
            .documents
            .iter()
            .map(|document| text(document, "/spec/paramKind/kind"))
            .filter(|kind| !kind.is_empty())
            .collect();
        if !kinds.is_empty() {
            self.wait_for_params(set, prepared);
        }
        Ok(())
    }

    /// The server's REST mapper learns new kinds late, and a watch of params that has not begun in a second is not waited
    /// for; until then every judged request is refused for it.
    fn wait_for_params(&self, set: &PolicySet, prepared: &[Prepared<'_>]) {
        let deadline = Instant::now() + IN_FORCE_WITHIN;
        for ready in prepared.iter().take(40) {
            let is_early = |message: &str| NOT_YET.iter().any(|text| message.contains(text));
            while is_early(self.send(ready).0.message()) {
                assert!(Instant::now() < deadline, "{}: the params are never known", set.name);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    fn remove(&self, set: &PolicySet) {
        for document in &set.documents {
            self.client.delete(&format!("{}/{}", collection_of(document), text(document, "/metadata/name")));
        }
        for object in &set.params {
            if let Some(resource) = self.discovery.resource(text(object, "/apiVersion"), text(object, "/kind")) {
                self.client
                    .delete(&resource.object(text(object, "/metadata/namespace"), text(object, "/metadata/name")));
            }
        }
    }
}

/// Does the same to all of them, several at once. The results come in any order.
fn in_parallel<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn not_judged(case: usize, why: String) -> Observation {
    Observation {
        case,
        review: None,
        mutated: None,
        verdict: Verdict::NotJudged(why),
        warnings: Vec::new(),
        request: String::new(),
        audit: BTreeMap::new(),
    }
}

/// URL of a policy's or binding's collection, in the version it was written in.
fn collection_of(document: &Value) -> String {
    let plural = match text(document, "/kind") {
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings",
        "MutatingAdmissionPolicy" => "mutatingadmissionpolicies",
        _ => "mutatingadmissionpolicybindings",
    };
    format!("/apis/{}/{plural}", text(document, "/apiVersion"))
}

/// The object without what only a stored object has.
fn postable(object: &Value, namespace: &str, resource: &Resource) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"] {
            metadata.remove(field);
        }
        if resource.namespaced {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
    }
    object
}
