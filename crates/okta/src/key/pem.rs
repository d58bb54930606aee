//! Private keys in PEM (RFC 7468): PKCS#8, PKCS#1 (RSA) and SEC1 (EC).

use aws_lc_rs::{error::KeyRejected, rsa::KeyPair as RsaKeyPair, signature::EcdsaKeyPair};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Curve, KeyError, Material, PrivateKey, error::word};

/// Standard base64 that does not insist on padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// DER of the object identifiers of kinds that Okta does not take, with their names.
const OTHER_KINDS: [(&[u8], &str); 6] = [
    (&[0x06, 0x03, 0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x71], "Ed448"),
    (&[0x06, 0x03, 0x2b, 0x65, 0x6e], "X25519"),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a], "RSA-PSS"),
    (&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
];

/// One `-----BEGIN …-----` section.
struct Section<'a> {
    label: &'a str,
    body: &'a str,
}

/// Reads the one private key of a PEM text. Other sections (certificates, `EC PARAMETERS`) beside it are passed over.
pub(super) fn parse(text: &str) -> Result<PrivateKey, KeyError> {
    if text.starts_with("LS0tLS1") {
        return Err(KeyError::DoubleEncoded);
    }
    if text.contains("\\n") && text.contains("-----BEGIN") {
        return Err(KeyError::EscapedLineBreaks);
    }
    let sections = sections(text)?;
    let keys: Vec<&Section> = sections.iter().filter(|section| section.label.ends_with("PRIVATE KEY")).collect();
    let key = match (keys.as_slice(), sections.first()) {
        ([key], _) => key,
        ([], Some(other)) => return Err(KeyError::NotPrivate(word(other.label))),
        ([], None) => return Err(KeyError::NoKey),
        (several, _) => return Err(KeyError::Several(several.len())),
    };
    read(key)
}

/// Splits a PEM text into its sections.
fn sections(text: &str) -> Result<Vec<Section<'_>>, KeyError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(KeyError::BrokenPem("its first line does not end"))?;
        let (body, after) = after.split_once("-----END ").ok_or(KeyError::BrokenPem("it has no END line"))?;
        let (end, after) = after.split_once("-----").ok_or(KeyError::BrokenPem("its END line is cut off"))?;
        if end != label {
            return Err(KeyError::BrokenPem("BEGIN and END name different things"));
        }
        found.push(Section { label, body });
        rest = after;
    }
    Ok(found)
}

/// The key inside a section.
fn read(section: &Section) -> Result<PrivateKey, KeyError> {
    match section.label {
        "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
        "OPENSSH PRIVATE KEY" => return Err(KeyError::OpenSsh),
        _ if section.body.contains("ENCRYPTED") => return Err(KeyError::Encrypted),
        _ => {}
    }
    let packed: String = section.body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = LENIENT.decode(packed).map_err(|_| KeyError::BrokenPem("what stands between the lines is not base64"))?;
    if let Some((_, name)) = OTHER_KINDS.iter().find(|(oid, _)| der.windows(oid.len()).take(40).any(|w| w == *oid)) {
        return Err(KeyError::Kind((*name).to_owned()));
    }
    let material = match section.label {
        "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(&der), section.label)?,
        "EC PRIVATE KEY" => {
            ec(&der).ok_or_else(|| rejected(section.label, "it is no EC key on P-256, P-384 or P-521"))?
        }
        "PRIVATE KEY" => match ec(&der) {
            Some(material) => material,
            None => rsa(RsaKeyPair::from_pkcs8(&der), section.label)?,
        },
        other => return Err(KeyError::Kind(word(other.trim_end_matches(" PRIVATE KEY")))),
    };
    PrivateKey::from_material(material)
}

/// An EC key of whichever curve fits.
fn ec(der: &[u8]) -> Option<Material> {
    Curve::ALL.into_iter().find_map(|curve| {
        EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok().map(|pair| Material::Ec(pair, curve))
    })
}

/// An RSA key, or why it is none.
pub(super) fn rsa(outcome: Result<RsaKeyPair, KeyRejected>, label: &str) -> Result<Material, KeyError> {
    outcome.map(Material::Rsa).map_err(|why| match why.to_string().as_str() {
        "TooSmall" => KeyError::TooShort,
        "TooLarge" => KeyError::TooLong,
        "InconsistentComponents" => rejected(label, "its numbers do not belong together"),
        _ => rejected(label, "it is damaged, or of a kind that is not RSA or EC"),
    })
}

fn rejected(label: &str, why: &str) -> KeyError {
    KeyError::Rejected(label.to_owned(), why.to_owned())
}
