//! What can be wrong with a key, and what to do about it.

use super::Algorithm;

/// Longest word of a file that an error shows.
const LONGEST: usize = 32;

/// A word out of a file with a key, as an error may show it: what is no plain short word may be anything, a part of the key
/// included, and is not shown.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    let fits = !text.is_empty() && text.len() <= LONGEST && text.chars().all(plain);
    if fits { text.to_owned() } else { "(unreadable)".to_owned() }
}

/// Why a key cannot be used. Never shows any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing there.
    #[error("the private key is empty")]
    Empty,
    /// Neither PEM nor JSON.
    #[error("the private key is binary, not PEM and not a JWK")]
    Binary,
    /// Text, but no PEM section and no JSON object.
    #[error("the private key holds neither a PEM section nor a JWK")]
    NoKey,
    /// PEM that was encoded with base64 once more.
    #[error("the private key is base64 of a PEM file: it was encoded twice")]
    DoubleEncoded,
    /// PEM on one line, with `\n` written out.
    #[error("the private key has the two characters \\n where line breaks belong")]
    EscapedLineBreaks,
    /// A PEM section that does not end, or is not base64.
    #[error("the private key's PEM is damaged: {0}")]
    BrokenPem(&'static str),
    /// A section of another kind.
    #[error("the file holds a {0}, not a private key")]
    NotPrivate(String),
    /// Password-protected.
    #[error("the private key is encrypted with a password")]
    Encrypted,
    /// More than one private key.
    #[error("the file holds {0} private keys")]
    Several(usize),
    /// `OPENSSH PRIVATE KEY`.
    #[error("the private key is in OpenSSH's own format")]
    OpenSsh,
    /// The bytes inside are no key that this program can use.
    #[error("the private key inside the {0} section cannot be read: {1}")]
    Rejected(String, String),
    /// RSA below 2048 bits.
    #[error("the RSA key has fewer than 2048 bits")]
    TooShort,
    /// RSA above 8192 bits.
    #[error("the RSA key has more than 8192 bits")]
    TooLong,
    /// A kind or curve that Okta does not take.
    #[error("the key is of the kind {0}, which Okta does not take")]
    Kind(String),
    /// JSON that is no JWK.
    #[error("the JWK cannot be read: {0}")]
    BadJwk(String),
    /// A JWK without private members.
    #[error("the JWK is a public key: it has no member {0:?}")]
    PublicJwk(&'static str),
    /// A JWK set with other than one key.
    #[error("the JWK set holds {0} keys, and it is not clear which one is meant")]
    JwkSet(usize),
    /// An algorithm that the key cannot do.
    #[error("the algorithm {algorithm} does not fit a key of the kind {key}")]
    AlgorithmMismatch {
        /// What was asked for.
        algorithm: Algorithm,
        /// What the key is.
        key: &'static str,
    },
    /// A JWK that names an algorithm which Okta does not take.
    #[error("the JWK names the algorithm {0:?}, which Okta does not take")]
    AlgorithmUnknown(String),
    /// The cryptographic library could not make a key.
    #[error("no key could be made")]
    Generation,
    /// The cryptographic library could not sign.
    #[error("nothing could be signed with the private key")]
    Signing,
}

impl KeyError {
    /// Word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotPrivate(_) | Self::PublicJwk(_) => "KeyNotPrivate",
            Self::Encrypted => "KeyEncrypted",
            Self::TooShort => "KeyTooShort",
            Self::Kind(_) | Self::TooLong | Self::AlgorithmMismatch { .. } | Self::AlgorithmUnknown(_) => {
                "KeyUnsupported"
            }
            Self::Generation | Self::Signing => "KeyUnusable",
            _ => "KeyUnreadable",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::NoKey | Self::Binary | Self::BrokenPem(_) | Self::BadJwk(_) | Self::Rejected(..) => {
                "Put the whole private key into the Secret, from -----BEGIN to -----END (PKCS#8, PKCS#1 or SEC1 PEM), \
                 or the whole JWK that Okta showed when it made the key; `kubectl create secret generic --from-file` \
                 keeps it as it is. If it is lost, add a new one (Applications > your API Services app > General > \
                 Client Credentials > Add key)."
            }
            Self::DoubleEncoded => {
                "Put the PEM text itself under stringData, or its base64 under data, once; \
                 `kubectl create secret generic --from-file` does it right."
            }
            Self::EscapedLineBreaks => {
                "Write the PEM with real line breaks (in YAML: `private.pem: |` and the lines below it, indented)."
            }
            Self::NotPrivate(_) | Self::PublicJwk(_) => {
                "Use the private half. Okta shows it once, when the key is made (Applications > your API Services app > \
                 General > Client Credentials > Add key); if it is lost, add a new key there."
            }
            Self::Encrypted => {
                "Remove the password: `openssl pkcs8 -topk8 -nocrypt -in encrypted.pem -out private.pem`."
            }
            Self::Several(_) | Self::JwkSet(_) => {
                "Keep the one private key whose public half is registered in Okta, and remove the others."
            }
            Self::OpenSsh => "Convert it: `ssh-keygen -p -N '' -m pkcs8 -f FILE`.",
            Self::TooShort | Self::TooLong | Self::Kind(_) => {
                "Use an RSA key of 2048 to 4096 bits, or an EC key on P-256, P-384 or P-521: \
                 `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem`, and add its public \
                 half in Okta (Applications > your API Services app > General > Client Credentials > Add key)."
            }
            Self::AlgorithmMismatch { .. } | Self::AlgorithmUnknown(_) => {
                "Use RS256, RS384 or RS512 with an RSA key, ES256 with P-256, ES384 with P-384, ES512 with P-521."
            }
            Self::Generation | Self::Signing => "Try again; if it stays so, make a new key and report this.",
        }
    }
}
