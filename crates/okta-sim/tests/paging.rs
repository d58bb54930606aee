//! Pages, cursors and links.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests may panic

mod support;

use std::collections::BTreeSet;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{Harness, link, refusal};

/// Follows `next` verbatim and answers the pages.
async fn pages(org: &Harness, path: &str) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    let mut path = path.to_owned();
    loop {
        let answer = org.admin(Method::GET, &path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        let next = link(&answer, "next");
        all.push(answer.json().await.unwrap());
        assert!(all.len() < 100, "endless");
        match next {
            Some(next) => path = next.strip_prefix(&org.ready.org_url).unwrap().to_owned(),
            None => return all,
        }
    }
}

fn lengths(pages: &[Vec<Value>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

fn ids(pages: &[Vec<Value>]) -> BTreeSet<String> {
    pages.iter().flatten().map(|e| e["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_list_pages_through_everybody_once() {
    let org = Harness::with_people(1201).await;
    let app = org.ready.app_id.clone();
    let everyone = org.sim.org().group_named("Everyone").unwrap();
    for (path, expected) in [
        (format!("/api/v1/apps/{app}/users?limit=500"), vec![500, 500, 201]),
        (format!("/api/v1/apps/{app}/users?limit=9999"), vec![500, 500, 201]),
        (format!("/api/v1/groups/{everyone}/users"), vec![1000, 201]),
        ("/api/v1/users".to_owned(), vec![200, 200, 200, 200, 200, 200, 1]),
        ("/api/v1/users?limit=201".to_owned(), vec![200, 200, 200, 200, 200, 200, 1]),
    ] {
        let pages = pages(&org, &path).await;
        assert_eq!(lengths(&pages), expected, "{path}");
        assert_eq!(ids(&pages).len(), 1201, "{path}");
    }
    let first = org.read(&format!("/api/v1/apps/{app}/users")).await;
    assert_eq!(first.as_array().unwrap().len(), 50, "the default");
}

#[tokio::test]
async fn pages_may_be_shorter_than_asked_for() {
    let org = Harness::with_people(7).await;
    org.sim.org().switch(|switches| switches.page_entries = 3);
    let path = format!("/api/v1/apps/{}/users?limit=500", org.ready.app_id);
    let pages = pages(&org, &path).await;
    assert_eq!((lengths(&pages), ids(&pages).len()), (vec![3, 3, 1], 7));
    let next = link(&org.admin(Method::GET, &path, None).await, "next").unwrap();
    assert!(next.contains("limit=500"), "{next}");
}

#[tokio::test]
async fn links_are_absolute_and_separate_or_folded_as_switched() {
    let org = Harness::with_people(3).await;
    let path = format!("/api/v1/apps/{}/users?limit=2", org.ready.app_id);
    let lines = |answer: &Response| -> Vec<String> {
        let all = answer.headers().get_all("link");
        all.iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    };
    let apart = lines(&org.admin(Method::GET, &path, None).await);
    assert_eq!(apart.len(), 2);
    assert_eq!(apart[0], format!("<{}{path}>; rel=\"self\"", org.ready.org_url));
    assert!(apart[1].starts_with(&format!("<{}", org.ready.org_url)) && apart[1].ends_with("; rel=\"next\""));
    org.sim.org().switch(|s| s.fold_links = true);
    let folded = lines(&org.admin(Method::GET, &path, None).await);
    assert_eq!(folded.len(), 1);
    assert!(folded[0].contains("rel=\"self\", <"));
}

#[tokio::test]
async fn the_next_link_of_app_users_loses_expand_unless_the_org_is_newer() {
    let org = Harness::with_people(4).await;
    let path = format!("/api/v1/apps/{}/users?limit=2&expand=user", org.ready.app_id);
    let before = pages(&org, &path).await;
    assert!(before[0].iter().all(|e| e["_embedded"]["user"]["id"] == e["id"]));
    assert!(before[1].iter().all(|e| e.get("_embedded").is_none()), "the defect");
    org.sim.org().switch(|s| s.next_link_keeps_expand = true);
    let after = pages(&org, &path).await;
    assert!(after.iter().flatten().all(|e| e["_embedded"]["user"]["id"] == e["id"]));
}

#[tokio::test]
async fn a_full_last_page_may_be_followed_by_an_empty_one() {
    let org = Harness::with_people(4).await;
    let path = format!("/api/v1/apps/{}/users?limit=2", org.ready.app_id);
    assert_eq!(lengths(&pages(&org, &path).await), [2, 2]);
    org.sim.org().switch(|s| s.trailing_empty_page = true);
    assert_eq!(lengths(&pages(&org, &path).await), [2, 2, 0]);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_query_and_its_own_time() {
    let org = Harness::with_people(4).await;
    let app = &org.ready.app_id;
    let answer = org.admin(Method::GET, &format!("/api/v1/apps/{app}/users?limit=2"), None).await;
    let next = link(&answer, "next").unwrap();
    let cursor = next.split("after=").nth(1).unwrap().split('&').next().unwrap();
    let code = async |path: String| refusal(org.admin(Method::GET, &path, None).await).await.1;
    assert_eq!(code(format!("/api/v1/apps/{app}/users?after={cursor}&q=a")).await, "E0000054");
    assert_eq!(code(format!("/api/v1/apps/{app}/users?after=16275000448691")).await, "E0000054");
    assert_eq!(code(format!("/api/v1/users?after={cursor}")).await, "E0000054");
    assert_eq!(code(format!("/api/v1/apps/{app}/users?limit=0")).await, "E0000054");
    assert_eq!(code(format!("/api/v1/apps/{app}/users?limit=many")).await, "E0000054");
    org.sim.org().switch(|s| s.cursor_seconds = 60);
    org.sim.org().clock().advance_millis(61_000);
    assert_eq!(code(format!("/api/v1/apps/{app}/users?limit=2&after={cursor}")).await, "E0000054");
}

#[tokio::test]
async fn somebody_who_leaves_between_pages_shifts_nobody() {
    let org = Harness::with_people(6).await;
    let app = &org.ready.app_id;
    let all = org.sim.org().assigned(app).unwrap();
    let first = org.admin(Method::GET, &format!("/api/v1/apps/{app}/users?limit=3"), None).await;
    let next = link(&first, "next").unwrap();
    org.sim.org().unassign(app, &all[0]).unwrap();
    let rest = org.read(next.strip_prefix(&org.ready.org_url).unwrap()).await;
    let rest: Vec<&str> = rest.as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(rest, all[3..]);
}

#[tokio::test]
async fn lists_can_be_searched_as_far_as_the_vendor_says() {
    let org = Harness::with_people(30).await;
    let ids = org.sim.org().assigned(&org.ready.app_id).unwrap();
    org.sim.org().suspend(&ids[3]).unwrap();
    org.sim.org().deactivate(&ids[4]).unwrap();
    let query = |name: &str, text: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair(name, text);
        format!("/api/v1/users?{}", query.finish())
    };
    let count = async |path: String| org.read(&path).await.as_array().unwrap().len();
    assert_eq!(count("/api/v1/users".into()).await, 29, "the plain list hides the deactivated");
    assert_eq!(count(query("search", r#"status eq "SUSPENDED" or status eq "DEPROVISIONED""#)).await, 2);
    assert_eq!(count(query("filter", r#"status eq "DEPROVISIONED""#)).await, 1);
    assert_eq!(count(query("filter", &format!(r#"id eq "{}""#, ids[0]))).await, 1);
    let login = org.sim.org().user(&ids[0]).unwrap()["profile"]["login"].as_str().unwrap().to_owned();
    assert_eq!(count(query("search", &format!(r#"profile.login eq "{}""#, login.to_uppercase()))).await, 1);
    assert_eq!(count(query("filter", &format!(r#"profile.login eq "{}""#, login.to_uppercase()))).await, 0);
    assert_eq!(
        count(query("search", r#"lastUpdated gt "2023-01-01T00:00:00.000Z" and profile.department pr"#)).await,
        30
    );
    let refused = async |path: String| refusal(org.admin(Method::GET, &path, None).await).await.1;
    assert_eq!(refused(query("search", r#"status ne "ACTIVE""#)).await, "E0000031");
    assert_eq!(refused(query("filter", r#"profile.city eq "x""#)).await, "E0000031");
    let both = format!("{}&filter=id+eq+%22x%22", query("search", "id pr"));
    assert_eq!(refused(both).await, "E0000033");
    let by_name = org.read(&format!("/api/v1/apps/{}/users?q={}", org.ready.app_id, login)).await;
    assert_eq!(by_name.as_array().unwrap().len(), 1);
    let one = org.read(&format!("/api/v1/users/{}", login.to_uppercase())).await;
    assert_eq!(one["id"], json!(ids[0]));
    let short = org.read(&format!("/api/v1/users/{}", login.split('@').next().unwrap())).await;
    assert_eq!(short["id"], json!(ids[0]));
}
