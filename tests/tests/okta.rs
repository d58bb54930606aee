//! What the operator shows of the way to Okta, over a real API server: certificate authorities that a resource names itself,
//! use of the rate limits, the clock.
#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};
use suites::{House, condition};

fn refused(reason: &str) -> impl Fn(&Value) -> bool {
    move |resource| {
        condition(resource, "OktaReady")["reason"] == reason && condition(resource, "Ready")["status"] == "False"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_from_a_config_map_or_a_secret_is_trusted() {
    let house = House::without_okta_ca(3).await;
    house.put_secrets().await;
    house.change(&house.spec()).await;
    let resource = house.until("a strange certificate to be refused", refused("CertificateUntrusted")).await;
    let remedy = resource["status"]["errors"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("spec.okta.caBundleRef"), "{remedy}");

    let mut spec = house.spec();
    spec["okta"]["caBundleRef"] = json!({ "name": "okta-ca" });
    house.change(&spec).await;
    let resource = house.until("the missing bundle to be named", refused("CaBundleMissing")).await;
    let message = condition(&resource, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("ConfigMap {}/okta-ca, key ca.crt", house.namespace)), "{message}");

    // Mended, it goes on by itself.
    let config = ConfigMap {
        metadata: ObjectMeta { name: Some("okta-ca".into()), ..ObjectMeta::default() },
        data: Some([("ca.crt".to_owned(), house.okta.ca_pem().to_owned())].into()),
        ..ConfigMap::default()
    };
    house.api::<ConfigMap>().create(&PostParams::default(), &config).await.unwrap();
    let resource = house.until_ready().await;
    assert_eq!(resource["status"]["users"]["synced"], 3);

    // The same from a Secret, which house keeps under the key `content`; its content is looked at anew.
    spec["okta"]["caBundleRef"] = json!({ "kind": "Secret", "name": "okta-ca", "key": "content" });
    house.put_secret("okta-ca", "no certificate").await;
    house.change(&spec).await;
    house.until("a bundle without a certificate to be refused", refused("CaBundleInvalid")).await;
    house.put_secret("okta-ca", house.okta.ca_pem()).await;
    house.until_ready().await;
}

// budget.rs, `note`.
#[tokio::test(flavor = "multi_thread")]
async fn p14_rate_limits_and_the_clock_are_told_in_status() {
    let mut house = House::with_people(3).await;
    house.put_secrets().await;
    house.change(&house.spec()).await;
    let resource = house.until_ready().await;
    let okta = &resource["status"]["okta"];
    assert_eq!((&okta["clockSkewSeconds"], &condition(&resource, "Warning")), (&Value::Null, &Value::Null), "{okta:#}");
    let budget = &okta["budget"];
    assert_eq!(budget["calls"], house.okta.org().counters().total, "every call is counted: {budget:#}");
    assert_eq!((&budget["refusals"], &budget["waits"]), (&json!(0), &json!(0)));
    let buckets = budget["buckets"].as_array().unwrap();
    let apps = buckets.iter().find(|bucket| bucket["path"] == "/api/v1/apps").unwrap();
    assert!(apps["limit"].as_i64() > Some(0) && apps["used"].as_i64() > Some(0), "{apps}");
    assert!(buckets.len() <= 10);

    house.okta.org().clock().set_offset_millis(600_000);
    let resource = house.pass().await;
    let skew = resource["status"]["okta"]["clockSkewSeconds"].as_i64().unwrap();
    assert!((598..=602).contains(&skew), "{skew}");
    let warning = condition(&resource, "Warning");
    assert!(warning["message"].as_str().unwrap().contains("clock"), "{warning}");
    assert_eq!(condition(&resource, "Ready")["status"], "True", "it is corrected for");
}
