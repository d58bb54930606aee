use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const DAY: i64 = 24 * 3600;
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(number: u32) -> Key {
    Key { number, kid: format!("k{number}"), created: at(0) }
}

fn using(number: u32) -> Memory {
    Memory { in_use: Some(format!("k{number}")), accepted: Some(at(0)), ..Memory::default() }
}

fn wish(token: Option<&str>) -> Wish<'_> {
    Wish { token, every: None }
}

/// Published long ago, nothing refused.
const CALM: Sight<'_> = Sight { refused: None, ask_at: Some(Timestamp::UNIX_EPOCH) };

/// Numbers of the Secrets there are, what status remembers, what is asked for and seen, the time, and the step.
type Row<'a> = (&'a str, Vec<u32>, Memory, Wish<'a>, Sight<'a>, i64, Step);

#[test]
fn each_combination_of_secrets_and_status_has_one_answer() {
    let previous = |memory: Memory, number: u32, until: i64| Memory {
        previous: Some((format!("k{number}"), at(until))),
        ..memory
    };
    let never = |number: u32| Memory { accepted: None, ..using(number) };
    let handled = |memory: Memory| Memory { handled: Some("t".into()), ..memory };
    let blind = Sight { ask_at: None, ..CALM };
    let refused = Sight { refused: Some("k2"), ..CALM };
    let aged = Wish { token: None, every: Some(SignedDuration::from_secs(90 * DAY)) };
    let (asked, calm) = (wish(Some("t")), wish(None));
    let (make, remove) = (|n, why| Step::Make(n, why), |kid: &str| Step::Remove(kid.into()));
    let rest = Step::Rest(None);
    #[rustfmt::skip]
    let table: [Row<'_>; 26] = [
        ("nothing yet", vec![], Memory::default(), calm, CALM, 1, make(1, Why::First)),
        ("nothing yet, and a token", vec![], Memory::default(), asked, CALM, 1, make(1, Why::First)),
        ("made, and status was not written", vec![1], Memory::default(), calm, CALM, 1, rest.clone()),
        ("the same, and the token is older than the key", vec![1], Memory::default(), asked, CALM, 1, rest.clone()),
        ("waits for Okta", vec![1], never(1), calm, CALM, 1, rest.clone()),
        ("waits for Okta, and another is asked for", vec![1], never(1), asked, CALM, 1, make(2, Why::Asked)),
        ("in use", vec![1], using(1), calm, CALM, 1, rest.clone()),
        ("the token is new", vec![1], using(1), asked, CALM, 1, make(2, Why::Asked)),
        ("the token was carried out", vec![1], handled(using(1)), asked, CALM, 1, rest.clone()),
        ("young", vec![1], using(1), aged, CALM, 89 * DAY, Step::Rest(Some(at(90 * DAY)))),
        ("old", vec![1], using(1), aged, CALM, 90 * DAY, make(2, Why::Age)),
        ("old, and Okta never had it", vec![1], never(1), aged, CALM, 90 * DAY, rest.clone()),
        ("the next one is not published", vec![1, 2], using(1), asked, blind, 1, rest.clone()),
        ("the next one is published", vec![1, 2], using(1), calm, CALM, 1, Step::Ask("k2".into())),
        ("made by a process that died", vec![1, 2], using(1), aged, CALM, 90 * DAY, Step::Ask("k2".into())),
        ("not asked again at once", vec![1, 2], using(1), calm, Sight { ask_at: Some(at(9)), ..CALM }, 1, Step::Rest(Some(at(9)))),
        ("the former stays a while", vec![1, 2], previous(using(2), 1, 50), calm, CALM, 49, Step::Rest(Some(at(50)))),
        ("and goes then", vec![1, 2], previous(using(2), 1, 50), calm, CALM, 50, remove("k1")),
        ("of no use, whatever was lost", vec![1, 2], using(2), calm, CALM, 1, remove("k1")),
        ("the new one is refused after all", vec![1, 2], previous(using(2), 1, 50), calm, refused, 49, Step::Revert),
        ("refused, and there is no other", vec![2], using(2), calm, refused, 49, rest.clone()),
        ("a third one is asked for", vec![1, 2], previous(using(2), 1, 50), asked, CALM, 49, make(3, Why::Asked)),
        ("the Secret is gone", vec![], using(1), calm, CALM, 1, make(1, Why::Lost)),
        ("the Secret is gone, and the former is there", vec![1], previous(using(2), 1, 50), calm, CALM, 1, make(2, Why::Lost)),
        ("the Secret is gone, and the next one is there", vec![2], using(1), calm, CALM, 1, rest.clone()),
        ("status is lost", vec![1, 2], Memory::default(), calm, CALM, 1, Step::Ask("k2".into())),
    ];
    for (what, keys, memory, wish, sight, now, expected) in table {
        let state = State::new(keys.into_iter().map(key).collect(), memory).settled(wish);
        assert_eq!(state.step(wish, sight, at(now)), expected, "{what}");
    }
}

#[test]
fn a_rotation_from_its_token_to_the_end_of_the_old_key() {
    let asked = wish(Some("t"));
    let state = State::new(vec![key(1)], using(1)).settled(asked);
    assert_eq!(state.step(asked, CALM, at(1)), Step::Make(2, Why::Asked));
    assert_eq!(state.memory().handled, None, "a crash now leaves the token as it was");
    let state = state.with(key(2)).settled(asked);
    assert_eq!((state.in_use(), state.next()), (Some(&key(1)), Some(&key(2))));
    assert_eq!(state.memory().handled.as_deref(), Some("t"));
    let state = state.accepted("k2", at(100), OVERLAP);
    assert_eq!((state.in_use(), state.next(), state.previous()), (Some(&key(2)), None, Some((&key(1), at(100 + DAY)))));
    assert_eq!(state.step(asked, CALM, at(100)), Step::Rest(Some(at(100 + DAY))));
    let back = state.clone().revert(at(200));
    assert_eq!((back.in_use(), back.next(), back.previous()), (Some(&key(1)), Some(&key(2)), None));
    let state = state.removed("k1");
    assert_eq!((state.in_use(), state.previous(), state.surplus()), (Some(&key(2)), None, None));
}

#[test]
fn a_key_that_okta_never_had_leaves_no_former_one() {
    let memory = Memory { accepted: None, ..using(1) };
    let state = State::new(vec![key(1), key(2)], memory).accepted("k2", at(5), OVERLAP);
    assert_eq!((state.in_use(), state.previous()), (Some(&key(2)), None));
    assert_eq!(state.step(wish(None), CALM, at(5)), Step::Remove("k1".into()));
}

/// What can happen to an organisation's keys.
#[derive(Clone, Debug)]
enum Happening {
    /// Time passes, in hours.
    Hours(i64),
    /// Somebody writes another token.
    Token,
    /// Somebody tells Okta of all that status shows, or Okta fetches it.
    OktaLearns,
    /// Somebody removes in Okta whatever status does not show.
    OktaForgets,
    /// Somebody deletes one of the Secrets.
    SecretGone(prop::sample::Index),
    /// The status is lost, as after a restore.
    StatusGone,
    /// The operator looks, and is killed after so many steps before it can write status.
    Killed(usize),
    /// The operator looks.
    Look,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1_i64..60).prop_map(Happening::Hours),
        2 => Just(Happening::Token),
        4 => Just(Happening::OktaLearns),
        1 => Just(Happening::OktaForgets),
        1 => any::<prop::sample::Index>().prop_map(Happening::SecretGone),
        1 => Just(Happening::StatusGone),
        2 => (0_usize..4).prop_map(Happening::Killed),
        8 => Just(Happening::Look),
    ]
}

struct World {
    secrets: Vec<Key>,
    status: Memory,
    /// What status shows, which is what is served.
    shown: BTreeSet<String>,
    /// What Okta accepts.
    okta: BTreeSet<String>,
    refused: Option<String>,
    token: Option<String>,
    every: Option<SignedDuration>,
    now: i64,
    made: u32,
}

impl World {
    fn new(every: Option<i64>) -> Self {
        Self {
            secrets: vec![],
            status: Memory::default(),
            shown: BTreeSet::new(),
            okta: BTreeSet::new(),
            refused: None,
            token: None,
            every: every.map(SignedDuration::from_hours),
            now: 0,
            made: 0,
        }
    }

    fn happens(&mut self, happening: &Happening) {
        match happening {
            Happening::Hours(hours) => self.now += hours * 3600,
            Happening::Token => self.token = Some(format!("token-{}", self.now + i64::from(self.made))),
            Happening::OktaLearns => self.okta.extend(self.shown.iter().cloned()),
            Happening::OktaForgets => self.okta.retain(|kid| self.shown.contains(kid)),
            Happening::SecretGone(which) if !self.secrets.is_empty() => {
                self.secrets.remove(which.index(self.secrets.len()));
            }
            Happening::SecretGone(_) => {}
            Happening::StatusGone => (self.status, self.shown) = (Memory::default(), BTreeSet::new()),
            Happening::Killed(steps) => drop(self.look(*steps)),
            Happening::Look => self.look_whole(),
        }
    }

    /// A look that ends well, and the pass after it. The promise that it keeps: a key that works is never given up for
    /// one that does not.
    fn look_whole(&mut self) {
        let there = |kid: &String| self.secrets.iter().any(|key| key.kid == *kid);
        let worked = self.status.in_use.as_ref().is_some_and(|kid| there(kid) && self.okta.contains(kid));
        let state = self.look(usize::MAX).expect("comes to rest");
        self.status = state.memory().clone();
        let kids = [state.in_use(), state.next(), state.previous().map(|(key, _)| key)];
        self.shown = kids.into_iter().flatten().map(|key| key.kid.clone()).collect();
        let used = self.status.in_use.clone().expect("there is always a key in use");
        assert!(self.secrets.iter().any(|key| key.kid == used), "a key in use without a Secret");
        let works = self.okta.contains(&used);
        assert!(works || !worked, "the key that worked was given up for {used}");
        assert!(self.secrets.len() <= 3, "{:?}", self.secrets);
        assert_eq!(self.status.handled, self.token.clone().or(self.status.handled.clone()), "the token is carried out");
        self.refused = (!works).then_some(used);
        if works && self.status.accepted.is_none() {
            self.status.accepted = Some(at(self.now));
        }
    }

    /// At most so many steps; the state if it came to rest.
    fn look(&mut self, steps: usize) -> Option<State> {
        let (token, refused) = (self.token.clone(), self.refused.take());
        let wish = Wish { token: token.as_deref(), every: self.every };
        let now = at(self.now);
        let mut state = State::new(self.secrets.clone(), self.status.clone());
        let (mut refused, mut asked) = (refused, false);
        for _ in 0..steps.min(8) {
            state = state.settled(wish);
            let published = state.next().filter(|next| self.shown.contains(&next.kid) && !asked);
            let sight = Sight { refused: refused.as_deref(), ask_at: published.map(|_| now) };
            let step = state.step(wish, sight, now);
            match step {
                Step::Rest(_) => return Some(state),
                Step::Make(number, _) => {
                    assert!(state.next().is_none(), "a key too many");
                    assert!(self.secrets.iter().all(|key| key.number != number), "a Secret would be overwritten");
                    self.made += 1;
                    let key = Key { number, kid: format!("k{}", self.made), created: now };
                    self.secrets.push(key.clone());
                    state = state.with(key);
                }
                Step::Ask(kid) => {
                    assert!(self.shown.contains(&kid), "Okta was asked about a key that nobody could know");
                    asked = true;
                    if self.okta.contains(&kid) {
                        state = state.accepted(&kid, now, OVERLAP);
                    }
                }
                Step::Revert => {
                    refused = None;
                    state = state.revert(now);
                }
                Step::Remove(kid) => {
                    assert!(state.in_use().is_some_and(|used| used.kid != kid), "the key in use would be removed");
                    assert!(state.next().is_none_or(|next| next.kid != kid), "the next key would be removed");
                    self.secrets.retain(|key| key.kid != kid);
                    state = state.removed(&kid);
                }
            }
        }
        None
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, crashes between any two writes included: no key is made twice or overwritten, a
    /// key that works is kept until another does, and once things are quiet one key is left, which Okta accepts.
    #[test]
    fn any_history_ends_with_one_key_that_works(
        every in prop::option::of(24_i64..2000),
        history in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = World::new(every);
        for happening in &history {
            world.happens(happening);
        }
        world.every = None;
        for _ in 0..4 {
            world.look_whole();
            world.happens(&Happening::OktaLearns);
            world.happens(&Happening::Hours(25));
        }
        world.look_whole();
        prop_assert_eq!(world.secrets.len(), 1, "{:?}", world.secrets);
        prop_assert!(world.okta.contains(&world.secrets[0].kid));
        prop_assert!(world.status.accepted.is_some() && world.status.previous.is_none());
    }
}
