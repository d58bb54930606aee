//! Users: how they are read, made, changed and deleted.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use engine::{
    cluster::{Deleted, OriginMode, WriteError},
    directory::{Page, Pages},
    failure::Failure,
    user::{ConnectorRef, NewUser, User, UserEdit, label},
    user_view::{ListedUser, UserView},
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use prost::Message as _;
use teleport_proto::{types, users as proto, wrappers};
use tonic::Code;

use crate::{
    answer::{CallError, missing_role},
    call::Call,
    client::TeleportClient,
    error::TeleportError,
    instant, names, skim, splice,
};

/// Users asked for at once; the server gives no more.
pub(crate) const LARGEST_PAGE: i32 = 1000;

/// A page is never asked for with fewer users than this; if even they are too large, the list fails.
const SMALLEST_PAGE: i32 = 10;

/// What is kept of the last complete list: when it ended, and the names with a slash in them, which a deletion could take along.
pub(crate) type Slashed = Option<(Instant, BTreeSet<String>)>;

/// For how long the last list is believed about them; after that the server is asked for each deletion.
const SLASHED_HOLDS: Duration = Duration::from_secs(120);

/// Reads an encoded user.
pub(crate) fn decode(call: Call, bytes: &Bytes) -> Result<User, TeleportError> {
    let nonsense = |detail: String| TeleportError::Nonsense { call, detail };
    let user = types::UserV2::decode(bytes.clone()).map_err(|error| nonsense(error.to_string()))?;
    let metadata = user.metadata.unwrap_or_default();
    let spec = user.spec.unwrap_or_default();
    if metadata.name.is_empty() {
        return Err(nonsense("a user without a name".into()));
    }
    let expires = instant::read(metadata.expires.as_ref()).or_else(|| instant::read(spec.expires.as_ref()));
    let traits = spec.traits.unwrap_or_default().values;
    let connector = spec.created_by.and_then(|created| created.connector);
    Ok(User {
        name: metadata.name,
        revision: metadata.revision,
        labels: metadata.labels,
        roles: spec.roles,
        traits: traits.into_iter().map(|(name, list)| (name, list.values)).collect(),
        expires,
        created_by: connector.map(|connector| ConnectorRef {
            kind: connector.r#type,
            id: connector.id,
            identity: connector.identity,
        }),
        // A copy: the bytes are a window on the whole page, which would stay in memory with them.
        original: Bytes::copy_from_slice(bytes),
    })
}

/// A user of a list, as it came over the wire. Whoever is to be changed is read alone first.
pub struct EncodedUser(Bytes);

impl EncodedUser {
    fn name(&self) -> Result<&str, TeleportError> {
        match skim::name(&self.0).map_err(garbled)? {
            "" => Err(TeleportError::Nonsense { call: Call::ListUsers, detail: "a user without a name".into() }),
            name => Ok(name),
        }
    }
}

impl ListedUser for EncodedUser {
    fn read<'a>(&'a self, view: &mut UserView<'a>) -> Result<(), Failure> {
        Ok(skim::user(&self.0, view).map_err(garbled)?)
    }
}

#[expect(clippy::needless_pass_by_value)] // as map_err hands it over
fn garbled(error: skim::Garbled) -> TeleportError {
    TeleportError::Nonsense { call: Call::ListUsers, detail: error.to_string() }
}

/// A new user, encoded. `own` is who makes it: without a name there the server drops the connector too.
pub(crate) fn encode_new(user: NewUser, own: &str, mode: OriginMode, now: Timestamp) -> Bytes {
    let NewUser { name, mut labels, roles, traits, created_by } = user;
    match mode {
        OriginMode::Okta => labels.insert(label::ORIGIN.into(), label::ORIGIN_OKTA.into()),
        OriginMode::Bot => labels.remove(label::ORIGIN),
    };
    let ConnectorRef { kind, id, identity } = created_by;
    let connector = (!id.is_empty()).then_some(types::ConnectorRef { r#type: kind, id, identity });
    let traits = traits.into_iter().map(|(name, values)| (name, wrappers::StringValues { values })).collect();
    let user = types::UserV2 {
        kind: "user".into(),
        version: "v2".into(),
        metadata: Some(types::Metadata { name, labels, ..types::Metadata::default() }),
        spec: Some(types::UserSpecV2 {
            roles,
            traits: Some(wrappers::LabelValues { values: traits }),
            created_by: Some(types::CreatedBy {
                connector,
                time: Some(instant::write(now)),
                user: Some(types::UserRef { name: own.to_owned() }),
            }),
            ..types::UserSpecV2::default()
        }),
        ..types::UserV2::default()
    };
    user.encode_to_vec().into()
}

/// The user as it shall be after `edit`, encoded, with everything that is not ours as it was.
pub(crate) fn encode_edited(user: &User, edit: &UserEdit, mode: OriginMode) -> Result<Bytes, TeleportError> {
    let unsendable = |detail: String| TeleportError::Unsendable { call: Call::UpdateUser, detail };
    let mut edit = edit.clone();
    if mode == OriginMode::Okta {
        edit.labels.insert(label::ORIGIN.into(), label::ORIGIN_OKTA.into());
    }
    let edited = splice::edit(&user.original, &edit, &user.revision).map_err(|error| unsendable(error.to_string()))?;
    let read = decode(Call::UpdateUser, &edited).map_err(|error| unsendable(error.to_string()))?;
    if read.name != user.name {
        return Err(unsendable(format!("the message kept for {:?} is of {:?}", user.name, read.name)));
    }
    Ok(edited)
}

/// Where a list stands.
struct Listing {
    /// Of the next page; `None` after the last.
    token: Option<String>,
    seen: HashSet<String>,
    slashed: BTreeSet<String>,
}

impl TeleportClient {
    pub(crate) fn list_users(&self) -> Pages<'_, EncodedUser> {
        let start = Listing { token: Some(String::new()), seen: HashSet::new(), slashed: BTreeSet::new() };
        stream::try_unfold(start, move |mut listing| async move {
            let Some(token) = listing.token.take() else { return Ok(None) };
            let page = self.page_of_users(&token, None).await?;
            let users: Vec<EncodedUser> = page.users.into_iter().map(EncodedUser).collect();
            for user in &users {
                let name = user.name()?;
                if name.contains('/') {
                    listing.slashed.insert(name.to_owned());
                }
            }
            let last = page.next_page_token.is_empty();
            if last {
                let slashed = (Instant::now(), std::mem::take(&mut listing.slashed));
                *self.link.line().slashed.lock().unwrap_or_else(PoisonError::into_inner) = Some(slashed);
            } else {
                if !listing.seen.insert(page.next_page_token.clone()) {
                    let detail = "the list of users runs in a circle".to_owned();
                    return Err(TeleportError::Nonsense { call: Call::ListUsers, detail }.into());
                }
                listing.token = Some(page.next_page_token);
            }
            Ok::<_, Failure>(Some((Page { items: users, last }, listing)))
        })
        .boxed()
    }

    /// One page, asked for in smaller and smaller portions as long as it is too large for either side.
    async fn page_of_users(
        &self,
        token: &str,
        filter: Option<types::UserFilter>,
    ) -> Result<proto::ListUsersResponse, TeleportError> {
        loop {
            let page_size = self.link.line().page_size.load(Ordering::Relaxed);
            let request = proto::ListUsersRequest {
                page_size,
                page_token: token.to_owned(),
                with_secrets: false,
                filter: filter.clone(),
            };
            let answer = self
                .link
                .read(Call::ListUsers, |mut stubs| {
                    let request = request.clone();
                    async move { stubs.users.list_users(request).await }
                })
                .await;
            match answer {
                Err(CallError::Answer(Code::ResourceExhausted | Code::OutOfRange, message))
                    if page_size > SMALLEST_PAGE =>
                {
                    let smaller = (page_size / 4).max(SMALLEST_PAGE);
                    tracing::info!(page_size, smaller, message, "a page of users is too large");
                    self.link.line().page_size.fetch_min(smaller, Ordering::Relaxed);
                }
                Ok(page) => return Ok(page),
                Err(error) => return Err(self.explain(Call::ListUsers, error).await),
            }
        }
    }

    pub(crate) async fn get_user(&self, name: &str) -> Result<Option<User>, TeleportError> {
        let request = proto::GetUserRequest { name: name.to_owned(), current_user: false, with_secrets: false };
        let answer = self
            .link
            .read(Call::GetUser, |mut stubs| {
                let request = request.clone();
                async move { stubs.users.get_user(request).await }
            })
            .await;
        match answer {
            Ok(answer) => decode(Call::GetUser, &answer.user).map(Some),
            Err(CallError::Answer(Code::NotFound, _)) => {
                self.prove().await?;
                Ok(None)
            }
            Err(error) => Err(self.explain(Call::GetUser, error).await),
        }
    }

    pub(crate) async fn make_user(&self, user: NewUser) -> Result<(), WriteError> {
        if let Some(why) = names::refuse(&user.name) {
            return Err(failed(TeleportError::Name { name: user.name, why }));
        }
        self.link.pace().turn().await;
        let identity = self.link.identity();
        let encoded = encode_new(user, identity.user(), identity.origin_mode(), Timestamp::now());
        let request = proto::CreateUserRequest { user: encoded };
        let answer =
            self.write(Call::CreateUser, &request, |mut stubs, request| async move {
                stubs.users.create_user(request).await
            })
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(CallError::Answer(Code::AlreadyExists, _)) => Err(WriteError::Exists),
            Err(CallError::Answer(Code::NotFound, message)) => {
                self.prove().await.map_err(failed)?;
                Err(WriteError::RoleMissing(role_or(&message)))
            }
            Err(error) => Err(failed(self.explain(Call::CreateUser, error).await)),
        }
    }

    pub(crate) async fn change_user(&self, user: &User, edit: &UserEdit) -> Result<(), WriteError> {
        let encoded = encode_edited(user, edit, self.link.identity().origin_mode()).map_err(failed)?;
        self.link.pace().turn().await;
        let request = proto::UpdateUserRequest { user: encoded };
        let answer =
            self.write(Call::UpdateUser, &request, |mut stubs, request| async move {
                stubs.users.update_user(request).await
            })
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(CallError::Answer(Code::FailedPrecondition, _)) => Err(WriteError::Stale),
            Err(CallError::Answer(Code::NotFound, message)) => {
                self.prove().await.map_err(failed)?;
                // Some versions say of a user that is gone what others say of a role.
                Err(missing_role(&message).map_or(WriteError::Stale, |role| WriteError::RoleMissing(role.to_owned())))
            }
            Err(error) => Err(failed(self.explain(Call::UpdateUser, error).await)),
        }
    }

    pub(crate) async fn drop_user(&self, name: &str) -> Result<Deleted, WriteError> {
        if name.is_empty() {
            let detail = "a deletion without a name".to_owned();
            return Err(failed(TeleportError::Unsendable { call: Call::DeleteUser, detail }));
        }
        if let Some(other) = self.taken_along(name).await.map_err(failed)? {
            return Err(failed(TeleportError::WouldDeleteOthers { name: name.to_owned(), other }));
        }
        let request = proto::DeleteUserRequest { name: name.to_owned() };
        let answer =
            self.write(Call::DeleteUser, &request, |mut stubs, request| async move {
                stubs.users.delete_user(request).await
            })
            .await;
        match answer {
            Ok(()) => Ok(Deleted::Now),
            Err(CallError::Answer(Code::NotFound, _)) => {
                self.prove().await.map_err(failed)?;
                Ok(Deleted::Before)
            }
            Err(error) => Err(failed(self.explain(Call::DeleteUser, error).await)),
        }
    }

    /// Another user whom the server would delete together with `name`: it deletes by the prefix `<name>/`.
    async fn taken_along(&self, name: &str) -> Result<Option<String>, TeleportError> {
        let prefix = format!("{name}/");
        let known = self.link.line().slashed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let candidates: Vec<String> = match known {
            Some((at, known)) if at.elapsed() < SLASHED_HOLDS => {
                known.range(prefix.clone()..).take_while(|other| other.starts_with(&prefix)).cloned().collect()
            }
            _ => self.users_below(&prefix).await?,
        };
        for other in candidates {
            if self.get_user(&other).await?.is_some() {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Names that begin with `prefix`, asked of the server: for deletions without a list before them.
    async fn users_below(&self, prefix: &str) -> Result<Vec<String>, TeleportError> {
        let filter = types::UserFilter { search_keywords: vec![prefix.to_owned()], skip_system_users: false };
        let mut token = String::new();
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        loop {
            let page = self.page_of_users(&token, Some(filter.clone())).await?;
            for user in page.users {
                found.push(EncodedUser(user).name()?.to_owned());
            }
            if page.next_page_token.is_empty() || !seen.insert(page.next_page_token.clone()) {
                // Older servers know no filter and list everybody.
                found.retain(|name| name.starts_with(prefix));
                return Ok(found);
            }
            token = page.next_page_token;
        }
    }
}

/// The role that the server names, or its whole text.
fn role_or(message: &str) -> String {
    missing_role(message).unwrap_or(message).to_owned()
}

pub(crate) fn failed(error: TeleportError) -> WriteError {
    WriteError::Failed(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> NewUser {
        NewUser {
            name: "ada@acme.com".into(),
            labels: [("usersync.dev/owner".to_owned(), "ns/a".to_owned())].into(),
            roles: vec!["okta-requester".into()],
            traits: [("okta/email".to_owned(), vec!["ada@acme.com".to_owned()])].into(),
            created_by: ConnectorRef { kind: "saml".into(), id: "okta".into(), identity: "ada@acme.com".into() },
        }
    }

    #[test]
    fn a_create_request_carries_its_user_in_field_1_and_its_maker() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let encoded = encode_new(ada(), "bot-sync", OriginMode::Bot, now);
        let request = proto::CreateUserRequest { user: encoded.clone() }.encode_to_vec();
        assert_eq!(request[0], 1 << 3 | 2, "field 1, or the server goes down");
        assert!(request.len() > encoded.len() && !encoded.is_empty());

        let user = types::UserV2::decode(encoded).unwrap();
        assert_eq!((user.kind.as_str(), user.version.as_str()), ("user", "v2"));
        let (metadata, spec) = (user.metadata.unwrap(), user.spec.unwrap());
        assert_eq!(metadata.name, "ada@acme.com");
        assert_eq!(metadata.labels.keys().collect::<Vec<_>>(), ["usersync.dev/owner"], "no origin from a bot");
        assert_eq!(metadata.expires, None);
        let created = spec.created_by.unwrap();
        assert_eq!(created.user.unwrap().name, "bot-sync", "or the server drops the connector");
        assert_eq!(created.connector.unwrap().id, "okta");
        assert_eq!(instant::read(created.time.as_ref()), Some(now));
        assert_eq!(spec.traits.unwrap().values["okta/email"].values, ["ada@acme.com"]);
    }

    #[test]
    fn the_system_role_writes_its_origin_and_a_bot_never_does() {
        let origin = |mode| {
            let mut user = ada();
            user.labels.insert(label::ORIGIN.into(), "okta".into());
            let encoded = encode_new(user, "x", mode, Timestamp::UNIX_EPOCH);
            decode(Call::CreateUser, &encoded).unwrap().labels.get(label::ORIGIN).cloned()
        };
        assert_eq!(origin(OriginMode::Okta).as_deref(), Some("okta"));
        assert_eq!(origin(OriginMode::Bot), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let encoded = encode_new(ada(), "bot-sync", OriginMode::Bot, Timestamp::UNIX_EPOCH);
        let user = decode(Call::GetUser, &encoded).unwrap();
        assert_eq!(user.name, ada().name);
        assert_eq!(user.labels, ada().labels);
        assert_eq!(user.roles, ada().roles);
        assert_eq!(user.traits, ada().traits);
        assert_eq!(user.created_by, Some(ada().created_by));
        assert_eq!(user.expires, None);
        assert_eq!(user.original, encoded);
    }

    #[test]
    fn an_update_is_never_sent_without_the_user_it_is_about() {
        let edit = UserEdit { roles: vec!["r".into()], ..UserEdit::default() };
        let mut user = User { name: "ada".into(), ..User::default() };
        assert!(matches!(encode_edited(&user, &edit, OriginMode::Bot), Err(TeleportError::Unsendable { .. })));
        user.original = encode_new(ada(), "bot", OriginMode::Bot, Timestamp::UNIX_EPOCH);
        assert!(matches!(encode_edited(&user, &edit, OriginMode::Bot), Err(TeleportError::Unsendable { .. })));
        user.name = ada().name;
        let request = proto::UpdateUserRequest { user: encode_edited(&user, &edit, OriginMode::Bot).unwrap() };
        assert_eq!(request.encode_to_vec()[0], 2 << 3 | 2, "field 2");
    }
}
