//! `key new`, `key show` and `key jwks`: files in, public halves out.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

mod support;
use support::{file, run, run_with_input, told};

/// A key of the client's own tests; made for them, and registered nowhere.
fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../okta/tests/keys").join(name);
    path.to_str().unwrap().to_owned()
}

fn content(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

/// A Secret's manifest with these entries.
fn secret(entries: &[(&str, &str)]) -> String {
    let data: serde_json::Map<String, Value> =
        entries.iter().map(|(key, text)| ((*key).to_owned(), Value::from(*text))).collect();
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key" }, "stringData": data }).to_string()
}

#[test]
fn public_halves_are_shown_as_they_are_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (rsa, ec) = (fixture("rsa2048.jwk.json"), fixture("ec-P-256.sec1.pem"));
    let shown = |arguments: &[&str]| {
        let (code, out, err) = told(&run(arguments));
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out.replace(env!("CARGO_MANIFEST_DIR"), "…")
    };
    insta::assert_snapshot!("show_text", shown(&["key", "show", &ec]));
    insta::assert_snapshot!("show_json", shown(&["key", "show", &rsa, "-o", "json"]));
    insta::assert_snapshot!("show_yaml", shown(&["key", "show", &ec, "-o", "yaml"]));
    insta::assert_snapshot!("jwks", shown(&["key", "jwks", &rsa, &ec]));
    // The same key in another wrapping has the same name.
    let manifest =
        file(folder.path(), "secret.yaml", &secret(&[("note", "x"), ("pem", &content("ec-P-256.pkcs8.pem"))]));
    let of = |path: &str| serde_json::from_str::<Value>(&shown(&["key", "show", path, "-o", "json"])).unwrap();
    assert_eq!(of(&manifest)["jwk"], of(&ec)["jwk"]);
}

#[test]
fn a_new_key_lies_in_a_file_that_only_its_owner_may_read() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in ["RS256", "RS384", "RS512", "ES256", "es384", "ES512"] {
        let path = folder.path().join(format!("{algorithm}.pem"));
        let text = path.to_str().unwrap();
        let (code, out, err) = told(&run(&["key", "new", text, "--algorithm", algorithm, "-o", "json"]));
        assert_eq!((code, err.as_str()), (0, ""), "{algorithm}");
        let made: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&made["algorithm"], &made["file"]), (&json!(algorithm.to_uppercase()), &json!(text)));
        assert_eq!((&made["jwk"]["kid"], &made["jwk"]["use"]), (&made["kid"], &json!("sig")));
        assert!(made["jwk"].get("d").is_none() && !out.contains("PRIVATE"), "P16: {out}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let kept = std::fs::read_to_string(&path).unwrap();
        let (_, shown, _) = told(&run_with_input(&["key", "show", "-", "-o", "json"], &kept));
        assert_eq!(
            serde_json::from_str::<Value>(&shown).unwrap()["jwk"],
            made["jwk"],
            "what was kept is what was shown"
        );
        let (code, out, err) = told(&run(&["key", "new", text]));
        assert_eq!((code, out.as_str()), (2, ""), "a second time");
        assert!(err.contains("never overwritten"), "{err}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
    }
    let path = folder.path().join("told.pem");
    let (code, text, _) = told(&run(&["key", "new", path.to_str().unwrap()]));
    assert_eq!(code, 0);
    for words in
        ["kid        ", "algorithm  RS256", "\"kty\": \"RSA\"", "Client Credentials", "okta.privateKeySecretRef"]
    {
        assert!(text.contains(words), "{words:?} not in\n{text}");
    }
}

#[test]
fn what_holds_no_key_is_bad_input_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| file(folder.path(), name, content);
    let (rsa, ec) = (content("rsa2048.pkcs8.pem"), content("ec-P-256.pkcs8.pem"));
    let two = write("two.yaml", &secret(&[("old", &rsa), ("new", &ec)]));
    let none = write("none.yaml", &secret(&[("note", "x"), ("more", "y")]));
    let broken = write("broken.yaml", "kind: Secret\ndata: { pem: '%%' }");
    let (ec, same) = (fixture("ec-P-256.pkcs8.pem"), fixture("ec-P-256.sec1.pem"));
    let table: Vec<(Vec<&str>, &str)> = vec![
        (vec!["key", "show", "/nowhere/key.pem"], "/nowhere/key.pem"),
        (vec!["key", "new", "/nowhere/key.pem"], "/nowhere/key.pem"),
        (vec!["key", "new", "x", "--algorithm", "HS256"], "HS256"),
        (vec!["key", "show", &two], "several of new, old"),
        (vec!["key", "show", &two, "--key", "gone"], "it has: new, old"),
        (vec!["key", "show", &none], "holds no private key; it has: more, note"),
        (vec!["key", "show", &broken], "data.pem is not base64"),
        (vec!["key", "show", &ec, "--key", "pem"], "not the manifest of a Secret"),
        (vec!["key", "jwks", &ec, &same], "have the same kid"),
        (vec!["key", "jwks"], "<FILE>"),
    ];
    for (arguments, expected) in table {
        let (code, out, err) = told(&run(&arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{expected:?} not in {err}");
    }
    for name in ["public.pem", "encrypted.pkcs8.pem", "rsa1024.pkcs8.pem", "ed25519.pem", "openssh.pem"] {
        let (code, out, err) = told(&run(&["key", "show", &fixture(name)]));
        assert_eq!((code, out.as_str()), (2, ""), "{name}");
        assert!(err.contains("remedy: ") && err.contains(name), "{err}");
    }
    let (code, out, _) = told(&run(&["key", "show", &two, "--key", "new", "-o", "json"]));
    assert_eq!((code, out.contains("ES256")), (0, true));
}

#[test]
fn a_resource_whose_key_only_an_operator_has_says_where_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let keyless = file(folder.path(), "keyless.yaml", include_str!("../../../examples/keyless.yaml"));
    for command in ["sync", "preview"] {
        let (code, out, err) = told(&run(&[command, "-f", &keyless]));
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        for words in
            ["privateKeySecretRef is not set", "--okta-key FILE", "status.publicKey.secretName", "key new FILE"]
        {
            assert!(err.contains(words), "{command}: {words:?} not in {err}");
        }
    }
}

#[tokio::test]
async fn the_key_of_a_cluster_s_stream_is_found_by_its_status() {
    let world = support::World::of(2).await;
    let resource =
        world.quickstart().replace("    privateKeySecretRef:\n      name: acme-okta-key\n      key: private.pem\n", "");
    assert_ne!(resource, world.quickstart(), "the example no longer fits");
    let jwk = json!({ "kty": "RSA", "use": "sig", "kid": "k", "alg": "RS256" });
    let status = json!({ "publicKey": {
        "kid": "k", "jwk": jwk, "secretName": "acme-okta-key", "created": "2026-01-01T00:00:00Z" } });
    let with_status = resource.replacen("\nspec:", &format!("\nstatus: {status}\nspec:"), 1);
    std::fs::write(world.manifest(), &with_status).unwrap();
    let (code, preview) = world.pass("preview", &[]);
    assert_eq!((code, &preview["counts"]["inScope"]), (0, &json!(2)), "{preview:#}");
    std::fs::write(world.manifest(), &resource).unwrap();
    assert_eq!(world.told("preview", &[]).0, 2, "without the status nothing says which Secret it is");
}
