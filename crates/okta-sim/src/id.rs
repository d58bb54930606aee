//! Okta's identifiers: twenty characters of `[0-9A-Za-z]`, the first three naming the kind.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Longest identifier that is kept (the vendor's are 20 long; recorded or made-up ones may differ a little).
const ROOM: usize = 23;

/// An identifier, kept inline so that a million of them cost no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OktaId {
    bytes: [u8; ROOM],
    len: u8,
}

impl OktaId {
    /// Takes an identifier as it stands; `None` when it is empty, longer than 23 bytes or not plain ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > ROOM || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; ROOM];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("")
    }
}

impl std::fmt::Display for OktaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for OktaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digits of an identifier, in the order that cursors count by.
pub(crate) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes identifiers, the same ones in the same order for the same seed.
#[derive(Debug)]
pub(crate) struct Mint(ChaCha8Rng);

impl Mint {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed ^ 0x0b7a_51d5))
    }

    /// A fresh identifier of the kind that `prefix` (three letters) names. The tail stands for the cell that the org
    /// lives in and is the same for all of them, as in real orgs.
    pub(crate) fn make(&mut self, prefix: &str) -> OktaId {
        let mut bytes = [0; ROOM];
        bytes[..3].copy_from_slice(&prefix.as_bytes()[..3]);
        for byte in &mut bytes[3..17] {
            *byte = ALPHABET[self.0.random_range(0..ALPHABET.len())];
        }
        bytes[17..20].copy_from_slice(b"5d7");
        OktaId { bytes, len: 20 }
    }

    /// Random characters of the same alphabet, for secrets and keys.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(ALPHABET[self.0.random_range(0..ALPHABET.len())])).collect()
    }
}

/// The id of an app user's own record (`0ua…`), which only the System Log shows. Derived, not stored.
pub(crate) fn app_user_id(app: &OktaId, person: &OktaId) -> OktaId {
    let mut bytes = [0; ROOM];
    bytes[..3].copy_from_slice(b"0ua");
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in app.as_str().bytes().chain(person.as_str().bytes()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    for byte in &mut bytes[3..17] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = ALPHABET[usize::try_from((state >> 33) % 62).unwrap_or(0)];
    }
    bytes[17..20].copy_from_slice(b"5d7");
    OktaId { bytes, len: 20 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let (mut a, mut b) = (Mint::new(7), Mint::new(7));
        let first = a.make("00u");
        assert_eq!(first, b.make("00u"));
        assert_ne!(first, a.make("00u"));
        assert_eq!(first.as_str().len(), 20);
        assert!(first.as_str().starts_with("00u"));
    }

    #[test]
    fn only_what_fits_is_an_id() {
        assert!(OktaId::new("").is_none());
        assert!(OktaId::new("0123456789012345678901234").is_none());
        assert_eq!(OktaId::new("00uABC").unwrap().as_str(), "00uABC");
    }
}
