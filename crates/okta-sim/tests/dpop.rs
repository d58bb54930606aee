//! Proofs of possession, at the token endpoint and at resources.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use okta_sim::{DpopMode, Options};
use reqwest::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Harness, Prover};

async fn strict() -> (Harness, Prover) {
    let options = Options { people: 1, dpop: DpopMode::Required, ..Options::default() };
    (Harness::start(options).await, Prover::new())
}

fn token_proof(org: &Harness, nonce: Option<&str>) -> Value {
    let mut claims = json!({
        "htm": "POST", "htu": org.url("/oauth2/v1/token"), "iat": org.now(),
        "jti": uuid::Uuid::new_v4().to_string(),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    claims
}

async fn oauth_error(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["error"].as_str().unwrap().to_owned(), body["error_description"].as_str().unwrap().to_owned())
}

/// Runs the nonce dance and answers nonce and token.
async fn bound_token(org: &Harness, prover: &Prover) -> (String, String) {
    let proof = prover.prove(&token_proof(org, None));
    let challenge = org.post_form(&org.form("okta.apps.read"), Some(&proof)).await;
    assert_eq!(challenge.status(), 400);
    let nonce = challenge.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    let proof = prover.prove(&token_proof(org, Some(&nonce)));
    let answer = org.post_form(&org.form("okta.apps.read"), Some(&proof)).await;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["token_type"], "DPoP");
    (nonce, body["access_token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_client_that_must_prove_possession_is_told_so_and_given_a_nonce() {
    let (org, prover) = strict().await;
    let plain = org.post_form(&org.form("okta.apps.read"), None).await;
    assert_eq!(
        oauth_error(plain).await,
        (400, "invalid_dpop_proof".into(), "The DPoP proof JWT header is missing.".into())
    );
    let proof = prover.prove(&token_proof(&org, None));
    let challenge = org.post_form(&org.form("okta.apps.read"), Some(&proof)).await;
    assert!(challenge.headers().contains_key("dpop-nonce"));
    assert_eq!(oauth_error(challenge).await.1, "use_dpop_nonce");
    let (nonce, _) = bound_token(&org, &prover).await;
    // A nonce is good for many proofs, also after it was replaced, but not once it is forgotten.
    org.sim.org().rotate_nonce(false);
    let proof = prover.prove(&token_proof(&org, Some(&nonce)));
    assert_eq!(org.post_form(&org.form("okta.apps.read"), Some(&proof)).await.status(), 200);
    org.sim.org().rotate_nonce(true);
    let proof = prover.prove(&token_proof(&org, Some(&nonce)));
    assert_eq!(oauth_error(org.post_form(&org.form("okta.apps.read"), Some(&proof)).await).await.1, "use_dpop_nonce");
}

#[tokio::test]
async fn a_client_that_need_not_may() {
    let org = Harness::with_people(0).await;
    let (_, token) = bound_token(&org, &Prover::new()).await;
    assert!(!token.is_empty());
}

#[tokio::test]
async fn each_flaw_of_a_token_proof_has_its_own_sentence() {
    let (org, prover) = strict().await;
    let (nonce, _) = bound_token(&org, &prover).await;
    let now = org.now();
    let cases = [
        (json!({ "htm": "GET" }), "'htm' claim in the DPoP proof JWT is invalid."),
        (json!({ "htu": org.ready.org_url }), "'htu' claim in the DPoP proof JWT is invalid."),
        (json!({ "jti": "" }), "'jti' claim in the DPoP proof JWT is invalid."),
        (json!({ "iat": "now" }), "'iat' claim in the DPoP proof JWT is invalid."),
        (json!({ "iat": now + 30 }), "The DPoP proof JWT is issued in the future."),
        (json!({ "iat": now - 400 }), "The DPoP proof JWT is issued more than five minutes in the past."),
        (json!({ "exp": now - 1 }), "The DPoP proof JWT is expired."),
    ];
    for (change, sentence) in cases {
        let mut claims = token_proof(&org, Some(&nonce));
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let answer = org.post_form(&org.form("okta.apps.read"), Some(&prover.prove(&claims))).await;
        assert_eq!(oauth_error(answer).await, (400, "invalid_dpop_proof".to_owned(), sentence.to_owned()), "{change}");
    }
    let untyped = prover.prove_as("JWT", &token_proof(&org, Some(&nonce)));
    let answer = oauth_error(org.post_form(&org.form("okta.apps.read"), Some(&untyped)).await).await;
    assert!(answer.2.contains("'typ' must be 'dpop+jwt'"), "{answer:?}");
    let proof = prover.prove(&token_proof(&org, Some(&nonce)));
    assert_eq!(org.post_form(&org.form("okta.apps.read"), Some(&proof)).await.status(), 200);
    let again = oauth_error(org.post_form(&org.form("okta.apps.read"), Some(&proof)).await).await;
    assert_eq!(again.2, "The DPoP proof JWT has already been used.");
}

fn ath(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

async fn call(org: &Harness, scheme: &str, token: &str, path: &str, proof: Option<&str>) -> Response {
    let mut request = org.http.get(org.url(path)).header("Authorization", format!("{scheme} {token}"));
    if let Some(proof) = proof {
        request = request.header("DPoP", proof);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_its_key() {
    let (org, prover) = strict().await;
    let (_, token) = bound_token(&org, &prover).await;
    let path = format!("/api/v1/apps/{}/users?limit=1&expand=user", org.ready.app_id);
    let plain = path.split('?').next().unwrap();
    let claims = || {
        json!({
            "htm": "GET", "htu": org.url(plain), "iat": org.now(), "ath": ath(&token),
            "jti": uuid::Uuid::new_v4().to_string(),
        })
    };
    let good = prover.prove(&claims());
    assert_eq!(call(&org, "DPoP", &token, &path, Some(&good)).await.status(), 200);
    let with = |change: Value| {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        prover.prove(&claims)
    };
    let cases = vec![
        ("Bearer", Some(prover.prove(&claims())), "invalid_request", "must use the DPoP authentication scheme"),
        ("DPoP", None, "invalid_request", "The resource request requires a DPoP proof."),
        ("DPoP", Some(good), "invalid_dpop_proof", "has already been used"),
        ("DPoP", Some(with(json!({ "htu": org.url(&path) }))), "invalid_dpop_proof", "'htu' claim"),
        ("DPoP", Some(with(json!({ "htm": "POST" }))), "invalid_dpop_proof", "'htm' claim"),
        ("DPoP", Some(with(json!({ "ath": "else" }))), "invalid_dpop_proof", "'ath' claim"),
        ("DPoP", Some(Prover::new().prove(&claims())), "invalid_dpop_proof", "not bound to the provided DPoP proof"),
    ];
    for (scheme, proof, error, part) in cases {
        let answer = call(&org, scheme, &token, &path, proof.as_deref()).await;
        assert_eq!(answer.status(), 400, "{part}");
        let header = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(header.starts_with(scheme), "{header}");
        assert!(header.contains(&format!("error=\"{error}\"")), "{header}");
        assert!(header.contains(part), "{header}");
        assert!(answer.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_plain_token_is_not_a_bound_one() {
    let org = Harness::with_people(0).await;
    let token = org.token("okta.apps.read").await;
    let proof = Prover::new().prove(&json!({}));
    let answer = call(&org, "DPoP", &token, "/api/v1/apps", Some(&proof)).await;
    assert_eq!(answer.status(), 401);
    let header = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(header.contains("The presented access_token is not DPoP bound."), "{header}");
    assert!(header.contains("algs=\"RS256 RS384 RS512 ES256 ES384 ES512\""), "{header}");
}
