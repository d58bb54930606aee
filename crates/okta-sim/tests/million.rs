//! How large an org may be. It takes half a minute and more than a gigabyte, so it is run when asked for:
//! `cargo test -p okta-sim --test million -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::time::Instant;

use okta_sim::Options;
use reqwest::Method;
use support::{Harness, link};

/// Most resident memory of this process so far, in bytes (Linux).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute and more than a gigabyte"]
async fn a_million_people_fit_into_two_gibibytes() {
    const PEOPLE: usize = 1_000_000;
    let began = Instant::now();
    let org = Harness::start(Options::with_people(PEOPLE, 7)).await;
    let started = began.elapsed();
    assert_eq!(org.sim.org().assigned(&org.ready.app_id).unwrap().len(), PEOPLE);
    let mut path = format!("/api/v1/apps/{}/users?limit=500&expand=user", org.ready.app_id);
    let (began, pages) = (Instant::now(), 50);
    for _ in 0..pages {
        let answer = org.http.request(Method::GET, org.url(&path));
        let answer = answer.header("Authorization", format!("SSWS {}", org.ready.ssws)).send().await.unwrap();
        let next = link(&answer, "next").expect("there is more");
        assert!(answer.bytes().await.unwrap().len() > 500 * 1000, "a whole page, with its people");
        path = format!("{}&expand=user", next.strip_prefix(&org.ready.org_url).unwrap());
    }
    let page = began.elapsed() / pages;
    let Some(peak) = peak() else { return eprintln!("skipped: this system does not tell a process's memory") };
    eprintln!("started in {started:?}, a page of 500 in {page:?}, {} MiB at most", peak >> 20);
    assert!(peak <= 2 << 30, "{peak} bytes");
}
