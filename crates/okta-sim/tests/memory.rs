//! How large an org may be: a million people within 2 GiB. Here a hundred thousand have to fit into a tenth of that; the whole
//! million by
//!
//! ```console
//! PEOPLE=1000000 cargo test -p okta-sim --test memory -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::time::Instant;

use okta_sim::Options;
use reqwest::Method;
use support::{Harness, link};

/// Bytes that one person may take: 2 GiB for a million.
const EACH: u64 = (2 << 30) / 1_000_000;

/// A value of this process's memory, in bytes (Linux).
fn memory(what: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_people_fit_into_two_gibibytes() {
    let people: u64 = std::env::var("PEOPLE").map_or(100_000, |people| people.parse().unwrap());
    let Some(before) = memory("VmRSS:") else {
        return eprintln!("skipped: this system does not tell a process's memory");
    };
    let began = Instant::now();
    let org = Harness::start(Options::with_people(usize::try_from(people).unwrap(), 7)).await;
    let started = began.elapsed();
    assert_eq!(org.sim.org().assigned(&org.ready.app_id).unwrap().len() as u64, people);
    let mut path = format!("/api/v1/apps/{}/users?limit=500&expand=user", org.ready.app_id);
    let (began, pages) = (Instant::now(), 20);
    for _ in 0..pages {
        let answer = org.http.request(Method::GET, org.url(&path));
        let answer = answer.header("Authorization", format!("SSWS {}", org.ready.ssws)).send().await.unwrap();
        let next = link(&answer, "next").expect("there is more");
        assert!(answer.bytes().await.unwrap().len() > 500 * 1000, "a whole page, with its people");
        path = format!("{}&expand=user", next.strip_prefix(&org.ready.org_url).unwrap());
    }
    let page = began.elapsed() / pages;
    let taken = memory("VmHWM:").unwrap() - before;
    eprintln!("{people} people: started in {started:?}, a page of 500 in {page:?}, {} MiB at most", taken >> 20);
    assert!(taken <= people * EACH, "{taken} bytes, {} a person", taken / people);
}
