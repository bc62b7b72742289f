//! A registry that knows referrers, in this process, behind TLS and a password.

use std::sync::Arc;

use axum::body::Body;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use stockade_e2e::registry::{PASSWORD, Registry, USER};

use crate::https::Https;

/// Starts one.
pub(crate) fn start() -> Registry {
    let state = AppState::new(Arc::new(InMemoryBlobStore::new()), Arc::new(InMemoryRegistryMeta::new()));
    let Https { host, ca_pem, runtime } = Https::serve(router(state).layer(middleware::from_fn(with_password)));
    Registry::running(host, ca_pem, Box::new(runtime))
}

async fn with_password(request: Request<Body>, next: Next) -> Response {
    let wanted = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if request.headers().get(AUTHORIZATION).is_some_and(|shown| *shown == *wanted) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"test\"")]).into_response()
}
