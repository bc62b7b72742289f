use std::collections::BTreeMap;
use std::sync::Mutex;

use http::{Request, Response};
use k8s_openapi::ByteString;
use kube::client::Body;
use serde_json::{Map, Value as Json, json};

use super::*;

/// An API server with a few objects, by path after `/api/v1/namespaces/`.
#[derive(Clone, Default)]
struct Server {
    objects: Arc<BTreeMap<&'static str, Json>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(objects: impl IntoIterator<Item = (&'static str, Json)>) -> Self {
        Self { objects: Arc::new(objects.into_iter().collect()), ..Self::default() }
    }

    /// `forbidden` is nobody's to read, `hangs` never answers, `lost` ends the connection.
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let path = request.uri().path().trim_start_matches("/api/v1/namespaces/").to_owned();
                server.asked.lock().unwrap().push(path.clone());
                let (code, answer) = match path.rsplit('/').next().unwrap() {
                    "hangs" => std::future::pending().await,
                    "lost" => return Err(std::io::Error::other("the connection ended")),
                    "forbidden" => (403, status(403, "secrets \"forbidden\" is forbidden")),
                    _ => match server.objects.get(path.as_str()) {
                        Some(object) => (200, object.clone()),
                        None => (404, status(404, "not found")),
                    },
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn status(code: u16, message: &str) -> Json {
    let reason = if code == 404 { "NotFound" } else { "Forbidden" };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code})
}

/// As Secrets hold it.
fn base64(bytes: impl AsRef<[u8]>) -> Json {
    serde_json::to_value(ByteString(bytes.as_ref().to_vec())).unwrap()
}

/// A pull secret for some registries, as `kubectl create secret docker-registry` makes it for one.
fn pull_secret(hosts: &[&str]) -> Json {
    let auths: Map<String, Json> =
        hosts.iter().map(|host| ((*host).to_owned(), json!({"username": "me", "password": "open sesame"}))).collect();
    let config = json!({"auths": auths}).to_string();
    json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64(config)}})
}

fn member(name: &str, key: &str) -> MemberRef {
    MemberRef { name: name.into(), key: key.into() }
}

#[tokio::test(start_paused = true)]
async fn a_member_is_read_in_the_own_namespace_or_it_is_told_why_not() {
    let server = Server::of([
        ("own/secrets/keys", json!({"data": {"cosign.pub": base64("a key"), "binary": base64([0xff])}})),
        ("own/configmaps/roots", json!({"data": {"trusted_root.json": "{}"}})),
    ]);
    let members = OwnMembers::new(server.client(), "own");
    let secret = async |name, key| members.secret(&member(name, key)).await.map_err(|why| why.to_string());
    let table = [
        ("keys", "cosign.pub", Ok("a key")),
        ("keys", "other", Err("Secret keys, key other: has no such key")),
        ("keys", "binary", Err("Secret keys, key binary: is no text")),
        ("none", "k", Err("Secret none, key k: does not exist")),
        ("forbidden", "k", Err("Secret forbidden, key k: the API server says: secrets \"forbidden\" is forbidden")),
        ("lost", "k", Err("Secret lost, key k: the API server could not be asked")),
        ("hangs", "k", Err("Secret hangs, key k: the API server did not answer in time")),
    ];
    for (name, key, wanted) in table {
        assert_eq!(secret(name, key).await.as_deref().map_err(String::as_str), wanted, "{name}");
    }
    let root = async |name, key| members.config_map(&member(name, key)).await.map_err(|why| why.to_string());
    assert_eq!(root("roots", "trusted_root.json").await.as_deref(), Ok("{}"));
    assert_eq!(root("roots", "other").await, Err("ConfigMap roots, key other: has no such key".to_owned()));
    assert_eq!(root("none", "k").await, Err("ConfigMap none, key k: does not exist".to_owned()));
    assert!(server.asked().iter().all(|path| path.starts_with("own/")), "{:?}", server.asked());
}

/// What is found for whom, and the paths that were asked for.
async fn found(server: &Server, asked: Credentials) -> (Result<String, String>, Vec<String>) {
    let found = PullSecrets::new(server.client()).docker_configs(&asked).await;
    (found.map(|configs| format!("{configs:?}")).map_err(|why| why.to_string()), server.asked())
}

fn of_pod(secrets: &[&str]) -> Credentials {
    let pull_secrets = secrets.iter().map(|name| Arc::from(*name)).collect();
    Credentials { namespace: "shop".into(), pull_secrets, service_account: "web".into() }
}

/// Configurations by their number of entries, which is all that they show.
fn configs(entries: &[usize]) -> Result<String, String> {
    let shown: Vec<String> = entries.iter().map(|count| format!("DockerConfig {{ entries: {count}, .. }}")).collect();
    Ok(format!("[{}]", shown.join(", ")))
}

#[tokio::test]
async fn what_a_pod_names_counts_and_what_its_service_account_names_where_it_names_none() {
    let server = || {
        Server::of([
            ("shop/serviceaccounts/web", json!({"imagePullSecrets": [{"name": "b"}, {"name": "gone"}]})),
            ("shop/secrets/a", pull_secret(&["a.example"])),
            ("shop/secrets/b", pull_secret(&["b.example", "c.example"])),
        ])
    };
    let (both, asked) = found(&server(), of_pod(&["a", "b"])).await;
    assert_eq!(both, configs(&[1, 2]));
    assert_eq!(asked, ["shop/secrets/a", "shop/secrets/b"]);
    // As a kubelet does, it goes on without a Secret that is not there.
    let (one, asked) = found(&server(), of_pod(&[])).await;
    assert_eq!(one, configs(&[2]));
    assert_eq!(asked, ["shop/serviceaccounts/web", "shop/secrets/b", "shop/secrets/gone"]);
    let nobody = Credentials { service_account: "none".into(), ..of_pod(&[]) };
    assert_eq!(found(&server(), nobody).await.0, configs(&[]));
    // What is cluster-scoped has no Secrets.
    assert_eq!(found(&server(), Credentials::default()).await, (configs(&[]), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_pull_secret_is_left_out_and_what_cannot_be_read_is_told_without_its_content() {
    let server = Server::of([
        ("shop/secrets/opaque", json!({"type": "Opaque", "data": {".dockerconfigjson": base64("{}")}})),
        ("shop/secrets/empty", json!({"type": "kubernetes.io/dockerconfigjson"})),
        (
            "shop/secrets/broken",
            json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64("hunter2")}}),
        ),
    ]);
    assert_eq!(found(&server, of_pod(&["opaque", "empty", "none"])).await.0, configs(&[]));
    let table = [
        ("forbidden", "the API server says: secrets \"forbidden\" is forbidden"),
        ("lost", "the API server could not be asked"),
        ("hangs", "the API server did not answer in time"),
    ];
    for (name, why) in table {
        let wanted = format!("the Docker configuration Secret shop/{name} could not be read: {why}");
        assert_eq!(found(&server, of_pod(&[name])).await.0, Err(wanted));
    }
    let broken = found(&server, of_pod(&["broken"])).await.0.unwrap_err();
    assert!(broken.starts_with("the Docker configuration Secret shop/broken could not be read: "), "{broken}");
    assert!(!broken.contains("hunter2"), "{broken}");
    let account = Credentials { service_account: "lost".into(), ..of_pod(&[]) };
    let wanted =
        "the Docker configuration ServiceAccount shop/lost could not be read: the API server could not be asked";
    assert_eq!(found(&server, account).await.0, Err(wanted.to_owned()));
}

#[tokio::test]
async fn of_a_service_account_with_very_many_pull_secrets_some_are_read() {
    let names: Vec<Json> = (0..100).map(|number| json!({"name": format!("s{number}")})).collect();
    let server = Server::of([("shop/serviceaccounts/web", json!({"imagePullSecrets": names}))]);
    let (_, asked) = found(&server, of_pod(&[])).await;
    assert_eq!(asked.len(), 1 + MAX_PULL_SECRETS);
}
