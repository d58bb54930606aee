use std::sync::Mutex;

use super::*;

const TIMES: Times =
    Times { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_millis(1) };

fn held(holder: &str, renewed: i64) -> Stored {
    Stored {
        record: Record {
            holder: holder.into(),
            seconds: 15,
            renewed: Some(Timestamp::from_second(renewed).unwrap()),
            ..Record::default()
        },
        version: renewed.to_string(),
    }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn times_fit_together_or_are_refused() {
    assert!(Times::default().sound());
    assert!(!Times { renew: Duration::from_secs(15), ..Times::default() }.sound(), "no time to stop in");
    assert!(!Times { retry: Duration::from_secs(10), ..Times::default() }.sound());
    assert!(!Times { lease: Duration::from_millis(15_500), ..Times::default() }.sound(), "a Lease has whole seconds");
}

#[test]
fn a_lease_runs_out_by_our_own_clock_and_not_by_the_time_inside() {
    let (mut seen, start, wall) = (Seen::default(), Instant::now(), Timestamp::from_second(1_000_000).unwrap());
    let mut next = |stored, now| seen.next(Some(stored), "b", &TIMES, now, wall);
    // The holder's clock is far in the past: that proves nothing.
    assert_eq!(next(held("a", 0), start), Move::Wait);
    assert_eq!(next(held("a", 0), after(start, 14)), Move::Wait);
    // Renewed: the wait begins anew.
    assert_eq!(next(held("a", 1), after(start, 15)), Move::Wait);
    assert_eq!(next(held("a", 1), after(start, 29)), Move::Wait);
    let Move::Replace(taken, version) = next(held("a", 1), after(start, 30)) else { panic!("should take over") };
    assert_eq!((taken.holder.as_str(), taken.transitions, version.as_str()), ("b", 1, "1"));
}

#[test]
fn a_lease_that_was_given_back_or_is_our_own_is_taken_at_once() {
    let (mut seen, now, wall) = (Seen::default(), Instant::now(), Timestamp::UNIX_EPOCH);
    assert!(matches!(seen.next(Some(held("", 7)), "b", &TIMES, now, wall), Move::Replace(r, _) if r.transitions == 1));
    let own = seen.next(Some(held("b", 8)), "b", &TIMES, now, wall);
    assert!(matches!(own, Move::Replace(r, _) if r.transitions == 0), "renewing is no change of hands");
    assert!(matches!(seen.next(None, "b", &TIMES, now, wall), Move::Create(_)));
}

// leader.rs, `holds_at`.
#[test]
fn p08_a_claim_ends_before_the_lease_can_pass_to_another() {
    let claim = Claim::none();
    let asked = Instant::now();
    claim.extend(asked + TIMES.renew);
    assert!(claim.holds_at(after(asked, 9)));
    assert!(!claim.holds_at(after(asked, 10)), "others wait for 15 s");
    claim.extend(after(asked, 1000));
    claim.end();
    assert!(!claim.holds());
    assert!(Claim::alone().holds());
}

/// A Lease in memory, shared by the candidates of one test.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Option<Stored>>>);

impl LeaseStore for Memory {
    async fn get(&self) -> Result<Option<Stored>, LeaseError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn create(&self, record: &Record) -> Result<Stored, LeaseError> {
        let mut lease = self.0.lock().unwrap();
        if lease.is_some() {
            return Err(LeaseError::Conflict);
        }
        Ok(lease.insert(Stored { record: record.clone(), version: "1".into() }).clone())
    }

    async fn replace(&self, record: &Record, version: &str) -> Result<Stored, LeaseError> {
        let mut lease = self.0.lock().unwrap();
        let current = lease.as_ref().map(|stored| stored.version.clone()).unwrap_or_default();
        if current != version {
            return Err(LeaseError::Conflict);
        }
        let next = (current.parse::<u64>().unwrap() + 1).to_string();
        Ok(lease.insert(Stored { record: record.clone(), version: next }).clone())
    }
}

#[tokio::test]
async fn one_leads_and_the_next_takes_over_when_it_gives_the_lease_back() {
    let lease = Memory::default();
    let mut first = Election::new(lease.clone(), "a", TIMES);
    let claim = first.acquire().await;
    assert!(claim.holds());
    let mut second = Election::new(lease.clone(), "b", TIMES);
    assert!(!second.attempt(TIMES.renew).await.unwrap());
    assert!(!second.claim.holds());

    let end = CancellationToken::new();
    let keeping = tokio::spawn(first.keep(end.clone()));
    end.cancel();
    assert_eq!(keeping.await.unwrap(), Ended::Released);
    assert!(!claim.holds(), "nothing may be written after the lease was given back");
    assert!(second.acquire().await.holds());
}

#[tokio::test]
async fn a_leader_who_finds_another_in_its_place_has_lost() {
    let lease = Memory::default();
    let mut first = Election::new(lease.clone(), "a", TIMES);
    let claim = first.acquire().await;
    *lease.0.lock().unwrap() = Some(held("b", 99));
    assert_eq!(first.keep(CancellationToken::new()).await, Ended::Lost);
    assert!(!claim.holds());
}

#[tokio::test]
async fn of_two_who_saw_the_same_lease_only_one_takes_it() {
    let lease = Memory(Arc::new(Mutex::new(Some(held("", 5)))));
    let read = lease.get().await.unwrap().unwrap();
    let take = |who: &str| Record { holder: who.into(), ..Record::default() };
    assert!(lease.replace(&take("a"), &read.version).await.is_ok());
    assert!(matches!(lease.replace(&take("b"), &read.version).await, Err(LeaseError::Conflict)));
}
