//! The token service of a registry: who shows the password gets a token for what is asked for
//! (<https://distribution.github.io/distribution/spec/auth/token/>).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::base64::Engine;
use ::base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use stockade_e2e::certificates::{Authority, Leaf};
use stockade_e2e::registry::{PASSWORD, Registry, Tokens, USER};

use super::APP;
use crate::https::Https;

/// Whom the registry believes.
struct Signer {
    leaf: Leaf,
    key: EcdsaKeyPair,
}

/// Starts Debian's registry, and the service that it sends everybody to.
pub(crate) fn start() -> Registry {
    let authority = Authority::mint("tokens");
    let leaf = authority.server();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &leaf.key_der).unwrap();
    let signer = Arc::new(Signer { leaf, key });
    let push = format!("Bearer {}", signer.token(&json!([access(APP, &["pull", "push"])])));
    let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
        let signer = Arc::clone(&signer);
        async move { signer.answer(&uri, &headers) }
    });
    let Https { host, ca_pem, runtime } = Https::serve(app);
    let realm = format!("https://{host}/token");
    Registry::debian_with(Tokens { realm, ca_pem, roots_pem: authority.pem, push, running: Box::new(runtime) })
}

fn access(repository: &str, actions: &[&str]) -> Value {
    json!({"type": "repository", "name": repository, "actions": actions})
}

impl Signer {
    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let wanted = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
        if headers.get(AUTHORIZATION).is_none_or(|shown| *shown != *wanted) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let query = uri.query().unwrap_or_default().replace("%3A", ":").replace("%2F", "/");
        let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=repository:")).unwrap_or_default();
        let granted = scope.strip_suffix(":pull").map(|repository| access(repository, &["pull"]));
        json!({"token": self.token(&json!(granted.as_slice())), "expires_in": 300}).to_string().into_response()
    }

    /// A JSON Web Token with its certificate.
    fn token(&self, access: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [BASE64_STANDARD.encode(&self.leaf.certificate_der)]});
        let claims = json!({"iss": "test", "sub": USER, "aud": "test", "iat": now, "nbf": now - 60, "exp": now + 36_000,
            "jti": "1", "access": access});
        let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
