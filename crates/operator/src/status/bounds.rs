//! The bounds of a status. Texts come from Okta, from Teleport and from people, and etcd takes no object of any size: with
//! these bounds a status stays below 64 KiB whatever the texts are and however many people there are.

use api::{OktaUserSyncStatus, condition::cut, status::MAX_ERRORS, status::MAX_SAMPLE};

/// A text for people, in bytes.
const TEXT: usize = 512;
/// A name or an id.
const NAME: usize = 255;
/// A name with a word on it.
const LINE: usize = 320;
/// Scopes that are listed.
const SCOPES: usize = 32;

/// `text` without control characters (each is six bytes in JSON), at most `limit` bytes long. Line breaks stay: a remedy
/// may be some lines of YAML.
#[must_use]
pub(super) fn tidy(text: &str, limit: usize) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    // No more is looked at than can stay, however long it is.
    cut(&text.chars().take(limit + 1).map(visible).collect::<String>(), limit)
}

/// Cuts whatever is too long.
pub(super) fn keep(status: &mut OktaUserSyncStatus) {
    let cut = |text: &mut String, limit| {
        if text.len() > limit || text.contains(char::is_control) {
            *text = tidy(text, limit);
        }
    };
    if let Some(run) = &mut status.last_run {
        cut(&mut run.read, TEXT);
    }
    status.errors.truncate(MAX_ERRORS);
    for problem in &mut status.errors {
        cut(&mut problem.user, NAME);
        cut(&mut problem.message, TEXT);
        cut(&mut problem.remedy, TEXT);
    }
    if let Some(plan) = &mut status.pending_plan {
        cut(&mut plan.reason, TEXT);
        plan.sample.truncate(MAX_SAMPLE);
        plan.sample.iter_mut().for_each(|line| cut(line, LINE));
        if let Some(approval) = &mut plan.approval {
            cut(approval, TEXT);
        }
    }
    if let Some(okta) = &mut status.okta {
        for text in [&mut okta.org_id, &mut okta.app_id, &mut okta.app_label] {
            cut(text, NAME);
        }
        okta.scopes.truncate(SCOPES);
        okta.scopes.iter_mut().for_each(|scope| cut(scope, 64));
    }
    if let Some(teleport) = &mut status.teleport {
        for text in [&mut teleport.cluster, &mut teleport.version, &mut teleport.lock_lifetime] {
            cut(text, NAME);
        }
    }
}
