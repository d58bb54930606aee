//! The org authorisation server's token endpoint: `client_credentials` for API Services apps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::assertion::{self, ASSERTION_TYPE};
use super::client::DpopMode;
use super::dpop::{self, Demand};
use super::{Auth, Issued, OauthError};
use crate::clock::Stamp;

/// A request to the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    /// The org's address as the caller named it; where that leaves room for doubt, all that it can mean.
    pub bases: &'a [String],
    /// The parameters of query string and body together: the vendor's Go SDK sends everything in the query string.
    pub form: &'a [(String, String)],
    /// The query string, which must carry no client id and no secret.
    pub query: &'a [(String, String)],
    /// Whether an `Authorization` header was sent.
    pub authorization: bool,
    /// The `DPoP` headers.
    pub proofs: &'a [&'a str],
    /// Life of a token, in seconds.
    pub life: i64,
    pub now: Stamp,
}

/// Answers a token request.
pub(crate) fn issue(auth: &mut Auth, request: &TokenRequest<'_>) -> Result<Value, OauthError> {
    let form = single_valued(request.form)?;
    check_grant(&form)?;
    check_credentials(&form, request)?;
    let endpoints: Vec<String> = request.bases.iter().map(|base| format!("{base}/oauth2/v1/token")).collect();
    let assertion = form.get("client_assertion").copied().unwrap_or("");
    let client_id = assertion::check(auth, assertion, &endpoints, request.now)?;
    let (dpop, granted) = check_client(auth, &client_id, form.get("scope").copied().unwrap_or(""))?;
    let jkt = if dpop == DpopMode::Required || !request.proofs.is_empty() {
        let demand = Demand { method: "POST", urls: &endpoints, token: None, jkt: None, nonce: true };
        Some(dpop::check(auth, request.proofs, &demand, request.now)?)
    } else {
        None
    };
    grant(auth, request, &client_id, granted, jkt)
}

/// The form as a map; a repeated parameter is an error.
fn single_valued(form: &[(String, String)]) -> Result<BTreeMap<&str, &str>, OauthError> {
    let mut map = BTreeMap::new();
    for (name, value) in form {
        if map.insert(name.as_str(), value.as_str()).is_some() {
            return Err(OauthError::new(
                400,
                "invalid_request",
                format!("The request contains duplicate parameters: '{name}'."),
            ));
        }
    }
    Ok(map)
}

fn check_grant(form: &BTreeMap<&str, &str>) -> Result<(), OauthError> {
    match form.get("grant_type").copied() {
        None | Some("") => Err(OauthError::new(
            400,
            "invalid_request",
            "The token request must specify a 'grant_type'. Valid types: [client_credentials].",
        )),
        Some("client_credentials") => Ok(()),
        Some(_) => Err(OauthError::new(
            400,
            "unsupported_grant_type",
            "The authorization grant type is not supported by the authorization server. Configured grant types: \
             [client_credentials].",
        )),
    }
}

fn check_credentials(form: &BTreeMap<&str, &str>, request: &TokenRequest<'_>) -> Result<(), OauthError> {
    let secret = form.contains_key("client_secret");
    let assertion = form.contains_key("client_assertion");
    let in_query = request.query.iter().any(|(name, _)| matches!(name.as_str(), "client_id" | "client_secret"));
    let kinds = [secret, assertion, request.authorization, in_query];
    if kinds.into_iter().filter(|given| *given).count() > 1 {
        return Err(OauthError::new(
            401,
            "invalid_request",
            "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization \
             header, credentials in the post body, or a client_assertion in the post body.",
        ));
    }
    if secret || request.authorization {
        return Err(OauthError::client(
            "Client Credentials requests to the Org Authorization Server must use the private_key_jwt \
             token_endpoint_auth_method.",
        ));
    }
    if !assertion {
        return Err(OauthError::client("No client credentials found."));
    }
    if form.get("client_assertion_type").copied() != Some(ASSERTION_TYPE) {
        return Err(OauthError::new(400, "invalid_request", "The client_assertion_type is invalid."));
    }
    Ok(())
}

/// The client's DPoP mode and the scopes out of `asked` that are granted to it.
fn check_client(auth: &Auth, id: &str, asked: &str) -> Result<(DpopMode, Vec<String>), OauthError> {
    let client = auth.client(id).ok_or_else(|| OauthError::client("Invalid value for 'client_id' parameter."))?;
    if client.network_denied {
        return Err(OauthError::new(
            403,
            "access_denied",
            "The request is made from outside the client's permitted network zones.",
        ));
    }
    if client.application_type != "service" {
        return Err(OauthError::client(
            "Only clients with 'application_type' of 'service' may use the client_credentials 'grant_type' with the \
             Org Authorization Server.",
        ));
    }
    let asked: Vec<&str> = asked.split_ascii_whitespace().collect();
    if asked.is_empty() {
        return Err(OauthError::new(400, "invalid_scope", "No scopes were requested."));
    }
    if asked.contains(&"openid") {
        return Err(OauthError::new(400, "invalid_scope", "Cannot request 'openid' scopes using client credentials."));
    }
    let strange: Vec<&str> = asked.iter().copied().filter(|s| !s.starts_with("okta.")).collect();
    if !strange.is_empty() {
        return Err(OauthError::new(
            400,
            "invalid_scope",
            format!("The following scopes are not allowed for this request: [{}].", strange.join(", ")),
        ));
    }
    let mut granted: Vec<String> = Vec::new();
    for scope in asked {
        if client.scopes.contains(scope) && !granted.iter().any(|g| g == scope) {
            granted.push(scope.to_owned());
        }
    }
    if granted.is_empty() {
        return Err(OauthError::new(400, "consent_required", "You are not allowed any of the requested scopes."));
    }
    Ok((client.dpop, granted))
}

fn grant(
    auth: &mut Auth,
    request: &TokenRequest<'_>,
    client: &str,
    scopes: Vec<String>,
    jkt: Option<String>,
) -> Result<Value, OauthError> {
    let issued = request.now.seconds();
    let base = request.bases.first().map_or("", String::as_str);
    let mut claims = json!({
        "ver": 1,
        "jti": format!("AT.{}", uuid::Uuid::new_v4().simple()),
        "iss": base,
        "aud": base,
        "sub": client,
        "cid": client,
        "iat": issued,
        "exp": issued + request.life,
        "scp": scopes,
    });
    if let Some(jkt) = &jkt {
        claims["cnf"] = json!({ "jkt": jkt });
    }
    let token = auth
        .signer
        .sign(&claims)
        .ok_or_else(|| OauthError::new(500, "server_error", "The token could not be signed."))?;
    let kind = if jkt.is_some() { "DPoP" } else { "Bearer" };
    let answer = json!({
        "token_type": kind,
        "expires_in": request.life,
        "access_token": token,
        "scope": scopes.join(" "),
    });
    auth.forget_expired(request.now);
    auth.tokens.insert(
        token,
        Issued {
            client: client.to_owned(),
            scopes,
            since: request.now,
            expires: request.now.plus_millis(request.life * 1000),
            jkt,
            revoked: false,
        },
    );
    Ok(answer)
}
