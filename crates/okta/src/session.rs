//! Calls to the management API with everything around them: token, proof, budget, retries, decoding.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    error::OktaError,
    http::{Answer, Credentials, Target},
    patience::Effort,
    refusal::Refusal,
    scope::Scope,
    token::{Token, Tokens},
    wire::Wire,
};

/// A way to the management API of one organisation; clones count their calls together.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) wire: Arc<Wire>,
    pub(crate) tokens: Arc<Tokens>,
}

/// What one call may still do to get an answer that can be read.
pub(crate) struct Tries {
    effort: Effort,
    corrections: Corrections,
}

/// Corrections that one call may make, each once.
#[derive(Default)]
struct Corrections {
    token: bool,
    proof: bool,
}

impl Session {
    /// The same way with the same tokens, whose calls are counted from nothing.
    pub(crate) fn counting_anew(&self) -> Self {
        Self { wire: Arc::new(self.wire.counting_anew()), tokens: self.tokens.clone() }
    }

    /// One object or list, tried again where that can help.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &Target, needs: &[Scope]) -> Result<T, OktaError> {
        let mut tries = self.tries_after(Duration::ZERO);
        loop {
            let answer = self.ask(target, needs, &mut tries).await?;
            match decode(target, &answer.body) {
                Ok(value) => return Ok(value),
                Err(error) => tries.after(error).await?,
            }
        }
    }

    /// The tries of a call. `lost` is the time that others have lost to failed tries, which belong together with it.
    pub(crate) fn tries_after(&self, lost: Duration) -> Tries {
        Tries { effort: self.wire.patience.effort_after(lost), corrections: Corrections::default() }
    }

    /// Asks until there is a success, not decoded yet. One that cannot be decoded is [told](Tries::after), and asked for
    /// again with the same tries.
    pub(crate) async fn ask(&self, target: &Target, needs: &[Scope], tries: &mut Tries) -> Result<Answer, OktaError> {
        let Tries { effort, corrections } = tries;
        loop {
            let token = self.tokens.current(&self.wire, needs, &mut effort.waited).await?;
            let error = match self.try_get(target, &token, &mut effort.waited).await {
                Ok(answer) => {
                    effort.answered();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !self.correct(&error, &token, corrections).await? {
                effort.after(error).await?;
            }
        }
    }

    /// One object that anybody may read; no token is shown.
    pub(crate) async fn get_public<T: DeserializeOwned>(&self, target: &Target) -> Result<T, OktaError> {
        let mut effort = self.wire.patience.effort();
        loop {
            let outcome = match self.wire.get(target, &mut effort.waited, || Ok(Credentials::default())).await {
                Ok(answer) => accepted(target, answer).and_then(|answer| decode(target, &answer.body)),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(value) => return Ok(value),
                Err(error) => effort.after(error).await?,
            }
        }
    }

    async fn try_get(&self, target: &Target, token: &Token, waited: &mut Duration) -> Result<Answer, OktaError> {
        let answer = self.wire.get(target, waited, || self.tokens.credentials(&self.wire, token, target)).await?;
        self.tokens.observe(&answer.headers);
        accepted(target, answer)
    }

    /// Mends what can be mended at once: whether the next try will differ.
    ///
    /// A token that is not taken is replaced once, as Okta sometimes refuses a good one; so is one that lacks a scope, as
    /// it may be older than the grant. A proof that is not taken is made anew once, with the nonce and the time that
    /// the refusal told.
    async fn correct(&self, error: &OktaError, token: &Arc<Token>, done: &mut Corrections) -> Result<bool, OktaError> {
        let OktaError::Refused(refusal) = error else { return Ok(false) };
        let code = refusal.code.as_deref().unwrap_or_default();
        let about_proof = matches!(code, "invalid_dpop_proof" | "use_dpop_nonce")
            || (code == "invalid_request" && refusal.says("DPoP"));
        if about_proof {
            if std::mem::replace(&mut done.proof, true) {
                return Ok(false);
            }
            if !token.bound {
                self.tokens.demand_binding()?;
                self.tokens.forget(token).await;
            }
            return Ok(true);
        }
        if refusal.status == StatusCode::UNAUTHORIZED.as_u16() || code == "insufficient_scope" {
            self.tokens.forget(token).await;
            return Ok(!std::mem::replace(&mut done.token, true));
        }
        Ok(false)
    }
}

impl Tries {
    /// Time lost to failed tries, by this call and those before it.
    pub(crate) fn lost(&self) -> Duration {
        self.effort.lost
    }

    /// Waits where asking again can help; gives the error back where it cannot, or no longer.
    pub(crate) async fn after(&mut self, error: OktaError) -> Result<(), OktaError> {
        self.effort.after(error).await
    }
}

/// A success, or the refusal. The status decides before the body is looked at (§6.4: lists answer errors as objects).
fn accepted(target: &Target, answer: Answer) -> Result<Answer, OktaError> {
    if answer.status == StatusCode::OK {
        return Ok(answer);
    }
    let refusal = Refusal::read(format!("GET {}", target.path), answer.status, &answer.headers, &answer.body);
    Err(OktaError::Refused(Box::new(refusal)))
}

/// The value in the body of a success.
pub(crate) fn decode<T: DeserializeOwned>(target: &Target, body: &[u8]) -> Result<T, OktaError> {
    decode_by(target, body, |body| serde_json::from_slice(body))
}

/// The same, for whoever reads it in a way of their own.
pub(crate) fn decode_by<T>(
    target: &Target,
    body: &[u8],
    read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Result<T, OktaError> {
    read(body).map_err(|error| unreadable(format!("GET {}", target.path), &error, body))
}

/// What is wrong with a body, without a word of it: it holds people's data.
fn unreadable(call: String, error: &serde_json::Error, body: &[u8]) -> OktaError {
    let place = format!("line {}, column {} of {} bytes", error.line(), error.column(), body.len());
    if error.is_data() {
        let refusal = Refusal::read(call.clone(), StatusCode::OK, &HeaderMap::new(), body);
        let cause = match refusal.code {
            Some(code) => format!("an error object ({code}) where data was expected"),
            None => format!("{place} is not what Okta documents"),
        };
        OktaError::Unexpected { call, cause }
    } else {
        let what = if error.is_eof() { "it ends at" } else { "it is damaged at" };
        OktaError::Damaged { call, cause: format!("{what} {place}") }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn decoded(status: u16, body: &'static str) -> Result<Vec<u32>, OktaError> {
        let target = Target::new(&["api", "v1", "users"]).unwrap();
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        accepted(&target, answer).and_then(|answer| decode(&target, &answer.body))
    }

    #[test]
    fn bodies_that_are_not_what_was_asked_for_are_told_apart() {
        assert_eq!(decoded(200, "[1]").unwrap(), [1]);
        for (status, body, fleeting, words) in [
            (200, "[1,", true, "it ends at"),
            (200, "", true, "it ends at"),
            (200, "[1 2]", true, "it is damaged at"),
            (200, r#"["secret"]"#, false, "not what Okta documents"),
            (200, r#"{"errorCode":"E0000009"}"#, false, "an error object (E0000009)"),
            (204, "", false, "204"),
            (500, "<html>", true, "500"),
            (404, r#"{"errorCode":"E0000007"}"#, false, "404 E0000007"),
        ] {
            let error = decoded(status, body).err().unwrap();
            assert_eq!(error.is_fleeting(), fleeting, "{error}");
            assert!(error.to_string().contains(words) && !error.to_string().contains("secret"), "{error}");
        }
    }
}
