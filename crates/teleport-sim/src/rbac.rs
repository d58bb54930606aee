//! Who may do what: the rules of roles, and those of the built-in role `Okta` (reference §0, §11, §15, §16 F).

use std::collections::BTreeMap;

use teleport_proto::types;

use crate::{Refusal, caller::Caller, preset, version::Version};

/// Refuses unless the caller holds every verb on the kind. The refusal names each missing verb, as Teleport's does.
pub(crate) fn require(
    caller: &Caller,
    roles: &BTreeMap<String, types::RoleV6>,
    version: Version,
    kind: &str,
    verbs: &[&str],
) -> Result<(), Refusal> {
    let allowed = |verb: &str| match caller {
        Caller::Nobody => false,
        Caller::User { roles: held, .. } => by_roles(held, roles, kind, verb),
        Caller::System { role, .. } => role == "Okta" && by_okta(version, kind, verb),
    };
    let missing: Vec<String> = verbs
        .iter()
        .filter(|verb| !allowed(verb))
        .map(|verb| format!("access denied to perform action \"{verb}\" on \"{kind}\""))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::access_denied(missing.join(", "))) }
}

/// What the roles of a certificate allow. A deny rule wins over every allow rule.
fn by_roles(held: &[String], roles: &BTreeMap<String, types::RoleV6>, kind: &str, verb: &str) -> bool {
    let said = |side: fn(&types::RoleV6) -> Option<types::RoleConditions>| {
        let conditions = held.iter().filter_map(|name| side(roles.get(name)?));
        conditions.flat_map(|conditions| conditions.rules).any(|rule| covers(&rule, kind, verb))
    };
    said(|role| Some(preset::allowed(role))) && !said(|role| role.spec.as_ref()?.deny.clone())
}

fn covers(rule: &types::Rule, kind: &str, verb: &str) -> bool {
    let names = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
    // Whoever may read a thing with its secrets may read it without them.
    let verbs = names(&rule.verbs, verb) || (verb == "readnosecrets" && names(&rule.verbs, "read"));
    names(&rule.resources, kind) && verbs
}

fn by_okta(version: Version, kind: &str, verb: &str) -> bool {
    match kind {
        "user" | "lock" => true,
        "role" => matches!(verb, "list" | "read"),
        "saml" => version.okta_reads_connectors() && matches!(verb, "list" | "readnosecrets"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn role(allow: &[(&str, &str)], deny: &[(&str, &str)]) -> types::RoleV6 {
        let conditions = |pairs: &[(&str, &str)]| {
            let rules = pairs.iter().map(|(kind, verb)| types::Rule {
                resources: vec![(*kind).to_owned()],
                verbs: vec![(*verb).to_owned()],
                ..Default::default()
            });
            types::RoleConditions { rules: rules.collect(), ..Default::default() }
        };
        let allow = conditions(allow).encode_to_vec().into();
        let spec = types::RoleSpecV6 { options: None, allow, deny: Some(conditions(deny)) };
        types::RoleV6 { spec: Some(spec), ..Default::default() }
    }

    #[test]
    fn a_missing_verb_is_named_and_so_is_the_second() {
        let roles = BTreeMap::from([("r".to_owned(), role(&[("lock", "list")], &[]))]);
        let caller = Caller::User { name: "u".into(), roles: vec!["r".into()] };
        let refused = require(&caller, &roles, Version::V17, "lock", &["create", "update"]).unwrap_err();
        assert_eq!(
            refused.message,
            r#"access denied to perform action "create" on "lock", access denied to perform action "update" on "lock""#
        );
        assert!(require(&caller, &roles, Version::V17, "lock", &["list"]).is_ok());
    }

    #[test]
    fn deny_wins_and_a_role_that_does_not_exist_gives_nothing() {
        let roles = BTreeMap::from([
            ("all".to_owned(), role(&[("*", "*")], &[])),
            ("not".to_owned(), role(&[], &[("user", "delete")])),
        ]);
        let holder = |names: &[&str]| Caller::User {
            name: "u".into(),
            roles: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(require(&holder(&["all"]), &roles, Version::V17, "user", &["delete"]).is_ok());
        assert!(require(&holder(&["all", "not"]), &roles, Version::V17, "user", &["delete"]).is_err());
        assert!(require(&holder(&["gone"]), &roles, Version::V17, "user", &["read"]).is_err());
        assert!(require(&Caller::Nobody, &roles, Version::V17, "user", &["read"]).is_err());
    }
}
