//! The governor with time standing still and moved by the waits themselves.

use http::{HeaderName, HeaderValue};

use super::*;

const LONG: Duration = Duration::from_secs(600);

/// Okta's clock at the start of a test.
const START: i64 = 1_770_030_555;

fn share(percent: u8) -> Share {
    Share { percent, longest: LONG }
}

/// A bucket of Okta's: `limit` calls a minute, answering as Okta does.
struct Okta {
    limit: u32,
    used: u32,
    began: Instant,
    window: u64,
}

impl Okta {
    fn new(limit: u32) -> Self {
        Self { limit, used: 0, began: Instant::now(), window: 0 }
    }

    /// One call: status and headers.
    fn answer(&mut self) -> (StatusCode, HeaderMap) {
        let seconds = self.began.elapsed().as_secs();
        if seconds / 60 > self.window {
            self.window = seconds / 60;
            self.used = 0;
        }
        self.used += 1;
        let now = START + i64::try_from(seconds).unwrap();
        let reset = START + i64::try_from((self.window + 1) * 60).unwrap();
        let headers = headers(&[
            ("date", &Timestamp::from_second(now).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            ("x-rate-limit-limit", &self.limit.to_string()),
            ("x-rate-limit-remaining", &self.limit.saturating_sub(self.used).to_string()),
            ("x-rate-limit-reset", &reset.to_string()),
        ]);
        let status = if self.used > self.limit { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
        (status, headers)
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    map
}

// state.rs, `has_room`: `allowance`.
#[tokio::test(start_paused = true)]
async fn p14_the_share_of_a_bucket_is_never_exceeded() {
    let governor = Governor::new();
    let mut okta = Okta::new(100);
    let began = Instant::now();
    for _ in 0..65 {
        let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
        let (status, headers) = okta.answer();
        assert_eq!(status, StatusCode::OK);
        assert!(okta.used <= 20, "{} calls in one window", okta.used);
        permit.settle(status, &headers);
    }
    // 20 in each of three windows, the rest in the fourth.
    assert!((180..190).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let view = governor.view();
    assert_eq!((view[0].calls, view[0].waits, view[0].refusals), (65, 3, 0));
}

// bucket.rs, `leaves`: a fifth.
#[tokio::test(start_paused = true)]
async fn p14_pages_leave_a_fifth_of_the_share_so_that_a_leaver_does_not_wait_for_a_long_list() {
    let governor = Governor::new();
    let mut okta = Okta::new(100);
    let mut call = async |turn| {
        let began = Instant::now();
        let permit = governor.admit((Bucket::Apps, turn), share(20), &mut Duration::default()).await.unwrap();
        let (status, headers) = okta.answer();
        permit.settle(status, &headers);
        (began.elapsed().as_secs(), okta.used)
    };
    let began = Instant::now();
    for page in 1..=16 {
        assert_eq!(call(Turn::Page).await, (0, page));
    }
    // The list is far from its end, and its next page has to wait, although the share is not used up.
    let (mut waited, second) = (Duration::default(), Duration::from_secs(1));
    let page = governor.admit((Bucket::Apps, Turn::Page), share(20), &mut waited);
    assert!(tokio::time::timeout(second, page).await.is_err(), "a seventeenth page in this window");
    // Four people are asked about in this window all the same, and no more than that.
    for person in 17..=20 {
        assert_eq!(call(Turn::Ahead).await, (0, person));
    }
    assert_eq!(
        (call(Turn::Page).await.1, began.elapsed().as_secs()),
        (1, 61),
        "the next page comes with the next window"
    );
}

// governor.rs, `admit`: one `Bookkeeping` for all.
#[tokio::test(start_paused = true)]
async fn p14_resources_on_one_organisation_share_one_share() {
    let governor = Governor::new();
    let okta = Arc::new(Mutex::new(Okta::new(100)));
    let most = Arc::new(Mutex::new(0));
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (governor, okta, most) = (governor.clone(), okta.clone(), most.clone());
            tokio::spawn(async move {
                for _ in 0..5 {
                    let permit =
                        governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let (status, headers, used) = {
                        let mut okta = okta.lock().unwrap();
                        let (status, headers) = okta.answer();
                        (status, headers, okta.used)
                    };
                    let mut most = most.lock().unwrap();
                    *most = used.max(*most);
                    permit.settle(status, &headers);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(*most.lock().unwrap() <= 20, "{} calls in one window", most.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn others_who_use_up_the_bucket_make_us_wait_for_the_next_window() {
    let governor = Governor::new();
    let mut okta = Okta::new(100);
    okta.used = 95;
    let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(50), &mut Duration::default()).await.unwrap();
    let (status, headers) = okta.answer();
    permit.settle(status, &headers);
    let began = Instant::now();
    let mut waited = Duration::ZERO;
    drop(governor.admit((Bucket::Apps, Turn::Ahead), share(50), &mut waited).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 61);
    assert_eq!(waited.as_secs(), 61);
}

#[tokio::test(start_paused = true)]
async fn a_whole_bucket_may_be_used_by_who_was_given_all_of_it() {
    let governor = Governor::new();
    let mut okta = Okta::new(20);
    let began = Instant::now();
    for _ in 0..20 {
        let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(100), &mut Duration::default()).await.unwrap();
        let (status, headers) = okta.answer();
        permit.settle(status, &headers);
    }
    assert_eq!(began.elapsed().as_secs(), 0);
}

// state.rs, `refused`.
#[tokio::test(start_paused = true)]
async fn p14_after_429_nobody_calls_before_the_reset() {
    let governor = Governor::new();
    let mut okta = Okta::new(100);
    okta.used = 100;
    let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
    let (status, mut headers) = okta.answer();
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    // The refusal counts, whatever the number beside it says.
    headers.insert("x-rate-limit-remaining", HeaderValue::from_static("50"));
    permit.settle(status, &headers);
    let began = Instant::now();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let governor = governor.clone();
            tokio::spawn(async move {
                drop(governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap());
                Instant::now()
            })
        })
        .collect();
    for caller in callers {
        let at = caller.await.unwrap() - began;
        assert!((61..=62).contains(&at.as_secs()), "{at:?}");
    }
    drop(governor.admit((Bucket::Users, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap());
    assert!(began.elapsed().as_secs() <= 62, "another bucket waited as well");
}

#[tokio::test(start_paused = true)]
async fn too_many_simultaneous_calls_back_off_in_seconds_whatever_the_reset_says() {
    let governor = Governor::new();
    let concurrency = headers(&[
        ("date", "Mon, 02 Feb 2026 11:09:15 GMT"),
        ("x-rate-limit-limit", "0"),
        ("x-rate-limit-remaining", "0"),
        ("x-rate-limit-reset", "1770031155"),
    ]);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let began = Instant::now();
        let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
        pauses.push(began.elapsed().as_secs_f64());
        permit.settle(StatusCode::TOO_MANY_REQUESTS, &concurrency);
    }
    for (pause, full) in pauses.iter().zip([0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]) {
        assert!((full / 2.0..=full + 0.01).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_longer_than_it_may() {
    let governor = Governor::new();
    let mut okta = Okta::new(100);
    okta.used = 100;
    let permit = governor.admit((Bucket::Apps, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
    let (status, headers) = okta.answer();
    permit.settle(status, &headers);
    let share = Share { percent: 20, longest: Duration::from_secs(30) };
    let error = governor.admit((Bucket::Apps, Turn::Ahead), share, &mut Duration::default()).await.err().unwrap();
    assert!(matches!(error, OktaError::BudgetUsedUp { bucket: Bucket::Apps, .. }));
    assert_eq!(error.class(), engine::failure::Class::Budget);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_numbers_or_from_a_proxy_is_waited_out_as_well() {
    let governor = Governor::new();
    for (told, range) in [(&headers(&[]), 0.5..=1.0), (&headers(&[("retry-after", "7")]), 7.0..=8.01)] {
        let permit = governor.admit((Bucket::User, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap();
        permit.settle(StatusCode::TOO_MANY_REQUESTS, told);
        let began = Instant::now();
        drop(governor.admit((Bucket::User, Turn::Ahead), share(20), &mut Duration::default()).await.unwrap());
        assert!(range.contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_without_headers_do_not_stop_anything() {
    let governor = Governor::new();
    for _ in 0..500 {
        let permit = governor.admit((Bucket::Free, Turn::Ahead), share(1), &mut Duration::default()).await.unwrap();
        permit.settle(StatusCode::OK, &HeaderMap::new());
    }
    assert_eq!(governor.view()[0].calls, 500);
}
