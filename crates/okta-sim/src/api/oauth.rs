//! Endpoints without a management credential: the authorisation server's, and the organisation's own document.

use serde_json::json;

use super::Request;
use super::answer::Answer;
use super::finish::{oauth_error, refuse};
use super::route::{Resource, Route};
use crate::auth::introspect::introspect;
use crate::auth::jwks::refresh;
use crate::auth::jwt::Jwt;
use crate::auth::token::{TokenRequest, issue};
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Longest life of a token that the switches can set, in seconds: ten years.
const LONGEST_LIFE: i64 = 315_360_000;

/// The parameters of a request: those of its query string and those of its body, which count alike.
fn parameters(request: &Request) -> Vec<(String, String)> {
    let body = url::form_urlencoded::parse(&request.body).into_owned();
    request.query.iter().cloned().chain(body).collect()
}

/// The client assertion of a request, not verified.
fn assertion(request: &Request) -> Option<Jwt> {
    parameters(request)
        .iter()
        .find(|(name, _)| name == "client_assertion")
        .and_then(|(_, assertion)| Jwt::parse(assertion))
}

/// Who a token request claims to come from; nothing is verified.
pub(crate) fn claimed(request: &Request) -> String {
    assertion(request)
        .and_then(|jwt| jwt.text("iss").map(|iss| format!("client:{iss}")))
        .unwrap_or_else(|| "anonymous".to_owned())
}

/// Fetches the keys of the client that a request claims to come from, if it publishes them at a URL.
pub(crate) async fn fetch_keys(shared: &Shared, request: &Request) {
    if let Some(jwt) = assertion(request)
        && let Some(client) = jwt.text("iss")
    {
        let kid = jwt.header.get("kid").and_then(serde_json::Value::as_str).unwrap_or("");
        refresh(shared, client, kid, request.now).await;
    }
}

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route) -> Answer {
    let post = matches!(route.resource, Resource::Token | Resource::Introspect);
    if post != (request.method == "POST") {
        return refuse(request, &Refusal::method());
    }
    match route.resource {
        Resource::WellKnown => organization(shared, request),
        Resource::Keys => {
            let key = shared.auth().signer.public().clone();
            Answer::tree(&json!({ "keys": [key] }))
        }
        _ => {
            let form = parameters(request);
            let life = i64::try_from(shared.state().switches.token_seconds).unwrap_or(i64::MAX).min(LONGEST_LIFE);
            let mut auth = shared.auth();
            let result = if route.resource == Resource::Introspect {
                introspect(&mut auth, &request.bases, &form, request.now)
            } else {
                let proofs: Vec<&str> =
                    request.headers.get_all("dpop").iter().filter_map(|h| h.to_str().ok()).collect();
                let asked = TokenRequest {
                    bases: &request.bases,
                    form: &form,
                    query: &request.query,
                    authorization: request.headers.contains_key("authorization"),
                    proofs: &proofs,
                    life,
                    now: request.now,
                };
                issue(&mut auth, &asked)
            };
            match result {
                Ok(body) => Answer::tree(&body),
                Err(error) => oauth_error(&error),
            }
        }
    }
}

fn organization(shared: &Shared, request: &Request) -> Answer {
    let (id, identity) = {
        let state = shared.state();
        (state.org_id, state.switches.identity_engine)
    };
    Answer::tree(&json!({
        "id": id.as_str(),
        "pipeline": if identity { "idx" } else { "v1" },
        "settings": { "analyticsCollectionEnabled": false, "bugReportingEnabled": false, "omEnabled": false },
        "_links": {
            "organization": { "href": request.base },
        },
    }))
}
