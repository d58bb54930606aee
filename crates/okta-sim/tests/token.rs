//! The token endpoint: every reason for a refusal, in the vendor's own words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use okta_sim::{KeyKind, OktaSim, Options};
use reqwest::Response;
use serde_json::{Value, json};
use support::{ASSERTION_TYPE, Harness};

async fn error(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.headers().contains_key("x-okta-request-id"));
    let body: Value = answer.json().await.unwrap();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (status, text("error"), text("error_description"))
}

fn refused(status: u16, error: &str, description: &str) -> (u16, String, String) {
    (status, error.to_owned(), description.to_owned())
}

fn invalid_client(description: &str) -> (u16, String, String) {
    refused(401, "invalid_client", description)
}

#[tokio::test]
async fn a_good_assertion_buys_an_hour_for_the_granted_scopes() {
    let org = Harness::with_people(0).await;
    let answer = org.post_form(&org.form("okta.users.read okta.apps.manage okta.apps.read"), None).await;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["scope"], "okta.users.read okta.apps.read", "the granted part, silently");
}

#[tokio::test]
async fn each_flaw_of_an_assertion_has_its_own_sentence() {
    let org = Harness::with_people(0).await;
    let now = org.now();
    let cases: Vec<(Value, &str)> = vec![
        (
            json!({ "aud": org.ready.org_url }),
            "The audience claim for client_assertion must be the endpoint invoked for the request.",
        ),
        (
            json!({ "aud": [org.url("/oauth2/v1/token")] }),
            "The audience claim for client_assertion must be the endpoint invoked for the request.",
        ),
        (
            json!({ "aud": format!("{}/", org.url("/oauth2/v1/token")) }),
            "The audience claim for client_assertion must be the endpoint invoked for the request.",
        ),
        (json!({ "iss": "0oaNobody" }), "The issuer claim for client_assertion is not a valid client_id."),
        (json!({ "sub": "0oaNobody" }), "The subject claim for client_assertion is not a valid client_id."),
        (json!({ "exp": null }), "The client_assertion must contain the 'exp' claim as seconds since epoch."),
        (json!({ "exp": "soon" }), "The client_assertion must contain the 'exp' claim as seconds since epoch."),
        (json!({ "exp": now - 1 }), "The client_assertion token is expired."),
        (json!({ "exp": now + 3605 }), "The client_assertion token has an expiration too far into the future."),
        (json!({ "iat": now + 60 }), "The client_assertion token must be issued before the current time."),
    ];
    for (change, sentence) in cases {
        let mut claims = org.claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let form = org.form_with("okta.apps.read", &org.assertion(&claims));
        let answer = error(org.post_form(&form, None).await).await;
        assert_eq!(answer, invalid_client(sentence), "{change}");
    }
}

#[tokio::test]
async fn an_assertion_of_one_hour_passes_and_a_second_more_fails() {
    let org = Harness::with_people(0).await;
    org.sim.org().clock().freeze(true);
    for (life, passes) in [(3601, false), (3600, true)] {
        let mut claims = org.claims();
        claims["exp"] = (org.now() + life).into();
        let form = org.form_with("okta.apps.read", &org.assertion(&claims));
        assert_eq!(org.post_form(&form, None).await.status().is_success(), passes, "{life}");
    }
}

#[tokio::test]
async fn an_assertion_is_used_once() {
    let org = Harness::with_people(0).await;
    let form = org.form("okta.apps.read");
    assert_eq!(org.post_form(&form, None).await.status(), 200);
    let again = error(org.post_form(&form, None).await).await;
    assert_eq!(again, invalid_client("The client_assertion token has already been used."));
    let mut claims = org.claims();
    claims.as_object_mut().unwrap().remove("jti");
    let form = org.form_with("okta.apps.read", &org.assertion(&claims));
    for _ in 0..2 {
        assert_eq!(org.post_form(&form, None).await.status(), 200, "without a jti nothing is remembered");
    }
}

#[tokio::test]
async fn signature_key_and_algorithm_are_checked() {
    let org = Harness::with_people(0).await;
    let rsa = EncodingKey::from_rsa_pem(org.key.as_bytes()).unwrap();
    let with = |algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, &org.claims(), key).unwrap()
    };
    let kid = org.kid();
    let good = with(Algorithm::RS256, Some(&kid), &rsa);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let cases = [
        (with(Algorithm::RS256, None, &rsa), "The client_assertion JWT kid is invalid."),
        (with(Algorithm::RS256, Some("other"), &rsa), "The client_assertion JWT kid is invalid."),
        (with(Algorithm::PS256, Some(&kid), &rsa), "The client_assertion JWT signature algorithm is invalid."),
        (
            with(Algorithm::HS256, Some(&kid), &EncodingKey::from_secret(b"secret")),
            "The client_assertion JWT signature algorithm is invalid.",
        ),
        (format!("{signed}.c2lnbmF0dXJl"), "The client_assertion signature is invalid."),
        ("rubbish".to_owned(), "The parsing of the client_assertion failed."),
    ];
    for (assertion, sentence) in cases {
        let answer = error(org.post_form(&org.form_with("okta.apps.read", &assertion), None).await).await;
        assert_eq!(answer, invalid_client(sentence));
    }
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512] {
        let form = org.form_with("okta.apps.read", &with(algorithm, Some(&kid), &rsa));
        assert_eq!(org.post_form(&form, None).await.status(), 200, "{algorithm:?}");
    }
}

#[tokio::test]
async fn an_elliptic_key_works_as_well() {
    let options = Options { client_key: KeyKind::Ec, ..Options::default() };
    let org = Harness::start(options).await;
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(org.kid());
    let key = EncodingKey::from_ec_pem(org.key.as_bytes()).unwrap();
    let assertion = jsonwebtoken::encode(&header, &org.claims(), &key).unwrap();
    let answer = org.post_form(&org.form_with("okta.apps.read", &assertion), None).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_request_itself_must_be_right() {
    let org = Harness::with_people(0).await;
    let good = org.form("okta.apps.read");
    let changed = |name: &str, value: Option<&str>| {
        let mut form = org.form("okta.apps.read");
        form.retain(|(n, _)| n != name);
        if let Some(value) = value {
            form.push((name.to_owned(), value.to_owned()));
        }
        form
    };
    let mut doubled = good.clone();
    doubled.push(("scope".to_owned(), "okta.users.read".to_owned()));
    let mut secret = changed("client_assertion", None);
    secret.push(("client_secret".to_owned(), "s".to_owned()));
    let mut both = org.form("okta.apps.read");
    both.push(("client_secret".to_owned(), "s".to_owned()));
    let cases = vec![
        (doubled, 400, "invalid_request", "duplicate"),
        (changed("grant_type", None), 400, "invalid_request", "must specify a 'grant_type'"),
        (changed("grant_type", Some("password")), 400, "unsupported_grant_type", "not supported"),
        (
            changed("client_assertion_type", Some("jwt")),
            400,
            "invalid_request",
            "The client_assertion_type is invalid.",
        ),
        (changed("client_assertion", None), 401, "invalid_client", "No client credentials found."),
        (secret, 401, "invalid_client", "must use the private_key_jwt"),
        (both, 401, "invalid_request", "Cannot supply multiple client credentials."),
        (changed("scope", None), 400, "invalid_scope", "No scopes were requested."),
        (changed("scope", Some("openid okta.apps.read")), 400, "invalid_scope", "Cannot request 'openid'"),
        (changed("scope", Some("profile")), 400, "invalid_scope", "[profile]"),
        (
            changed("scope", Some("okta.apps.manage")),
            400,
            "consent_required",
            "You are not allowed any of the requested scopes.",
        ),
    ];
    for (form, status, kind, part) in cases {
        let (s, k, d) = error(org.post_form(&form, None).await).await;
        assert_eq!((s, k.as_str()), (status, kind), "{part}: {d}");
        assert!(d.contains(part), "{d}");
    }
}

#[tokio::test]
async fn parameters_in_the_query_string_count_alike_and_the_port_may_be_missing_from_host() {
    // Both are what the vendor's Go SDK does.
    let org = Harness::with_people(0).await;
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(org.form("okta.apps.read")).finish();
    let address = org.url(&format!("/oauth2/v1/token?{query}"));
    assert_eq!(org.http.post(address).send().await.unwrap().status(), 200);
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(org.sim.ca_pem().as_bytes()).unwrap()])
        .http1_only()
        .build()
        .unwrap();
    for aud in [org.url("/oauth2/v1/token"), "https://127.0.0.1/oauth2/v1/token".to_owned()] {
        let mut claims = org.claims();
        claims["aud"] = aud.into();
        let form = org.form_with("okta.apps.read", &org.assertion(&claims));
        let request = client.post(org.url("/oauth2/v1/token")).header("Host", "127.0.0.1").form(&form);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn what_the_console_can_take_away_is_missed() {
    let org = Harness::with_people(0).await;
    let handle = org.sim.org();
    let ask = async || error(org.post_form(&org.form("okta.apps.read"), None).await).await;
    handle.set_client_active(false);
    assert_eq!(
        ask().await,
        invalid_client("Client authentication failed. Either the client or the client credentials are invalid.")
    );
    handle.set_client_active(true);
    handle.deny_network(true);
    assert_eq!(
        ask().await,
        refused(403, "access_denied", "The request is made from outside the client's permitted network zones.")
    );
    handle.deny_network(false);
    handle.set_scopes(&[]);
    assert_eq!(ask().await, refused(400, "consent_required", "You are not allowed any of the requested scopes."));
    handle.set_scopes(&["okta.apps.read"]);
    let form = org.form("okta.apps.read");
    handle.remove_key(&org.kid());
    assert_eq!(
        error(org.post_form(&form, None).await).await,
        invalid_client("The client does not have a JWKSet configured, but the client_assertion requires one.")
    );
}

#[tokio::test]
async fn keys_must_be_public_long_enough_and_of_their_own_name() {
    let org = Harness::with_people(0).await;
    let handle = org.sim.org();
    let known = handle.keys()[0].clone();
    assert!(handle.add_key(&known).is_err(), "the kid is taken");
    let mut other = known.clone();
    other["kid"] = "second".into();
    assert_eq!(handle.add_key(&other).unwrap(), "second");
    assert!(handle.add_key(&json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" })).is_err(), "too short");
    assert!(handle.add_key(&json!({ "kty": "oct", "k": "AQAB" })).is_err());
    let mut private = known;
    private["kid"] = "third".into();
    private["d"] = "AQAB".into();
    assert!(handle.add_key(&private).is_err());
}

#[tokio::test]
async fn introspection_tells_a_client_about_its_token() {
    let org = Harness::with_people(0).await;
    let token = org.token("okta.apps.read").await;
    let ask = async |token: &str| {
        let mut claims = org.claims();
        claims["aud"] = org.url("/oauth2/v1/introspect").into();
        let form = [
            ("token", token),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &org.assertion(&claims)),
        ];
        let answer = org.http.post(org.url("/oauth2/v1/introspect")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let live = ask(&token).await;
    assert_eq!(live["active"], true);
    assert_eq!(live["scope"], "okta.apps.read");
    assert_eq!(live["client_id"], org.ready.client_id.as_str());
    org.sim.org().revoke_tokens();
    assert_eq!(ask(&token).await, json!({ "active": false }));
}

#[tokio::test]
async fn keys_published_at_a_url_are_fetched_when_needed_and_not_more_often() {
    let org = Harness::with_people(0).await;
    let handle = org.sim.org();
    let key = handle.keys()[0].clone();
    // Another org's `/oauth2/v1/keys` is a JWK set behind TLS that does not hold the client's key.
    let publisher = OktaSim::start(Options::default()).await.unwrap();
    let url = format!("{}/oauth2/v1/keys", publisher.ready().org_url);
    let form = || org.form_with("okta.apps.read", &signed(&org, &key));
    handle.use_jwks_url(&url, None).unwrap();
    assert_eq!(
        error(org.post_form(&form(), None).await).await,
        invalid_client("Error retrieving the client JWKSet from jwks_uri."),
        "the publisher's CA is not known"
    );
    handle.use_jwks_url(&url, Some(publisher.ca_pem())).unwrap();
    for _ in 0..3 {
        assert_eq!(
            error(org.post_form(&form(), None).await).await,
            invalid_client("The client_assertion JWT kid is invalid.")
        );
    }
    let fetched = || publisher.org().counters().of("GET", "/oauth2/v1/keys");
    assert_eq!(fetched(), 1, "throttled");
    handle.clock().advance_millis(61_000);
    org.post_form(&form(), None).await;
    assert_eq!(fetched(), 2);
    assert!(handle.use_jwks_url("http://teleport.example.com/jwks", None).is_err());
}

#[tokio::test]
async fn a_token_lives_as_long_as_it_says() {
    let org = Harness::with_people(1).await;
    for (set, seconds) in [(None, 3600), (Some(90), 90)] {
        org.sim.org().switch(|switches| switches.token_seconds = set.unwrap_or(switches.token_seconds));
        let body: Value = org.post_form(&org.form("okta.users.read"), None).await.json().await.unwrap();
        assert_eq!(body["expires_in"], seconds);
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(org.get(token, "/api/v1/users").await.status(), 200);
        org.sim.org().clock().advance_millis(seconds * 1000 + 1000);
        assert_eq!(org.get(token, "/api/v1/users").await.status(), 401);
    }
}

fn signed(org: &Harness, key: &Value) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = key["kid"].as_str().map(str::to_owned);
    let pem = EncodingKey::from_rsa_pem(org.key.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &org.claims(), &pem).unwrap()
}
