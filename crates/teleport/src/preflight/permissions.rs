//! What we may do, named permission by permission. What only reads is asked for; what writes is read from our roles.

use engine::{cluster::OriginMode, role::Role};
use teleport_proto::{types, users as proto};

use super::Look;
use crate::{
    call::Call,
    denial::{Cause, Denial},
    error::TeleportError,
    permissions::{NEEDED, Permission, missing},
    roles,
};

/// How a missing permission is given.
pub(super) fn remedy(own: &str, call: Call, kind: &str, verb: &str) -> String {
    denied(own, call, kind, verb).remedy()
}

/// The refusal that a call without this permission would get.
fn denied(own: &str, call: Call, kind: &str, verb: &str) -> Denial {
    let cause = Cause::Rule(vec![(verb.to_owned(), kind.to_owned())]);
    Denial { call, own: own.to_owned(), cause, text: String::new() }
}

impl Look<'_> {
    /// Judges all permissions but that for connectors. The roles, if they can be read.
    pub(super) async fn permissions(&mut self) -> Option<Vec<Role>> {
        let users = self.look_at_users().await;
        self.judge(Call::ListUsers, users.as_ref().err());
        let locks = self.client.list_locks().await;
        self.judge(Call::GetLocks, locks.as_ref().err());
        let fetched = self.client.fetch_roles().await;
        self.judge(Call::ListRoles, fetched.as_ref().err());
        let fetched = fetched.ok();
        self.writes(fetched.as_deref());
        fetched.map(|all| all.into_iter().map(roles::decode).collect())
    }

    async fn look_at_users(&self) -> Result<(), TeleportError> {
        let request = proto::ListUsersRequest { page_size: 1, ..proto::ListUsersRequest::default() };
        let answer = self
            .client
            .link
            .read(Call::ListUsers, |mut stubs| {
                let request = request.clone();
                async move { stubs.users.list_users(request).await }
            })
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => Err(self.client.explain(Call::ListUsers, error).await),
        }
    }

    /// The permissions of a call that was made. A refusal names the verbs that are missing; where it does not, the
    /// first one stands for all.
    fn judge(&mut self, call: Call, error: Option<&TeleportError>) {
        let Some((kind, verbs)) = call.rule() else { return };
        let blamed: Option<&[(String, String)]> = match error {
            Some(TeleportError::Denied(Denial { cause: Cause::Rule(pairs), .. })) => Some(pairs),
            _ => None,
        };
        let line = |verb: &str| format!("{kind}:{verb}");
        for (at, verb) in verbs.iter().enumerate() {
            let name = line(verb);
            match (error, blamed) {
                (None, _) => self.list.pass(&name, format!("{} answers", call.method())),
                (Some(error), Some(pairs)) if pairs.iter().any(|(named, _)| named == verb) => {
                    self.list.refuse(&name, &error.clone().into());
                }
                (Some(_), Some(_)) => self.list.pass(&name, format!("{} does not lack it", call.method())),
                (Some(error), None) if at == 0 => self.list.refuse(&name, &error.clone().into()),
                (Some(_), None) => self.list.skip_after(&name, &line(verbs.first().unwrap_or(verb))),
            }
        }
    }

    /// The permissions to write, as our roles give them.
    fn writes(&mut self, fetched: Option<&[types::RoleV6]>) {
        let identity = self.client.identity();
        let lacks = match (identity.origin_mode(), fetched) {
            (OriginMode::Okta, _) => Some(Vec::new()),
            (OriginMode::Bot, Some(fetched)) => Some(missing(fetched, identity.roles())),
            (OriginMode::Bot, None) => None,
        };
        let writing = NEEDED.iter().filter(|call| {
            !matches!(call, Call::ListUsers | Call::GetLocks | Call::ListRoles | Call::GetSamlConnector)
        });
        for call in writing {
            let Some((kind, verbs)) = call.rule() else { continue };
            for verb in verbs {
                let name = format!("{kind}:{verb}");
                match &lacks {
                    None => self.list.skip_after(&name, self.unreadable_roles()),
                    Some(lacks) if lacks.contains(&Permission { kind, verb }) => {
                        let denial = denied(identity.user(), *call, kind, verb);
                        self.list.fail(&name, denial.message(), denial.remedy());
                    }
                    Some(_) => self.list.pass(
                        &name,
                        match identity.origin_mode() {
                            OriginMode::Okta => "the system role Okta may",
                            OriginMode::Bot => "a role of ours allows it",
                        },
                    ),
                }
            }
        }
    }
}
