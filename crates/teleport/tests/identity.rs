//! Identity files, whole and broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers outside #[test] functions may say what they expect, too

use base64::Engine as _;
use engine::{
    cluster::OriginMode,
    failure::{Class, Failure},
};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use teleport::{Identity, IdentityError};

const CLUSTER: &str = "teleport.example.com";

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name = names(CLUSTER, CLUSTER, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn names(common: &str, organization: &str, cluster: Option<&str>) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, common);
    names.push(DnType::OrganizationName, organization);
    if let Some(cluster) = cluster {
        names.push(DnType::CustomDnType(vec![1, 3, 9999, 1, 7]), cluster);
    }
    names
}

/// What an identity file is made of.
struct Parts {
    key: KeyPair,
    certificate: String,
    authority: String,
}

impl Parts {
    fn of(subject: DistinguishedName, key: KeyPair, years: (i32, i32)) -> Self {
        let authority = authority();
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &authority).unwrap().pem();
        Self { key, certificate, authority: authority.pem() }
    }

    fn user() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self::of(names("bot-sync", "okta-user-sync", Some(CLUSTER)), key, (2020, 2100))
    }

    fn file(&self) -> String {
        self.file_with(&self.key.serialize_pem())
    }

    fn file_with(&self, key: &str) -> String {
        let ssh = "ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAg bot-sync";
        let known = format!("@cert-authority {CLUSTER},*.{CLUSTER} ssh-rsa AAAAB3NzaC1yc2E type=host");
        format!("{key}{ssh}\n{}{known}\n{}", self.certificate, self.authority)
    }
}

/// The key in the form that stands inside its PKCS#8.
fn inner_pem(key: &KeyPair, label: &str) -> String {
    let der = key.serialize_der();
    // PrivateKeyInfo ends with the OCTET STRING that holds the older form; find where its content, a SEQUENCE, begins.
    let start = (8..der.len())
        .filter(|at| der[*at] == 0x30)
        .find(|at| match der[..*at] {
            [.., 0x04, length] if usize::from(length) == der.len() - at => true,
            [.., 0x04, 0x82, high, low] => usize::from(high) << 8 | usize::from(low) == der.len() - at,
            _ => false,
        })
        .unwrap();
    let body = pem_body(&der[start..]);
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

fn pem_body(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    text.as_bytes().chunks(64).fold(String::new(), |body, line| body + std::str::from_utf8(line).unwrap() + "\n")
}

#[test]
fn every_kind_and_form_of_key_that_teleport_writes_is_read() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let forms = [
        (inner_pem(&rsa, "RSA PRIVATE KEY"), rsa.serialize_pem(), rsa),
        (inner_pem(&p256, "EC PRIVATE KEY"), p256.serialize_pem(), p256),
        (ed25519.serialize_pem(), ed25519.serialize_pem(), ed25519),
    ];
    for (older, newer, key) in forms {
        let parts = Parts::of(names("bot-sync", "okta-user-sync", Some(CLUSTER)), key, (2020, 2100));
        for form in [older, newer] {
            let identity = Identity::parse(&parts.file_with(&form)).unwrap();
            assert_eq!(identity.user(), "bot-sync");
            assert_eq!(identity.roles(), ["okta-user-sync"]);
            assert_eq!(identity.cluster(), CLUSTER);
            assert_eq!(identity.expires(), "2100-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
            assert_eq!(identity.origin_mode(), OriginMode::Bot);
            assert_eq!(identity.authorities().len(), 1);
            identity.check(Timestamp::now()).unwrap();
        }
    }
}

#[test]
fn the_file_may_have_windows_line_ends_and_blank_lines() {
    let file = Parts::user().file().replace("\r\n", "\n").replace('\n', "\r\n");
    assert_eq!(Identity::parse(&format!("\r\n{file}\r\n\r\n")).unwrap().user(), "bot-sync");
}

#[test]
fn the_cluster_is_found_without_teleports_own_attribute() {
    let key = KeyPair::generate().unwrap();
    let parts = Parts::of(names("bot-sync", "r", None), key, (2020, 2100));
    assert_eq!(Identity::parse(&parts.file()).unwrap().cluster(), CLUSTER, "from the SSH authorities");
    let without_ssh = format!("{}{}{}", parts.key.serialize_pem(), parts.certificate, parts.authority);
    assert_eq!(Identity::parse(&without_ssh).unwrap().cluster(), CLUSTER, "from the issuer");
}

#[test]
fn only_a_host_with_the_system_role_is_in_okta_mode() {
    let host = format!("1b0c6a2e-6a4e-4f6c-9c3b-1f2e3d4c5b6a.{CLUSTER}");
    for (user, role, mode) in [
        (host.as_str(), "Okta", OriginMode::Okta),
        (host.as_str(), "Node", OriginMode::Bot),
        ("alice", "Okta", OriginMode::Bot),
        (CLUSTER, "Okta", OriginMode::Bot),
    ] {
        let parts = Parts::of(names(user, role, Some(CLUSTER)), KeyPair::generate().unwrap(), (2020, 2100));
        assert_eq!(Identity::parse(&parts.file()).unwrap().origin_mode(), mode, "{user} {role}");
    }
}

#[test]
fn broken_files_are_told_apart_each_with_its_remedy() {
    let good = Parts::user();
    let other = Parts::user();
    let key = good.key.serialize_pem();
    let file = good.file();
    let cut_key = file[..key.len() / 2].to_owned();
    let cut_certificate = file[..key.len() + 400].to_owned();
    let damaged = file.replacen("MII", "M?!", 2);
    let table: Vec<(&str, String, &str)> = vec![
        ("empty", " \n".into(), "IdentityUnreadable"),
        ("something else", "apiVersion: v1\nkind: Secret\n".into(), "IdentityUnreadable"),
        ("cut in the key", cut_key, "IdentityUnreadable"),
        ("cut in the certificate", cut_certificate, "IdentityUnreadable"),
        ("damaged", damaged, "IdentityUnreadable"),
        ("certificate first", format!("{}{key}{}", good.certificate, good.authority), "IdentityUnreadable"),
        (
            "authority before the certificate",
            format!("{key}{}{}", good.authority, good.certificate),
            "IdentityUnreadable",
        ),
        ("two keys", format!("{key}{}{key}{}", good.certificate, good.authority), "IdentityUnreadable"),
        ("key alone", key.clone(), "IdentityUnreadable"),
        ("no authority", format!("{key}{}", good.certificate), "IdentityWithoutAuthority"),
        ("another's key", good.file_with(&other.key.serialize_pem()), "IdentityKeyMismatch"),
        (
            "key of another form",
            good.file_with(&key.replace(" PRIVATE KEY", " OPENSSH PRIVATE KEY")),
            "IdentityUnreadable",
        ),
    ];
    for (what, text, reason) in table {
        let error = Identity::parse(&text).expect_err(what);
        assert_eq!(error.reason(), reason, "{what}: {error}");
        let failure = Failure::from(error.clone());
        assert_eq!(failure.class, Class::Credential, "{what}");
        assert!(failure.remedy.contains("tctl") || failure.remedy.contains("tbot"), "{what}: {}", failure.remedy);
        let secret = key.lines().nth(1).unwrap();
        assert!(!format!("{failure:?} {error}").contains(secret), "{what}: the key is quoted");
    }
    assert!(matches!(
        Identity::parse(&format!("{key}{}{}", good.authority, good.certificate)),
        Err(IdentityError::Order(_))
    ));
}

#[test]
fn an_identity_knows_when_it_begins_and_ends() {
    let parts = Parts::of(names("bot-sync", "r", Some(CLUSTER)), KeyPair::generate().unwrap(), (2020, 2021));
    let identity = Identity::parse(&parts.file()).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    identity.check(at("2020-06-01T00:00:00Z")).unwrap();
    identity.check(at("2019-12-31T23:59:30Z")).unwrap();
    assert_eq!(identity.check(at("2021-01-01T00:00:00Z")).unwrap_err().reason(), "IdentityExpired");
    assert_eq!(identity.check(at("2019-01-01T00:00:00Z")).unwrap_err().reason(), "IdentityNotYetValid");
}

// identity.rs, `Identity`: `Debug` written by hand.
#[test]
fn p16_debug_shows_no_key() {
    let parts = Parts::user();
    let shown = format!("{:?}", Identity::parse(&parts.file()).unwrap());
    assert!(shown.contains("bot-sync") && shown.contains(CLUSTER), "{shown}");
    assert!(!shown.to_lowercase().contains("key"), "{shown}");
}

#[test]
fn the_end_of_an_identity_is_told_a_day_before_or_in_its_last_tenth() {
    let long = Identity::parse(&Parts::user().file()).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(long.notice(at("2099-12-30T00:00:00Z")), None);
    let told = long.notice(at("2099-12-31T12:00:00Z")).unwrap();
    assert!(told.contains("bot-sync") && told.contains("2100-01-01"), "{told}");

    let mut parts = Parts::user();
    let (key, authority) = (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), authority());
    let mut params = CertificateParams::default();
    params.distinguished_name = names("bot-sync", "okta-user-sync", Some(CLUSTER));
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 1, 6);
    parts.certificate = params.signed_by(&key, &authority).unwrap().pem();
    (parts.key, parts.authority) = (key, authority.pem());
    let short = Identity::parse(&parts.file()).unwrap();
    assert_eq!(short.notice(at("2026-01-05T11:00:00Z")), None, "five days: the last twelve hours");
    assert!(short.notice(at("2026-01-05T13:00:00Z")).is_some());
    assert!(short.is(&short.clone()) && !short.is(&long));
}
