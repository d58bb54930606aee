//! One connection's worth of calls: deadline, bounded concurrency, counters, and retries of what only reads.
//!
//! A [`Line`] is what may be shared, a [`Link`] what a client has of its own: the line that it goes over, and the count of its calls.

use std::{
    collections::BTreeMap,
    error::Error as _,
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicI32},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable as _};
use http::Uri;
use hyper_util::rt::TokioIo;
use teleport_proto::{
    auth::auth_service_client::AuthServiceClient, names, users::users_service_client::UsersServiceClient,
};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;
use tracing::{Instrument as _, field};

use crate::{
    address::Address,
    answer::CallError,
    call::{Call, CallCount},
    client::Settings,
    dial::{Dialer, Way},
    error::TeleportError,
    identity::Identity,
    idle::UntilIdle,
    pace::Pace,
    party::Party,
    route::Route,
    shelf::Shelf,
    users::{LARGEST_PAGE, Slashed},
    web::WebTrust,
};

/// A page of users may be larger than the 4 MiB that gRPC clients take by custom: the server does not mind sending more.
const LARGEST_ANSWER: usize = 64 << 20;

/// Servers close connections that are pinged more often than once a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const _: () = assert!(KEEP_ALIVE.as_secs() > 60, "more often than once a minute");

/// How long a connection is kept unused, unless it is set otherwise. No answer takes that long.
pub(crate) const IDLE: Duration = Duration::from_secs(90);

/// How long a ping may stay unanswered.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The clients of the services that we speak.
#[derive(Clone)]
pub(crate) struct Stubs {
    pub(crate) users: UsersServiceClient<Channel>,
    pub(crate) auth: AuthServiceClient<Channel>,
}

/// A channel and what stands behind it. Replaced as a whole when the identity changes or the connection hangs.
struct Channelled {
    stubs: Stubs,
    dialer: Arc<Dialer>,
    identity: Identity,
}

/// A connection to a cluster under one identity, and how it is used; clients may share it. Made when the first call needs it,
/// and ended when none does for a while.
pub struct Line {
    route: Route,
    way: Way,
    manner: Manner,
    current: RwLock<Arc<Channelled>>,
    /// Calls at once.
    permits: Semaphore,
    /// Of them those that make, change or delete users: however many passes write, there is room for a lock.
    mass: Semaphore,
    /// How many users are asked for at once.
    pub(crate) page_size: AtomicI32,
    pub(crate) slashed: Mutex<Slashed>,
    /// The list of users that was read last.
    pub(crate) shelf: Arc<Shelf>,
}

/// How a line is used.
pub(crate) struct Manner {
    /// So many at once, at most.
    pub(crate) calls: usize,
    /// Of them those that make, change or delete users, at most.
    pub(crate) mass: usize,
    /// Longest wait for one answer.
    pub(crate) deadline: Duration,
    /// Longest time that a connection is kept unused.
    pub(crate) idle: Duration,
    /// Longest wait for stored locks to be enforced.
    pub(crate) lock_wait: Duration,
    /// How fast users are made and changed.
    pub(crate) pace: Arc<Pace>,
}

/// The link to one cluster: the line that it goes over now, and its own count of calls.
pub(crate) struct Link {
    line: Arc<RwLock<Arc<Line>>>,
    counts: Mutex<BTreeMap<(Call, &'static str), u64>>,
}

/// A channel over connections of `dialer`, made when they are needed, and ended when nothing went over them for `idle`.
pub(crate) fn channel(dialer: &Arc<Dialer>, idle: Duration) -> Channel {
    let dialer = Arc::clone(dialer);
    // The scheme is http because TLS is the dialer's business; the host only becomes the `:authority` of requests.
    Endpoint::from_static("http://teleport.cluster.local")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(false)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .connect_with_connector_lazy(service_fn(move |_: Uri| {
            let dialer = Arc::clone(&dialer);
            async move { dialer.dial().await.map(|stream| TokioIo::new(UntilIdle::new(stream, idle))) }
        }))
}

impl Channelled {
    fn new(route: &Route, way: Way, identity: Identity, idle: Duration) -> Result<Self, TeleportError> {
        let party = Party::Known(Box::new(identity.clone()));
        let dialer = Arc::new(Dialer::new(route.clone(), way, party, names::ALPN_H2)?);
        let channel = channel(&dialer, idle);
        let stubs = Stubs {
            users: UsersServiceClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER),
            auth: AuthServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER),
        };
        Ok(Self { stubs, dialer, identity })
    }
}

impl Line {
    /// A line. Nothing is dialled before the first call; must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be read, or an identity that fits no TLS connection.
    pub fn connect(settings: Settings) -> Result<Self, TeleportError> {
        let route = Route {
            address: Address::parse(&settings.address)?,
            http_proxy: settings.http_proxy,
            web: WebTrust::with(settings.web_authorities.as_deref()),
        };
        let manner = Manner {
            calls: settings.concurrency,
            mass: settings.writes_at_once,
            deadline: settings.deadline,
            idle: settings.idle,
            lock_wait: settings.lock_wait,
            pace: settings.pace.unwrap_or_else(|| Arc::new(Pace::new(settings.write_rate))),
        };
        Self::new(route, settings.way, settings.identity, manner)
    }

    pub(crate) fn new(route: Route, way: Way, identity: Identity, manner: Manner) -> Result<Self, TeleportError> {
        let current = RwLock::new(Arc::new(Channelled::new(&route, way, identity, manner.idle)?));
        let semaphore = |calls: usize| Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS));
        let (permits, mass) = (semaphore(manner.calls), semaphore(manner.mass));
        let (page_size, slashed, shelf) = (AtomicI32::new(LARGEST_PAGE), Mutex::default(), Arc::default());
        Ok(Self { route, way, manner, current, permits, mass, page_size, slashed, shelf })
    }

    /// The identity in use.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.current().identity.clone()
    }

    /// Goes on under a renewed identity, for all who share the line. Calls under way end with the old one. Answers whether it
    /// was not in use already.
    ///
    /// # Errors
    /// An identity that fits no TLS connection.
    pub fn renew(&self, identity: Identity) -> Result<bool, TeleportError> {
        let new = !self.current().identity.is(&identity);
        if new {
            self.replace(self.channelled(identity)?);
        }
        Ok(new)
    }

    fn current(&self) -> Arc<Channelled> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, channelled: Channelled) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(channelled);
    }

    fn channelled(&self, identity: Identity) -> Result<Channelled, TeleportError> {
        Channelled::new(&self.route, self.way, identity, self.manner.idle)
    }

    /// A new channel in place of `old`, unless somebody was faster.
    fn redial(&self, old: &Arc<Channelled>) {
        if !Arc::ptr_eq(old, &self.current()) {
            return;
        }
        match self.channelled(old.identity.clone()) {
            Ok(channelled) => self.replace(channelled),
            Err(error) => tracing::warn!(%error, "no new connection"),
        }
    }

    /// Leave to make this call. Mass writes stand in a queue of their own first, so that they never take all there is.
    async fn leave(&self, call: Call) -> Result<[Option<SemaphorePermit<'_>>; 2], AcquireError> {
        let mass = if call.is_mass() { Some(self.mass.acquire().await?) } else { None };
        Ok([mass, Some(self.permits.acquire().await?)])
    }
}

impl Link {
    /// A link over that line.
    pub(crate) fn over(line: Arc<Line>) -> Self {
        Self { line: Arc::new(RwLock::new(line)), counts: Mutex::default() }
    }

    /// The same link, whose calls are counted from nothing: where the one goes, the other goes too.
    pub(crate) fn counting_anew(&self) -> Self {
        Self { line: self.line.clone(), counts: Mutex::default() }
    }

    /// Goes on over that line. Calls under way end on the one that they began on.
    pub(crate) fn follow(&self, line: Arc<Line>) {
        *self.line.write().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// The line in use.
    pub(crate) fn line(&self) -> Arc<Line> {
        self.line.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn identity(&self) -> Identity {
        self.line().identity()
    }

    /// How users are written.
    pub(crate) fn pace(&self) -> Arc<Pace> {
        self.line().manner.pace.clone()
    }

    /// Longest wait for stored locks to be enforced.
    pub(crate) fn lock_wait(&self) -> Duration {
        self.line().manner.lock_wait
    }

    /// Writes of users at once, at most.
    pub(crate) fn writes_at_once(&self) -> usize {
        self.line().manner.mass
    }

    /// Where the cluster is.
    pub(crate) fn route(&self) -> Route {
        self.line().route.clone()
    }

    /// The way that worked last.
    pub(crate) fn way(&self) -> Option<Way> {
        self.line().current().dialer.way()
    }

    /// How often each method was called, by code.
    pub(crate) fn counts(&self) -> Vec<CallCount> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((call, code), count)| CallCount { call: *call, code, count: *count }).collect()
    }

    /// Calls once.
    pub(crate) async fn once<T, F>(&self, call: Call, send: impl FnOnce(Stubs) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let line = self.line();
        let _leave = line
            .leave(call)
            .await
            .map_err(|error| CallError::Way(TeleportError::Unsendable { call, detail: error.to_string() }))?;
        let channelled = line.current();
        let span = tracing::debug_span!(
            target: "call",
            "teleport",
            otel.name = call.method(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system = "grpc",
            rpc.method = call.method(),
            rpc.grpc.status = field::Empty,
        );
        let within = tokio::time::timeout(line.manner.deadline, send(channelled.stubs.clone()));
        let answer = within.instrument(span.clone()).await;
        let outcome = match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(read_status(call, &channelled.dialer, &status)),
            Err(_) => {
                // The connection may hang for good; the next call gets a new one.
                line.redial(&channelled);
                Err(CallError::Way(TeleportError::Deadline { call, seconds: line.manner.deadline.as_secs() }))
            }
        };
        let code = code_of(&outcome);
        span.record("rpc.grpc.status", code);
        if outcome.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        self.count(call, code);
        outcome
    }

    /// Calls, and calls again for as long as that can help: for calls that change nothing.
    pub(crate) async fn read<T, F>(&self, call: Call, send: impl Fn(Stubs) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(3)
            .with_jitter();
        (|| self.once(call, &send))
            .retry(patience)
            .when(CallError::retry)
            .notify(|error, delay| tracing::debug!(method = call.method(), ?error, ?delay, "read again"))
            .await
    }

    fn count(&self, call: Call, code: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry((call, code)).or_default() += 1;
    }
}

/// Tells an answer of the server from the want of one. The code alone does not: a connection that is refused, cut or rejected by a TLS alert shows as
/// UNAVAILABLE, UNKNOWN or CANCELLED, each of which a server also answers.
pub(crate) fn read_status(call: Call, dialer: &Dialer, status: &Status) -> CallError {
    let mut source = status.source();
    if source.is_none() {
        return CallError::Answer(status.code(), status.message().to_owned());
    }
    let mut detail = status.message().to_owned();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<TeleportError>() {
            return CallError::Way(error.clone());
        }
        detail = error.to_string();
        source = error.source();
    }
    match dialer.broken().get() {
        Some(error) => CallError::Way(dialer.explain_tls(&error)),
        None => CallError::Way(TeleportError::ConnectionLost { call, detail }),
    }
}

/// How a call ended, as a metric names it.
fn code_of<T>(outcome: &Result<T, CallError>) -> &'static str {
    match outcome {
        Ok(_) => "Ok",
        Err(CallError::Answer(code, _)) => code_word(*code),
        Err(CallError::Way(_)) => "Unreached",
    }
}

/// The code as a metric names it.
fn code_word(code: tonic::Code) -> &'static str {
    use tonic::Code;

    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
