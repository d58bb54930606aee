//! Reading people from an organisation: all of them, with few calls, and what is found out by id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

mod common;

use std::{collections::HashSet, sync::Arc};

use common::{app, client, lists, org, read, settings, until};
use engine::{
    directory::{Directory, PeopleSource, Standing},
    failure::Class,
    person::{AssignmentStatus, PersonStatus},
};
use okta::{Bucket, Governor, OktaClient, Settings, Transport};
use okta_sim::{NewPerson, Options};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_over_1201_people_takes_three_pages_and_three_calls_more() {
    let sim = org(Options::with_people(1201, 7)).await;
    let okta = client(&sim);
    let source = app(&sim);
    let organisation = okta.organisation(&source).await.unwrap();
    assert!(organisation.id.starts_with("00o"));
    assert_eq!(organisation.app.as_ref().unwrap().sign_on_mode, "SAML_2_0");
    assert_eq!(organisation.app.unwrap().status, "ACTIVE");
    assert_eq!(organisation.scopes, ["okta.apps.read", "okta.users.read"]);
    assert_eq!(organisation.warnings, Vec::<String>::new());
    assert!(!organisation.dpop);

    let reading = read(&okta, &source).await;
    assert!(reading.complete && reading.failure.is_none(), "{:?}", reading.failure);
    assert_eq!((reading.people.len(), reading.pages), (1201, 3));
    let assigned: HashSet<String> = sim.org().assigned(&sim.ready().app_id).unwrap().into_iter().collect();
    assert_eq!(reading.ids(), assigned.iter().map(String::as_str).collect());
    for person in &reading.people {
        assert_eq!(person.status, PersonStatus::Active);
        assert_eq!(person.assignment, Some(AssignmentStatus::Active));
        assert!(person.user_name.is_some() && person.profile.contains_key("login"));
    }
    assert_eq!(okta.calls(), 6);
    let counters = sim.org().counters();
    assert_eq!(counters.total, 6, "{:?}", counters.requests);
    assert_eq!(counters.of("GET", "/api/v1/apps/{id}/users"), 3);
    assert_eq!(counters.of("POST", "/oauth2/v1/token"), 1);
    assert!(counters.user_agents.keys().all(|agent| agent.starts_with("okta-user-sync/")));

    // The second pass needs neither token nor the organisation's description.
    okta.organisation(&source).await.unwrap();
    assert!(read(&okta, &source).await.complete);
    assert_eq!(okta.calls(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_beside_each_other_share_the_token_and_each_counts_its_own_calls() {
    let sim = org(Options::with_people(1201, 7)).await;
    let okta = client(&sim);
    let source = app(&sim);
    let (full, partial) = (okta.counting_anew(), okta.counting_anew());
    full.organisation(&source).await.unwrap();
    let someone = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    let (reading, standing) = tokio::join!(read(&full, &source), partial.person(&source, &someone));
    assert!(reading.complete && matches!(standing, Ok(Standing::Present(_))));
    // The organisation, the token, the app and three pages; and the person, twice.
    assert_eq!((full.calls(), partial.calls(), okta.calls()), (6, 2, 0));

    // Who finds the token refused has it replaced for all.
    sim.org().revoke_tokens();
    assert!(matches!(partial.person(&source, &someone).await, Ok(Standing::Present(_))));
    assert!(read(&full, &source).await.complete);
    let counters = sim.org().counters();
    assert_eq!((counters.of("POST", "/oauth2/v1/token"), counters.statuses.get(&401)), (2, Some(&1)));
    assert_eq!((full.calls(), partial.calls()), (6 + 3, 2 + 4), "a refusal and a token more");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_different_credentials_go_over_the_same_connections() {
    let sim = org(Options::with_people(3, 7)).await;
    let source = app(&sim);
    let one = settings(&sim);
    let transport = Transport::new(&one.org_url, one.ca_bundle.as_deref(), one.patience.timeout).unwrap();
    let (transport, governor) = (Arc::new(transport), Governor::new());
    for _ in 0..3 {
        // That they trust the organisation is the transport's business alone.
        let settings = Settings { transport: Some(transport.clone()), ca_bundle: None, ..settings(&sim) };
        let okta = OktaClient::new(settings, governor.clone()).unwrap();
        assert!(read(&okta, &source).await.complete);
    }
    let counters = sim.org().counters();
    assert_eq!((counters.of("POST", "/oauth2/v1/token"), counters.total), (3, 6), "each with a token of its own");
}

// http.rs, `get`.
#[tokio::test(flavor = "multi_thread")]
async fn p18_nothing_is_ever_written() {
    let sim = org(Options::with_people(30, 7)).await;
    let group = sim.org().create_group("Night shift").unwrap();
    let okta = client(&sim);
    let someone = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    sim.org().join(&group, &someone).unwrap();
    for source in [app(&sim), PeopleSource::Groups(vec![group.clone()]), PeopleSource::Org] {
        okta.organisation(&source).await.unwrap();
        assert!(read(&okta, &source).await.complete);
        okta.person(&source, &someone).await.unwrap();
    }
    okta.members(&["Night shift".to_owned()]).await.unwrap();
    okta.is_member(&someone, &[group]).await.unwrap();
    let writes = sim.org().writes();
    assert!(writes.iter().all(|write| write.method == "POST" && write.path == "/oauth2/v1/token"), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expand_is_asked_for_on_every_page_whatever_the_next_link_says() {
    for keeps in [false, true] {
        let sim = org(Options::with_people(501, 7)).await;
        sim.org().switch(|switches| switches.next_link_keeps_expand = keeps);
        let reading = read(&client(&sim), &app(&sim)).await;
        assert!(reading.complete, "{:?}", reading.failure);
        assert_eq!(reading.people.len(), 501);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_of_list_is_read_to_its_end() {
    for (people, pages) in [(0, 1), (1, 1), (499, 1), (500, 1), (501, 2), (1000, 2)] {
        let sim = org(Options::with_people(people, 7)).await;
        let reading = read(&client(&sim), &app(&sim)).await;
        assert!(reading.complete, "{people}: {:?}", reading.failure);
        assert_eq!((reading.people.len(), reading.pages), (people, pages));
    }
    let sim = org(Options::with_people(500, 7)).await;
    sim.org().switch(|switches| {
        switches.trailing_empty_page = true;
        switches.fold_links = true;
    });
    let reading = read(&client(&sim), &app(&sim)).await;
    assert!(reading.complete);
    assert_eq!((reading.people.len(), reading.pages), (500, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn awkward_people_are_people() {
    let sim = org(Options { nasty: true, custom_attributes: 20, ..Options::with_people(5, 7) }).await;
    let reading = read(&client(&sim), &app(&sim)).await;
    assert!(reading.complete, "{:?}", reading.failure);
    let assigned = sim.org().assigned(&sim.ready().app_id).unwrap();
    assert_eq!(reading.people.len(), assigned.len());
    assert!(reading.people.iter().any(|person| person.user_name.is_none()));
    assert!(reading.people.iter().any(|person| matches!(person.status, PersonStatus::Other(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_that_of_the_person_and_not_of_the_assignment() {
    let sim = org(Options::with_people(3, 7)).await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    sim.org().suspend(&ids[0]).unwrap();
    sim.org().switch(|switches| switches.deactivation_millis = 3_600_000);
    sim.org().deactivate(&ids[1]).unwrap();
    let reading = read(&client(&sim), &app(&sim)).await;
    let of = |id: &str| reading.people.iter().find(|person| person.id == id).unwrap();
    assert_eq!(of(&ids[0]).status, PersonStatus::Suspended);
    assert_eq!(of(&ids[0]).assignment, Some(AssignmentStatus::Active));
    assert_eq!(of(&ids[1]).becoming, Some(PersonStatus::Deprovisioned));
}

// client.rs, `standing_in_app`.
#[tokio::test(flavor = "multi_thread")]
async fn p03_who_comes_or_goes_between_two_pages_is_told_apart_by_id() {
    let sim = org(Options::with_people(8, 7)).await;
    sim.org().switch(|switches| switches.page_entries = 2);
    let (source, okta, saml) = (app(&sim), client(&sim), sim.ready().app_id);
    let ids = sim.org().assigned(&saml).unwrap();
    let mut pages = okta.people(&source);
    let mut listed: HashSet<String> = HashSet::new();
    let first = futures::StreamExt::next(&mut pages).await.unwrap().unwrap();
    listed.extend(first.items.into_iter().map(|person| person.id));
    // The second page is on its way while the first one is in hand: it shows who was there when it was asked for.
    until("the second page to be asked for", || lists(&sim) == 2).await;
    // Two who were listed, two who would have been; and one of these comes back behind the reader.
    for id in [&ids[0], &ids[2], &ids[4], &ids[7]] {
        sim.org().unassign(&saml, id).unwrap();
    }
    sim.org().assign(&saml, &ids[0], None).unwrap();
    while let Some(page) = futures::StreamExt::next(&mut pages).await {
        listed.extend(page.unwrap().items.into_iter().map(|person| person.id));
    }
    assert_eq!(listed, [0, 1, 2, 3, 5, 6].map(|at: usize| ids[at].clone()).into());
    for (at, there) in [(0, true), (2, false), (4, false), (7, false)] {
        let standing = okta.person(&source, &ids[at]).await.unwrap();
        assert_eq!(matches!(standing, Standing::Present(_)), there, "{standing:?}");
    }
}

// client.rs, `standing_in_app`.
#[tokio::test(flavor = "multi_thread")]
async fn p03_absence_from_an_app_is_told_apart_by_id() {
    let sim = org(Options::with_people(4, 7)).await;
    let (source, okta) = (app(&sim), client(&sim));
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    sim.org().unassign(&sim.ready().app_id, &ids[1]).unwrap();
    sim.org().deactivate(&ids[2]).unwrap();
    sim.org().deactivate(&ids[3]).unwrap();
    sim.org().delete_user(&ids[3]).unwrap();

    let Standing::Present(person) = okta.person(&source, &ids[0]).await.unwrap() else { panic!("not there") };
    assert_eq!(person.id, ids[0]);
    assert!(person.user_name.is_some());
    let standing = okta.person(&source, &ids[1]).await.unwrap();
    assert_eq!(standing, Standing::NotInSource(PersonStatus::Active));
    let standing = okta.person(&source, &ids[2]).await.unwrap();
    assert_eq!(standing, Standing::NotInSource(PersonStatus::Deprovisioned));
    assert_eq!(okta.person(&source, &ids[3]).await.unwrap(), Standing::Gone);
    let failure = okta.person(&source, "../../groups").await.unwrap_err();
    assert_eq!((failure.class, failure.reason), (Class::Configuration, "IdInvalid"));
}

// client.rs, `standing_in_app`: the app is asked for before a missing assignment is believed.
#[tokio::test(flavor = "multi_thread")]
async fn p03_an_app_that_is_gone_makes_nobody_a_leaver() {
    let sim = org(Options::with_people(2, 7)).await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let okta = client(&sim);
    let other = PeopleSource::App("0oaNoSuchApp00000000".to_owned());
    let failure = okta.person(&other, &ids[0]).await.unwrap_err();
    assert_eq!(failure.reason, "AppNotFound");
    // Okta's words name nothing: the app is asked for.
    sim.org()
        .fault_json(&json!({"path": "/api/v1/apps/*/users/*", "kind": {"status": {"status": 404,
            "body": "{\"errorCode\":\"E0000007\",\"errorSummary\":\"Not found\"}"}}}))
        .unwrap();
    let standing = okta.person(&app(&sim), &ids[0]).await.unwrap();
    assert_eq!(standing, Standing::NotInSource(PersonStatus::Active));
    assert!(okta.person(&other, &ids[0]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_groups_come_once_by_id_or_by_name() {
    let sim = org(Options::with_people(450, 7)).await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let (one, two) = (sim.org().create_group("One \"a\\b\"").unwrap(), sim.org().create_group("Two").unwrap());
    for id in &ids[..410] {
        sim.org().join(&one, id).unwrap();
    }
    for id in &ids[400..430] {
        sim.org().join(&two, id).unwrap();
    }
    sim.org().deactivate(&ids[429]).unwrap();
    let okta = client(&sim);
    let source = PeopleSource::Groups(vec!["One \"a\\b\"".to_owned(), two.clone(), "Two".to_owned()]);
    okta.organisation(&source).await.unwrap();
    let reading = read(&okta, &source).await;
    assert!(reading.complete, "{:?}", reading.failure);
    assert_eq!((reading.people.len(), reading.ids().len(), reading.pages), (430, 430, 4));
    assert!(reading.people.iter().all(|person| person.assignment.is_none() && person.user_name.is_some()));

    // Groups keep who is deactivated.
    let Standing::Present(person) = okta.person(&source, &ids[429]).await.unwrap() else { panic!("not there") };
    assert_eq!(person.status, PersonStatus::Deprovisioned);
    let standing = okta.person(&source, &ids[440]).await.unwrap();
    assert_eq!(standing, Standing::NotInSource(PersonStatus::Active));
    assert_eq!(okta.person(&source, "00uNobodyOfThatId0d7").await.unwrap(), Standing::Gone);

    assert_eq!(okta.members(&["Two".to_owned()]).await.unwrap().len(), 30);
    assert_eq!(okta.members(&[one.clone(), two.clone()]).await.unwrap().len(), 430);
    assert!(okta.is_member(&ids[0], &["Two".to_owned(), one]).await.unwrap());
    assert!(!okta.is_member(&ids[0], &["two".to_owned(), two]).await.unwrap());

    for (named, reason) in [
        (vec!["Three".to_owned()], "GroupNotFound"),
        (vec!["00gNoSuchGroup000000".to_owned()], "NotFound"),
        (vec![], "NoGroups"),
    ] {
        let failure = read(&okta, &PeopleSource::Groups(named.clone())).await.failure.unwrap();
        assert_eq!(failure.reason, reason, "{failure}");
        assert_eq!(failure.class, Class::Configuration);
        assert_eq!(okta.members(&named).await.unwrap_err().reason, reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_read_from_the_organisation_itself() {
    let sim = org(Options::with_people(250, 7)).await;
    let ids = sim.org().assigned(&sim.ready().app_id).unwrap();
    let profile = json!({"login": "new@example.com", "email": "new@example.com", "firstName": "N", "lastName": "W"});
    sim.org().create_user(&profile, &NewPerson::default()).unwrap();
    sim.org().deactivate(&ids[0]).unwrap();
    let okta = client(&sim);
    let organisation = okta.organisation(&PeopleSource::Org).await.unwrap();
    assert_eq!((organisation.app, organisation.scopes), (None, vec!["okta.users.read".to_owned()]));
    let reading = read(&okta, &PeopleSource::Org).await;
    assert!(reading.complete, "{:?}", reading.failure);
    assert_eq!((reading.people.len(), reading.pages), (250, 2));
    assert!(reading.people.iter().any(|person| person.user_name.as_deref() == Some("new@example.com")));
    let standing = okta.person(&PeopleSource::Org, &ids[0]).await.unwrap();
    assert_eq!(standing, Standing::NotInSource(PersonStatus::Deprovisioned));
    assert!(matches!(okta.person(&PeopleSource::Org, &ids[1]).await.unwrap(), Standing::Present(_)));
}

// governor.rs, `admit`: one `Governor` for all.
#[tokio::test(flavor = "multi_thread")]
async fn p14_clients_on_one_organisation_share_its_budget() {
    let sim = org(Options::with_people(20, 7)).await;
    assert!(sim.org().rate_limit("/api/v1/apps", 20));
    let governor = Governor::new();
    let mut settings = settings(&sim);
    settings.budget_percent = 20;
    settings.patience.longest_wait = std::time::Duration::from_secs(1);
    let clients: Vec<OktaClient> =
        (0..3).map(|_| OktaClient::new(settings.clone(), governor.clone()).unwrap()).collect();
    let mut read_lists = 0;
    for okta in clients.iter().cycle().take(9) {
        let reading = read(okta, &app(&sim)).await;
        match reading.failure {
            None => read_lists += 1,
            Some(failure) => {
                assert_eq!((failure.class, failure.reason), (Class::Budget, "BudgetUsedUp"), "{failure}");
            }
        }
    }
    assert_eq!(read_lists, 3, "a fifth of 20, less one call that lists leave to people");
    assert_eq!(sim.org().counters().of("GET", "/api/v1/apps/{id}/users"), 3);
    // Somebody may have left: that is asked at once, although the next page has to wait.
    let person = sim.org().assigned(&sim.ready().app_id).unwrap().remove(0);
    let standing = clients[0].person(&app(&sim), &person).await.unwrap();
    assert!(matches!(standing, Standing::Present(found) if found.id == person));
    assert_eq!(clients[1].person(&app(&sim), &person).await.unwrap_err().reason, "BudgetUsedUp");
    let view = governor.view();
    let apps = view.iter().find(|view| view.bucket == Bucket::Apps).unwrap();
    assert_eq!((apps.limit, apps.remaining, apps.used, apps.refusals), (Some(20), Some(16), 4, 0));
}
