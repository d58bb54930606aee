//! The part of Teleport's gRPC interface that a user sync speaks, written afresh: messages, clients and servers, and the descriptors behind them.
//! Nothing else lives here but facts of the wire that both sides need ([`time`], [`labels`], [`names`]).
//!
//! | module | protobuf package | services |
//! |---|---|---|
//! | [`users`] | `teleport.users.v1` | `UsersService` |
//! | [`auth`] | `proto` | `AuthService` (the calls that we use), `JoinService` |
//! | [`join`] | `teleport.join.v1` | `JoinService` |
//! | [`types`] | `types` | resources: users, locks, roles, connectors |
//! | [`wrappers`] | `wrappers` | maps of lists |
//!
//! # Users cross the wire as bytes
//!
//! `UpdateUser` replaces a whole user, and a generated struct drops the fields that it does not know: decode and encode would erase what a newer
//! server keeps there (promise P7). So every request and response of [`users`] carries a user as [`bytes::Bytes`]; on the wire that is the same as a
//! message. Read such bytes with [`types::UserV2`]; change them through [`descriptors`] and [`prost_reflect::DynamicMessage`], which keeps unknown fields:
//!
//! ```
//! use prost_reflect::prost::Message as _;
//! use teleport_proto::{types, user_descriptor};
//!
//! let stored = types::UserV2 { kind: "user".into(), ..Default::default() }.encode_to_vec();
//! let mut user = prost_reflect::DynamicMessage::decode(user_descriptor().expect("described"), stored.as_slice()).expect("decodes");
//! user.set_field_by_name("sub_kind", prost_reflect::Value::String("edited".into()));
//! let request = teleport_proto::users::UpdateUserRequest { user: user.encode_to_vec().into() };
//! assert_eq!(types::UserV2::decode(request.user).expect("decodes").sub_kind, "edited");
//! ```
//!
//! # Beware
//!
//! * The user is field 1 of `CreateUserRequest` and field **2** of `UpdateUserRequest` and `UpsertUserRequest`. A request without its user takes some
//!   servers down: build requests by construction only.
//! * `DeleteUser` removes by prefix `<name>/` as well, so names with a slash must never be written.
//! * Names of messages and fields are ours where the wire does not carry them; packages, services, methods and numbers are Teleport's.

use std::sync::LazyLock;

use prost_reflect::{DescriptorError, DescriptorPool, MessageDescriptor};

pub mod labels;
pub mod names;
pub mod time;

/// Package `types`: users, locks, roles, connectors.
#[allow(missing_docs, clippy::pedantic)]
pub mod types {
    tonic::include_proto!("types");
}

/// Package `wrappers`: maps of lists.
#[allow(missing_docs, clippy::pedantic)]
pub mod wrappers {
    tonic::include_proto!("wrappers");
}

/// Package `proto`: `AuthService` and the older `JoinService`.
#[allow(missing_docs, clippy::pedantic)]
pub mod auth {
    tonic::include_proto!("proto");
}

/// Packages below `teleport`, nested as the generated paths demand; use [`users`] and [`join`].
#[doc(hidden)]
#[allow(missing_docs, clippy::pedantic)]
pub mod teleport {
    pub mod users {
        pub mod v1 {
            tonic::include_proto!("teleport.users.v1");
        }
    }
    pub mod join {
        pub mod v1 {
            tonic::include_proto!("teleport.join.v1");
        }
    }
}

pub use teleport::{join::v1 as join, users::v1 as users};

/// The descriptors of everything above, with their imports, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of everything above, decoded once.
///
/// # Errors
/// None in practice: the bytes were made by this crate's build and are decoded by its tests.
pub fn descriptors() -> Result<&'static DescriptorPool, &'static DescriptorError> {
    static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET));
    POOL.as_ref()
}

/// The descriptor of `types.UserV2`, for editing a user without losing what we do not know of it. `None` never happens; see [`descriptors`].
#[must_use]
pub fn user_descriptor() -> Option<MessageDescriptor> {
    descriptors().ok()?.get_message_by_name("types.UserV2")
}
