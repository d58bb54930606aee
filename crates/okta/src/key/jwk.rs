//! JSON Web Keys (RFC 7517, RFC 7518 §6): reading private ones, showing public ones, naming them (RFC 7638).

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::EcdsaKeyPair,
};
use der_parser::{ber::BerObject, der::parse_der};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Algorithm, Curve, KeyError, Material, PrivateKey, error::word, pem, sha256_base64url};
use crate::jws;

/// A public key as JSON, members in the order in which Okta shows them. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    /// `RSA` or `EC`.
    kty: &'static str,
    /// What it is for; always signing.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<&'static str>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// What it signs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<&'static str>,
    /// The numbers.
    #[serde(flatten)]
    numbers: Numbers,
}

/// Public numbers of a key, base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Numbers {
    Rsa { e: String, n: String },
    Ec { crv: &'static str, x: String, y: String },
}

impl PublicJwk {
    /// An RSA key of these numbers, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let numbers = Numbers::Rsa { e: jws::encode(exponent), n: jws::encode(modulus) };
        Self { kty: "RSA", usage: None, kid: None, alg: None, numbers }
    }

    /// A point in uncompressed form (SEC 1 §2.3.3: `04 || x || y`); `None` when it is not one of that curve.
    pub(super) fn ec(curve: Curve, point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_at_checked(curve.width())?;
        if y.len() != curve.width() {
            return None;
        }
        let numbers = Numbers::Ec { crv: curve.name(), x: jws::encode(x), y: jws::encode(y) };
        Some(Self { kty: "EC", usage: None, kid: None, alg: None, numbers })
    }

    /// The same key with a name, ready to register.
    pub(super) fn named(mut self, kid: String, algorithm: Algorithm) -> Self {
        self.usage = Some("sig");
        self.kid = Some(kid);
        self.alg = Some(algorithm.as_str());
        self
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// RFC 7638 thumbprint with SHA-256, base64url: the required members alone, in alphabetical order, without blanks.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let canonical = match &self.numbers {
            Numbers::Rsa { e, n } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Numbers::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
        };
        sha256_base64url(canonical.as_bytes())
    }
}

/// Members of a private JWK; all but `kty` may be missing, and each that is missing has its own sentence.
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

/// Reads a private JWK, or a JWK set that holds exactly one.
pub(super) fn parse(text: &str) -> Result<PrivateKey, KeyError> {
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|e| KeyError::BadJwk(format!("no JSON at line {}", e.line())))?;
    if let Some(keys) = value.get_mut("keys").and_then(serde_json::Value::as_array_mut) {
        let [only] = keys.as_mut_slice() else { return Err(KeyError::JwkSet(keys.len())) };
        value = only.take();
    }
    let jwk = PrivateJwk::deserialize(value)
        .map_err(|_| KeyError::BadJwk("it has no \"kty\", or a member that is not text".to_owned()))?;
    let material = match jwk.kty.as_str() {
        "RSA" => rsa(&jwk)?,
        "EC" => ec(&jwk)?,
        other => return Err(KeyError::Kind(word(jwk.crv.as_deref().unwrap_or(other)))),
    };
    let mut key = PrivateKey::from_material(material)?;
    if let Some(name) = &jwk.alg {
        key = key.with_algorithm(Algorithm::named(name).ok_or_else(|| KeyError::AlgorithmUnknown(word(name)))?)?;
    }
    Ok(match jwk.kid {
        Some(kid) if !kid.is_empty() => key.with_kid(kid),
        _ => key,
    })
}

/// The bytes of a member that has to be there.
fn member(value: Option<&String>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let text = value.ok_or_else(|| KeyError::BadJwk(format!("it has no member {name:?}")))?;
    jws::decode(text).ok_or_else(|| KeyError::BadJwk(format!("its member {name:?} is not base64url")))
}

/// RFC 7518 §6.3. The four CRT numbers are demanded, as the library does not compute them.
fn rsa(jwk: &PrivateJwk) -> Result<Material, KeyError> {
    if jwk.d.is_none() {
        return Err(KeyError::PublicJwk("d"));
    }
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: without_leading_zeros(member(jwk.n.as_ref(), "n")?),
            e: without_leading_zeros(member(jwk.e.as_ref(), "e")?),
        },
        d: member(jwk.d.as_ref(), "d")?,
        p: member(jwk.p.as_ref(), "p")?,
        q: member(jwk.q.as_ref(), "q")?,
        dP: member(jwk.dp.as_ref(), "dp")?,
        dQ: member(jwk.dq.as_ref(), "dq")?,
        qInv: member(jwk.qi.as_ref(), "qi")?,
    };
    // The library says "unspecified" of a short modulus here, so the sentence is made beforehand.
    match components.public_key.n.len() {
        0..256 => Err(KeyError::TooShort),
        1025.. => Err(KeyError::TooLong),
        _ => pem::rsa(RsaKeyPair::from_components(&components), "JWK"),
    }
}

/// A private RSA JWK (RFC 7518 §6.3.2) whose public half is `public`.
pub(super) fn private_rsa(pair: &RsaKeyPair, public: &PublicJwk) -> Result<SecretString, KeyError> {
    /// The members beside the public ones, in the order of RFC 8017 §A.1.2, where `n` and `e` come before them.
    const MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
    let der = pair.as_der().map_err(|_| KeyError::Generation)?;
    let numbers = private_numbers(der.as_ref()).ok_or(KeyError::Generation)?;
    let mut jwk = serde_json::to_value(public).map_err(|_| KeyError::Generation)?;
    for (member, number) in MEMBERS.into_iter().zip(numbers) {
        jwk[member] = jws::encode(without_leading_zeros(number)).into();
    }
    Ok(jwk.to_string().into())
}

/// The six private numbers of an RSA key in PKCS#8 (RFC 5958 §2, around RFC 8017 §A.1.2), big-endian.
fn private_numbers(pkcs8: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (_, outer) = parse_der(pkcs8).ok()?;
    let (_, inner) = parse_der(outer.as_sequence().ok()?.get(2)?.as_slice().ok()?).ok()?;
    let fields = inner.as_sequence().ok()?;
    let numbers: Vec<Vec<u8>> = fields.get(3..9)?.iter().map(number).collect::<Option<_>>()?;
    Some(numbers)
}

fn number(field: &BerObject<'_>) -> Option<Vec<u8>> {
    field.as_slice().ok().map(<[u8]>::to_vec)
}

/// RFC 7518 §6.2.
fn ec(jwk: &PrivateJwk) -> Result<Material, KeyError> {
    let name = jwk.crv.as_deref().unwrap_or_default();
    let curve = Curve::ALL
        .into_iter()
        .find(|curve| curve.name() == name)
        .ok_or_else(|| KeyError::Kind(format!("EC {}", word(name))))?;
    if jwk.d.is_none() {
        return Err(KeyError::PublicJwk("d"));
    }
    let mut point = vec![4];
    point.extend(widened(member(jwk.x.as_ref(), "x")?, curve.width()));
    point.extend(widened(member(jwk.y.as_ref(), "y")?, curve.width()));
    let secret = widened(member(jwk.d.as_ref(), "d")?, curve.width());
    EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &secret, &point)
        .map(|pair| Material::Ec(pair, curve))
        .map_err(|_| KeyError::Rejected("JWK".to_owned(), "its numbers do not belong together".to_owned()))
}

/// Some exporters drop leading zeros of EC numbers, which RFC 7518 §6.2.1.2 forbids.
fn widened(bytes: Vec<u8>, width: usize) -> Vec<u8> {
    let mut wide = vec![0; width.saturating_sub(bytes.len())];
    wide.extend(bytes);
    wide
}

/// Some exporters keep a leading zero on RSA numbers, which RFC 7518 §6.3.1.1 forbids.
fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.into_iter().skip(zeros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638_section_3_1() {
        let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = PublicJwk::rsa(&jws::decode(modulus).unwrap(), &[1, 0, 1]);
        assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_of_an_ec_key_is_that_of_rfc_9449_section_6_1() {
        let mut point = vec![4];
        point.extend(jws::decode("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs").unwrap());
        point.extend(jws::decode("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA").unwrap());
        let jwk = PublicJwk::ec(Curve::P256, &point).unwrap();
        assert_eq!(jwk.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn a_public_jwk_shows_what_okta_wants_to_see() {
        let jwk = PublicJwk::rsa(&[0xff], &[1, 0, 1]).named("mine".to_owned(), Algorithm::Rs256);
        assert_eq!(
            serde_json::to_string(&jwk).unwrap(),
            r#"{"kty":"RSA","use":"sig","kid":"mine","alg":"RS256","e":"AQAB","n":"_w"}"#
        );
    }
}
