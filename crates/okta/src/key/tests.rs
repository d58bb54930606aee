//! Keys as other programs write them (made with OpenSSL and ssh-keygen), and everything that is mistaken for one.

use jsonwebtoken::{DecodingKey, Validation};
use secrecy::ExposeSecret;

use super::*;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/keys/", $name))
    };
}

/// Verifies with code that is not ours.
fn verify(key: &PrivateKey) {
    let token = jws::sign(key, &serde_json::json!({"alg": key.algorithm().as_str()}), &serde_json::json!({"sub": "x"}))
        .unwrap();
    let public: jsonwebtoken::jwk::Jwk =
        serde_json::from_value(serde_json::to_value(key.public_jwk()).unwrap()).unwrap();
    let mut rules = Validation::new(key.algorithm().as_str().parse().unwrap());
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let decoding = DecodingKey::from_jwk(&public).unwrap();
    jsonwebtoken::decode::<serde_json::Value>(&token, &decoding, &rules).unwrap();
}

#[test]
fn every_pem_form_of_a_key_is_the_same_key() {
    let pkcs8 = PrivateKey::parse(file!("rsa2048.pkcs8.pem")).unwrap();
    let pkcs1 = PrivateKey::parse(file!("rsa2048.pkcs1.pem")).unwrap();
    assert_eq!(pkcs8, pkcs1);
    assert_eq!(pkcs8.algorithm(), Algorithm::Rs256);
    for (pkcs8, sec1, algorithm) in [
        (&file!("ec-P-256.pkcs8.pem")[..], &file!("ec-P-256.sec1.pem")[..], Algorithm::Es256),
        (&file!("ec-P-384.pkcs8.pem")[..], &file!("ec-P-384.sec1.pem")[..], Algorithm::Es384),
        (&file!("ec-P-521.pkcs8.pem")[..], &file!("ec-P-521.sec1.pem")[..], Algorithm::Es512),
    ] {
        let (a, b) = (PrivateKey::parse(pkcs8).unwrap(), PrivateKey::parse(sec1).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.algorithm(), algorithm);
        assert_eq!(a.kid(), a.public_jwk().thumbprint());
    }
    PrivateKey::parse(file!("ec-P-256.with-parameters.pem")).unwrap();
}

#[test]
fn a_jwk_is_the_same_key_and_keeps_its_name() {
    let jwk = PrivateKey::parse(file!("rsa2048.jwk.json")).unwrap();
    let pem = PrivateKey::parse(file!("rsa2048.pkcs8.pem")).unwrap();
    assert_eq!(jwk.kid(), "named-by-okta");
    assert_eq!(jwk.public_half(), pem.public_half());
    let ec = PrivateKey::parse(file!("ec-P-521.jwk.json")).unwrap();
    assert_eq!(ec, PrivateKey::parse(file!("ec-P-521.pkcs8.pem")).unwrap());
    let set = format!(r#"{{"keys":[{}]}}"#, String::from_utf8_lossy(file!("rsa2048.jwk.json")));
    assert_eq!(PrivateKey::parse(set.as_bytes()).unwrap(), jwk);
}

#[test]
fn signatures_are_those_that_others_verify() {
    for key in [&file!("rsa2048.pkcs8.pem")[..], file!("ec-P-256.pkcs8.pem"), file!("ec-P-384.pkcs8.pem")] {
        verify(&PrivateKey::parse(key).unwrap());
    }
    for algorithm in [Algorithm::Rs384, Algorithm::Rs512] {
        verify(&PrivateKey::parse(file!("rsa2048.pkcs8.pem")).unwrap().with_algorithm(algorithm).unwrap());
    }
    // P-521 is unknown to that verifier; its signature is at least of the right length (RFC 7518 §3.4).
    assert_eq!(PrivateKey::parse(file!("ec-P-521.pkcs8.pem")).unwrap().sign(b"x").unwrap().len(), 132);
}

#[test]
fn a_made_key_can_be_kept_and_read_again() {
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        let key = PrivateKey::generate(kind).unwrap();
        let pem = key.to_pkcs8_pem().unwrap();
        assert_eq!(PrivateKey::parse(pem.expose_secret().as_bytes()).unwrap(), key);
        assert_eq!(KeyKind::for_algorithm(key.algorithm()), kind);
        if kind != KeyKind::P521 {
            verify(&key);
        }
    }
}

// key.rs, `PrivateKey`: `Debug` written by hand.
#[test]
fn p16_nothing_of_a_key_is_shown() {
    let key = PrivateKey::parse(file!("rsa2048.jwk.json")).unwrap();
    let shown = format!("{key:?}");
    assert_eq!(shown, r#"PrivateKey { kind: "RSA", algorithm: Rs256, kid: "named-by-okta", .. }"#);
    let public = serde_json::to_value(key.public_jwk()).unwrap();
    assert_eq!(public.as_object().unwrap().keys().collect::<Vec<_>>(), ["alg", "e", "kid", "kty", "n", "use"]);
}

#[test]
fn what_is_mistaken_for_a_key_is_refused_by_name() {
    let pem = String::from_utf8_lossy(file!("ec-P-256.pkcs8.pem")).into_owned();
    let on_one_line = pem.replace('\n', "\\n");
    let twice = STANDARD.encode(&pem);
    let cut = &pem[..pem.len() / 2];
    let changed = pem.replacen("MIG", "MIH", 1);
    let two = format!("{pem}{pem}");
    let table: Vec<(&[u8], &str)> = vec![
        (b"", "KeyUnreadable"),
        (b"\xff\xfe\x00", "KeyUnreadable"),
        (b"not a key", "KeyUnreadable"),
        (on_one_line.as_bytes(), "KeyUnreadable"),
        (twice.as_bytes(), "KeyUnreadable"),
        (cut.as_bytes(), "KeyUnreadable"),
        (changed.as_bytes(), "KeyUnreadable"),
        (two.as_bytes(), "KeyUnreadable"),
        (b"-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----", "KeyUnreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "KeyUnreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----", "KeyUnreadable"),
        (file!("openssh.pem"), "KeyUnreadable"),
        (file!("public.pem"), "KeyNotPrivate"),
        (file!("certificate.pem"), "KeyNotPrivate"),
        (file!("encrypted.pkcs8.pem"), "KeyEncrypted"),
        (file!("encrypted.pkcs1.pem"), "KeyEncrypted"),
        (file!("rsa1024.pkcs8.pem"), "KeyTooShort"),
        (file!("rsa1024.pkcs1.pem"), "KeyTooShort"),
        (file!("ed25519.pem"), "KeyUnsupported"),
        (file!("secp256k1.pem"), "KeyUnsupported"),
        (file!("rsa-pss.pem"), "KeyUnsupported"),
        (b"{", "KeyUnreadable"),
        (b"{}", "KeyUnreadable"),
        (br#"{"keys":[]}"#, "KeyUnreadable"),
        (br#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#, "KeyNotPrivate"),
        (br#"{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ"}"#, "KeyUnreadable"),
        (
            br#"{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ","dp":"AQ","dq":"AQ","qi":"AQ"}"#,
            "KeyTooShort",
        ),
        (br#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}"#, "KeyNotPrivate"),
        (br#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ","d":"AQ"}"#, "KeyUnreadable"),
        (br#"{"kty":"EC","crv":"P-256","x":"A*","y":"AQ","d":"AQ"}"#, "KeyUnreadable"),
        (br#"{"kty":"oct","k":"c2VjcmV0"}"#, "KeyUnsupported"),
        (br#"{"kty":"OKP","crv":"Ed25519","x":"AQ","d":"AQ"}"#, "KeyUnsupported"),
    ];
    for (text, reason) in table {
        let error = PrivateKey::parse(text).unwrap_err();
        assert_eq!(error.reason(), reason, "{}: {error}", String::from_utf8_lossy(&text[..text.len().min(60)]));
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn an_algorithm_has_to_fit_its_key() {
    let rsa = PrivateKey::parse(file!("rsa2048.pkcs8.pem")).unwrap();
    assert!(rsa.clone().with_algorithm(Algorithm::Es256).is_err());
    let p256 = PrivateKey::parse(file!("ec-P-256.pkcs8.pem")).unwrap();
    assert!(p256.clone().with_algorithm(Algorithm::Es384).is_err());
    assert!(p256.with_algorithm(Algorithm::Es256).is_ok());
    assert_eq!(Algorithm::named("PS256"), None);
    assert_eq!(rsa.with_kid("of-okta").kid(), "of-okta");
}

#[test]
fn a_key_is_read_back_from_its_own_text_with_its_algorithm() {
    let rsa = PrivateKey::parse(file!("rsa2048.pkcs8.pem")).unwrap();
    for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
        let key = rsa.clone().with_algorithm(algorithm).unwrap();
        let text = key.to_text().unwrap();
        assert_eq!(text.expose_secret().starts_with('{'), algorithm != Algorithm::Rs256);
        let read = PrivateKey::parse(text.expose_secret().as_bytes()).unwrap();
        assert_eq!(read, key);
        verify(&read);
    }
    for pem in [&file!("ec-P-256.pkcs8.pem")[..], file!("ec-P-521.pkcs8.pem")] {
        let key = PrivateKey::parse(pem).unwrap();
        assert_eq!(PrivateKey::parse(key.to_text().unwrap().expose_secret().as_bytes()).unwrap(), key);
    }
}

// error.rs, `text.chars().all(plain)`.
#[test]
fn p16_what_a_broken_file_says_of_itself_is_shown_only_if_it_is_a_plain_word() {
    let secret = "wsb7yKa5\nline of somebody's key";
    for text in [
        format!(r#"{{"kty":"EC","crv":"{}"}}"#, secret.escape_default()),
        format!(r#"{{"kty":"{}"}}"#, "x".repeat(200)),
        format!("-----BEGIN {secret}-----\nAAAA\n-----END {secret}-----\n"),
        format!("-----BEGIN {secret} PRIVATE KEY-----\nAAAA\n-----END {secret} PRIVATE KEY-----\n"),
    ] {
        let told = PrivateKey::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!told.contains('\n') && !told.contains("wsb7") && told.len() < 120, "{told}");
    }
    let told = PrivateKey::parse(br#"{"kty":"OKP","crv":"Ed25519"}"#).unwrap_err().to_string();
    assert!(told.contains("Ed25519"), "{told}");
}
