//! The bare loops: what a competent engineer's shortest program needs for the same answers. No guard, no retry, no budget,
//! no digest; every answer is decoded whole and dropped.

use std::{fs, path::Path, time::Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Certificate, Client, header::LINK};
use serde_json::Value;
use teleport_proto::{
    types::{ConnectorRef, CreatedBy, Metadata, UserRef, UserSpecV2, UserV2},
    users::{CreateUserRequest, ListUsersRequest, users_service_client::UsersServiceClient},
    wrappers::{LabelValues, StringValues},
};
use tonic::{
    codegen::Bytes,
    transport::{Certificate as Ca, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    error::BenchError,
    measure::Done,
    stage::{OktaPlace, Places, TeleportPlace},
};

/// Users on one page; the most that the server gives.
const PAGE: i32 = 1000;

/// What a failure in here is said to be of.
const WHAT: &str = "the bare loop";

#[expect(clippy::needless_pass_by_value)] // as map_err hands it over
fn failed(error: impl ToString) -> BenchError {
    BenchError::process(WHAT, &error)
}

fn text(file: &Path) -> Result<String, BenchError> {
    fs::read_to_string(file).map_err(BenchError::system(file.display().to_string()))
}

/// reqwest and `serde_json` over every page of an app's people.
pub async fn people(place: &OktaPlace) -> Result<Done, BenchError> {
    let mut done = Done::default();
    let mut pages = Pages::of(place)?;
    while let Some(people) = pages.next().await? {
        done.calls += 1;
        done.seen += people.len() as u64;
    }
    Ok(done)
}

/// Both loops, one after the other: what a pass cannot do without.
pub async fn both(places: &Places) -> Result<Done, BenchError> {
    let read = people(&places.okta).await?;
    users(&places.teleport).await?;
    Ok(read)
}

/// Pages of an app's people.
struct Pages {
    client: Client,
    /// A management token saves the loop the assertion and the token request.
    authorization: String,
    next: Option<String>,
}

impl Pages {
    fn of(place: &OktaPlace) -> Result<Self, BenchError> {
        let ca = Certificate::from_pem(text(&place.ca_file)?.as_bytes()).map_err(failed)?;
        Ok(Self {
            client: Client::builder().no_proxy().tls_certs_merge([ca]).build().map_err(failed)?,
            authorization: format!("SSWS {}", place.ssws),
            next: Some(format!("{}/api/v1/apps/{}/users?limit=500&expand=user", place.org_url, place.app_id)),
        })
    }

    async fn next(&mut self) -> Result<Option<Vec<Value>>, BenchError> {
        let Some(url) = self.next.take() else { return Ok(None) };
        let asked = self.client.get(&url).header("authorization", &self.authorization).send().await;
        let answer = asked.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        self.next = answer.headers().get_all(LINK).iter().find_map(|link| next_page(link.to_str().ok()?));
        let body = answer.bytes().await.map_err(failed)?;
        serde_json::from_slice(&body).map(Some).map_err(|error| BenchError::unreadable(WHAT, &error))
    }
}

/// The address of a `Link: <…>; rel="next"`, with the parameter that Okta leaves out of it.
fn next_page(link: &str) -> Option<String> {
    let (url, parameters) = link.strip_prefix('<')?.split_once('>')?;
    if !parameters.contains("rel=\"next\"") {
        return None;
    }
    Some(if url.contains("expand=user") { url.to_owned() } else { format!("{url}&expand=user") })
}

/// tonic and prost over every page of the users.
pub async fn users(place: &TeleportPlace) -> Result<Done, BenchError> {
    let mut client = UsersServiceClient::new(channel(place).await?);
    let mut done = Done::default();
    let mut page_token = String::new();
    loop {
        let request = ListUsersRequest { page_size: PAGE, page_token, ..ListUsersRequest::default() };
        let page = client.list_users(request).await.map_err(failed)?.into_inner();
        done.calls += 1;
        for bytes in page.users {
            decode(bytes)?;
            done.seen += 1;
        }
        if page.next_page_token.is_empty() {
            return Ok(done);
        }
        page_token = page.next_page_token;
    }
}

async fn channel(place: &TeleportPlace) -> Result<Channel, BenchError> {
    let blocks = pem_blocks(&text(&place.identity_file)?);
    let [key, certificate, ..] = blocks.as_slice() else {
        return Err(BenchError::unreadable("the identity file", "no key and certificate"));
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Ca::from_pem(text(&place.ca_file)?))
        .identity(Identity::from_pem(certificate, key))
        .domain_name("teleport.cluster.local");
    let endpoint = Endpoint::from_shared(format!("https://{}", place.auth_address)).map_err(failed)?;
    endpoint.tls_config(tls).map_err(failed)?.connect().await.map_err(failed)
}

/// Everybody read, then made, so many calls at once.
pub async fn import(places: &Places, at_once: usize) -> Result<Done, BenchError> {
    let mut done = Done::default();
    let mut wanted = Vec::new();
    let mut pages = Pages::of(&places.okta)?;
    while let Some(people) = pages.next().await? {
        done.calls += 1;
        done.seen += people.len() as u64;
        wanted.extend(people.iter().map(|person| bytes::Bytes::from(prost::Message::encode_to_vec(&user(person)))));
    }
    let client = UsersServiceClient::new(channel(&places.teleport).await?);
    let began = Instant::now();
    let made = stream::iter(wanted).map(|user| {
        let mut client = client.clone();
        async move { client.create_user(CreateUserRequest { user }).await }
    });
    done.writes =
        made.buffer_unordered(at_once).try_fold(0, |made, _| async move { Ok(made + 1) }).await.map_err(failed)?;
    done.writing_seconds = began.elapsed().as_secs_f64();
    Ok(done)
}

/// The user that an entry of the list becomes: every profile value a trait.
fn user(person: &Value) -> UserV2 {
    let name = person.pointer("/credentials/userName").and_then(Value::as_str).unwrap_or_default();
    let id = person["id"].as_str().unwrap_or_default();
    let profiles = [person.pointer("/_embedded/user/profile"), person.get("profile")];
    let values = profiles.into_iter().flatten().filter_map(Value::as_object).flatten().filter_map(|(key, value)| {
        let values = match value {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            other => vec![other.to_string()],
        };
        Some((format!("okta/{key}"), StringValues { values }))
    });
    UserV2 {
        kind: "user".into(),
        version: "v2".into(),
        metadata: Some(Metadata {
            name: name.into(),
            labels: [("okta/user-id".to_owned(), id.to_owned())].into(),
            ..Metadata::default()
        }),
        spec: Some(UserSpecV2 {
            roles: vec!["okta-requester".into()],
            traits: Some(LabelValues { values: values.collect() }),
            created_by: Some(CreatedBy {
                connector: Some(ConnectorRef { r#type: "saml".into(), id: "okta".into(), identity: name.into() }),
                user: Some(UserRef { name: "bench".into() }),
                ..CreatedBy::default()
            }),
            ..UserSpecV2::default()
        }),
        ..UserV2::default()
    }
}

fn decode(bytes: Bytes) -> Result<UserV2, BenchError> {
    <UserV2 as prost::Message>::decode(bytes).map_err(|error| BenchError::unreadable("a user", &error))
}

/// The PEM blocks of a file, in order.
fn pem_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("-----BEGIN") {
            block = Some(String::new());
        }
        if let Some(text) = block.as_mut() {
            text.push_str(line);
            text.push('\n');
        }
        if line.starts_with("-----END") {
            blocks.extend(block.take());
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_followed_with_its_people() {
        let link = r#"<https://acme.okta.com/api/v1/apps/0oa1/users?after=x&limit=500>; rel="next""#;
        assert_eq!(
            next_page(link).as_deref(),
            Some("https://acme.okta.com/api/v1/apps/0oa1/users?after=x&limit=500&expand=user")
        );
        assert_eq!(next_page(r#"<https://acme.okta.com/>; rel="self""#), None);
    }

    #[test]
    fn every_value_of_both_profiles_becomes_a_trait() {
        let user = user(&serde_json::json!({
            "id": "00u1", "credentials": {"userName": "ada"}, "profile": {"team": ["a", "b"]},
            "_embedded": {"user": {"profile": {"email": "ada@x", "none": null, "empty": "", "age": 7}}}
        }));
        let traits = user.spec.unwrap().traits.unwrap().values;
        let shown: Vec<_> = traits.iter().map(|(name, values)| format!("{name}={}", values.values.join(","))).collect();
        assert_eq!(shown, ["okta/age=7", "okta/email=ada@x", "okta/team=a,b"]);
        assert_eq!(user.metadata.unwrap().name, "ada");
    }
}
