//! Client assertions (`private_key_jwt`, RFC 7523) and every reason for which Okta refuses one, in its own words.

use super::client::Client;
use super::jwt::Jwt;
use super::{Auth, OauthError};
use crate::clock::Stamp;

/// The only client assertion type there is.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Longest life of an assertion, in seconds. One that is made for exactly an hour, as the vendor's own SDKs do, passes
/// only if the maker's clock is not ahead.
const LIFE: i64 = 3600;

/// Checks an assertion that was sent to an endpoint, which goes by these URLs, and answers the id of its client. The
/// assertion's `jti` is used up.
pub(crate) fn check(auth: &mut Auth, assertion: &str, endpoints: &[String], now: Stamp) -> Result<String, OauthError> {
    let jwt = Jwt::parse(assertion).ok_or_else(|| OauthError::client("The parsing of the client_assertion failed."))?;
    if jwt.algorithm().is_none() {
        return Err(OauthError::client("The client_assertion JWT signature algorithm is invalid."));
    }
    let issuer = jwt.text("iss").unwrap_or("");
    let client = auth
        .client_mut(issuer)
        .ok_or_else(|| OauthError::client("The issuer claim for client_assertion is not a valid client_id."))?;
    if jwt.text("sub") != Some(issuer) {
        return Err(OauthError::client("The subject claim for client_assertion is not a valid client_id."));
    }
    if !client.active {
        return Err(OauthError::client(
            "Client authentication failed. Either the client or the client credentials are invalid.",
        ));
    }
    check_signature(client, &jwt)?;
    check_claims(&jwt, endpoints, now.seconds())?;
    use_up(client, &jwt, now.seconds())?;
    Ok(client.id.clone())
}

fn check_signature(client: &Client, jwt: &Jwt) -> Result<(), OauthError> {
    if let Some(failure) = client.jwks.as_ref().and_then(|source| source.failure) {
        return Err(OauthError::client(failure));
    }
    if client.keys.is_empty() {
        return Err(OauthError::client(
            "The client does not have a JWKSet configured, but the client_assertion requires one.",
        ));
    }
    let kid = jwt.header.get("kid").and_then(serde_json::Value::as_str).unwrap_or("");
    let key = client.key(kid).ok_or_else(|| OauthError::client("The client_assertion JWT kid is invalid."))?;
    if let Some(purpose) = key.get("use").and_then(serde_json::Value::as_str)
        && purpose != "sig"
    {
        return Err(OauthError::client(
            "The public key being used has an invalid 'use' parameter. The 'use' parameter must be 'sig'.",
        ));
    }
    if jwt.signed_by(key) { Ok(()) } else { Err(OauthError::client("The client_assertion signature is invalid.")) }
}

fn check_claims(jwt: &Jwt, endpoints: &[String], now: i64) -> Result<(), OauthError> {
    if !endpoints.iter().any(|endpoint| jwt.text("aud") == Some(endpoint)) {
        return Err(OauthError::client(
            "The audience claim for client_assertion must be the endpoint invoked for the request.",
        ));
    }
    let complaint = match jwt.seconds("exp") {
        None => "The client_assertion must contain the 'exp' claim as seconds since epoch.",
        Some(exp) if exp <= now => "The client_assertion token is expired.",
        Some(exp) if exp > now + LIFE => "The client_assertion token has an expiration too far into the future.",
        Some(_) if jwt.seconds("iat").is_some_and(|iat| iat > now) => {
            "The client_assertion token must be issued before the current time."
        }
        Some(_) => return Ok(()),
    };
    Err(OauthError::client(complaint))
}

/// An assertion with a `jti` can be used once while it would still be valid.
fn use_up(client: &mut Client, jwt: &Jwt, now: i64) -> Result<(), OauthError> {
    client.assertions_seen.retain(|_, until| *until > now);
    let Some(jti) = jwt.text("jti") else {
        return Ok(());
    };
    let until = jwt.seconds("exp").unwrap_or(now + LIFE);
    match client.assertions_seen.insert(jti.to_owned(), until) {
        None => Ok(()),
        Some(_) => Err(OauthError::client("The client_assertion token has already been used.")),
    }
}
