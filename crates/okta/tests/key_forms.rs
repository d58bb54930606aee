//! Every form of a private key, with every algorithm that it can do, is one that Okta gives a token for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use common::{app, org, settings};
use engine::directory::Directory;
use okta::{
    Governor, OktaClient, Settings,
    key::{Algorithm, PrivateKey},
};
use okta_sim::Options;

macro_rules! file {
    ($name:literal) => {
        ($name, &include_bytes!(concat!("keys/", $name))[..])
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_key_gets_a_token_with_every_algorithm_it_can_do() {
    use Algorithm::{Es256, Es384, Es512, Rs256, Rs384, Rs512};
    let rsa = &[Rs256, Rs384, Rs512][..];
    let table = [
        (file!("rsa2048.pkcs1.pem"), rsa),
        (file!("rsa2048.pkcs8.pem"), rsa),
        (file!("rsa2048.jwk.json"), rsa),
        (file!("ec-P-256.sec1.pem"), &[Es256]),
        (file!("ec-P-256.pkcs8.pem"), &[Es256]),
        (file!("ec-P-256.with-parameters.pem"), &[Es256]),
        (file!("ec-P-384.sec1.pem"), &[Es384]),
        (file!("ec-P-384.pkcs8.pem"), &[Es384]),
        (file!("ec-P-521.sec1.pem"), &[Es512]),
        (file!("ec-P-521.pkcs8.pem"), &[Es512]),
        (file!("ec-P-521.jwk.json"), &[Es512]),
    ];
    let sim = org(Options::with_people(1, 7)).await;
    for ((name, text), algorithms) in table {
        let parsed = PrivateKey::parse(text).unwrap();
        assert_eq!(parsed.algorithm(), algorithms[0], "{name}: what follows from the key");
        let thumbprint = parsed.public_jwk().thumbprint();
        let named = name.contains("jwk") && parsed.kid() != thumbprint;
        assert!(named || parsed.kid() == thumbprint, "{name}: {}", parsed.kid());
        for algorithm in algorithms {
            let key = parsed.clone().with_algorithm(*algorithm).unwrap();
            let registered = sim.org().add_key(&serde_json::to_value(key.public_jwk()).unwrap()).unwrap();
            assert_eq!(registered, key.kid());
            let settings = Settings { key, ..settings(&sim) };
            let okta = OktaClient::new(settings, Governor::new()).unwrap();
            let organisation = okta.organisation(&app(&sim)).await;
            assert!(organisation.is_ok(), "{name} {algorithm}: {organisation:?}");
            sim.org().remove_key(&registered);
        }
    }
}
