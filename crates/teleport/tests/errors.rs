//! Every error has a class, a reason and a remedy that names what to do.

use engine::failure::Class;
use teleport::{
    Call, TeleportError,
    denial::{Cause, Denial},
};

#[test]
fn a_denial_names_the_missing_rule_or_what_else_stands_in_the_way() {
    let rule = |verb: &str, kind: &str| (verb.to_owned(), kind.to_owned());
    let table: [(Call, &str, Cause, &str); 12] = [
        (
            Call::CreateUser,
            r#"access denied to perform action "create" on "user""#,
            Cause::Rule(vec![rule("create", "user")]),
            "spec: {allow: {rules: [{resources: [user], verbs: [create]}]}}",
        ),
        (
            Call::UpsertLock,
            r#"access denied to perform action "create" on "lock", access denied to perform action "update" on "lock""#,
            Cause::Rule(vec![rule("create", "lock"), rule("update", "lock")]),
            "{resources: [lock], verbs: [create, update]}",
        ),
        (Call::ListRoles, "access denied", Cause::Unsaid, "{resources: [role], verbs: [list, read]}"),
        (Call::GetSamlConnector, "access denied", Cause::Unsaid, "{resources: [saml], verbs: [readnosecrets]}"),
        (Call::GetCurrentUser, "access denied", Cause::Locked, "tctl get locks"),
        (Call::UpdateUser, r#"lock targeting User:"bot-sync" is in force: x"#, Cause::Locked, "tctl rm lock/"),
        (Call::UpdateUser, "admin-level API request requires MFA verification", Cause::SecondFactor, "tctl auth sign"),
        (Call::ListUsers, "pinned IP doesn't match observed client IP", Cause::PinnedAddress, "pin_source_ip"),
        (Call::ListUsers, "private key policy not met: hardware_key", Cause::HardwareKey, "hardware_key"),
        (Call::ListUsers, "access denied: credentials have expired, please relogin", Cause::Expired, "new identity"),
        (Call::DeleteUser, "Okta service may only delete Okta resources", Cause::Origin, "origin okta"),
        (Call::UpdateUser, "Okta service may only update Okta resources", Cause::Origin, "origin okta"),
    ];
    for (call, text, cause, remedy) in table {
        let denial = Denial::read(call, "bot-sync", text.to_owned());
        assert_eq!(denial.cause, cause, "{text}");
        assert!(denial.remedy().contains(remedy), "{text}: {}", denial.remedy());
        let error = TeleportError::Denied(denial);
        assert_eq!(error.class(), Class::Permission);
        assert!(error.to_string().contains("bot-sync") || error.to_string().contains("Teleport"), "{error}");
    }
}

#[test]
fn every_call_that_needs_a_rule_says_which() {
    for call in [
        Call::GetUser,
        Call::ListUsers,
        Call::CreateUser,
        Call::UpdateUser,
        Call::DeleteUser,
        Call::GetLocks,
        Call::UpsertLock,
        Call::DeleteLock,
        Call::ListRoles,
        Call::GetRoles,
        Call::GetSamlConnector,
        Call::GetSamlConnectors,
    ] {
        let (kind, verbs) = call.rule().unwrap();
        assert!(!kind.is_empty() && !verbs.is_empty());
    }
    assert_eq!(Call::Ping.rule(), None);
}

#[test]
fn classes_decide_who_acts() {
    let address = || "t:443".to_owned();
    for (error, class, reason) in [
        (
            TeleportError::Unreachable { address: address(), detail: String::new() },
            Class::Transient,
            "TeleportUnreachable",
        ),
        (TeleportError::NotTls { address: address() }, Class::Configuration, "NotTeleport"),
        (
            TeleportError::ServerNotTrusted { address: address(), cluster: "c".into(), detail: String::new() },
            Class::Credential,
            "TeleportNotTrusted",
        ),
        (TeleportError::IdentityGone { user: "bot-x".into() }, Class::Credential, "IdentityDeleted"),
        (TeleportError::RoleMissing { role: "r".into() }, Class::Configuration, "RoleMissing"),
        (TeleportError::Busy { call: Call::CreateUser, message: String::new() }, Class::Budget, "TeleportBusy"),
        (TeleportError::Deadline { call: Call::CreateUser, seconds: 30 }, Class::Transient, "TeleportTimeout"),
        (TeleportError::TooOld { version: "14.0.0".into(), oldest: 15 }, Class::Configuration, "TeleportTooOld"),
    ] {
        assert_eq!((error.class(), error.reason()), (class, reason), "{error}");
        assert!(!error.remedy().is_empty() && !error.to_string().is_empty());
    }
}
