//! Roles, read only: their names, how long a session they allow, and whether they grant anything by themselves.

use engine::role::Role;
use jiff::SignedDuration;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use teleport_proto::{auth, types};
use tonic::Code;

use crate::{answer::CallError, call::Call, client::TeleportClient, error::TeleportError};

/// Roles a page. More than 16 000 is refused by the server.
const PAGE: i32 = 500;

/// A role as the server answered it. Its duration is a plain number of nanoseconds; 0 says nothing.
pub(crate) fn decode(role: types::RoleV6) -> Role {
    let spec = role.spec.unwrap_or_default();
    let nanoseconds = spec.options.unwrap_or_default().max_session_ttl;
    Role {
        name: role.metadata.unwrap_or_default().name,
        max_session_ttl: (nanoseconds > 0).then(|| SignedDuration::from_nanos(nanoseconds)),
        grants_nothing: grants_nothing(&spec.allow),
    }
}

/// The fields of `RoleConditions` that grant nothing by themselves: `namespaces`, a word that every role has, and `request`,
/// for access that somebody else has to approve.
const HARMLESS: [u32; 2] = [2, 6];

/// Whether an encoded `RoleConditions` grants nothing by itself (P13): neither rules, nor a login, nor a label, nor a field
/// that only a newer server knows. Servers write some fields even where they say nothing; these are empty.
fn grants_nothing(mut allow: &[u8]) -> bool {
    while !allow.is_empty() {
        let Ok((number, wire)) = decode_key(&mut allow) else { return false };
        if HARMLESS.contains(&number) {
            if skip_field(wire, number, &mut allow, DecodeContext::default()).is_err() {
                return false;
            }
        } else if wire != WireType::LengthDelimited || !matches!(decode_varint(&mut allow), Ok(0)) {
            return false;
        }
    }
    true
}

impl TeleportClient {
    pub(crate) async fn list_roles(&self) -> Result<Vec<Role>, TeleportError> {
        Ok(self.fetch_roles().await?.into_iter().map(decode).collect())
    }

    /// All roles as the server answers them.
    pub(crate) async fn fetch_roles(&self) -> Result<Vec<types::RoleV6>, TeleportError> {
        let mut roles = Vec::new();
        let mut key = String::new();
        loop {
            let request = auth::ListRolesRequest { limit: PAGE, start_key: key.clone(), filter: None };
            let answer = self
                .link
                .read(Call::ListRoles, |mut stubs| {
                    let request = request.clone();
                    async move { stubs.auth.list_roles(request).await }
                })
                .await;
            match answer {
                Ok(page) => {
                    roles.extend(page.roles);
                    if page.next_key.is_empty() {
                        return Ok(roles);
                    }
                    if page.next_key == key {
                        let detail = "the list of roles runs in a circle".to_owned();
                        return Err(TeleportError::Nonsense { call: Call::ListRoles, detail });
                    }
                    key = page.next_key;
                }
                // Before 16 there is only the call that answers all at once.
                Err(CallError::Answer(Code::Unimplemented, _)) => return self.all_roles().await,
                Err(error) => return Err(self.explain(Call::ListRoles, error).await),
            }
        }
    }

    async fn all_roles(&self) -> Result<Vec<types::RoleV6>, TeleportError> {
        match self.link.read(Call::GetRoles, |mut stubs| async move { stubs.auth.get_roles(()).await }).await {
            Ok(answer) => Ok(answer.roles),
            Err(error) => Err(self.explain(Call::GetRoles, error).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use teleport_proto::wrappers;

    use super::*;

    fn allowing(allow: &[u8]) -> Role {
        let spec = types::RoleSpecV6 { allow: allow.to_vec().into(), ..types::RoleSpecV6::default() };
        decode(types::RoleV6 { spec: Some(spec), ..types::RoleV6::default() })
    }

    // roles.rs, `grants_nothing`: `decode_varint`.
    #[test]
    fn p13_only_asking_for_access_grants_nothing_and_what_is_not_known_grants_something() {
        let nothing = types::RoleConditions {
            namespaces: vec!["default".into()],
            request: Some(types::AccessRequestConditions { roles: vec!["dba".into()], ..Default::default() }),
            // What Teleport writes for labels that are not there.
            node_labels: Some(wrappers::LabelValues::default()),
            app_labels: Some(wrappers::LabelValues::default()),
            ..Default::default()
        };
        assert!(allowing(&[]).grants_nothing);
        assert!(allowing(&nothing.encode_to_vec()).grants_nothing);
        let everywhere = wrappers::LabelValues {
            values: [("*".to_owned(), wrappers::StringValues { values: vec!["*".to_owned()] })].into(),
        };
        let with = |change: fn(&mut types::RoleConditions)| {
            let mut allow = nothing.clone();
            change(&mut allow);
            allow.encode_to_vec()
        };
        for (what, allow) in [
            (
                "rules",
                with(|allow| allow.rules.push(types::Rule { resources: vec!["node".into()], ..Default::default() })),
            ),
            ("a login", with(|allow| allow.logins.push("root".into()))),
            (
                "impersonation",
                with(|allow| {
                    allow.impersonate =
                        Some(types::ImpersonateConditions { users: vec!["*".into()], ..Default::default() });
                }),
            ),
        ] {
            assert!(!allowing(&allow).grants_nothing, "{what}");
        }
        let servers = types::RoleConditions { node_labels: Some(everywhere.clone()), ..nothing.clone() };
        let groups = types::RoleConditions { group_labels: Some(everywhere), ..nothing.clone() };
        assert!(
            !allowing(&servers.encode_to_vec()).grants_nothing && !allowing(&groups.encode_to_vec()).grants_nothing
        );
        // Of a newer server: a text, a number that is 0, and a fixed one.
        for unknown in [&[0xfa, 0x3e, 1, b'x'][..], &[0xf8, 0x3e, 0], &[0xfd, 0x3e, 0, 0, 0, 0]] {
            let allow = [&nothing.encode_to_vec()[..], unknown].concat();
            assert!(!allowing(&allow).grants_nothing, "{unknown:?}");
        }
        // Bytes that are no message say nothing good of a role.
        for broken in [&[0x0a][..], &[0x32, 9], &[0xff, 0xff]] {
            assert!(!allowing(broken).grants_nothing, "{broken:?}");
        }
    }

    #[test]
    fn a_session_ttl_is_nanoseconds_and_nothing_means_none() {
        let role = |max_session_ttl| {
            decode(types::RoleV6 {
                spec: Some(types::RoleSpecV6 {
                    options: Some(types::RoleOptions { max_session_ttl, ..types::RoleOptions::default() }),
                    ..types::RoleSpecV6::default()
                }),
                ..types::RoleV6::default()
            })
            .max_session_ttl
        };
        assert_eq!(role(30 * 3_600_000_000_000), Some(SignedDuration::from_hours(30)));
        assert_eq!(role(0), None);
        assert_eq!(role(-1), None);
        assert_eq!(decode(types::RoleV6::default()).max_session_ttl, None);
    }
}
