//! JSON Web Signatures in compact form (RFC 7515 §7.1), made only: this program verifies none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::key::{KeyError, PrivateKey};

/// Base64url without padding, as all of JOSE writes bytes (RFC 7515 §2).
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of a base64url text; padding is taken, as some exporters add it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// `header.claims.signature`.
pub(crate) fn sign(key: &PrivateKey, header: &impl Serialize, claims: &impl Serialize) -> Result<String, KeyError> {
    let header = serde_json::to_vec(header).map_err(|_| KeyError::Signing)?;
    let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Signing)?;
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes())?;
    Ok(format!("{input}.{}", encode(signature)))
}
