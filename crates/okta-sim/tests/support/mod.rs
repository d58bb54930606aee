//! A small client of the tests' own: assertions, proofs, tokens and requests, with every part open to be got wrong.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test file uses a part; tests may panic

pub mod description;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use okta_sim::{OktaSim, Options, Ready};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// An org and a client of it.
pub struct Harness {
    pub sim: OktaSim,
    pub ready: Ready,
    pub http: reqwest::Client,
    pub key: String,
}

pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Harness {
    pub async fn start(options: Options) -> Self {
        let sim = OktaSim::start(options).await.expect("the org starts");
        let ready = sim.ready();
        let ca = reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([ca])
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("okta-sim-tests")
            .build()
            .unwrap();
        let key = std::fs::read_to_string(&ready.private_key_file).unwrap();
        Self { sim, ready, http, key }
    }

    pub async fn with_people(people: usize) -> Self {
        Self::start(Options::with_people(people, 7)).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready.org_url)
    }

    pub fn now(&self) -> i64 {
        self.sim.org().clock().now().seconds()
    }

    pub fn kid(&self) -> String {
        self.sim.org().keys()[0]["kid"].as_str().unwrap().to_owned()
    }

    /// The claims of a good assertion.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.ready.client_id, "sub": self.ready.client_id,
            "aud": self.url("/oauth2/v1/token"),
            "iat": self.now(), "exp": self.now() + 300,
            "jti": uuid::Uuid::new_v4().to_string(),
        })
    }

    /// An assertion over some claims, signed with the client's key.
    pub fn assertion(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid());
        let key = EncodingKey::from_rsa_pem(self.key.as_bytes()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    /// The form of a good token request.
    pub fn form(&self, scope: &str) -> Vec<(String, String)> {
        self.form_with(scope, &self.assertion(&self.claims()))
    }

    #[allow(clippy::unused_self)] // reads like its sibling
    pub fn form_with(&self, scope: &str, assertion: &str) -> Vec<(String, String)> {
        [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub async fn post_form(&self, form: &[(String, String)], proof: Option<&str>) -> Response {
        let mut request = self.http.post(self.url("/oauth2/v1/token")).form(form);
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        request.send().await.unwrap()
    }

    /// An access token for some scopes.
    pub async fn token(&self, scope: &str) -> String {
        let answer = self.post_form(&self.form(scope), None).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// A read with a Bearer token.
    pub async fn get(&self, token: &str, path: &str) -> Response {
        let answer = self.http.get(self.url(path)).bearer_auth(token).send().await.unwrap();
        self.held(path, answer).await
    }

    /// A call with the SSWS token.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = self
            .http
            .request(method.clone(), self.url(path))
            .header("Authorization", format!("SSWS {}", self.ready.ssws));
        if let Some(body) = body {
            request = request.json(body);
        }
        let reads = method == Method::GET;
        let answer = request.send().await.unwrap();
        if reads { self.held(path, answer).await } else { answer }
    }

    /// The same answer, once it fits the vendor's description. What a fault spoils, or has a status that nobody knows, need
    /// not.
    async fn held(&self, path: &str, answer: Response) -> Response {
        let (status, headers) = (answer.status(), answer.headers().clone());
        if !self.sim.org().faults().is_empty() {
            return answer;
        }
        let body = answer.bytes().await.unwrap();
        if let Ok(value) = serde_json::from_slice::<Value>(&body) {
            let path = path.split('?').next().unwrap();
            let mut misfits = description::misfits(path, status.as_u16(), &value);
            misfits.retain(|misfit| !misfit.contains("HIBERNATING") && !misfit.contains("LEVITATING"));
            assert!(misfits.is_empty(), "{path}: {misfits:#?}");
        }
        let mut same = http::Response::new(reqwest::Body::from(body));
        *same.status_mut() = status;
        *same.headers_mut() = headers;
        same.into()
    }

    /// A call with the SSWS token that must succeed; its JSON, null where there is none.
    pub async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.admin(method.clone(), path, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn read(&self, path: &str) -> Value {
        self.manage(Method::GET, path, None).await
    }

    /// A call at the admin port.
    pub async fn switchboard(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.ready.admin_url));
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }
}

/// Status, error code and first cause of a management API error.
pub async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert!(body["errorId"].as_str().unwrap().starts_with("oae"), "{body}");
    assert_eq!(body["errorLink"], body["errorCode"]);
    (status, body["errorCode"].as_str().unwrap().to_owned(), body["errorSummary"].as_str().unwrap().to_owned())
}

/// The target of the link with this relation.
pub fn link(answer: &Response, relation: &str) -> Option<String> {
    let wanted = format!("; rel=\"{relation}\"");
    answer
        .headers()
        .get_all("link")
        .iter()
        .filter_map(|line| line.to_str().ok()?.strip_suffix(wanted.as_str()))
        .map(|line| line.trim_start_matches('<').trim_end_matches('>').to_owned())
        .next()
}

/// A DPoP key and its proofs.
pub struct Prover {
    pem: String,
    jwk: Value,
}

impl Prover {
    pub fn new() -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let der = pair.to_pkcs8v1().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        Self {
            pem: format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"),
            jwk: json!({
                "kty": "EC", "crv": "P-256",
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
            }),
        }
    }

    pub fn prove(&self, claims: &Value) -> String {
        self.prove_as("dpop+jwt", claims)
    }

    pub fn prove_as(&self, kind: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(kind.to_owned());
        header.jwk = Some(serde_json::from_value(self.jwk.clone()).unwrap());
        let key = EncodingKey::from_ec_pem(self.pem.as_bytes()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}
