//! The conversation by which newer servers let clients join (`teleport.join.v1`), read without our own description of it.
//!
//! The Go module of Teleport's API that can be had is older than this service. So its messages are put down here a second time, from
//! Teleport's own description (`api/proto/teleport/join/v1/joinservice.proto` of the 18 line and after, read in 2026): what our client
//! sends must be read whole by it. `oidc_init` stands there as a number and a name that are taken; its two fields are those that the
//! server's code reads.

use prost_reflect::{
    DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, UnknownField, Value as Field,
    prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
        field_descriptor_proto::{Label, Type},
    },
};
use serde_json::{Map, Value};

/// Number, name, type.
type Fields = &'static [(i32, &'static str, &'static str)];

/// Each message with its fields: number, name, type; `*` means repeated.
const MESSAGES: &[(&str, Fields)] = &[
    (
        "JoinRequest",
        &[
            (1, "client_init", "ClientInit"),
            (2, "token_init", "TokenInit"),
            (3, "bound_keypair_init", "Nothing"),
            (4, "solution", "Nothing"),
            (5, "iam_init", "Nothing"),
            (6, "giving_up", "GivingUp"),
            (7, "ec2_init", "Nothing"),
            (8, "oidc_init", "OIDCInit"),
            (9, "oracle_init", "Nothing"),
        ],
    ),
    // Of other methods: nothing in it is ours to send.
    ("Nothing", &[]),
    (
        "ClientInit",
        &[
            (1, "join_method", "string"),
            (2, "token_name", "string"),
            (3, "system_role", "string"),
            (4, "forwarded_by_proxy", "bool"),
            (5, "proxy_supplied_parameters", "Nothing"),
        ],
    ),
    ("TokenInit", &[(1, "client_params", "ClientParams")]),
    ("OIDCInit", &[(1, "client_params", "ClientParams"), (2, "id_token", "bytes")]),
    ("GivingUp", &[(1, "reason", "int32"), (2, "msg", "string")]),
    ("ClientParams", &[(1, "host_params", "HostParams"), (2, "bot_params", "BotParams")]),
    (
        "HostParams",
        &[
            (1, "public_keys", "PublicKeys"),
            (2, "host_name", "string"),
            (3, "additional_principals", "*string"),
            (4, "dns_names", "*string"),
        ],
    ),
    ("BotParams", &[(1, "public_keys", "PublicKeys"), (2, "expires", "Timestamp")]),
    ("PublicKeys", &[(1, "public_tls_key", "bytes"), (2, "public_ssh_key", "bytes")]),
    // google.protobuf.Timestamp.
    ("Timestamp", &[(1, "seconds", "int64"), (2, "nanos", "int32")]),
];

/// What a message of the client's says, field by field; and how many bytes of it are in no field that Teleport knows.
pub fn read(message: &[u8]) -> (Value, usize) {
    let message = DynamicMessage::decode(describe("JoinRequest"), message).unwrap();
    let mut unknown = 0;
    let fields = tell(&message, &mut unknown);
    (fields, unknown)
}

fn describe(name: &str) -> MessageDescriptor {
    let mut pool = DescriptorPool::new();
    let file = FileDescriptorProto {
        name: Some("join.proto".into()),
        package: Some("join".into()),
        syntax: Some("proto3".into()),
        message_type: MESSAGES.iter().map(|(name, fields)| message(name, fields)).collect(),
        ..FileDescriptorProto::default()
    };
    pool.add_file_descriptor_set(FileDescriptorSet { file: vec![file] }).unwrap();
    pool.get_message_by_name(&format!("join.{name}")).unwrap()
}

fn message(name: &str, fields: &[(i32, &str, &str)]) -> DescriptorProto {
    let field = |(number, name, kind): &(i32, &str, &str)| {
        let (label, kind) = kind.strip_prefix('*').map_or((Label::Optional, *kind), |kind| (Label::Repeated, kind));
        let scalar = match kind {
            "string" => Some(Type::String),
            "bytes" => Some(Type::Bytes),
            "bool" => Some(Type::Bool),
            "int32" => Some(Type::Int32),
            "int64" => Some(Type::Int64),
            _ => None,
        };
        FieldDescriptorProto {
            name: Some((*name).into()),
            number: Some(*number),
            label: Some(label.into()),
            r#type: Some(scalar.unwrap_or(Type::Message).into()),
            type_name: scalar.is_none().then(|| format!(".join.{kind}")),
            ..FieldDescriptorProto::default()
        }
    };
    DescriptorProto { name: Some(name.into()), field: fields.iter().map(field).collect(), ..DescriptorProto::default() }
}

/// A message as JSON: the fields that are set.
fn tell(message: &DynamicMessage, unknown: &mut usize) -> Value {
    *unknown += message.unknown_fields().map(UnknownField::encoded_len).sum::<usize>();
    let fields = message.fields().map(|(field, value)| (field.name().to_owned(), told(value, unknown)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn told(value: &Field, unknown: &mut usize) -> Value {
    match value {
        Field::Bool(it) => (*it).into(),
        Field::I32(it) | Field::EnumNumber(it) => (*it).into(),
        Field::I64(it) => (*it).into(),
        Field::U32(it) => (*it).into(),
        Field::U64(it) => (*it).into(),
        Field::F32(it) => (*it).into(),
        Field::F64(it) => (*it).into(),
        Field::String(it) => it.as_str().into(),
        Field::Bytes(it) => hex::encode(it).into(),
        Field::Message(it) => tell(it, unknown),
        Field::List(all) => all.iter().map(|one| told(one, unknown)).collect(),
        Field::Map(all) => Value::Object(
            all.iter()
                .map(|(key, value)| match key {
                    MapKey::String(key) => (key.clone(), told(value, unknown)),
                    other => (format!("{other:?}"), told(value, unknown)),
                })
                .collect(),
        ),
    }
}
