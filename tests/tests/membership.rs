//! One join for all resources: shared, renewed under its clients, given up when nobody needs it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use operator::membership::{JoinOffer, Membership, Passage};
use suites::House;
use teleport::{JoinRole, TeleportClient, Way};
use teleport_sim::{BOT_ROLE, BOT_USER, Options};
use testkit::eventually;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);

async fn membership(house: &House, token_file: PathBuf) -> Arc<Membership> {
    house.teleport.put_token(house.provision_token("Bot").await);
    let offer = JoinOffer {
        token: "okta-user-sync".into(),
        token_file,
        role: JoinRole::Bot { roles: vec![BOT_ROLE.into()] },
        cluster: None,
        pins: vec![house.teleport.ca_pin()],
        authorities: None,
    };
    let address = house.teleport.auth_address().to_string();
    Arc::new(Membership::new(offer, Passage { address, way: Way::Auth, web_authorities: None }))
}

/// Certificates for work that the bot has been given.
fn certificates(house: &House) -> usize {
    let issued = house.teleport.session(BOT_USER, None).certificates;
    issued.iter().filter(|issued| issued.certificate.roles == [BOT_ROLE]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_share_one_join_which_is_renewed_under_them_and_ends_with_them() {
    let house = House::vacant(1, Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, house.projected_token("teleport.sim").await).unwrap();
    let membership = membership(&house, token.clone()).await;

    let before = certificates(&house);
    let asked = join_all((0..20).map(|_| membership.identity())).await;
    let identity = asked.into_iter().next().unwrap().unwrap();
    assert_eq!(certificates(&house) - before, 1, "twenty resources, one join");

    // Doubted, it is not handed out again.
    membership.doubt().await;
    let second = membership.identity().await.unwrap();
    assert!(!second.is(&identity), "joined anew");

    // A refusal is shared as well, and the identity that there is serves on.
    std::fs::write(&token, "").unwrap();
    house.teleport.limit_session(BOT_ROLE, 8);
    membership.doubt().await;
    for refused in join_all((0..20).map(|_| membership.identity())).await {
        assert_eq!(refused.unwrap_err().reason, "JoinTokenUnreadable");
    }
    std::fs::write(&token, house.projected_token("teleport.sim").await).unwrap();
    let joined = async || membership.identity().await.map_err(|failure| failure.to_string());
    let third = eventually(SOON, "the mended token to be read", joined).await.unwrap();

    // Renewed at half life, under a client that lives on it; and no longer when the client is gone.
    let client = Arc::new(
        TeleportClient::connect(teleport::Settings::new(house.teleport.auth_address().to_string(), third.clone()))
            .unwrap(),
    );
    membership.enrol("home", "acme", &client).await;
    let (stop, told) = (CancellationToken::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let keeping = {
        let (membership, stop, told) = (membership.clone(), stop.clone(), told.clone());
        tokio::spawn(async move {
            let tell = |namespace: &str, name: &str, identity: &teleport::Identity| {
                told.lock().unwrap().push(format!("{namespace}/{name} {}", identity.expires()));
            };
            membership.keep(&stop, tell).await;
        })
    };
    let renewed = async || if client.identity().is(&third) { Err("the same") } else { Ok(()) };
    eventually(SOON, "the client to be renewed", renewed).await.unwrap();
    assert!(client.identity().expires() > third.expires());
    let heard = async || if told.lock().unwrap().is_empty() { Err("nobody was told") } else { Ok(()) };
    eventually(SOON, "the new end to be told", heard).await.unwrap();
    assert!(told.lock().unwrap()[0].starts_with("home/acme "), "{told:?}");

    // With nobody who lives on it, it is given up: there is nothing left that could be renewed …
    drop(client);
    let given_up = async || if membership.is_joined().await { Err("an identity is kept") } else { Ok(()) };
    eventually(SOON, "the identity to be given up", given_up).await.unwrap();
    let quiet = certificates(&house);
    // … and nothing was, until somebody comes.
    membership.identity().await.unwrap();
    assert_eq!(certificates(&house), quiet + 1, "joined anew for whoever asks, and not before");
    stop.cancel();
    keeping.await.unwrap();
}
