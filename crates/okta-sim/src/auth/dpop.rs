//! Proofs of possession (RFC 9449) as Okta checks them: at the token endpoint with a nonce, at resources without one.

use serde_json::Value;

use super::jwt::{Jwt, sha256_base64, thumbprint};
use super::{Auth, OauthError};
use crate::clock::Stamp;

/// A nonce is replaced after a day …
const ROTATE: i64 = 24 * 3600 * 1000;
/// … and an old one is taken for three days.
const ACCEPT: i64 = 3 * ROTATE;
/// A proof may be this old, in seconds.
const WINDOW: i64 = 300;

/// The token endpoint's nonces, newest last.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Vec<(String, Stamp)>);

impl Nonces {
    /// The nonce to hand out now.
    pub fn current(&mut self, now: Stamp) -> String {
        self.0.retain(|(_, made)| made.plus_millis(ACCEPT) > now);
        match self.0.last() {
            Some((nonce, made)) if made.plus_millis(ROTATE) > now => nonce.clone(),
            _ => self.rotate(now),
        }
    }

    /// Replaces the nonce before its time; the old one is still accepted.
    pub fn rotate(&mut self, now: Stamp) -> String {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        self.0.push((nonce.clone(), now));
        nonce
    }

    /// Forgets all nonces: those that clients hold are refused from now on.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    fn knows(&self, nonce: &str, now: Stamp) -> bool {
        self.0.iter().any(|(known, made)| known == nonce && made.plus_millis(ACCEPT) > now)
    }
}

/// What a proof must fit.
#[derive(Debug)]
pub(crate) struct Demand<'a> {
    pub method: &'a str,
    /// The URLs, without query and fragment, that `htu` may name.
    pub urls: &'a [String],
    /// The access token that `ath` must belong to, at resources.
    pub token: Option<&'a str>,
    /// The thumbprint that the token is bound to, at resources.
    pub jkt: Option<&'a str>,
    /// Whether a nonce is wanted.
    pub nonce: bool,
}

/// Checks a proof and answers the thumbprint of its key. The proof's `jti` is used up.
pub(crate) fn check(auth: &mut Auth, headers: &[&str], demand: &Demand<'_>, now: Stamp) -> Result<String, OauthError> {
    let proof = match headers {
        [] => return Err(OauthError::proof("The DPoP proof JWT header is missing.")),
        [one] => *one,
        _ => return Err(OauthError::proof("Multiple DPoP proof JWT headers are not allowed.")),
    };
    let jwt = Jwt::parse(proof).ok_or_else(|| OauthError::proof("The DPoP proof JWT cannot be parsed."))?;
    let jkt = check_header(&jwt)?;
    check_claims(&jwt, demand, now.seconds())?;
    if demand.nonce {
        check_nonce(auth, &jwt, now)?;
    }
    if let Some(token) = demand.token
        && jwt.text("ath") != Some(sha256_base64(token.as_bytes()).as_str())
    {
        return Err(OauthError::proof("'ath' claim in the DPoP proof does not match the presented access_token."));
    }
    if demand.jkt.is_some_and(|bound| bound != jkt) {
        return Err(OauthError::proof("The access_token is not bound to the provided DPoP proof."));
    }
    let jti = jwt.text("jti").unwrap_or("").to_owned();
    if !auth.proofs_seen.insert((jkt.clone(), jti)) {
        return Err(OauthError::proof("The DPoP proof JWT has already been used."));
    }
    Ok(jkt)
}

fn check_header(jwt: &Jwt) -> Result<String, OauthError> {
    if jwt.header.get("typ").and_then(Value::as_str) != Some("dpop+jwt") {
        return Err(OauthError::proof("The DPoP proof JWT header 'typ' must be 'dpop+jwt'."));
    }
    if jwt.algorithm().is_none() {
        return Err(OauthError::proof("The DPoP proof JWT signature algorithm is invalid."));
    }
    let jwk = jwt.header.get("jwk").filter(|jwk| jwk.get("d").is_none());
    let (Some(jwk), Some(jkt)) = (jwk, jwk.and_then(thumbprint)) else {
        return Err(OauthError::proof("The DPoP proof JWT header 'jwk' is invalid."));
    };
    if jwt.signed_by(jwk) { Ok(jkt) } else { Err(OauthError::proof("The DPoP proof JWT signature is invalid.")) }
}

fn check_claims(jwt: &Jwt, demand: &Demand<'_>, now: i64) -> Result<(), OauthError> {
    let invalid = |claim: &str| Err(OauthError::proof(format!("'{claim}' claim in the DPoP proof JWT is invalid.")));
    if jwt.text("htm") != Some(demand.method) {
        return invalid("htm");
    }
    if !demand.urls.iter().any(|url| jwt.text("htu") == Some(url)) {
        return invalid("htu");
    }
    if jwt.text("jti").is_none_or(str::is_empty) {
        return invalid("jti");
    }
    let Some(iat) = jwt.seconds("iat") else {
        return invalid("iat");
    };
    if iat > now {
        return Err(OauthError::proof("The DPoP proof JWT is issued in the future."));
    }
    if iat < now - WINDOW {
        return Err(OauthError::proof("The DPoP proof JWT is issued more than five minutes in the past."));
    }
    if jwt.seconds("exp").is_some_and(|exp| exp <= now) {
        return Err(OauthError::proof("The DPoP proof JWT is expired."));
    }
    Ok(())
}

fn check_nonce(auth: &mut Auth, jwt: &Jwt, now: Stamp) -> Result<(), OauthError> {
    if jwt.text("nonce").is_some_and(|nonce| auth.nonces.knows(nonce, now)) {
        return Ok(());
    }
    let mut error = OauthError::new(400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.");
    error.nonce = Some(auth.nonces.current(now));
    Err(error)
}
