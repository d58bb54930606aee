//! A user as it is stored, and what makes one acceptable (reference §0, §1.3, §1.4, §15, §17).

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use teleport_proto::{labels, types};

use crate::{
    Refusal,
    clock::{from_wire, to_wire},
    replica::Expiring,
    splice::{field, replace, take},
    version::Version,
};

/// Longest name of a user.
const LONGEST_NAME: usize = 1000;

// Numbers of fields that are edited on the wire.
const USER_KIND: u32 = 1;
const USER_VERSION: u32 = 3;
const USER_METADATA: u32 = 4;
const USER_SPEC: u32 = 5;
const METADATA_NAMESPACE: u32 = 2;
const METADATA_REVISION: u32 = 8;
const SPEC_STATUS: u32 = 6;
const SPEC_EXPIRES: u32 = 7;
const SPEC_CREATED_BY: u32 = 8;
const SPEC_LOCAL_AUTH: u32 = 9;
const CREATED_BY_TIME: u32 = 2;

/// A user as it is stored: the bytes that came, edited where the server edits, and what the rules look at.
#[derive(Debug)]
pub(crate) struct StoredUser {
    pub(crate) name: String,
    pub(crate) raw: Bytes,
    pub(crate) revision: String,
    pub(crate) origin: Option<String>,
    expires: Option<Timestamp>,
}

impl Expiring for std::sync::Arc<StoredUser> {
    fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

impl StoredUser {
    pub(crate) fn is_okta(&self) -> bool {
        self.origin.as_deref() == Some(labels::ORIGIN_OKTA)
    }

    /// What we know of it.
    pub(crate) fn message(&self) -> types::UserV2 {
        types::UserV2::decode(self.raw.clone()).unwrap_or_default()
    }

    /// The encoded `created_by`.
    pub(crate) fn created_by(&self) -> Option<Vec<u8>> {
        let (_, spec) = take(&self.raw, USER_SPEC).ok()?;
        take(&spec?, SPEC_CREATED_BY).ok()?.1
    }
}

/// The key of a user in the table. Teleport's is `…/<name>/params`; so deletion by prefix and the order of lists come out as there.
pub(crate) fn key(name: &str) -> String {
    format!("{name}/")
}

/// A user as a caller sent it.
pub(crate) struct Draft {
    raw: Vec<u8>,
    message: types::UserV2,
}

impl Draft {
    /// Decodes what was sent.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, Refusal> {
        let message = types::UserV2::decode(raw).map_err(|error| {
            Refusal::new(tonic::Code::Internal, format!("grpc: error unmarshalling request: {error}"))
        })?;
        Ok(Self { raw: raw.to_vec(), message })
    }

    pub(crate) fn name(&self) -> &str {
        self.message.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
    }

    pub(crate) fn revision(&self) -> &str {
        self.message.metadata.as_ref().map_or("", |metadata| metadata.revision.as_str())
    }

    pub(crate) fn roles(&self) -> &[String] {
        self.message.spec.as_ref().map_or(&[], |spec| spec.roles.as_slice())
    }

    pub(crate) fn origin(&self) -> Option<&str> {
        self.message.metadata.as_ref()?.labels.get(labels::ORIGIN).map(String::as_str)
    }

    pub(crate) fn is_okta(&self) -> bool {
        self.origin() == Some(labels::ORIGIN_OKTA)
    }

    /// The name in `created_by.user`; empty means that the server fills `created_by` in.
    pub(crate) fn creator(&self) -> &str {
        let created_by = self.message.spec.as_ref().and_then(|spec| spec.created_by.as_ref());
        created_by.and_then(|created_by| created_by.user.as_ref()).map_or("", |user| user.name.as_str())
    }

    /// Refuses names, labels and origins that Teleport refuses.
    pub(crate) fn validate(&self, version: Version) -> Result<(), Refusal> {
        check_name(self.name(), version)?;
        check_labels(self.message.metadata.as_ref(), version)
    }

    /// The user to store: with a new revision and, where given, another `created_by`; without secrets.
    pub(crate) fn seal(self, created_by: Option<Vec<u8>>) -> Result<StoredUser, Refusal> {
        let revision = uuid::Uuid::new_v4().to_string();
        let raw = self
            .edited(&revision, created_by)
            .map_err(|error| Refusal::new(tonic::Code::Internal, error.to_string()))?;
        let metadata = self.message.metadata.unwrap_or_default();
        let spec_expires = self.message.spec.as_ref().and_then(|spec| spec.expires.as_ref());
        Ok(StoredUser {
            raw: raw.into(),
            revision,
            origin: metadata.labels.get(labels::ORIGIN).cloned(),
            expires: from_wire(metadata.expires.as_ref()).or_else(|| from_wire(spec_expires)),
            name: metadata.name,
        })
    }

    /// The same with its secrets.
    pub(crate) fn seal_with_secrets(self) -> Result<StoredUser, Refusal> {
        let broken = |error: prost::DecodeError| Refusal::new(tonic::Code::Internal, error.to_string());
        let sent = take(&self.raw, USER_SPEC).map_err(broken)?.1.unwrap_or_default();
        let secrets = take(&sent, SPEC_LOCAL_AUTH).map_err(broken)?.1.unwrap_or_default();
        let user = self.seal(None)?;
        let (mut raw, spec) = take(&user.raw, USER_SPEC).map_err(broken)?;
        let spec = [spec.unwrap_or_default(), field(SPEC_LOCAL_AUTH, &secrets)].concat();
        raw.extend(field(USER_SPEC, &spec));
        Ok(StoredUser { raw: raw.into(), ..user })
    }

    fn edited(&self, revision: &str, created_by: Option<Vec<u8>>) -> Result<Vec<u8>, prost::DecodeError> {
        let (rest, metadata) = take(&self.raw, USER_METADATA)?;
        let (mut rest, spec) = take(&rest, USER_SPEC)?;
        let mut metadata = replace(&metadata.unwrap_or_default(), METADATA_REVISION, Some(revision.as_bytes()))?;
        if self.message.metadata.as_ref().is_none_or(|metadata| metadata.namespace.is_empty()) {
            metadata.extend(field(METADATA_NAMESPACE, b"default"));
        }
        if self.message.kind.is_empty() {
            rest.extend(field(USER_KIND, b"user"));
        }
        if self.message.version.is_empty() {
            rest.extend(field(USER_VERSION, b"v2"));
        }
        rest.extend(field(USER_METADATA, &metadata));
        rest.extend(field(USER_SPEC, &with_times(&spec.unwrap_or_default(), created_by)?));
        Ok(rest)
    }
}

/// The specification as Teleport answers it: times that were left out come back as Go's zero time, secrets do not come back.
fn with_times(spec: &[u8], created_by: Option<Vec<u8>>) -> Result<Vec<u8>, prost::DecodeError> {
    let unset = teleport_proto::time::go_zero().encode_to_vec();
    let (spec, sent) = take(spec, SPEC_CREATED_BY)?;
    let (spec, _) = take(&spec, SPEC_LOCAL_AUTH)?;
    let mut created_by = created_by.or(sent).unwrap_or_default();
    if take(&created_by, CREATED_BY_TIME)?.1.is_none() {
        created_by.extend(field(CREATED_BY_TIME, &unset));
    }
    let (mut spec, expires) = take(&spec, SPEC_EXPIRES)?;
    spec.extend(field(SPEC_EXPIRES, &expires.unwrap_or_else(|| unset.clone())));
    let (mut spec, status) = take(&spec, SPEC_STATUS)?;
    let mut status = status.unwrap_or_default();
    for time in [3, 4] {
        if take(&status, time)?.1.is_none() {
            status.extend(field(time, &unset));
        }
    }
    spec.extend(field(SPEC_STATUS, &status));
    spec.extend(field(SPEC_CREATED_BY, &created_by));
    Ok(spec)
}

/// The `created_by` that the server writes where the caller named nobody.
pub(crate) fn created_by(caller: &str, time: Option<Timestamp>) -> Vec<u8> {
    types::CreatedBy {
        connector: None,
        time: time.map(to_wire),
        user: Some(types::UserRef { name: caller.to_owned() }),
    }
    .encode_to_vec()
}

/// Refuses names that Teleport's storage does not take.
pub(crate) fn check_name(name: &str, version: Version) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::bad_parameter("missing parameter Name"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Refusal::bad_parameter(format!(
            "username length exceeds the maximum length of {LONGEST_NAME} characters"
        )));
    }
    let fits = |character: char| character.is_ascii_alphanumeric() || "-_.:@+/".contains(character);
    if !name.chars().all(fits) || (version.refuses_dot_names() && (name == "." || name == "..")) {
        return Err(Refusal::bad_parameter(format!(
            "special characters are not allowed in resource names, please use name composed only from characters, hyphens, dots, and plus signs: {name:?}"
        )));
    }
    Ok(())
}

/// Refuses label keys and origins that Teleport does not know.
pub(crate) fn check_labels(metadata: Option<&types::Metadata>, version: Version) -> Result<(), Refusal> {
    let Some(metadata) = metadata else { return Ok(()) };
    let fits =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || "/._-*:".contains(character);
    if let Some(key) = metadata.labels.keys().find(|key| key.is_empty() || !key.chars().all(fits)) {
        return Err(Refusal::bad_parameter(format!("invalid label key: {key:?}")));
    }
    match metadata.labels.get(labels::ORIGIN) {
        Some(origin) if !version.origins().contains(&origin.as_str()) => Err(Refusal::bad_parameter(format!(
            "invalid origin value {origin:?}, must be one of {:?}",
            version.origins()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_by_teleports_rule() {
        for (name, v15, v17) in [
            ("ada@acme.com", true, true),
            ("ada+test@acme.com", true, true),
            ("p@x.com/q", true, true),
            ("..", true, false),
            (".", true, false),
            ("ada lovelace", false, false),
            ("ada@acmé.com", false, false),
            ("ada%40", false, false),
            ("o'brien@acme.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(check_name(name, Version::V15).is_ok(), v15, "{name} on 15");
            assert_eq!(check_name(name, Version::V17).is_ok(), v17, "{name} on 17");
        }
        assert!(check_name(&"a".repeat(1001), Version::V17).is_err());
    }
}
