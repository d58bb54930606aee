//! Access tokens: asked for once, used by every call until shortly before they expire.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    assertion,
    dpop::{Dpop, Prover, Purpose},
    error::OktaError,
    http::{Answer, Credentials, Target},
    key::PrivateKey,
    refusal::Refusal,
    scope::Scope,
    wire::{TokenRequest, Wire},
};

/// A token is replaced this long before it expires.
const EARLY: Duration = Duration::from_secs(300);

/// A token that lacks a scope is not asked for again sooner: an administrator grants scopes, and that takes a while.
const GRANT_WAIT: Duration = Duration::from_secs(60);

/// Requests for one token at most, for discovery of `DPoP`, its nonce and the clock together.
const MOST_REQUESTS: usize = 6;

const CALL: &str = "POST /oauth2/v1/token";

/// A token and what is known of it.
pub(crate) struct Token {
    secret: SecretString,
    /// Whether it is bound to the prover's key.
    pub(crate) bound: bool,
    /// What was granted.
    pub(crate) scopes: Vec<String>,
    asked: BTreeSet<Scope>,
    made: Instant,
    renew: Instant,
}

/// Gives tokens to calls; one renewal at a time.
pub(crate) struct Tokens {
    client_id: String,
    key: PrivateKey,
    dpop: Dpop,
    prover: Prover,
    /// Whether Okta demands `DPoP`, once that is known, or it is demanded here.
    bound: AtomicBool,
    /// The nonce that the token endpoint asked for last.
    token_nonce: Mutex<Option<String>>,
    /// The nonce that the API asked for last. Okta asks for none today.
    api_nonce: Mutex<Option<String>>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    wanted: BTreeSet<Scope>,
}

#[derive(Deserialize)]
struct Granted {
    token_type: String,
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
}

impl Tokens {
    /// No token yet; `also` are scopes that are asked for besides those that calls turn out to need.
    pub(crate) fn new(client_id: String, key: PrivateKey, dpop: Dpop, also: &[Scope]) -> Result<Self, OktaError> {
        Ok(Self {
            client_id,
            key,
            dpop,
            prover: Prover::new()?,
            bound: AtomicBool::new(dpop == Dpop::Required),
            token_nonce: Mutex::default(),
            api_nonce: Mutex::default(),
            state: tokio::sync::Mutex::new(State { token: None, wanted: also.iter().copied().collect() }),
        })
    }

    /// A token that carries these scopes, from the cache or new. While one caller asks Okta, the others wait for it.
    pub(crate) async fn current(
        &self,
        wire: &Wire,
        needs: &[Scope],
        waited: &mut Duration,
    ) -> Result<Arc<Token>, OktaError> {
        let mut state = self.state.lock().await;
        state.wanted.extend(needs);
        let now = Instant::now();
        if let Some(token) = &state.token
            && now < token.renew
            && token.asked.is_superset(&state.wanted)
            && (token.lacks(needs).is_none() || now.duration_since(token.made) < GRANT_WAIT)
        {
            return token.clone().with_all(needs);
        }
        let token = Arc::new(self.ask(wire, &state.wanted, waited).await?);
        state.token = Some(token.clone());
        token.with_all(needs)
    }

    /// A token with whatever Okta grants of these scopes, and of those that calls have asked for; none of them is demanded.
    pub(crate) async fn granted(
        &self,
        wire: &Wire,
        scopes: &[Scope],
        waited: &mut Duration,
    ) -> Result<Arc<Token>, OktaError> {
        self.state.lock().await.wanted.extend(scopes);
        self.current(wire, &[], waited).await
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Forgets a token that Okta did not take; another one that came meanwhile stays.
    pub(crate) async fn forget(&self, token: &Arc<Token>) {
        let mut state = self.state.lock().await;
        if state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.token = None;
        }
    }

    /// Okta demands proofs although the last token is not bound: whether that can be done from now on.
    pub(crate) fn demand_binding(&self) -> Result<(), OktaError> {
        if self.dpop == Dpop::Disabled {
            return Err(OktaError::DpopDemanded);
        }
        self.bound.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What goes beside a GET.
    pub(crate) fn credentials(&self, wire: &Wire, token: &Token, target: &Target) -> Result<Credentials, OktaError> {
        let secret = token.secret.expose_secret();
        let scheme = if token.bound { "DPoP" } else { "Bearer" };
        let proof = if token.bound {
            let nonce = locked(&self.api_nonce);
            let url = wire.http.address(target);
            let purpose = Purpose {
                method: "GET",
                url: &url,
                now: wire.clock.now(),
                nonce: nonce.as_deref(),
                token: Some(secret),
            };
            Some(header(&self.prover.prove(&purpose)?)?)
        } else {
            None
        };
        Ok(Credentials { authorization: Some(header(&format!("{scheme} {secret}"))?), proof })
    }

    /// Keeps a nonce that the API's answer names. Whether there was one.
    pub(crate) fn observe(&self, headers: &HeaderMap) -> bool {
        keep_nonce(&self.api_nonce, headers)
    }

    /// Asks Okta for a token. Finds out on the way whether proofs are demanded, which nonce they need, and what time it
    /// is at Okta; each of these is corrected once.
    async fn ask(&self, wire: &Wire, scopes: &BTreeSet<Scope>, waited: &mut Duration) -> Result<Token, OktaError> {
        let mut effort = wire.patience.effort();
        effort.waited = *waited;
        let mut requests = 0;
        loop {
            requests += 1;
            let proving = self.bound.load(Ordering::Relaxed);
            let offset = wire.clock.offset();
            let outcome = match wire.post_token(&mut effort.waited, || self.request(wire, scopes, proving)).await {
                Ok(answer) => self.read(&answer, scopes, proving),
                Err(error) => Err(error),
            };
            *waited = effort.waited;
            let error = match outcome {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let moved = (wire.clock.offset() - offset).abs() >= 1;
            if requests < MOST_REQUESTS && self.can_mend(&error, proving, moved)? {
                continue;
            }
            effort.after(error).await?;
        }
    }

    /// Form and proof of one request; the assertion and the proof are new each time, as Okta takes them once.
    fn request(&self, wire: &Wire, scopes: &BTreeSet<Scope>, proving: bool) -> Result<TokenRequest, OktaError> {
        let (url, now) = (wire.http.org().token_endpoint(), wire.clock.now());
        let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("scope", names.join(" ")),
            ("client_assertion_type", assertion::TYPE.to_owned()),
            ("client_assertion", assertion::make(&self.key, &self.client_id, &url, now)?),
        ];
        let nonce = locked(&self.token_nonce);
        let purpose = Purpose { method: "POST", url: &url, now, nonce: nonce.as_deref(), token: None };
        let proof = if proving { Some(header(&self.prover.prove(&purpose)?)?) } else { None };
        Ok(TokenRequest { form, proof })
    }

    /// A token, or Okta's refusal.
    fn read(&self, answer: &Answer, scopes: &BTreeSet<Scope>, proving: bool) -> Result<Token, OktaError> {
        keep_nonce(&self.token_nonce, &answer.headers);
        if answer.status != StatusCode::OK {
            let refusal = Refusal::read(CALL.to_owned(), answer.status, &answer.headers, &answer.body);
            return Err(OktaError::TokenRefused { refusal: Box::new(refusal), kid: self.key.kid().to_owned() });
        }
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|error| {
            let call = CALL.to_owned();
            if error.is_data() {
                OktaError::Unexpected { call, cause: "no access_token or token_type".to_owned() }
            } else {
                OktaError::Damaged { call, cause: format!("it breaks off after {} bytes", answer.body.len()) }
            }
        })?;
        let bound = granted.token_type.eq_ignore_ascii_case("dpop");
        if bound && !proving {
            return Err(OktaError::Unexpected { call: CALL.to_owned(), cause: "bound to no key of ours".to_owned() });
        }
        if !bound && self.dpop == Dpop::Required {
            return Err(OktaError::DpopNotGiven);
        }
        let life = Duration::from_secs(granted.expires_in.unwrap_or(3600));
        let now = Instant::now();
        Ok(Token {
            secret: granted.access_token.into(),
            bound,
            // Left out by RFC 6749 §5.1 when it is what was asked for.
            scopes: granted.scope.map_or_else(
                || scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
                |scope| scope.split_ascii_whitespace().map(str::to_owned).collect(),
            ),
            asked: scopes.clone(),
            made: now,
            renew: now + life.saturating_sub(EARLY.min(life / 2)),
        })
    }

    /// Whether the next request will differ from the refused one in what was wrong with it.
    fn can_mend(&self, error: &OktaError, proving: bool, clock_moved: bool) -> Result<bool, OktaError> {
        let OktaError::TokenRefused { refusal, .. } = error else { return Ok(false) };
        match refusal.code.as_deref() {
            Some("invalid_dpop_proof" | "use_dpop_nonce") if !proving => {
                self.demand_binding()?;
                Ok(true)
            }
            Some("use_dpop_nonce") => Ok(locked(&self.token_nonce).is_some()),
            Some("invalid_dpop_proof") => Ok(clock_moved),
            Some("invalid_client") => Ok(clock_moved || refusal.says("already been used")),
            _ => Ok(false),
        }
    }
}

impl Token {
    /// The first of these scopes that was not granted.
    pub(crate) fn lacks(&self, needs: &[Scope]) -> Option<Scope> {
        needs.iter().copied().find(|need| !self.scopes.iter().any(|granted| need.given_by(granted)))
    }

    /// The token, if it carries these scopes.
    fn with_all(self: Arc<Self>, needs: &[Scope]) -> Result<Arc<Self>, OktaError> {
        match self.lacks(needs) {
            Some(missing) => {
                Err(OktaError::ScopeMissing { missing: missing.as_str().to_owned(), granted: self.scopes.clone() })
            }
            None => Ok(self),
        }
    }
}

/// What a mutex holds now.
fn locked(nonce: &Mutex<Option<String>>) -> Option<String> {
    nonce.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps the `DPoP-Nonce` of an answer (RFC 9449 §8.2), if there is one.
fn keep_nonce(place: &Mutex<Option<String>>, headers: &HeaderMap) -> bool {
    let Some(nonce) = headers.get("dpop-nonce").and_then(|nonce| nonce.to_str().ok()) else { return false };
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
    true
}

/// A header value that no log shows.
fn header(text: &str) -> Result<HeaderValue, OktaError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| OktaError::Unexpected {
        call: CALL.to_owned(),
        cause: "a token with characters that no header can carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
