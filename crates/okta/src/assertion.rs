//! The client assertion: a short-lived JWT with which the app proves who it is (RFC 7523 §2.2, RFC 7521 §4.2).

use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::{
    jws,
    key::{KeyError, PrivateKey},
};

/// Seconds that an assertion is valid. Okta refuses 3600 and more; exactly 3600 fails with a second of clock skew.
const LIFE: i64 = 300;

/// Value of `client_assertion_type`.
pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// A new assertion for one request to `endpoint`; Okta takes each once only.
///
/// `now` is in seconds since the Unix epoch by Okta's clock. `aud` is the very address that is called, as one string.
pub(crate) fn make(key: &PrivateKey, client_id: &str, endpoint: &Url, now: i64) -> Result<String, KeyError> {
    let header = Header { alg: key.algorithm().as_str(), kid: key.kid(), typ: "JWT" };
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: endpoint.as_str(),
        iat: now,
        exp: now + LIFE,
        jti: Uuid::new_v4().to_string(),
    };
    jws::sign(key, &header, &claims)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::{key::KeyKind, org_url::OrgUrl};

    fn part(token: &str, index: usize) -> Value {
        serde_json::from_slice(&jws::decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_what_okta_demands_and_lives_five_minutes() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap().with_kid("mine");
        let endpoint = OrgUrl::parse("https://acme.okta.com/").unwrap().token_endpoint();
        let token = make(&key, "0oa1client", &endpoint, 1_000).unwrap();
        assert_eq!(part(&token, 0), json!({"alg": "ES256", "kid": "mine", "typ": "JWT"}));
        let mut claims = part(&token, 1);
        assert_eq!(claims["jti"].take().as_str().unwrap().len(), 36);
        let expected = json!({"iss": "0oa1client", "sub": "0oa1client", "aud": "https://acme.okta.com/oauth2/v1/token",
                              "iat": 1000, "exp": 1300, "jti": null});
        assert_eq!(claims, expected);
    }

    #[test]
    fn no_two_assertions_are_alike() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let endpoint = OrgUrl::parse("https://acme.okta.com").unwrap().token_endpoint();
        let made: HashSet<String> = (0..50)
            .map(|_| part(&make(&key, "c", &endpoint, 0).unwrap(), 1)["jti"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(made.len(), 50);
    }
}
