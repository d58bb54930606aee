//! What crosses the wire, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // functions beside the tests may say what they expect, too

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value, prost::Message as _};
use teleport_proto::{auth, descriptors, types, user_descriptor, users, wrappers};

/// The key byte of a length-delimited field.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}

/// A field that no proto of ours declares: number 4000, length-delimited, with some text in it.
fn unknown_field() -> Vec<u8> {
    let mut bytes = Vec::new();
    prost_reflect::prost::encoding::bytes::encode(4000, &b"from a newer server".to_vec(), &mut bytes);
    bytes
}

#[test]
fn a_create_request_puts_the_user_at_1_and_the_others_at_2() {
    let user = types::UserV2 { kind: "user".into(), ..Default::default() }.encode_to_vec();
    let length = u8::try_from(user.len()).unwrap();
    let framed = |number: u8| [vec![key(number), length], user.clone()].concat();

    assert_eq!(users::CreateUserRequest { user: user.clone().into() }.encode_to_vec(), framed(1));
    assert_eq!(users::UpdateUserRequest { user: user.clone().into() }.encode_to_vec(), framed(2));
    assert_eq!(users::UpsertUserRequest { user: user.clone().into() }.encode_to_vec(), framed(2));
    assert_eq!(users::GetUserResponse { user: user.clone().into() }.encode_to_vec(), framed(1));
    let page = users::ListUsersResponse { users: vec![user.clone().into()], next_page_token: String::new() };
    assert_eq!(page.encode_to_vec(), framed(1));
}

// lib.rs, `user_descriptor`: a user as a message whose unknown fields are kept.
#[test]
fn p07_unknown_fields_at_every_depth_survive_an_edit() {
    let mut metadata =
        types::Metadata { name: "ada@acme.com".into(), revision: "7".into(), ..Default::default() }.encode_to_vec();
    metadata.extend(unknown_field());
    let mut spec = types::UserSpecV2 { roles: vec!["access".into()], ..Default::default() }.encode_to_vec();
    spec.extend(unknown_field());
    let mut stored = types::UserV2 { kind: "user".into(), version: "v2".into(), ..Default::default() }.encode_to_vec();
    prost_reflect::prost::encoding::bytes::encode(4, &metadata, &mut stored);
    prost_reflect::prost::encoding::bytes::encode(5, &spec, &mut stored);
    stored.extend(unknown_field());

    let mut user = DynamicMessage::decode(user_descriptor().unwrap(), stored.as_slice()).unwrap();
    let spec = user.get_field_by_name_mut("spec").unwrap().as_message_mut().unwrap();
    spec.set_field_by_name("roles", Value::List(vec![Value::String("okta-requester".into())]));
    let edited = user.encode_to_vec();

    let occurrences = edited.windows(unknown_field().len()).filter(|window| *window == unknown_field()).count();
    assert_eq!(occurrences, 3, "one each in user, metadata and spec");
    let read = types::UserV2::decode(edited.as_slice()).unwrap();
    assert_eq!(read.spec.unwrap().roles, ["okta-requester"]);
    assert_eq!(read.metadata.unwrap().revision, "7");
}

#[test]
fn an_unknown_value_of_a_known_enum_survives_an_edit() {
    let stored = types::UserV2 {
        status: Some(types::UserStatusV2 { password_state: 77, mfa_weakest_device: 3 }),
        ..Default::default()
    };
    let mut user = DynamicMessage::decode(user_descriptor().unwrap(), stored.encode_to_vec().as_slice()).unwrap();
    user.set_field_by_name("kind", Value::String("user".into()));
    assert_eq!(types::UserV2::decode(user.encode_to_vec().as_slice()).unwrap().status, stored.status);
}

#[test]
fn traits_are_a_map_of_lists_at_field_5_of_the_specification() {
    let traits = wrappers::LabelValues {
        values: [("k".to_owned(), wrappers::StringValues { values: vec!["v".into()] })].into(),
    };
    let spec = types::UserSpecV2 { traits: Some(traits), ..Default::default() };
    let entry = [key(1), 1, b'k', key(2), 3, key(1), 1, b'v'];
    assert_eq!(spec.encode_to_vec(), [vec![key(5), 10, key(1), 8], entry.to_vec()].concat());
}

#[test]
fn a_session_ttl_is_a_plain_number_of_nanoseconds_at_5_1_2() {
    let options = types::RoleOptions { max_session_ttl: 3, ..Default::default() };
    let role = types::RoleV6 {
        spec: Some(types::RoleSpecV6 { options: Some(options), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(role.encode_to_vec(), [key(5), 4, key(1), 2, 2 << 3, 3]);
}

#[test]
fn a_lock_request_is_the_bare_lock() {
    let lock = types::LockV2 {
        spec: Some(types::LockSpecV2 {
            target: Some(types::LockTarget { user: "u".into(), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(lock.encode_to_vec(), [key(5), 5, key(1), 3, key(1), 1, b'u']);
    let listed = auth::GetLocksResponse { locks: vec![lock.clone()] };
    assert_eq!(listed.encode_to_vec(), [vec![key(1), 7], lock.encode_to_vec()].concat());
}

#[test]
fn services_are_called_what_teleport_calls_them() {
    let paths: Vec<String> = descriptors()
        .unwrap()
        .services()
        .flat_map(|service| service.methods().map(|method| method.full_name().to_owned()).collect::<Vec<_>>())
        .collect();
    for path in [
        "teleport.users.v1.UsersService.UpdateUser",
        "proto.AuthService.GetCurrentUser",
        "proto.AuthService.GetSAMLConnector",
        "proto.AuthService.GetClusterCACert",
        "proto.JoinService.RegisterUsingToken",
        "teleport.join.v1.JoinService.Join",
    ] {
        assert!(paths.iter().any(|known| known == path), "{path} is missing in {paths:?}");
    }
    assert_eq!(DynamicMessage::new(user_descriptor().unwrap()).descriptor().full_name(), "types.UserV2");
}
