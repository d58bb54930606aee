//! P7: what is not ours stays, byte for byte; what is ours is as it was asked for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use teleport_proto::{types, user_descriptor, wrappers};

use super::*;

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn map<V>(entries: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, V> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn wanted() -> UserEdit {
    UserEdit {
        labels: map([("okta/org", "https://acme.okta.com".to_owned()), ("team", "blue".to_owned())]),
        roles: list(&["okta-requester", "dev"]),
        traits: map([("okta/email", list(&["ada@acme.com"])), ("logins", list(&["ada", "root"])), ("empty", vec![])]),
    }
}

/// One unknown field of every wire type, groups included, at numbers that no proto of ours has.
fn unknown_fields() -> Vec<u8> {
    let mut bytes = BytesMut::new();
    encode_key(4000, WireType::Varint, &mut bytes);
    encode_varint(u64::MAX, &mut bytes);
    encode_key(4001, WireType::SixtyFourBit, &mut bytes);
    bytes.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    put(4002, b"from a newer server", &mut bytes);
    encode_key(4003, WireType::StartGroup, &mut bytes);
    put(1, b"inside", &mut bytes);
    encode_key(4003, WireType::EndGroup, &mut bytes);
    encode_key(4004, WireType::ThirtyTwoBit, &mut bytes);
    bytes.extend_from_slice(&[9, 9, 9, 9]);
    bytes.to_vec()
}

fn framed(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(number, content, &mut out);
    out.to_vec()
}

/// A user with every field that we know, and unknown ones in every message.
fn full_user() -> Bytes {
    let unknown = unknown_fields();
    let labels = [("team", "blue"), ("old", "x")].map(|(key, value)| {
        let entry = [framed(1, key.as_bytes()), framed(2, value.as_bytes()), unknown.clone()].concat();
        framed(metadata::LABELS, &entry)
    });
    let metadata = types::Metadata {
        name: "ada@acme.com".into(),
        namespace: "default".into(),
        description: "by hand".into(),
        expires: Some(prost_types::Timestamp { seconds: 2_000_000_000, nanos: 5 }),
        revision: "r1".into(),
        ..types::Metadata::default()
    };
    let metadata = [labels.concat(), metadata.encode_to_vec(), unknown.clone()].concat();

    let strings = |values: &[&str]| values.iter().flat_map(|value| framed(1, value.as_bytes())).collect::<Vec<u8>>();
    let kept_trait = [framed(1, b"logins"), framed(2, &[strings(&["ada", "root"]), unknown.clone()].concat())].concat();
    let changed_trait = [framed(1, b"okta/email"), framed(2, &strings(&["old@acme.com"]))].concat();
    let traits = [framed(1, &kept_trait), framed(1, &changed_trait), unknown.clone()].concat();
    let identity =
        types::ExternalIdentity { connector_id: "okta".into(), username: "ada".into(), ..Default::default() };
    let spec = types::UserSpecV2 {
        oidc_identities: vec![identity.clone()],
        saml_identities: vec![identity.clone()],
        github_identities: vec![identity],
        roles: list(&["access"]),
        status: Some(types::LoginStatus { locked_time: Some(time::go_zero()), ..Default::default() }),
        expires: Some(prost_types::Timestamp { seconds: 2_000_000_000, nanos: 0 }),
        created_by: Some(types::CreatedBy { time: Some(time::go_zero()), ..Default::default() }),
        local_auth: Some(types::LocalAuthSecrets { totp_key: "secret".into(), ..Default::default() }),
        trusted_device_ids: list(&["device"]),
        ..types::UserSpecV2::default()
    };
    let spec = [spec.encode_to_vec(), framed(spec::TRAITS, &traits), unknown.clone()].concat();

    // An enum value that is not known yet.
    let status = types::UserStatusV2 { password_state: 77, mfa_weakest_device: 3 }.encode_to_vec();
    let user = types::UserV2 { kind: "user".into(), version: "v2".into(), ..Default::default() }.encode_to_vec();
    [unknown.clone(), user, framed(METADATA, &metadata), framed(SPEC, &spec), framed(6, &status), unknown]
        .concat()
        .into()
}

/// The message without the fields that an update owns: what must be the same before and after.
fn foreign(user: &Bytes) -> Vec<Vec<u8>> {
    let without = |bytes: &Bytes, owned: &[u32]| {
        fields(bytes)
            .unwrap()
            .into_iter()
            .filter(|field| !owned.contains(&field.number))
            .map(|field| field.raw.to_vec())
            .collect::<Vec<_>>()
    };
    let top = fields(user).unwrap();
    let spec = merged(&top, SPEC);
    let mut foreign = without(user, &[METADATA, SPEC]);
    foreign.extend(without(&merged(&top, METADATA), &[metadata::LABELS, metadata::EXPIRES, metadata::REVISION]));
    foreign.extend(without(&spec, &[spec::ROLES, spec::TRAITS, spec::EXPIRES]));
    foreign.extend(without(&merged(&fields(&spec).unwrap(), spec::TRAITS), &[FIRST]));
    foreign
}

// splice.rs, `replace_messages`.
#[test]
fn p07_an_update_leaves_every_foreign_field_byte_for_byte() {
    let original = full_user();
    let edited = edit(&original, &wanted(), "r1").unwrap();
    assert_eq!(foreign(&edited), foreign(&original));

    let user = types::UserV2::decode(edited.clone()).unwrap();
    let (metadata, spec) = (user.metadata.unwrap(), user.spec.unwrap());
    assert_eq!(metadata.labels, wanted().labels);
    assert_eq!(metadata.revision, "r1");
    assert_eq!(metadata.expires, None, "a login's expiry is taken away");
    assert_eq!(spec.roles, wanted().roles);
    assert_eq!(spec.expires, Some(time::go_zero()), "in the form in which the server writes none");
    let traits: Traits = spec.traits.unwrap().values.into_iter().map(|(key, list)| (key, list.values)).collect();
    assert_eq!(traits, wanted().traits);
    assert_eq!(user.status.unwrap().password_state, 77);

    let unknown = unknown_fields();
    let survivors = edited.windows(unknown.len()).filter(|window| **window == unknown).count();
    assert_eq!(survivors, 7, "user twice, metadata, spec, traits, one label that stays, one trait that stays");
}

/// The labels and traits as they are encoded.
fn entries(user: &Bytes) -> Vec<Vec<u8>> {
    let top = fields(user).unwrap();
    let traits = merged(&fields(&merged(&top, SPEC)).unwrap(), spec::TRAITS);
    let of =
        |bytes: &Bytes, number: u32| fields(bytes).unwrap().into_iter().filter(move |field| field.number == number);
    let all = of(&merged(&top, METADATA), metadata::LABELS).chain(of(&traits, FIRST));
    all.map(|field| field.raw.to_vec()).collect()
}

// splice.rs, `reconcile`.
#[test]
fn p07_an_edit_that_changes_nothing_yields_the_same_bytes() {
    let edited = edit(&full_user(), &wanted(), "r1").unwrap();
    let again = edit(&edited, &wanted(), "r1").unwrap();
    assert_eq!(fields(&again).unwrap().len(), fields(&edited).unwrap().len());
    assert_eq!(again, edited);

    // What a user has already keeps its place, and whatever else its entries hold.
    let own = UserEdit {
        labels: map([("team", "blue".to_owned()), ("old", "x".to_owned())]),
        roles: list(&["access"]),
        traits: map([("logins", list(&["ada", "root"])), ("okta/email", list(&["old@acme.com"]))]),
    };
    assert_eq!(entries(&edit(&full_user(), &own, "r1").unwrap()), entries(&full_user()));
}

#[test]
fn an_independent_decoder_reads_the_same() {
    let read = |bytes: &Bytes| DynamicMessage::decode(user_descriptor().unwrap(), bytes.clone()).unwrap();
    let original = full_user();
    let edited = read(&edit(&original, &wanted(), "r2").unwrap());
    let original = read(&original);
    for field in ["kind", "sub_kind", "version", "status"] {
        assert_eq!(edited.get_field_by_name(field), original.get_field_by_name(field), "{field}");
    }
    assert_eq!(edited.unknown_fields().count(), original.unknown_fields().count());
    let spec = |user: &DynamicMessage, field: &str| {
        user.get_field_by_name("spec").unwrap().as_message().unwrap().get_field_by_name(field).unwrap().into_owned()
    };
    for field in [
        "oidc_identities",
        "saml_identities",
        "github_identities",
        "status",
        "created_by",
        "local_auth",
        "trusted_device_ids",
    ] {
        assert_eq!(spec(&edited, field), spec(&original, field), "{field}");
    }
}

#[test]
fn a_message_in_pieces_is_joined_and_of_two_entries_the_last_counts() {
    let entry = |value: &str| framed(metadata::LABELS, &[framed(1, b"team"), framed(2, value.as_bytes())].concat());
    let name = framed(1, b"ada");
    let user: Bytes =
        [framed(METADATA, &[name, entry("blue")].concat()), framed(1, b"user"), framed(METADATA, &entry("red"))]
            .concat()
            .into();
    let read = types::UserV2::decode(edit(&user, &wanted(), "r").unwrap()).unwrap().metadata.unwrap();
    assert_eq!((read.name.as_str(), read.labels["team"].as_str()), ("ada", "blue"));
}

#[test]
fn a_user_without_metadata_or_specification_gets_them() {
    let read = types::UserV2::decode(edit(&Bytes::new(), &wanted(), "r").unwrap()).unwrap();
    assert_eq!(read.metadata.unwrap().labels, wanted().labels);
    assert_eq!(read.spec.unwrap().roles, wanted().roles);
}

#[test]
fn expiries_of_the_year_one_are_left_alone() {
    let spec = types::UserSpecV2 { expires: Some(time::go_zero()), ..Default::default() };
    let user = types::UserV2 { spec: Some(spec), ..Default::default() }.encode_to_vec().into();
    let read = types::UserV2::decode(edit(&user, &UserEdit::default(), "").unwrap()).unwrap();
    assert_eq!(read.spec.unwrap().expires, Some(time::go_zero()));
}

#[test]
fn garbage_is_refused() {
    for bytes in [&[0xff][..], &[0x22, 0x05, 1], &[0x22, 0x01, 0xff]] {
        assert!(edit(&Bytes::copy_from_slice(bytes), &wanted(), "r").is_err(), "{bytes:?}");
    }
}

fn words() -> impl Strategy<Value = String> {
    "[a-c]{0,2}"
}

fn traits() -> impl Strategy<Value = Traits> {
    prop::collection::btree_map(words(), prop::collection::vec(words(), 0..3), 0..4)
}

proptest! {
    #[test]
    fn any_edit_of_any_user_yields_what_it_says(
        labels in prop::collection::btree_map(words(), words(), 0..4),
        roles in prop::collection::vec(words(), 0..4),
        before in traits(),
        new_labels in prop::collection::btree_map(words(), words(), 0..4),
        new_roles in prop::collection::vec(words(), 0..4),
        after in traits(),
    ) {
        let values = before.into_iter().map(|(key, values)| (key, wrappers::StringValues { values })).collect();
        let user = types::UserV2 {
            metadata: Some(types::Metadata { name: "ada".into(), labels, revision: "1".into(), ..Default::default() }),
            spec: Some(types::UserSpecV2 { roles, traits: Some(wrappers::LabelValues { values }), ..Default::default() }),
            ..Default::default()
        };
        let wanted = UserEdit { labels: new_labels, roles: new_roles, traits: after };
        let original: Bytes = user.encode_to_vec().into();
        let edited = edit(&original, &wanted, "2").unwrap();
        prop_assert_eq!(foreign(&edited), foreign(&original));
        let read = types::UserV2::decode(edited).unwrap();
        let (metadata, spec) = (read.metadata.unwrap(), read.spec.unwrap());
        prop_assert_eq!(metadata.labels, wanted.labels);
        prop_assert_eq!(metadata.revision, "2");
        prop_assert_eq!(spec.roles, wanted.roles);
        let read: Traits = spec.traits.unwrap_or_default().values.into_iter().map(|(key, list)| (key, list.values)).collect();
        prop_assert_eq!(read, wanted.traits);
    }
}
