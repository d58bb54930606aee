//! The picture of the dashboard in docs/operations.md: what the operator's own metrics looked like over five minutes in which
//! something happened, drawn from the chart's dashboard by Prometheus's own query engine. `UPDATE=1 cargo test -p suites
//! --test dashboard` lives through them again and draws it anew; look at it before you commit it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use api::OktaUserSync;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use suites::{Board, House, Promtool, Recording, Scrape, chart::repository};
use teleport_sim::Fault;
use tokio_util::sync::CancellationToken;

/// Between two scrapes.
const SCRAPES: Duration = Duration::from_secs(2);

/// Between two things that happen: enough scrapes that each can be told from the next.
const PACE: Duration = Duration::from_secs(20);

/// Panels that this story leaves empty: only a key that the operator made has an age.
const EMPTY: [&str; 1] = ["Age of Okta keys"];

fn board() -> Board {
    let file = repository().join("charts/okta-user-sync/files/dashboards/okta-user-sync.json");
    Board::read(&fs::read_to_string(file).unwrap())
}

fn picture() -> PathBuf {
    repository().join("docs/images/dashboard.svg")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_shows_every_panel_of_the_dashboard_as_it_is_now() {
    let board = board();
    if std::env::var_os("UPDATE").is_some() {
        let promtool = Promtool::provide().await.unwrap();
        let step = i64::try_from(SCRAPES.as_millis()).unwrap();
        fs::write(picture(), board.draw(&promtool, &recorded().await, step)).unwrap();
    }
    let drawn = fs::read_to_string(picture()).unwrap();
    let redraw = "draw it anew: UPDATE=1 cargo test -p suites --test dashboard";
    assert!(drawn.contains(&format!("<desc>dashboard {}</desc>", board.digest())), "it shows another one; {redraw}");
    for (at, panel) in board.panels.iter().enumerate() {
        let title = format!("{}</text>", panel.title);
        let (_, rest) = drawn.split_once(&title).unwrap_or_else(|| panic!("{} is not in the picture", panel.title));
        let next = board.panels.get(at + 1).map_or("</svg>", |next| next.title.as_str());
        let empty = rest.split(next).next().unwrap().contains("No data");
        assert_eq!(empty, EMPTY.contains(&panel.title.as_str()), "{}; {redraw}", panel.title);
    }
}

/// Scrapes an operator while the story goes on.
async fn recorded() -> Recording {
    let mut house = House::with_people(120).await;
    let (url, done) = (format!("{}/metrics", house.url), CancellationToken::new());
    let scraping = tokio::spawn({
        let done = done.clone();
        async move {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut recording = Recording::default();
            let mut clock = tokio::time::interval(SCRAPES);
            while !done.is_cancelled() {
                clock.tick().await;
                let asked = client.get(&url).header("accept", "application/openmetrics-text; version=1.0.0");
                let text = asked.send().await.unwrap().text().await.unwrap();
                recording.add(jiff::Timestamp::now().as_millisecond(), &Scrape::read(&text));
            }
            recording
        }
    });
    happen(&mut house).await;
    done.cancel();
    scraping.await.unwrap()
}

/// Waits until the next thing is due. A picture over time needs time; nothing is awaited by this.
struct Pace(Instant);

impl Pace {
    async fn next(&mut self) {
        self.0 += PACE;
        tokio::time::sleep_until(self.0.into()).await;
    }
}

/// A morning of an organisation, in minutes.
async fn happen(house: &mut House) {
    let app = house.okta.ready().app_id;
    let people = house.okta.org().assigned(&app).unwrap();
    let mut pace = Pace(Instant::now());
    house.put_secrets().await;
    let mut spec = house.spec();
    spec["removal"] = json!({ "brake": { "maxUsers": 5, "maxPercent": 10 } });
    house.change(&spec).await;
    house.until_ready().await;
    house.until("the System Log to be read", |r| r["status"]["fastPath"]["state"] == "Active").await;
    pace.next().await;
    // Titles change, one after the other; the fast path and the passes both see them.
    for (title, id) in ["Captain", "Pilot", "Cook"].iter().zip(&people[10..]) {
        house.okta.org().update_profile(id, &json!({ "title": title })).unwrap();
    }
    house.pass().await;
    pace.next().await;
    for id in &people[20..23] {
        house.okta.org().suspend(id).unwrap();
    }
    pace.next().await;
    house.okta.org().deactivate(&people[0]).unwrap();
    pace.next().await;
    house.okta.org().unsuspend(&people[20]).unwrap();
    house.okta.org().deactivate(&people[1]).unwrap();
    house.pass().await;
    pace.next().await;
    // Teleport has a bad minute.
    house.teleport.fault(Fault::refuse("UpdateUser", tonic::Code::Unavailable));
    house.okta.org().update_profile(&people[30], &json!({ "title": "Lookout" })).unwrap();
    house.request().await;
    pace.next().await;
    pace.next().await;
    house.teleport.clear_faults();
    house.ask_until("Teleport to be well again", |r| suites::condition(r, "Ready")["status"] == "True").await;
    pace.next().await;
    // Somebody puts a wrong key into the Secret.
    house.put_secret("okta-key", "no key").await;
    house.until("the key to be refused", |r| suites::condition(r, "Ready")["reason"] == "KeyUnreadable").await;
    house.pass().await;
    pace.next().await;
    house.put_secrets().await;
    house.until_ready().await;
    pace.next().await;
    // Somebody empties a group in Okta: the brake holds.
    for id in &people[60..84] {
        house.okta.org().unassign(&app, id).unwrap();
    }
    let held = house.ask_until("the brake to hold", |r| r["status"]["pendingPlan"].is_object()).await;
    pace.next().await;
    pace.next().await;
    approve(house, &held).await;
    house.until("the plan to be carried out", |r| r["status"]["pendingPlan"].is_null()).await;
    pace.next().await;
    for id in &people[60..66] {
        house.okta.org().assign(&app, id, None).unwrap();
    }
    house.pass().await;
    for _ in 0..3 {
        pace.next().await;
        house.pass().await;
    }
}

async fn approve(house: &House, held: &Value) {
    let hash = &held["status"]["pendingPlan"]["hash"];
    let patch = json!({ "metadata": { "annotations": { "usersync.dev/approve-plan": hash } } });
    let name = held["metadata"]["name"].as_str().unwrap();
    house.api::<OktaUserSync>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}
