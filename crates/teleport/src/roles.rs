//! Roles, read only: their names, and how long a session they allow.

use engine::role::Role;
use jiff::SignedDuration;
use teleport_proto::{auth, types};
use tonic::Code;

use crate::{answer::CallError, call::Call, client::TeleportClient, error::TeleportError};

/// Roles a page. More than 16 000 is refused by the server.
const PAGE: i32 = 500;

/// A role as the server answered it. Its duration is a plain number of nanoseconds; 0 says nothing.
pub(crate) fn decode(role: types::RoleV6) -> Role {
    let nanoseconds = role.spec.unwrap_or_default().options.unwrap_or_default().max_session_ttl;
    Role {
        name: role.metadata.unwrap_or_default().name,
        max_session_ttl: (nanoseconds > 0).then(|| SignedDuration::from_nanos(nanoseconds)),
    }
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
    use super::*;

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
