//! The way to Okta: which TLS it may be, and that nothing leads elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use common::{app, client, org, settings};
use engine::{directory::Directory, failure::Class};
use okta::{Governor, OktaClient, OrgUrl, Patience};
use okta_sim::Options;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server hello of TLS 1.1 (RFC 4346 §7.4.1.3): version, random, no session, `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA`.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 2, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}

/// Whether a client hello offers a version, by its extension `supported_versions` (RFC 8446 §4.2.1).
fn offers(hello: &[u8], minor: u8) -> bool {
    let extension = hello.windows(5).position(|bytes| bytes[..3] == [0, 43, 0] && bytes[3] == bytes[4] + 1).unwrap();
    let length = usize::from(hello[extension + 4]);
    hello[extension + 5..extension + 5 + length].chunks(2).any(|version| version == [3, minor])
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_below_tls_1_2_is_spoken() {
    let sim = org(Options::default()).await;
    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&sim);
    settings.org_url = OrgUrl::parse(&format!("https://{}", old.local_addr().unwrap())).unwrap();
    settings.patience.tries = 1;
    let server = tokio::spawn(async move {
        let (mut stream, _) = old.accept().await.unwrap();
        let mut hello = vec![0; 4096];
        let length = stream.read(&mut hello).await.unwrap();
        stream.write_all(&hello_of_tls_1_1()).await.unwrap();
        // An alert, or the end; no key exchange and no request.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        (hello[..length].to_vec(), answer)
    });
    let failure = OktaClient::new(settings, Governor::new()).unwrap().organisation(&app(&sim)).await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Transient, "OktaUnreachable"), "{failure}");
    let (hello, answer) = server.await.unwrap();
    assert_eq!([1, 2, 3, 4].map(|minor| offers(&hello, minor)), [false, false, true, true]);
    assert!(answer.first().is_none_or(|kind| *kind == 21), "an alert: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_followed_and_no_token_shown_there() {
    let (sim, elsewhere) = (org(Options::with_people(2, 7)).await, org(Options::with_people(2, 8)).await);
    for path in ["/.well-known/*", "/oauth2/v1/token", "/api/v1/apps/*"] {
        let location = format!("{}/stolen", elsewhere.ready().org_url);
        let kind = json!({"redirect": {"location": location}});
        sim.org().clear_faults();
        sim.org().fault_json(&json!({"path": path, "kind": kind})).unwrap();
        let mut settings = settings(&sim);
        settings.patience = Patience { tries: 1, ..settings.patience };
        let failure = OktaClient::new(settings, Governor::new()).unwrap().organisation(&app(&sim)).await.unwrap_err();
        assert_eq!((failure.class, failure.reason), (Class::Configuration, "NotOkta"), "{path}: {failure}");
        assert!(failure.message.contains("127.0.0.1"), "says where it was to go: {failure}");
    }
    assert_eq!(elsewhere.org().counters().total, 0, "a redirect was followed");
    sim.org().clear_faults();
    assert!(client(&sim).organisation(&app(&sim)).await.is_ok());
}
