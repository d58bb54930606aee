//! The bare loops: what a competent engineer's shortest program needs for the same answers. No guard, no retry, no budget,
//! no digest; every answer is decoded whole and dropped.

use std::fs;

use reqwest::{Certificate, Client, header::LINK};
use serde_json::Value;
use teleport_proto::{
    types::UserV2,
    users::{ListUsersRequest, users_service_client::UsersServiceClient},
};
use tonic::{
    codegen::Bytes,
    transport::{Certificate as Ca, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    error::BenchError,
    measure::Done,
    stage::{OktaPlace, TeleportPlace},
};

/// Users on one page; the most that the server gives.
const PAGE: i32 = 1000;

/// reqwest and `serde_json` over every page of an app's people, with a management token that saves the loop the
/// assertion and the token request.
pub async fn people(place: &OktaPlace) -> Result<Done, BenchError> {
    let what = "the bare loop over people";
    let ca = fs::read(&place.ca_file).map_err(BenchError::system(place.ca_file.display().to_string()))?;
    let ca = Certificate::from_pem(&ca).map_err(|error| BenchError::process(what, &error))?;
    let client = Client::builder().tls_certs_merge([ca]).build().map_err(|error| BenchError::process(what, &error))?;
    let mut next = Some(format!("{}/api/v1/apps/{}/users?limit=500&expand=user", place.org_url, place.app_id));
    let mut done = Done::default();
    while let Some(url) = next {
        let answer = client
            .get(&url)
            .header("authorization", format!("SSWS {}", place.ssws))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| BenchError::process(what, &error))?;
        next = answer.headers().get_all(LINK).iter().find_map(|link| next_page(link.to_str().ok()?));
        let body = answer.bytes().await.map_err(|error| BenchError::process(what, &error))?;
        let people: Vec<Value> = serde_json::from_slice(&body).map_err(|error| BenchError::unreadable(what, &error))?;
        done.calls += 1;
        done.seen += people.len() as u64;
    }
    Ok(done)
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
    let what = "the bare loop over users";
    let read =
        |file: &std::path::Path| fs::read_to_string(file).map_err(BenchError::system(file.display().to_string()));
    let identity = read(&place.identity_file)?;
    let blocks = pem_blocks(&identity);
    let [key, certificate, ..] = blocks.as_slice() else {
        return Err(BenchError::unreadable("the identity file", "no key and certificate"));
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Ca::from_pem(read(&place.ca_file)?))
        .identity(Identity::from_pem(certificate, key))
        .domain_name("teleport.cluster.local");
    let channel = Endpoint::from_shared(format!("https://{}", place.auth_address))
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| BenchError::process(what, &error))?
        .connect()
        .await
        .map_err(|error| BenchError::process(what, &error))?;
    let mut client = UsersServiceClient::new(channel);
    let mut done = Done::default();
    let mut page_token = String::new();
    loop {
        let request = ListUsersRequest { page_size: PAGE, page_token, ..ListUsersRequest::default() };
        let page = client.list_users(request).await.map_err(|status| BenchError::process(what, &status))?.into_inner();
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
}
