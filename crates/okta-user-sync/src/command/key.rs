//! `okta-user-sync key`: makes the key pair with which the sync proves to Okta who it is, and shows public halves.
//!
//! Nothing private is ever written to standard output.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, Subcommand, ValueEnum};
use okta::key::{Algorithm, KeyError, KeyKind, PrivateKey, PublicJwk};
use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, Stop};
use crate::private_file::keep_key;
use crate::terminal;

/// Shown below `key new --help`.
const NEW_EXAMPLES: &str = "\
Examples:
  okta-user-sync key new key.pem
  okta-user-sync key new key.pem -o json | jq .jwk        # what Okta has to be told
  kubectl create secret generic acme-okta-key -n okta-user-sync --from-file=private.pem=key.pem

A file that is there is never overwritten. In a cluster no key has to be made: with okta.privateKeySecretRef left out
the operator makes one.";

/// Shown below `key show --help`.
const SHOW_EXAMPLES: &str = "\
Examples:
  okta-user-sync key show key.pem
  kubectl get secret acme-okta-key -n okta-user-sync -o yaml | okta-user-sync key show -
  okta-user-sync key show secret.yaml --key private.pem -o json";

/// Shown below `key jwks --help`.
const JWKS_EXAMPLES: &str = "\
Examples:
  okta-user-sync key jwks old.pem new.pem > jwks.json     # to be served for \"Use a URL to fetch keys dynamically\"";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key pair: the private half into a new file that only its owner may read, the public half (JWK) to
    /// standard output.
    #[command(after_help = NEW_EXAMPLES)]
    New(New),
    /// Show name (kid) and public half (JWK) of a private key: a PEM or JWK file, or the manifest of a Secret.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Print a JWK Set of the public halves of several private keys.
    #[command(after_help = JWKS_EXAMPLES)]
    Jwks(Jwks),
}

#[derive(Debug, Args)]
struct New {
    /// File that is made for the private key, mode 0600: PKCS#8 PEM, or for RS384 and RS512, which PEM cannot tell, a JWK.
    file: PathBuf,
    /// What the key signs with. RS256 is what Okta makes itself.
    #[arg(short, long, value_name = "ALGORITHM", default_value = "RS256", ignore_case = true)]
    algorithm: Signing,
    /// How the public half is written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Args)]
struct Show {
    /// File with one private key; - is standard input.
    file: PathBuf,
    /// Key within the Secret's data, if it holds several that could be meant.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How the public half is written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Args)]
struct Jwks {
    /// Files with one private key each, as for key show.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What a key signs with: all that Okta takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Signing {
    /// RSA of 2048 bits with SHA-256.
    Rs256,
    /// RSA of 2048 bits with SHA-384.
    Rs384,
    /// RSA of 2048 bits with SHA-512.
    Rs512,
    /// Elliptic curve P-256.
    Es256,
    /// Elliptic curve P-384.
    Es384,
    /// Elliptic curve P-521.
    Es512,
}

impl From<Signing> for Algorithm {
    fn from(signing: Signing) -> Self {
        match signing {
            Signing::Rs256 => Self::Rs256,
            Signing::Rs384 => Self::Rs384,
            Signing::Rs512 => Self::Rs512,
            Signing::Es256 => Self::Es256,
            Signing::Es384 => Self::Es384,
            Signing::Es512 => Self::Es512,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One document (docs/cli.md).
    Json,
    /// The same as YAML.
    Yaml,
}

/// What is told of a key.
#[derive(Serialize)]
struct Told {
    /// Where the private half lies.
    file: String,
    kid: String,
    algorithm: &'static str,
    jwk: PublicJwk,
}

/// A JWK Set (RFC 7517 §5).
#[derive(Serialize)]
struct Set {
    keys: Vec<PublicJwk>,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or made, or holds no key.
pub fn run(arguments: Arguments) -> Result<Exit, Stop> {
    match arguments.verb {
        Verb::New(arguments) => new(&arguments)?,
        Verb::Show(arguments) => {
            let key = read(&arguments.file, arguments.key.as_deref())?;
            tell(&arguments.file, &key, arguments.output, "")?;
        }
        Verb::Jwks(arguments) => terminal::print_json(&set(&arguments.files)?)?,
    }
    Ok(Exit::Done)
}

fn new(arguments: &New) -> Result<(), Stop> {
    let algorithm = Algorithm::from(arguments.algorithm);
    let key = PrivateKey::generate(KeyKind::for_algorithm(algorithm))
        .and_then(|key| key.with_algorithm(algorithm))
        .map_err(|error| Stop::undone(error.to_string(), error.remedy()))?;
    keep_key(&arguments.file, &key)?;
    let next = "\nNext: add this JWK in Okta's Admin Console under Applications > Applications > your API Services app > \
                General >\nClient Credentials > PUBLIC KEYS > Add key, and put the file into the Secret that \
                okta.privateKeySecretRef names.\n";
    tell(&arguments.file, &key, arguments.output, next)
}

fn tell(file: &Path, key: &PrivateKey, format: Format, next: &str) -> Result<(), Stop> {
    let told = Told {
        file: file.display().to_string(),
        kid: key.kid().to_owned(),
        algorithm: key.algorithm().as_str(),
        jwk: key.public_jwk(),
    };
    match format {
        Format::Json => terminal::print_json(&told),
        Format::Yaml => terminal::print_yaml(&told),
        Format::Text => {
            terminal::print(&format!("kid        {}\nalgorithm  {}\n\n", told.kid, told.algorithm))?;
            terminal::print_json(&told.jwk)?;
            terminal::print(next)
        }
    }
}

/// The public halves of all these; each is there once.
fn set(files: &[PathBuf]) -> Result<Set, Stop> {
    let mut keys: Vec<(PublicJwk, &PathBuf)> = Vec::new();
    for file in files {
        let jwk = read(file, None)?.public_jwk();
        if let Some((_, other)) = keys.iter().find(|(known, _)| known.kid() == jwk.kid()) {
            return Err(Stop::bad_input(
                format!("{} and {} have the same kid", other.display(), file.display()),
                "name each key once: Okta takes no set in which a kid stands twice",
            ));
        }
        keys.push((jwk, file));
    }
    Ok(Set { keys: keys.into_iter().map(|(jwk, _)| jwk).collect() })
}

/// The private key of a file: PEM, JWK, or a Secret's manifest.
fn read(file: &Path, within: Option<&str>) -> Result<PrivateKey, Stop> {
    let name = file.display();
    let mut bytes = Vec::new();
    let got = if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|all| bytes = all)
    };
    got.map_err(|error| Stop::bad_input(format!("{name}: {error}"), "name a file that can be read"))?;
    let unusable = |error: &KeyError| Stop::bad_input(format!("{name}: {error}"), error.remedy());
    match secret(&bytes) {
        None if within.is_some() => {
            Err(Stop::bad_input(format!("{name} is not the manifest of a Secret"), "leave --key out"))
        }
        None => PrivateKey::parse(&bytes).map_err(|error| unusable(&error)),
        Some(secret) => {
            let entries = entries(&secret).map_err(|what| {
                Stop::bad_input(format!("{name}: the Secret's {what}"), "mend the Secret in the file")
            })?;
            pick(&name.to_string(), &entries, within)
        }
    }
}

/// The manifest, if the bytes are one of a Secret.
fn secret(bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_saphyr::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    (value.get("kind").and_then(Value::as_str) == Some("Secret")).then_some(value)
}

/// Keys and bytes of a Secret; `stringData` wins, as in the API server.
fn entries(secret: &Value) -> Result<Vec<(String, Vec<u8>)>, String> {
    let of =
        |field: &str| secret.get(field).and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k, v.as_str()));
    let mut all = Vec::new();
    for (key, text) in of("stringData") {
        all.push((key.clone(), text.unwrap_or_default().as_bytes().to_vec()));
    }
    for (key, text) in of("data") {
        if all.iter().all(|(known, _)| known != key) {
            let packed: String = text.unwrap_or_default().split_ascii_whitespace().collect();
            all.push((key.clone(), BASE64.decode(packed).map_err(|_| format!("data.{key} is not base64"))?));
        }
    }
    Ok(all)
}

/// The one entry that is meant: the named one, else the only one that is a private key.
fn pick(file: &str, entries: &[(String, Vec<u8>)], within: Option<&str>) -> Result<PrivateKey, Stop> {
    let names = || entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ");
    let unusable = |key: &str, error: &KeyError| Stop::bad_input(format!("{file}, key {key}: {error}"), error.remedy());
    if let Some(wanted) = within {
        let found = entries.iter().find(|(key, _)| key == wanted);
        let (key, bytes) = found.ok_or_else(|| {
            Stop::bad_input(format!("{file}: the Secret has no key {wanted}; it has: {}", names()), "name one of these")
        })?;
        return PrivateKey::parse(bytes).map_err(|error| unusable(key, &error));
    }
    let parsed: Vec<_> = entries.iter().map(|(key, bytes)| (key, PrivateKey::parse(bytes))).collect();
    let mut good = parsed.iter().filter_map(|(_, parsed)| parsed.as_ref().ok());
    match (good.next(), good.next(), parsed.as_slice()) {
        (Some(key), None, _) => Ok(key.clone()),
        (Some(_), Some(_), _) => {
            Err(Stop::bad_input(format!("{file}: several of {} are private keys", names()), "say which one with --key"))
        }
        (None, _, [(key, Err(error))]) => Err(unusable(key, error)),
        (None, ..) => Err(Stop::bad_input(
            format!("{file}: the Secret holds no private key; it has: {}", names()),
            "put the key (PEM or JWK) into it",
        )),
    }
}
