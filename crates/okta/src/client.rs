//! The client: one organisation, one credential, read only.

use std::{collections::HashSet, sync::Arc, time::Duration};

use engine::{
    directory::{App, Directory, Organisation, Page, Pages, PeopleSource, Standing},
    failure::Failure,
    feed::{Cursor, Feed, News, Watch},
    person::{Person, PersonStatus},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use tokio::sync::OnceCell;

use crate::{
    dpop::Dpop,
    error::OktaError,
    feed,
    governor::{BucketView, Governor},
    groups,
    http::{Http, Target, Transport},
    key::PrivateKey,
    org_url::OrgUrl,
    organisation,
    pager::List,
    patience::Patience,
    people::{AppUser, Entry, EntryFault, User},
    scope::Scope,
    session::Session,
    token::Tokens,
    wire::Wire,
};

/// Everything that a client has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The organisation.
    pub org_url: OrgUrl,
    /// Client ID of the API Services app (`0oa…`).
    pub client_id: String,
    /// Its private key.
    pub key: PrivateKey,
    /// Whether tokens are bound to a key.
    pub dpop: Dpop,
    /// Share of each of Okta's rate limits that may be used, in percent; taken as 1 to 100.
    pub budget_percent: u8,
    /// Certificate authorities (PEM) that are trusted beside the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// Connections to share with other clients, which settle who is trusted; `None`: connections of its own, by `ca_bundle`.
    pub transport: Option<Arc<Transport>>,
    /// Scopes to ask for from the start, beside those that calls turn out to need: it saves a second token, and it is the
    /// only way to [`Scope::Logs`].
    pub scopes: Vec<Scope>,
    /// How long and how often something is tried again.
    pub patience: Patience,
}

impl Settings {
    /// Settings with the defaults of the resource: DPoP found out by asking, a fifth of each rate limit.
    #[must_use]
    pub fn new(org_url: OrgUrl, client_id: impl Into<String>, key: PrivateKey) -> Self {
        Self {
            org_url,
            client_id: client_id.into(),
            key,
            dpop: Dpop::Auto,
            budget_percent: 20,
            ca_bundle: None,
            transport: None,
            scopes: Vec::new(),
            patience: Patience::default(),
        }
    }
}

/// A reader of one Okta organisation. Has no way to write (P18).
pub struct OktaClient {
    pub(crate) session: Session,
    pub(crate) client_id: String,
    organisation_id: Arc<OnceCell<String>>,
}

impl OktaClient {
    /// A client; nothing is called yet. The process needs a default `rustls` crypto provider, or uses aws-lc-rs.
    pub fn new(settings: Settings, governor: Governor) -> Result<Self, OktaError> {
        let client_id = settings.client_id.trim().to_owned();
        let fits = !client_id.is_empty() && client_id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !fits {
            return Err(OktaError::ClientId(client_id.chars().take(64).collect()));
        }
        let own = || {
            let (org, bundle) = (&settings.org_url, settings.ca_bundle.as_deref());
            Transport::new(org, bundle, settings.patience.timeout).map(Arc::new)
        };
        let transport = settings.transport.map_or_else(own, Ok)?;
        let http = Http::new(settings.org_url, transport);
        let wire = Wire::new(http, governor, settings.budget_percent, settings.patience);
        let tokens = Tokens::new(client_id.clone(), settings.key, settings.dpop, &settings.scopes)?;
        Ok(Self {
            session: Session { wire: Arc::new(wire), tokens: Arc::new(tokens) },
            client_id,
            organisation_id: Arc::default(),
        })
    }

    /// The same client, with the tokens and all that was learned, whose calls are counted from nothing: for one of several
    /// passes that go on beside each other.
    #[must_use]
    pub fn counting_anew(&self) -> Self {
        let (client_id, organisation_id) = (self.client_id.clone(), self.organisation_id.clone());
        Self { session: self.session.counting_anew(), client_id, organisation_id }
    }

    /// Seconds that Okta's clock is ahead of this machine's, as its last answer showed; 0 before the first.
    #[must_use]
    pub fn clock_offset(&self) -> i64 {
        self.session.wire.clock.offset()
    }

    /// What is known of the organisation's rate limits.
    #[must_use]
    pub fn rate_limits(&self) -> Vec<BucketView> {
        self.session.wire.governor().view()
    }

    /// The active SAML apps that may be seen, in Okta's order: for a person to choose from.
    ///
    /// # Errors
    /// The list cannot be read to its end.
    pub async fn saml_apps(&self) -> Result<Vec<App>, Failure> {
        let list = List::new(Target::new(&["api", "v1", "apps"])?, 200, &[], &[Scope::Apps]);
        let app: fn(organisation::AppAnswer) -> Result<App, EntryFault> = |answer| Ok(answer.into_app().0);
        let mut pages = list.pages(&self.session, app, |app: &App| &app.id);
        let mut apps = Vec::new();
        while let Some(page) = pages.try_next().await? {
            apps.extend(page.items.into_iter().filter(|app| app.status == "ACTIVE" && app.sign_on_mode == "SAML_2_0"));
        }
        Ok(apps)
    }

    /// Asks Okta for a token, unless one is at hand: whether the key is accepted. Nothing is read with it, and tokens that
    /// were given for other keys go on.
    pub async fn prove(&self) -> Result<(), Failure> {
        self.session.tokens.current(&self.session.wire, &[], &mut Duration::default()).await?;
        Ok(())
    }

    /// What `organisation` tells, in this crate's own errors.
    async fn describe(&self, source: &PeopleSource) -> Result<Organisation, OktaError> {
        let session = &self.session;
        let id = self.organisation_id.get_or_try_init(|| session.organisation_id()).await?.clone();
        let needs: &[Scope] = match source {
            PeopleSource::App(_) => &[Scope::Apps, Scope::Users],
            PeopleSource::Groups(_) => &[Scope::Groups, Scope::Users],
            PeopleSource::Org => &[Scope::Users],
        };
        let mut warnings = Vec::new();
        let app = if let PeopleSource::App(app) = source {
            let (app, told) = session.app(app, &self.client_id).await?.into_app();
            warnings.extend(told);
            Some(app)
        } else {
            None
        };
        let token = session.tokens.current(&session.wire, needs, &mut Duration::default()).await?;
        warnings.extend(organisation::warnings(&token.scopes, session.wire.clock.offset()));
        Ok(Organisation { id, app, scopes: token.scopes.clone(), dpop: token.bound, warnings })
    }

    /// A user by id; `None` when there is none.
    async fn user(&self, id: &str) -> Result<Option<Person>, OktaError> {
        let target = Target::new(&["api", "v1", "users", id])?;
        match self.session.get::<User>(&target, &[Scope::Users]).await {
            Ok(user) => user.person().map(Some).map_err(|fault| unexpected(&target, &fault)),
            Err(OktaError::Refused(refusal)) if refusal.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a person stands who may be assigned to an app.
    ///
    /// Assignments count in Okta's tightest rate limit, people by id in the roomiest (100 and 2000 a minute). So the person
    /// is asked for first, and whoever is shown as deactivated needs no second question: Okta takes their assignments away. A
    /// person who is not shown proves nothing alone, as the role may hide people; then the assignment decides, as ever.
    async fn standing_in_app(&self, app: &str, id: &str) -> Result<Standing, OktaError> {
        let status = self.user(id).await?.map(|person| person.status);
        if status == Some(PersonStatus::Deprovisioned) {
            return Ok(Standing::NotInSource(PersonStatus::Deprovisioned));
        }
        let target = Target::new(&["api", "v1", "apps", app, "users", id])?.with(&[("expand", "user")]);
        match self.session.get::<AppUser>(&target, &[Scope::Apps, Scope::Users]).await {
            Ok(assigned) => {
                let person = assigned.person().map_err(|fault| unexpected(&target, &fault))?;
                Ok(Standing::Present(Box::new(person)))
            }
            Err(OktaError::Refused(refusal)) if refusal.is_not_found() => {
                // "Not found" is said of the app as well; a hidden app must not make everybody a leaver.
                if !refusal.says(id) || refusal.says(app) {
                    self.session.app(app, &self.client_id).await?;
                }
                Ok(status.map_or(Standing::Gone, Standing::NotInSource))
            }
            Err(error) => Err(error),
        }
    }

    /// Where a person stands who may be in one of these groups.
    async fn standing_in_groups(&self, named: &[String], id: &str) -> Result<Standing, Failure> {
        let Some(person) = self.user(id).await? else { return Ok(Standing::Gone) };
        if self.session.is_in_one_of(id, named).await? {
            return Ok(Standing::Present(Box::new(person)));
        }
        // Absence counts only from groups that exist and may be seen.
        self.session.group_ids(named).await?;
        Ok(Standing::NotInSource(person.status))
    }

    /// Members of several groups, one group after the other; who is in two of them comes once.
    fn people_of_groups<'a>(&'a self, named: &'a [String]) -> Pages<'a, Person> {
        let seen = HashSet::new();
        stream::once(async move { self.session.group_ids(named).await.map_err(Failure::from) })
            .map_ok(move |ids| {
                let last = ids.len() - 1;
                stream::iter(ids.into_iter().enumerate().map(Ok::<_, Failure>)).map_ok(move |(at, id)| {
                    let pages = groups::member_list(&id)
                        .map(|list| list.pages(&self.session, User::person, |person: &Person| &person.id));
                    match pages {
                        Ok(pages) => {
                            pages.map_ok(move |page| Page { last: page.last && at == last, items: page.items }).boxed()
                        }
                        Err(error) => stream::once(async { Err(Failure::from(error)) }).boxed(),
                    }
                })
            })
            .try_flatten()
            .try_flatten()
            .map_ok(dedupe(seen))
            .boxed()
    }
}

/// Drops from each page who came before.
fn dedupe(mut seen: HashSet<String>) -> impl FnMut(Page<Person>) -> Page<Person> {
    move |mut page| {
        page.items.retain(|person| seen.insert(person.id.clone()));
        page
    }
}

fn unexpected(target: &Target, fault: &EntryFault) -> OktaError {
    OktaError::Unexpected { call: format!("GET {}", target.path), cause: fault.to_string() }
}

/// Needs [`Scope::Logs`]. One call a poll unless more than a thousand events wait.
impl Feed for OktaClient {
    type Found = feed::Found;

    async fn read(&self, cursor: &mut Cursor, watches: &[Watch]) -> Result<feed::Found, Failure> {
        feed::read(&self.session, cursor, watches).await
    }

    fn news(&self, found: &feed::Found, watch: &Watch) -> News {
        found.news(watch)
    }

    fn ahead(&self) -> SignedDuration {
        SignedDuration::from_secs(self.clock_offset())
    }
}

impl Directory for OktaClient {
    async fn organisation(&self, source: &PeopleSource) -> Result<Organisation, Failure> {
        Ok(self.describe(source).await?)
    }

    fn people<'a>(&'a self, source: &'a PeopleSource) -> Pages<'a, Person> {
        let list = match source {
            PeopleSource::App(app) => Target::new(&["api", "v1", "apps", app, "users"]).map(|target| {
                List::new(target, 500, &[("expand", "user")], &[Scope::Apps, Scope::Users]).pages(
                    &self.session,
                    AppUser::person,
                    |person: &Person| &person.id,
                )
            }),
            PeopleSource::Org => Target::new(&["api", "v1", "users"]).map(|target| {
                List::new(target, 200, &[], &[Scope::Users])
                    .pages(&self.session, User::person, |person: &Person| &person.id)
            }),
            PeopleSource::Groups(named) => Ok(self.people_of_groups(named)),
        };
        list.unwrap_or_else(|error| stream::once(async { Err(Failure::from(error)) }).boxed())
    }

    async fn person(&self, source: &PeopleSource, id: &str) -> Result<Standing, Failure> {
        match source {
            PeopleSource::App(app) => Ok(self.standing_in_app(app, id).await?),
            PeopleSource::Groups(named) => self.standing_in_groups(named, id).await,
            PeopleSource::Org => Ok(match self.user(id).await? {
                None => Standing::Gone,
                // The list of everybody leaves out who is deactivated.
                Some(person) if person.status == PersonStatus::Deprovisioned => Standing::NotInSource(person.status),
                Some(person) => Standing::Present(Box::new(person)),
            }),
        }
    }

    async fn members(&self, groups: &[String]) -> Result<HashSet<String>, Failure> {
        self.session.member_ids(groups).await
    }

    async fn is_member(&self, id: &str, groups: &[String]) -> Result<bool, Failure> {
        self.session.is_in_one_of(id, groups).await
    }

    fn calls(&self) -> u64 {
        self.session.wire.calls()
    }
}
