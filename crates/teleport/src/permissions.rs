//! What our roles allow, read from the roles themselves: a look ahead that writes nothing.

use engine::cluster::OriginMode;
use prost::Message as _;
use teleport_proto::types;

use crate::{call::Call, client::TeleportClient, error::TeleportError};

/// The calls that a sync makes and that need a rule.
pub(crate) const NEEDED: [Call; 9] = [
    Call::ListUsers,
    Call::CreateUser,
    Call::UpdateUser,
    Call::DeleteUser,
    Call::GetLocks,
    Call::UpsertLock,
    Call::DeleteLock,
    Call::ListRoles,
    Call::GetSamlConnector,
];

/// A verb on a kind of resource, such as `list` on `user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Kind of resource.
    pub kind: &'static str,
    /// Verb.
    pub verb: &'static str,
}

/// What a sync needs and the roles named `own` do not give. Conditions (`where`) are not weighed: an allowing rule counts, a denying one with a
/// condition does not.
pub(crate) fn missing(roles: &[types::RoleV6], own: &[String]) -> Vec<Permission> {
    let is_own = |role: &&types::RoleV6| role.metadata.as_ref().is_some_and(|metadata| own.contains(&metadata.name));
    let specs: Vec<_> = roles.iter().filter(is_own).filter_map(|role| role.spec.as_ref()).collect();
    let allowed = |wanted: &Permission| {
        let allow = specs.iter().filter_map(|spec| types::RoleConditions::decode(spec.allow.clone()).ok());
        allow.flat_map(|allow| allow.rules).any(|rule| covers(&rule, wanted))
    };
    let denied = |wanted: &Permission| {
        let deny = specs.iter().filter_map(|spec| spec.deny.as_ref());
        deny.flat_map(|deny| &deny.rules).any(|rule| rule.r#where.is_empty() && covers(rule, wanted))
    };
    NEEDED
        .iter()
        .filter_map(|call| call.rule())
        .flat_map(|(kind, verbs)| verbs.iter().map(move |verb| Permission { kind, verb }))
        .filter(|wanted| !allowed(wanted) || denied(wanted))
        .collect()
}

/// Whether a rule speaks of this. Whoever may read may also read without secrets.
fn covers(rule: &types::Rule, wanted: &Permission) -> bool {
    let kind = rule.resources.iter().any(|kind| kind == "*" || kind == wanted.kind);
    let verb = rule
        .verbs
        .iter()
        .any(|verb| verb == "*" || verb == wanted.verb || (wanted.verb == "readnosecrets" && verb == "read"));
    kind && verb
}

impl TeleportClient {
    /// The permissions that a sync needs and that our roles do not give. The system role `Okta` has them all by nature.
    ///
    /// # Errors
    /// As reading roles; [`TeleportError::Denied`] if even that is not allowed.
    pub async fn missing_permissions(&self) -> Result<Vec<Permission>, TeleportError> {
        let identity = self.identity();
        match identity.origin_mode() {
            OriginMode::Okta => Ok(Vec::new()),
            OriginMode::Bot => Ok(missing(&self.fetch_roles().await?, identity.roles())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resource: &str, verbs: &[&str]) -> types::Rule {
        let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        types::Rule { resources: vec![resource.into()], verbs, ..types::Rule::default() }
    }

    fn role(name: &str, allow: Vec<types::Rule>, deny: Vec<types::Rule>) -> types::RoleV6 {
        let conditions = |rules| types::RoleConditions { rules, ..types::RoleConditions::default() };
        types::RoleV6 {
            metadata: Some(types::Metadata { name: name.into(), ..types::Metadata::default() }),
            spec: Some(types::RoleSpecV6 {
                allow: conditions(allow).encode_to_vec().into(),
                deny: Some(conditions(deny)),
                ..types::RoleSpecV6::default()
            }),
            ..types::RoleV6::default()
        }
    }

    #[test]
    fn what_the_roles_do_not_give_is_named() {
        let own = ["a".to_owned(), "b".to_owned()];
        let everything = role("a", vec![rule("*", &["*"])], vec![]);
        assert_eq!(missing(std::slice::from_ref(&everything), &own), []);
        let conditional = types::Rule { r#where: "false".into(), ..rule("lock", &["delete"]) };
        let denies = role("b", vec![], vec![rule("user", &["delete"]), conditional]);
        assert_eq!(missing(&[everything.clone(), denies], &own), [Permission { kind: "user", verb: "delete" }]);

        let users = role("a", vec![rule("user", &["list", "read", "create", "update", "delete"])], vec![]);
        let rest =
            role("b", vec![rule("lock", &["*"]), rule("role", &["list", "read"]), rule("saml", &["read"])], vec![]);
        assert_eq!(missing(&[users.clone(), rest.clone()], &own), []);
        assert_eq!(missing(&[users, rest], &own[..1]).len(), 5 + 2 + 1, "another's role is not ours");
        assert_eq!(missing(&[], &own).len(), 13);
    }
}
