//! Lists, page by page, read to the end or not relied on (P1).

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use engine::{
    directory::{Page, Pages},
    failure::Failure,
    hashes::Hashes,
};
use futures::{FutureExt, StreamExt, TryStreamExt, future::RemoteHandle, stream};
use http::HeaderMap;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use crate::{
    error::OktaError,
    http::{Answer, Target},
    link::{self, Links},
    people::EntryFault,
    scope::Scope,
    session::{Session, Tries, decode_by},
};

/// Pages of one list at most: far above any organisation. To reach it is a failure, not an end.
const MOST_PAGES: usize = 50_000;

/// Why a page cannot be relied on although Okta answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// The `Link` header is damaged, so it is unknown whether there is more.
    #[error("its Link header cannot be read")]
    LinkUnreadable,
    /// A full page, and no `Link` header at all: something on the way dropped it.
    #[error("it is full and has no Link header, so it is unknown whether there is more")]
    LinkMissing,
    /// The next page is said to be elsewhere.
    #[error("its next page is said to be another list")]
    LinkElsewhere,
    /// The next page is one that was read already.
    #[error("its next page is one that was read already")]
    Loop,
    /// Somebody is listed twice.
    #[error("{0} is listed for the second time")]
    Repeated(String),
    /// An entry is useless.
    #[error(transparent)]
    Entry(#[from] EntryFault),
    /// There is no end.
    #[error("there are more than {0} pages")]
    TooMany(usize),
}

impl PageFault {
    /// Word for a condition's reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::LinkUnreadable | Self::LinkMissing | Self::LinkElsewhere => "PageLink",
            Self::Loop | Self::TooMany(_) => "PageLoop",
            Self::Repeated(_) => "PageRepeated",
            Self::Entry(_) => "PageEntry",
        }
    }

    /// What a person can do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Entry(EntryFault::NotEmbedded(_)) => {
                "Okta shows the app's assignments but not the people. Grant okta.users.read (Okta API Scopes), and let the \
                 role under Admin roles view users and their details, for everybody who is assigned to the app. Nobody is \
                 removed meanwhile."
            }
            Self::Repeated(_) => {
                "The list changed while it was read; the next pass reads it anew. Nobody is removed meanwhile."
            }
            _ => {
                "Nobody is removed on the strength of this list; the next pass reads it anew. If it stays so, look for a \
                 proxy that changes Okta's answers, and report it."
            }
        }
    }
}

/// One list and how it is asked for.
pub(crate) struct List {
    /// The list, without its query.
    pub(crate) target: Target,
    /// Our own parameters, which every page has to be asked for with.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// Entries of a full page.
    pub(crate) full: usize,
    /// What it needs.
    pub(crate) needs: &'static [Scope],
    /// Whether the next page is asked for while the one before is still looked at.
    ahead: bool,
}

/// A page that was asked for, and what its call may still do. Dropped, it is asked for no longer.
type Coming = RemoteHandle<Result<(Answer, Tries), OktaError>>;

/// Where a walk stands.
struct Walk {
    session: Session,
    list: List,
    next: Option<Target>,
    /// The page of `next`, where it was asked for ahead.
    coming: Option<Coming>,
    page: usize,
    /// Addresses that were asked for, hashed.
    asked: HashSet<u64>,
    /// Ids that were listed, hashed: eight bytes a person.
    listed: Hashes<()>,
    hasher: RandomState,
    /// Time lost to failed tries, over all pages.
    lost: Duration,
}

impl List {
    /// A list with whole pages of `full` entries and these further parameters.
    pub(crate) fn new(target: Target, full: usize, more: &[(&'static str, &str)], needs: &'static [Scope]) -> Self {
        let mut parameters = vec![("limit", full.to_string())];
        parameters.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Self { target, parameters, full, needs, ahead: true }
    }

    /// The same for a reader that may stop before the end: no page is asked for before it is wanted.
    pub(crate) fn page_by_page(self) -> Self {
        Self { ahead: false, ..self }
    }

    /// Walks the list. Each page is decoded as `W`, turned into entries by `convert`, and handed on; nothing is collected.
    ///
    /// While a page is decoded, and while its reader has it in hand, the next one is on its way: one, never more. Nothing is
    /// asked for before the first page is wanted, and whoever drops the pages drops what is on its way.
    ///
    /// `id` names an entry: one that comes twice makes the page unreliable.
    pub(crate) fn pages<'a, W, T>(
        self,
        session: &'a Session,
        convert: fn(W) -> Result<T, EntryFault>,
        id: fn(&T) -> &str,
    ) -> Pages<'a, T>
    where
        W: DeserializeOwned + Send + 'a,
        T: Send + 'a,
    {
        self.pages_read_by(session, |body| serde_json::from_slice(body), convert, id)
    }

    /// The same, for whoever decodes a page in a way of their own. It may be called twice for a page that is damaged.
    pub(crate) fn pages_read_by<'a, W, T>(
        self,
        session: &'a Session,
        read: impl FnMut(&[u8]) -> serde_json::Result<Vec<W>> + Send + 'a,
        convert: fn(W) -> Result<T, EntryFault>,
        id: fn(&T) -> &str,
    ) -> Pages<'a, T>
    where
        W: Send + 'a,
        T: Send + 'a,
    {
        let first = self.target.clone().with(&self.parameters);
        let walk = Walk {
            session: session.clone(),
            list: self,
            next: Some(first),
            coming: None,
            page: 0,
            asked: HashSet::new(),
            listed: Hashes::default(),
            hasher: RandomState::new(),
            lost: Duration::ZERO,
        };
        stream::try_unfold((walk, read), move |(mut walk, mut read)| async move {
            let Some(target) = walk.next.take() else { return Ok(None) };
            walk.page += 1;
            match walk.step(&target, &mut read, convert, id).await {
                Ok(page) => Ok(Some((page, (walk, read)))),
                Err(cause) => Err(OktaError::Incomplete {
                    list: walk.list.target.path.clone(),
                    page: walk.page,
                    cause: Box::new(cause),
                }),
            }
        })
        .map_err(Failure::from)
        .boxed()
    }
}

impl Walk {
    /// Reads one page and finds the next one.
    async fn step<W, T>(
        &mut self,
        target: &Target,
        read: &mut impl FnMut(&[u8]) -> serde_json::Result<Vec<W>>,
        convert: fn(W) -> Result<T, EntryFault>,
        id: fn(&T) -> &str,
    ) -> Result<Page<T>, OktaError> {
        self.asked.insert(self.hasher.hash_one(target.query.as_deref()));
        let (entries, headers) = self.read(target, read).await?;
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let item = convert(entry).map_err(PageFault::from)?;
            if self.listed.insert(self.hasher.hash_one(id(&item)), ()).is_some() {
                return Err(PageFault::Repeated(id(&item).to_owned()).into());
            }
            items.push(item);
        }
        self.next = self.following(&headers, items.len())?;
        Ok(Page { items, last: self.next.is_none() })
    }

    /// Reads what the answer holds, and asks for the page after it meanwhile.
    async fn read<W>(
        &mut self,
        target: &Target,
        read: &mut impl FnMut(&[u8]) -> serde_json::Result<W>,
    ) -> Result<(W, HeaderMap), OktaError> {
        let coming = self.coming.take();
        let mut coming = coming.unwrap_or_else(|| self.ask(target.clone(), self.session.tries_after(self.lost)));
        loop {
            let (answer, mut tries) = coming.await?;
            self.lost = tries.lost();
            self.look_ahead(&answer).await;
            let error = match decode_by(target, &answer.body, &mut *read) {
                Ok(value) => return Ok((value, answer.headers)),
                Err(error) => error,
            };
            self.coming = None;
            tries.after(error).await?;
            coming = self.ask(target.clone(), tries);
        }
    }

    /// Asks for a page, on a task of its own: the answer comes in whatever the reader of the page before does meanwhile, who
    /// could otherwise hold up a token or a slot that others wait for.
    fn ask(&self, target: Target, mut tries: Tries) -> Coming {
        let (session, needs) = (self.session.clone(), self.list.needs);
        let (asking, coming) = async move {
            let answer = session.ask(&target, needs, &mut tries).await?;
            Ok((answer, tries))
        }
        .in_current_span()
        .remote_handle();
        tokio::spawn(asking);
        coming
    }

    /// Asks for the page after this answer, by its headers. What can be said against that page is said before, and an answer
    /// that breaks off is not trusted. So it is asked for in vain only where the list is given up after this page: by its
    /// reader, or because of what one of its entries is; or where JSON is damaged in its middle, and read anew.
    async fn look_ahead(&mut self, answer: &Answer) {
        let is_whole = answer.body.trim_ascii_end().ends_with(b"]");
        // Without a link it is the number of entries that says whether there is more; there is no address to ask ahead then.
        if let Ok(Some(next)) = self.following(&answer.headers, 0)
            && self.list.ahead
            && is_whole
        {
            self.coming = Some(self.ask(next, self.session.tries_after(self.lost)));
            // A task that this one has started waits for its thread. The request goes out now rather than after the page
            // has been decoded, judged and dropped.
            tokio::task::yield_now().await;
        }
    }

    /// The page after this one; `None` after the last.
    fn following(&self, headers: &HeaderMap, entries: usize) -> Result<Option<Target>, PageFault> {
        let link = match link::read(headers) {
            Links::Last => return Ok(None),
            Links::None if entries < self.list.full => return Ok(None),
            Links::None => return Err(PageFault::LinkMissing),
            Links::Unreadable => return Err(PageFault::LinkUnreadable),
            Links::Next(link) => link,
        };
        let next = link::graft(&link, &self.list.target, &self.list.parameters).ok_or(PageFault::LinkElsewhere)?;
        if self.asked.contains(&self.hasher.hash_one(next.query.as_deref())) {
            return Err(PageFault::Loop);
        }
        if self.page >= MOST_PAGES {
            return Err(PageFault::TooMany(MOST_PAGES));
        }
        Ok(Some(next))
    }
}
