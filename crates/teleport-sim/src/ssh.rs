//! SSH's side of an identity: its certificate line and its `@cert-authority` line. Nobody logs in with them here, but they are built and signed as
//! OpenSSH's `PROTOCOL.certkeys` says, because readers of identity files look at them.

use base64::Engine as _;
use jiff::Timestamp;

use crate::{
    TeleportSimError, der,
    key::{Key, KeyKind},
};

/// What an SSH certificate says.
pub(crate) struct SshCertificate<'a> {
    pub(crate) user: &'a str,
    pub(crate) principals: &'a [String],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl SshCertificate<'_> {
    /// One line of `authorized_keys` form, for the public key `spki`, signed by `authority`.
    pub(crate) fn line(&self, spki: &[u8], authority: &Key) -> Result<String, TeleportSimError> {
        let (key_type, key_parts) = public_parts(spki)?;
        let certificate_type = format!("{key_type}-cert-v01@openssh.com");
        let nonce = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
        let principals: Vec<u8> = self.principals.iter().flat_map(|principal| string(principal.as_bytes())).collect();
        let second = |time: Timestamp| u64::try_from(time.as_second()).unwrap_or(0).to_be_bytes();

        let mut body = [string(certificate_type.as_bytes()), string(&nonce), key_parts].concat();
        body.extend(0_u64.to_be_bytes()); // serial
        body.extend(1_u32.to_be_bytes()); // a user's certificate
        body.extend(string(self.user.as_bytes()));
        body.extend(string(&principals));
        body.extend(second(self.not_before));
        body.extend(second(self.not_after));
        body.extend(string(b"")); // critical options
        body.extend(string(&[string(b"permit-pty"), string(b"")].concat())); // extensions
        body.extend(string(b"")); // reserved
        body.extend(string(&public_key(&authority.public_der())?));
        body.extend(string(&signature(authority, &body)?));
        Ok(format!("{certificate_type} {}", base64::engine::general_purpose::STANDARD.encode(body)))
    }
}

/// A public key as one line of `authorized_keys` form.
pub(crate) fn public_line(spki: &[u8]) -> Result<String, TeleportSimError> {
    let (key_type, _) = public_parts(spki)?;
    Ok(format!("{key_type} {}", base64::engine::general_purpose::STANDARD.encode(public_key(spki)?)))
}

/// The wire form inside a line of `authorized_keys` form.
pub(crate) fn wire_of(line: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(line.split_whitespace().nth(1)?).ok()
}

/// A public key in SSH's wire form.
pub(crate) fn public_key(spki: &[u8]) -> Result<Vec<u8>, TeleportSimError> {
    let (key_type, parts) = public_parts(spki)?;
    Ok([string(key_type.as_bytes()), parts].concat())
}

/// SSH's name for the kind of a public key, and the fields that follow the name.
fn public_parts(spki: &[u8]) -> Result<(&'static str, Vec<u8>), TeleportSimError> {
    let malformed =
        || TeleportSimError::Malformed { what: "a public key", why: "it is not a SubjectPublicKeyInfo".to_owned() };
    let outer = der::read_sequence(spki).ok_or_else(malformed)?;
    let algorithm =
        outer.first().and_then(|algorithm| der::read(algorithm)).map(|(_, oid, _)| oid).ok_or_else(malformed)?;
    let raw = outer.get(1).and_then(|bits| bits.get(1..)).ok_or_else(malformed)?;
    match algorithm {
        // rsaEncryption
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => {
            let numbers = der::read_sequence(raw).ok_or_else(malformed)?;
            let (modulus, exponent) = (numbers.first().ok_or_else(malformed)?, numbers.get(1).ok_or_else(malformed)?);
            Ok(("ssh-rsa", [string(exponent), string(modulus)].concat()))
        }
        // id-ecPublicKey; the only curve here is P-256
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            Ok(("ecdsa-sha2-nistp256", [string(b"nistp256"), string(raw)].concat()))
        }
        // Ed25519
        [0x2b, 0x65, 0x70] => Ok(("ssh-ed25519", string(raw))),
        _ => Err(malformed()),
    }
}

/// The `SubjectPublicKeyInfo` of a public key in SSH's wire form; `None` for kinds that are not spoken here.
pub(crate) fn to_spki(wire: &[u8]) -> Option<Vec<u8>> {
    const RSA: [u32; 7] = [1, 2, 840, 113_549, 1, 1, 1];
    const EC: [u32; 6] = [1, 2, 840, 10045, 2, 1];
    const P256: [u32; 7] = [1, 2, 840, 10045, 3, 1, 7];
    const ED25519: [u32; 4] = [1, 3, 101, 112];

    let (kind, rest) = read_string(wire)?;
    let (algorithm, key) = match kind {
        b"ssh-rsa" => {
            let (exponent, rest) = read_string(rest)?;
            let (modulus, _) = read_string(rest)?;
            (vec![der::oid(&RSA), der::null()], der::sequence(&[der::integer(modulus), der::integer(exponent)]))
        }
        b"ecdsa-sha2-nistp256" => {
            let (_, rest) = read_string(rest)?;
            (vec![der::oid(&EC), der::oid(&P256)], read_string(rest)?.0.to_vec())
        }
        b"ssh-ed25519" => (vec![der::oid(&ED25519)], read_string(rest)?.0.to_vec()),
        _ => return None,
    };
    Some(der::sequence(&[der::sequence(&algorithm), der::bit_string(&key)]))
}

fn read_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// A signature in SSH's wire form (RFC 8332, RFC 5656, RFC 8709).
fn signature(key: &Key, message: &[u8]) -> Result<Vec<u8>, TeleportSimError> {
    let raw = key.sign(message)?;
    Ok(match key.kind {
        KeyKind::Rsa => [string(b"rsa-sha2-256"), string(&raw)].concat(),
        KeyKind::Ed25519 => [string(b"ssh-ed25519"), string(&raw)].concat(),
        KeyKind::Ecdsa => {
            let numbers = der::read_sequence(&raw).unwrap_or_default();
            let pair: Vec<u8> = numbers.into_iter().flat_map(string).collect();
            [string(b"ecdsa-sha2-nistp256"), string(&pair)].concat()
        }
    })
}

/// Bytes with their length before them. DER's integers are SSH's `mpint` as they are.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_goes_to_ssh_and_back() {
        for kind in [KeyKind::Rsa, KeyKind::Ecdsa, KeyKind::Ed25519] {
            let spki = Key::generate(kind).unwrap().public_der();
            assert_eq!(to_spki(&public_key(&spki).unwrap()), Some(spki), "{kind:?}");
        }
        assert_eq!(to_spki(b"\0\0\0\x03abc"), None);
    }
}
