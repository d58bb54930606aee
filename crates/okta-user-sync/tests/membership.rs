//! An operator that holds no secret for Teleport: the binary, under its own `ServiceAccount`, joins by a projected token that a real API server signed.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::{Value, json};
use suites::{House, condition};
use teleport_sim::{BOT_ROLE, BOT_USER, Options};
use testkit::{Process, eventually};

mod support;
use support::operator;

const SOON: Duration = Duration::from_secs(60);
const CLUSTER: &str = "teleport.sim";

/// A house whose operator has a projected token, and no Secret for Teleport.
struct Pod {
    house: House,
    folder: tempfile::TempDir,
}

impl Pod {
    async fn of(people: usize, role: &str) -> Self {
        let house = House::vacant(people, Options { cluster: CLUSTER.into(), ..Options::default() }).await;
        house.put_secret("okta-key", &house.okta_key()).await;
        house.teleport.put_token(house.provision_token(role).await);
        let pod = Self { house, folder: tempfile::tempdir().unwrap() };
        pod.mount(CLUSTER).await;
        std::fs::write(pod.path("web-ca.pem"), pod.house.teleport.web_ca_pem()).unwrap();
        std::fs::write(pod.path("ca.pem"), pod.house.teleport.ca_pem()).unwrap();
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the kubelet does when it renews the projected token.
    async fn mount(&self, audience: &str) {
        std::fs::write(self.path("token"), self.house.projected_token(audience).await).unwrap();
    }

    /// The operator, which joins at this address.
    async fn operator(&self, address: &str, further: &[&str]) -> Process {
        let (token, web_ca) = (self.path("token"), self.path("web-ca.pem"));
        let fixed = [
            "--teleport-address",
            address,
            "--teleport-join-token",
            "okta-user-sync",
            "--teleport-join-token-file",
            token.to_str().unwrap(),
            "--teleport-web-ca",
            web_ca.to_str().unwrap(),
        ];
        operator::start(&self.house, self.folder.path(), &[&fixed, further].concat()).await
    }

    /// A specification that names neither an identity nor an address.
    fn spec(&self) -> Value {
        let mut spec = self.house.spec();
        let teleport = spec["teleport"].as_object_mut().unwrap();
        teleport.remove("identitySecretRef");
        teleport.remove("address");
        spec
    }

    /// How many certificates the bot has been given for its work.
    fn certificates(&self) -> usize {
        let issued = self.house.teleport.session(BOT_USER, None).certificates;
        issued.iter().filter(|issued| issued.certificate.roles == [BOT_ROLE]).count()
    }

    async fn renewed(&self) {
        let before = self.certificates();
        let more = async || (self.certificates() > before).then_some(()).ok_or("no further certificate");
        eventually(SOON, "the identity to be renewed", more).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_without_a_secret_joins_works_and_renews_by_itself() {
    let mut pod = Pod::of(3, "Bot").await;
    // So short that the test sees it renewed.
    pod.house.teleport.limit_session(BOT_ROLE, 16);
    let address = pod.house.teleport.proxy_address().to_string();
    let operator = pod.operator(&address, &[]).await;
    pod.house.change(&pod.spec()).await;
    let resource = pod.house.until_ready().await;
    assert_eq!(resource["status"]["users"]["created"], 3);
    let teleport = &resource["status"]["teleport"];
    assert_eq!((&teleport["originMode"], &teleport["route"]), (&json!("Bot"), &json!("Proxy")), "{teleport}");
    let until = |resource: &Value| -> jiff::Timestamp {
        resource["status"]["teleport"]["identityExpires"].as_str().unwrap().parse().unwrap()
    };
    let first = until(&resource);

    // Nothing in the namespace is good for Teleport.
    let secrets = pod.house.api::<Secret>().list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = secrets.items.iter().filter_map(|secret| secret.metadata.name.as_deref()).collect();
    assert_eq!(names, ["okta-key"]);

    // Renewed at half life, without a pass; the next pass works under the new one.
    pod.renewed().await;
    assert!(until(&pod.house.pass().await) > first);

    // The kubelet's token is read anew each time. One that does not do is told while the identity still holds …
    pod.mount("kubernetes").await;
    let cannot = |resource: &Value| {
        condition(resource, "Warning")["message"].as_str().is_some_and(|told| told.contains("cannot be renewed"))
    };
    let warned = pod.house.ask_until("a warning", cannot).await;
    assert_eq!(condition(&warned, "Ready")["status"], "True", "{warned:#}");
    assert_eq!(condition(&warned, "Warning")["reason"], "IdentityExpiring");
    let told = condition(&warned, "Warning")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("audience") && told.contains("serviceAccountToken"), "what to mend in the pod: {told}");

    // … and stops the work when it has run out.
    let expired = eventually(SOON, "the identity to run out", async || {
        (until(&warned) < jiff::Timestamp::now()).then_some(()).ok_or("it holds")
    });
    expired.await.unwrap();
    let refused = pod.house.pass().await;
    assert_eq!(condition(&refused, "TeleportReady")["reason"], "JoinAudienceWrong", "{refused:#}");
    assert_eq!(condition(&refused, "Ready")["status"], "False");

    // Mended, nobody has to do anything more.
    pod.mount(CLUSTER).await;
    pod.house.until_ready().await;
    assert!(!operator.output().contains("eyJ"), "P16: no token in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_authority_and_a_restart_in_the_middle_of_a_pass_are_survived() {
    let pod = Pod::of(3, "Bot").await;
    let address = pod.house.teleport.proxy_address().to_string();
    let _operator = pod.operator(&address, &[]).await;
    pod.house.change(&pod.spec()).await;
    pod.house.until_ready().await;

    // The server goes down with the first of two updates done and not answered.
    let app = pod.house.okta.ready().app_id;
    let people = pod.house.okta.org().assigned(&app).unwrap();
    for id in &people {
        pod.house.okta.org().update_profile(id, &json!({ "department": "Lighthouses" })).unwrap();
    }
    pod.house.teleport.hold_after(1);
    pod.house.request().await;
    let holding = async || pod.house.teleport.is_holding().then_some(()).ok_or("writes go on");
    eventually(SOON, "the first write", holding).await.unwrap();
    pod.house.teleport.restart(Duration::from_millis(500));
    pod.house.teleport.release();
    let all = |pod: &Pod| {
        let teleport = &pod.house.teleport;
        let done = |name: &String| teleport.user(name).is_some_and(|user| user.traits.contains_key("okta/department"));
        teleport.user_names().iter().filter(|name| done(name)).count()
    };
    let done = async || (all(&pod) == 3).then_some(()).ok_or_else(|| format!("{} of 3", all(&pod)));
    eventually(SOON, "all three to be written", done).await.unwrap();
    pod.house.until_ready().await;

    // The host authority is made anew: the identity that was joined with no longer knows the server, so the operator joins anew.
    pod.house.teleport.rotate_host_ca().unwrap();
    pod.house.okta.org().update_profile(&people[0], &json!({ "department": "Piers" })).unwrap();
    let written = |_: &Value| {
        let names = pod.house.teleport.user_names();
        let users = names.iter().filter_map(|name| pod.house.teleport.user(name));
        users.filter(|user| user.traits.get("okta/department").is_some_and(|all| all == &["Piers"])).count() == 1
    };
    pod.house.ask_until("the change to be written after the rotation", written).await;
    pod.house.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_role_joins_straight_under_a_kept_authority() {
    let mut pod = Pod::of(2, "Okta").await;
    let (address, ca) = (pod.house.teleport.auth_address().to_string(), pod.path("ca.pem"));
    let further = ["--teleport-join-as", "okta", "--teleport-ca", ca.to_str().unwrap(), "--teleport-cluster", CLUSTER];
    let _operator = pod.operator(&address, &further).await;
    pod.house.change(&pod.spec()).await;
    let resource = pod.house.until_ready().await;
    assert_eq!(resource["status"]["teleport"]["originMode"], "Okta");
    let made: Vec<_> =
        pod.house.teleport.user_names().iter().filter_map(|name| pod.house.teleport.user(name)).collect();
    let of_okta =
        made.iter().filter(|user| user.labels.get("teleport.dev/origin").is_some_and(|origin| origin == "okta"));
    assert_eq!(of_okta.count(), 2);

    // One join serves for as long as its certificate does.
    let own = resource["status"]["teleport"].clone();
    pod.house.pass().await;
    assert_eq!(pod.house.resource().await.unwrap()["status"]["teleport"]["identityExpires"], own["identityExpires"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_an_operator_out_is_a_condition_that_names_the_yaml() {
    let pod = Pod::of(1, "Bot").await;
    let address = pod.house.teleport.auth_address().to_string();
    let pin = pod.house.teleport.ca_pin();
    let _operator = pod.operator(&address, &["--teleport-ca-pin", &pin, "--teleport-cluster", CLUSTER]).await;
    let good = pod.house.provision_token("Bot").await;

    // A token for another ServiceAccount.
    pod.house
        .teleport
        .put_token(teleport_sim::ProvisionToken { allow: vec!["elsewhere:somebody".into()], ..good.clone() });
    pod.house.change(&pod.spec()).await;
    let told = async |pod: &Pod, reason: &str, words: &[&str]| {
        let resource = pod.house.ask_until(reason, |r| condition(r, "TeleportReady")["reason"] == reason).await;
        let told = condition(&resource, "Ready")["message"].as_str().unwrap().to_owned();
        for word in words {
            assert!(told.contains(word), "{word} is missing in: {told}");
        }
        assert_eq!(pod.house.teleport.writes().len(), 0);
    };
    told(&pod, "JoinNotAllowed", &["tctl edit token/okta-user-sync", "service_account"]).await;
    // Keys of another Kubernetes cluster.
    pod.house.teleport.put_token(teleport_sim::ProvisionToken { jwks: r#"{"keys":[]}"#.into(), ..good.clone() });
    told(&pod, "JoinKeysRotated", &["kubectl get --raw /openid/v1/jwks", "static_jwks"]).await;
    // No such token.
    pod.house.teleport.remove_token("okta-user-sync");
    told(&pod, "JoinTokenUnknown", &["tctl create"]).await;
    // An audience that does not match.
    pod.house.teleport.put_token(good);
    pod.mount("somewhere.else").await;
    told(&pod, "JoinAudienceWrong", &["audience", "serviceAccountToken"]).await;
    // No token in the pod.
    std::fs::remove_file(pod.path("token")).unwrap();
    told(&pod, "JoinTokenUnreadable", &["projected"]).await;
    // A bot that may not have the role.
    pod.mount(CLUSTER).await;
    pod.house.teleport.remove_role(BOT_ROLE);
    told(&pod, "RolesNotAllowedToBot", &["tctl bots update okta-user-sync --add-roles"]).await;
    pod.house.teleport.restore_permissions();
    pod.house.ask_until("the mended set-up", |r| condition(r, "Ready")["status"] == "True").await;

    // A resource does not choose to whom the pod's token is shown.
    let mut spec = pod.spec();
    spec["teleport"]["address"] = pod.house.teleport.proxy_address().to_string().into();
    pod.house.change(&spec).await;
    let refused = pod.house.until("the refusal", |r| condition(r, "TeleportReady")["reason"] == "JoinNotOffered").await;
    assert!(condition(&refused, "Ready")["message"].as_str().unwrap().contains("identitySecretRef"), "{refused:#}");
}
