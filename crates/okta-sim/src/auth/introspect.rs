//! Token introspection (RFC 7662) for the org authorisation server.

use serde_json::{Value, json};

use super::assertion::{self, ASSERTION_TYPE};
use super::{Auth, OauthError};
use crate::clock::Stamp;

/// Answers an introspection request of an authenticated client about a token of its own.
pub(crate) fn introspect(
    auth: &mut Auth,
    bases: &[String],
    form: &[(String, String)],
    now: Stamp,
) -> Result<Value, OauthError> {
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let Some(given) = field("client_assertion") else {
        return Err(OauthError::client("No client credentials found."));
    };
    if field("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(OauthError::new(400, "invalid_request", "The client_assertion_type is invalid."));
    }
    let endpoints: Vec<String> = bases.iter().map(|base| format!("{base}/oauth2/v1/introspect")).collect();
    let client = assertion::check(auth, given, &endpoints, now)?;
    let base = bases.first().map_or("", String::as_str);
    let Some(token) = field("token") else {
        return Err(OauthError::new(400, "invalid_request", "The 'token' parameter is missing."));
    };
    let live = auth.tokens.get(token).filter(|t| t.client == client && !t.revoked && t.expires > now);
    Ok(live.map_or_else(
        || json!({ "active": false }),
        |t| {
            json!({
                "active": true,
                "scope": t.scopes.join(" "),
                "client_id": t.client,
                "sub": t.client,
                "aud": base,
                "iss": base,
                "iat": t.since.seconds(),
                "exp": t.expires.seconds(),
                "token_type": if t.jkt.is_some() { "DPoP" } else { "Bearer" },
            })
        },
    ))
}
