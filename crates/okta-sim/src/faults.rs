//! Faults: what can be made to go wrong, where, how often.
//!
//! A fault is a [`Fault`]: a condition (method, path pattern, query text, caller) with a count or a probability, and a
//! [`FaultKind`]. All faults that fit a request act on it, in the order in which they were added.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A fault and the requests that it strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Path pattern; `*` stands for any text, slashes included. Default: every path.
    #[serde(default = "everywhere")]
    pub path: String,
    /// HTTP method; none strikes all.
    #[serde(default)]
    pub method: Option<String>,
    /// Text that the query string must contain, such as `after=` for every page but the first.
    #[serde(default)]
    pub query: Option<String>,
    /// Text that the caller's name must begin with: `client:` spares the SSWS token that drives the org.
    #[serde(default)]
    pub caller: Option<String>,
    /// Fitting requests that are let through first.
    #[serde(default)]
    pub skip: u64,
    /// Requests that are struck before the fault is used up; none strikes for ever.
    #[serde(default)]
    pub count: Option<u64>,
    /// Chance that a fitting request is struck, 0 to 1. Default 1. Drawn from the org's seed.
    #[serde(default = "certain")]
    pub probability: f64,
    /// What goes wrong.
    pub kind: FaultKind,
}

fn everywhere() -> String {
    "*".to_owned()
}

fn certain() -> f64 {
    1.0
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FaultKind {
    /// Another status, with an `E000…` body fitting it, or with the given body.
    Status {
        /// The status.
        status: u16,
        /// The body; none makes an error object.
        #[serde(default)]
        body: Option<String>,
        /// The body's content type; none is `application/json`.
        #[serde(default)]
        content_type: Option<String>,
    },
    /// The connection is closed before an answer.
    DropConnection,
    /// The answer promises its whole length and breaks off after so many bytes.
    TruncateBody {
        /// Bytes sent.
        after: usize,
    },
    /// The answer's JSON ends after so many bytes, with a length that fits.
    CutJson {
        /// Bytes kept.
        after: usize,
    },
    /// A login page instead of JSON.
    Html {
        /// The status.
        #[serde(default = "ok")]
        status: u16,
    },
    /// `Content-Type` says something else.
    WrongContentType {
        /// What it says.
        value: String,
    },
    /// A redirect.
    Redirect {
        /// Where to.
        location: String,
    },
    /// 200 `[]` without a next link.
    EmptyList,
    /// An empty page that still has its next link.
    EmptyPage,
    /// Only the first entries of the list, and no next link: what a narrowed role looks like.
    ShortList {
        /// Entries kept.
        keep: usize,
    },
    /// The next link is lost.
    LoseNext,
    /// The next link points to this very page, for ever.
    NextLoop,
    /// The next link points to another host.
    ForeignNext {
        /// Scheme, host and port, such as `https://evil.example.com`.
        base: String,
    },
    /// Both `link` headers in one.
    FoldLinks,
    /// Whatever page is asked for, the first one comes, with its next link.
    FirstPageAgain,
    /// The page and its successor change places: the list is sorted anew while it is read.
    SwapPages,
    /// The first entry comes again at the end of the page.
    DuplicateEntry,
    /// The page's entries in reverse order.
    Reverse,
    /// `_embedded` is missing on every n-th entry, the first one included.
    MissingEmbedded {
        /// n.
        #[serde(default = "one")]
        every: usize,
    },
    /// `_embedded` is `{}` on every n-th entry.
    EmptyEmbedded {
        /// n.
        #[serde(default = "one")]
        every: usize,
    },
    /// The embedded person's id is not the entry's.
    ForeignEmbedded,
    /// Keys that nobody knows, on every entry.
    ExtraFields,
    /// A status that nobody knows, on every entry and its embedded person.
    UnknownStatus,
    /// Keys whose value is null are left out, at every depth.
    OmitNulls,
    /// White space that makes the body at least so long.
    Padding {
        /// Bytes.
        bytes: usize,
    },
    /// The answer begins late.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
    /// The body arrives in small pieces.
    SlowBody {
        /// Bytes a piece.
        piece: usize,
        /// Milliseconds between pieces.
        millis: u64,
    },
    /// 429 of a rate window: `Remaining` 0, and `Reset` so many seconds ahead.
    RateLimited {
        /// Seconds until the reset.
        #[serde(default = "one_second")]
        reset_in: i64,
        /// Leave out `Date`.
        #[serde(default)]
        without_date: bool,
        /// Leave out the three rate headers.
        #[serde(default)]
        without_headers: bool,
    },
    /// 429 of the concurrency limit: `Limit` and `Remaining` 0, and a `Reset` that means nothing.
    ConcurrencyLimited {
        /// Seconds until the pretended reset.
        #[serde(default = "one_minute")]
        reset_in: i64,
    },
    /// The rate headers claim that so many requests are left.
    Remaining {
        /// `X-Rate-Limit-Remaining`.
        remaining: u64,
        /// Seconds until the reset.
        #[serde(default = "one_minute")]
        reset_in: i64,
    },
    /// No rate headers.
    StripRateHeaders,
    /// Every rate header twice, the second with a smaller value.
    DoubleRateHeaders,
    /// No `Date` header.
    StripDate,
    /// 401 `invalid_token`, although the token is good.
    InvalidToken,
    /// The token that the request carries is revoked, and the request refused.
    RevokeToken,
    /// At the token endpoint: an error of the given kind, such as `invalid_client`.
    OauthError {
        /// HTTP status.
        status: u16,
        /// `error`.
        error: String,
        /// `error_description`.
        description: String,
    },
}

fn ok() -> u16 {
    200
}

fn one() -> usize {
    1
}

fn one_second() -> i64 {
    1
}

fn one_minute() -> i64 {
    60
}

/// A fault on the board.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostedFault {
    /// Number by which it can be taken down.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// Requests that fitted.
    pub seen: u64,
    /// Requests that were struck.
    pub struck: u64,
}

/// All faults in force.
#[derive(Debug)]
pub(crate) struct FaultBoard {
    posted: Vec<PostedFault>,
    next: u64,
    chance: ChaCha8Rng,
    /// Bodies of pages that [`FaultKind::SwapPages`] keeps back, by the list's path.
    pub(crate) withheld: HashMap<String, String>,
}

impl FaultBoard {
    pub fn new(seed: u64) -> Self {
        Self { posted: Vec::new(), next: 0, chance: ChaCha8Rng::seed_from_u64(seed ^ 0xfa17), withheld: HashMap::new() }
    }

    /// Adds a fault and answers its number.
    pub fn post(&mut self, fault: Fault) -> u64 {
        self.next += 1;
        self.posted.push(PostedFault { id: self.next, fault, seen: 0, struck: 0 });
        self.next
    }

    /// Takes one fault down, or all.
    pub fn clear(&mut self, id: Option<u64>) {
        self.withheld.clear();
        self.posted.retain(|posted| id.is_some_and(|id| posted.id != id));
    }

    /// The faults in force, used-up ones included.
    pub fn posted(&self) -> &[PostedFault] {
        &self.posted
    }

    /// The kinds that strike this request.
    pub fn strike(&mut self, method: &str, path: &str, query: &str, caller: &str) -> Vec<FaultKind> {
        let mut kinds = Vec::new();
        for posted in &mut self.posted {
            let fault = &posted.fault;
            let fits = fault.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                && glob(&fault.path, path)
                && fault.query.as_deref().is_none_or(|q| query.contains(q))
                && fault.caller.as_deref().is_none_or(|c| caller.starts_with(c));
            if !fits {
                continue;
            }
            posted.seen += 1;
            let spent = fault.count.is_some_and(|count| posted.struck >= count);
            if posted.seen <= fault.skip || spent {
                continue;
            }
            if fault.probability < 1.0 && !self.chance.random_bool(fault.probability.clamp(0.0, 1.0)) {
                continue;
            }
            posted.struck += 1;
            kinds.push(fault.kind.clone());
        }
        kinds
    }
}

/// Whether a path fits a pattern in which `*` stands for any text.
fn glob(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_paths() {
        assert!(glob("*", "/anything/at/all"));
        assert!(glob("/api/v1/apps/*/users", "/api/v1/apps/0oa1/users"));
        assert!(!glob("/api/v1/apps/*/users", "/api/v1/apps/0oa1/users/00u1"));
        assert!(glob("/api/v1/apps/*/users*", "/api/v1/apps/0oa1/users/00u1"));
        assert!(glob("/exact", "/exact"));
        assert!(!glob("/exact", "/exact/not"));
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says() {
        let mut board = FaultBoard::new(0);
        let fault: Fault =
            serde_json::from_str(r#"{"path":"/a*","skip":1,"count":2,"kind":"dropConnection"}"#).unwrap();
        let id = board.post(fault);
        let struck: Vec<usize> = (0..5).map(|_| board.strike("GET", "/ab", "", "ssws").len()).collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
        assert!(board.strike("GET", "/b", "", "ssws").is_empty());
        board.clear(Some(id));
        assert!(board.posted().is_empty());
    }
}
