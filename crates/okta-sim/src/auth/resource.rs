//! Authorisation of calls to the management API: SSWS, Bearer and DPoP.

use super::dpop::{self, Demand};
use super::role::{CustomRole, Role};
use super::{Auth, OauthError};
use crate::clock::Stamp;
use crate::refusal::Refusal;

/// Who is calling, and what they may see and do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// For the write log: `ssws`, or `client:<id>`.
    pub name: String,
    /// The OAuth client, if it is one.
    pub client: Option<String>,
    pub view: CustomRole,
    pub may_write: bool,
}

/// Why a call is refused before it reaches its endpoint.
#[derive(Debug)]
pub(crate) enum Denied {
    /// With a JSON body.
    Api(Refusal),
    /// With a `WWW-Authenticate` header and no body.
    Oauth { scheme: &'static str, scope: String, error: OauthError },
}

/// What is known about a call when it is authorised.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub method: &'a str,
    /// The URLs, without query, that a proof may name.
    pub urls: &'a [String],
    pub authorization: Option<&'a str>,
    pub proofs: &'a [&'a str],
    /// Any one of these scopes will do.
    pub scopes: &'a [&'a str],
    pub now: Stamp,
}

/// The credential after a scheme, with or without a blank between: the vendor's Python SDK leaves it out, and is
/// understood.
fn after_scheme<'a>(authorization: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, tail) = authorization.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| tail.trim())
}

/// Finds out who calls.
pub(crate) fn authorise(auth: &mut Auth, call: &Call<'_>) -> Result<Caller, Denied> {
    let given = call.authorization.unwrap_or("").trim();
    if let Some(token) = after_scheme(given, "SSWS") {
        if token == auth.ssws {
            return Ok(Caller {
                name: "ssws".to_owned(),
                client: None,
                view: Role::SuperAdmin.view(),
                may_write: true,
            });
        }
        return Err(Denied::Api(Refusal::new(401, "E0000011", "Invalid token provided")));
    }
    if let Some(token) = after_scheme(given, "Bearer") {
        return with_token(auth, call, token, "Bearer");
    }
    if let Some(token) = after_scheme(given, "DPoP") {
        return with_token(auth, call, token, "DPoP");
    }
    Err(Denied::Api(Refusal::invalid_session()))
}

fn with_token(auth: &mut Auth, call: &Call<'_>, token: &str, scheme: &'static str) -> Result<Caller, Denied> {
    let deny = |error: OauthError| Denied::Oauth {
        scheme,
        scope: call.scopes.first().copied().unwrap_or("").to_owned(),
        error,
    };
    let invalid = |text: &str| deny(OauthError::new(401, "invalid_token", text));
    let Some(issued) = auth.tokens.get(token).cloned() else {
        return Err(invalid("The access token is invalid."));
    };
    if issued.revoked {
        return Err(invalid("The access token has been revoked."));
    }
    if issued.expires <= call.now {
        return Err(invalid("The token has expired."));
    }
    match (&issued.jkt, scheme) {
        (Some(_), "Bearer") => {
            return Err(deny(OauthError::new(
                400,
                "invalid_request",
                "The resource request must use the DPoP authentication scheme when using a DPoP bound token.",
            )));
        }
        (None, "DPoP") => return Err(invalid("The presented access_token is not DPoP bound.")),
        (Some(jkt), _) => {
            if call.proofs.is_empty() {
                return Err(deny(OauthError::new(
                    400,
                    "invalid_request",
                    "The resource request requires a DPoP proof.",
                )));
            }
            let demand =
                Demand { method: call.method, urls: call.urls, token: Some(token), jkt: Some(jkt), nonce: false };
            dpop::check(auth, call.proofs, &demand, call.now).map_err(deny)?;
        }
        (None, _) => {}
    }
    if !call.scopes.iter().any(|wanted| issued.scopes.iter().any(|s| s == wanted)) {
        return Err(deny(OauthError::new(
            403,
            "insufficient_scope",
            "The access token provided does not contain the required scopes.",
        )));
    }
    let Some(client) = auth.client(&issued.client).filter(|c| c.active) else {
        return Err(invalid("The access token is invalid."));
    };
    Ok(Caller {
        name: format!("client:{}", client.id),
        client: Some(client.id.clone()),
        view: client.role.view(),
        may_write: client.role.may_write(),
    })
}

/// The `WWW-Authenticate` value of an OAuth failure at a resource, as the vendor writes it (with its literal `http://`).
pub(crate) fn challenge(scheme: &str, host: &str, scope: &str, path: &str, error: &OauthError) -> String {
    let algs =
        if scheme == "DPoP" { format!("algs=\"{}\", ", super::jwt::ALGORITHMS.join(" ")) } else { String::new() };
    format!(
        "{scheme} {algs}authorization_uri=\"http://{host}/oauth2/v1/authorize\", realm=\"http://{host}\", \
         scope=\"{scope}\", error=\"{}\", error_description=\"{}\", resource=\"{path}\"",
        error.error, error.description
    )
}
