//! How this org behaves where real orgs differ, or differed over time.

use serde::{Deserialize, Serialize};

/// Behaviour of the org that a test or a demo may choose, also while it runs (admin port: `/switches`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own on the board
pub struct Switches {
    /// The org runs on Okta's Identity Engine, as all new ones do; off is Classic Engine. They differ in a few links.
    pub identity_engine: bool,
    /// The org has realms: every person shows a `realmId`.
    pub realms: bool,
    /// Links of `/apps/{id}/users` repeat `expand`. Off is Okta before release 2026.08 (a known defect: clients that
    /// follow `next` verbatim get embedded users on the first page only), so that is what clients must cope with.
    pub next_link_keeps_expand: bool,
    /// Both `link` headers folded into one, as some proxies do.
    pub fold_links: bool,
    /// A list whose last page is exactly full is followed by an empty page.
    pub trailing_empty_page: bool,
    /// Most entries on a page, whatever `limit` says; 0: as many as asked for. Okta promises no page length: a page may be
    /// short and have a next link.
    pub page_entries: usize,
    /// Seconds for which an access token is good. Okta fixes 3600; a short one shows how a client renews.
    pub token_seconds: u64,
    /// Milliseconds until a deactivation takes effect; meanwhile `transitioningToStatus` shows it. 0: at once.
    pub deactivation_millis: u64,
    /// Milliseconds until a change of group membership reaches the apps. 0: at once.
    pub group_assignment_millis: u64,
    /// Milliseconds until the System Log shows an event.
    pub log_delay_millis: u64,
    /// Every other event takes twice as long to arrive, so that events are persisted out of the order in which they
    /// were published. Means nothing without a delay.
    pub log_out_of_order: bool,
    /// Seconds after which a client's JWKS URL may be read again. Okta publishes no number; it throttles.
    pub jwks_refetch_seconds: u64,
    /// Seconds for which a page cursor is good; 0 is for ever.
    pub cursor_seconds: u64,
    /// Status of the answer for a single object outside the caller's resource set: 403 (`E0000006`) or 404 (`E0000007`).
    pub hidden_object_status: u16,
    /// `/apps/{id}/users` leaves out people whom the caller's role may not see. What a real org does is not documented;
    /// this is the dangerous answer.
    pub role_filters_app_users: bool,
    /// Share of each rate bucket that one OAuth client may use, in percent (Okta's default is 50).
    pub client_share_percent: u8,
    /// Requests that may be under way at once; 0 is without limit.
    pub concurrency: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            identity_engine: true,
            realms: false,
            next_link_keeps_expand: false,
            fold_links: false,
            trailing_empty_page: false,
            page_entries: 0,
            token_seconds: 3600,
            deactivation_millis: 0,
            group_assignment_millis: 0,
            log_delay_millis: 0,
            log_out_of_order: false,
            jwks_refetch_seconds: 60,
            cursor_seconds: 0,
            hidden_object_status: 403,
            role_filters_app_users: true,
            client_share_percent: 100,
            concurrency: 0,
        }
    }
}

impl Switches {
    pub(crate) fn deactivation(&self) -> i64 {
        i64::try_from(self.deactivation_millis).unwrap_or(i64::MAX)
    }

    pub(crate) fn group_assignment(&self) -> i64 {
        i64::try_from(self.group_assignment_millis).unwrap_or(i64::MAX)
    }

    /// How long the event with this number takes to arrive in the log.
    pub(crate) fn log_delay(&self, number: u64) -> i64 {
        let slow = self.log_out_of_order && number.is_multiple_of(2);
        let factor = if slow { 2 } else { 1 };
        i64::try_from(self.log_delay_millis.saturating_mul(factor)).unwrap_or(i64::MAX)
    }
}
