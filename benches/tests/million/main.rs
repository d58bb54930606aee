//! What cannot run here: an organisation of a million people under Okta's real rate limits. A model says how long a first
//! import and a pass take and how soon a leaver is locked; the simulator with the same limits vouches for the model's
//! arithmetic; and docs/performance.md tells what it says (`UPDATE=1 cargo test -p bench --test million` writes it anew).
#![allow(clippy::unwrap_used)] // tests may panic

mod model;

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use http::{HeaderMap, StatusCode};
use model::{Answers, Arithmetic, Drive, Licence, Rates, forecast};
use okta::{Bucket, Governor};
use okta_sim::{OktaSim, RatePlan};
use tokio::{sync::Mutex, time::Instant};

const PEOPLE: u64 = 1_000_000;

/// Seconds from an event to the lock in force, for all but one leaver in twenty: a poll of 15 s, and five.
const MOST_TO_LOCK: f64 = 20.0;

const BEGIN: &str = "<!-- made by `UPDATE=1 cargo test -p bench --test million`: begin -->\n";
const END: &str = "<!-- made by `UPDATE=1 cargo test -p bench --test million`: end -->\n";

/// Licences, and the share of their limits that the operator may use.
const CASES: [(Licence, u8); 4] =
    [(Licence::Enterprise, 20), (Licence::Workforce, 20), (Licence::Workforce, 50), (Licence::Workforce, 100)];

#[tokio::test(start_paused = true)]
async fn a_million_people_are_read_in_hours_without_a_refusal_and_a_leaver_is_locked_all_the_same() {
    let mut table = String::from(
        "| licence | share of the limits | a pass, minutes | a first import, minutes | event to lock, p50 | p95 | answers 429 |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (licence, percent) in CASES {
        let told = forecast(licence, percent, PEOPLE, Rates::default()).await.unwrap();
        assert!(told.lock_most.as_secs_f64() <= MOST_TO_LOCK, "{licence:?} {percent} %: {told:?}");
        assert_eq!(told.refusals, 0, "{licence:?} {percent} %");
        let minutes = |time: Duration| time.as_secs_f64() / 60.0;
        let (pass, import) = (minutes(told.no_change), minutes(told.first_import));
        let (middle, most) = (told.lock_middle.as_secs_f64(), told.lock_most.as_secs_f64());
        writeln!(
            table,
            "| {licence:?} | {percent} % | {pass:.0} | {import:.0} | {middle:.1} s | {most:.1} s | {} |",
            told.refusals
        )
        .unwrap();
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let page = fs::read_to_string(&file).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (written, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, format!("{head}{BEGIN}\n{table}\n{END}{tail}")).unwrap();
        return;
    }
    assert_eq!(written.trim(), table.trim(), "docs/performance.md tells something else; UPDATE=1 writes it anew");
}

/// The simulator, whose clock goes with the model's. It runs on threads of its own, in real time; while it is asked, the
/// model's time stands still, because tokio's paused clock waits for blocking work.
struct Simulator {
    sim: OktaSim,
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    at: Duration,
}

impl Answers for Simulator {
    async fn answer(&mut self, bucket: Bucket, at: Duration) -> (StatusCode, HeaderMap) {
        let step = at.saturating_sub(self.at);
        self.at += step;
        self.sim.org().clock().advance_millis(i64::try_from(step.as_millis()).unwrap());
        let ready = self.sim.ready();
        let path = match bucket {
            Bucket::Apps => format!("/api/v1/apps/{}/users?limit=500&expand=user", ready.app_id),
            Bucket::App => format!("/api/v1/apps/{}", ready.app_id),
            other => format!("{}?limit=1", other.path()),
        };
        let asked =
            self.client.get(format!("{}{path}", ready.org_url)).header("authorization", format!("SSWS {}", ready.ssws));
        let runtime = self.runtime.clone();
        let answer = tokio::task::spawn_blocking(move || runtime.block_on(asked.send())).await.unwrap().unwrap();
        (answer.status(), answer.headers().clone())
    }
}

#[test]
fn the_simulator_with_real_limits_takes_as_long_as_the_model() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let real = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = real.block_on(OktaSim::start(okta_sim::Options::with_people(3, 7))).unwrap();
    sim.org().rate_plan(RatePlan::Workforce);
    sim.org().clock().freeze(true);
    let authority = reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_merge([authority]).build().unwrap();
    let simulator = Simulator { sim, client, runtime: real.handle().clone(), at: Duration::ZERO };
    let paused = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // Enough pages for several windows; the model counts calls, not people.
    let (people, percent) = (50_000, 20);
    let (modelled, simulated) = paused.block_on(async {
        let arithmetic = Mutex::new(Arithmetic::of(Licence::Workforce));
        let simulator = Mutex::new(simulator);
        let rates = Rates::default();
        let drive = Drive { governor: Governor::new(), percent, began: Instant::now(), answers: &arithmetic };
        let modelled = drive.read_pages(people, &rates).await.unwrap();
        let drive = Drive { governor: Governor::new(), percent, began: Instant::now(), answers: &simulator };
        (modelled, drive.read_pages(people, &rates).await.unwrap())
    });
    eprintln!("{people} people at {percent} %: {modelled:?} by the model, {simulated:?} by the simulator");
    assert!(modelled > Duration::from_secs(240), "100 pages at 16 a minute take six windows");
    // Both say when a window ends in whole seconds, so each window may differ by one.
    assert!(modelled.abs_diff(simulated) <= Duration::from_secs(6), "{modelled:?} {simulated:?}");
}
