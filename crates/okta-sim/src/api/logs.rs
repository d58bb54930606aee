//! `/api/v1/logs`: the System Log, polled without end or read between two moments.

use serde_json::Value;

use super::Request;
use super::answer::Answer;
use super::filter::{self, Dialect};
use super::page::{CursorForm, Paging, take};
use crate::auth::resource::Caller;
use crate::clock::Stamp;
use crate::org::syslog::Event;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Day length in milliseconds.
const DAY: i64 = 86_400_000;
/// `since` without a value: seven days ago.
const DEFAULT_SPAN: i64 = 7 * DAY;
/// `since` may not lie further back.
const LONGEST_SPAN: i64 = 180 * DAY;

const DIALECT: Dialect =
    Dialect { case_sensitive: false, negation: true, allows: |attribute, _| attribute != "published" };

const PAGING: Paging = Paging { default: 100, max: 1000, cursor: CursorForm::Log, loses_expand: false };

fn invalid(cause: &str) -> Refusal {
    let mut refusal = Refusal::new(400, "E0000053", format!("Invalid request: {cause}"));
    refusal.causes.push(cause.to_owned());
    refusal
}

/// Answers.
pub(crate) fn answer(shared: &Shared, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::method());
    }
    if !caller.view.logs {
        return Err(Refusal::forbidden());
    }
    let state = shared.state();
    let sealer = shared.sealer(&state);
    let wanted = PAGING.read(request, sealer)?;
    let since = moment(request, "since")?.unwrap_or_else(|| request.now.plus_millis(-DEFAULT_SPAN));
    if since < request.now.plus_millis(-LONGEST_SPAN) {
        return Err(invalid("The 'since' parameter is too far in the past"));
    }
    let until = moment(request, "until")?;
    let chosen = match request.parameter("filter").filter(|f| !f.is_empty()) {
        Some(text) => Some(filter::parse(text, DIALECT).map_err(|r| invalid(&r.causes.join(" ")))?),
        None => None,
    };
    let words = keywords(request)?;
    let descending = request.parameter("sortOrder").is_some_and(|o| o.eq_ignore_ascii_case("descending"));
    let fits = |event: &Event| {
        event.published >= since
            && until.is_none_or(|until| event.published < until)
            && (chosen.is_none() && words.is_empty() || selected(event, chosen.as_ref(), &words))
    };
    let bounded = until.is_some() || descending;
    if !bounded {
        // Polling: persistence order, without end.
        let after = wanted.after.unwrap_or(0);
        let events = state.log.after(after).filter(|event| fits(event)).map(|event| (event.seq, event));
        let (page, _) = take(events, wanted.limit, false);
        let last = page.last().map_or(after, |event| event.seq);
        return Ok(PAGING.answer(request, sealer, wanted, write(&page), Some(last)));
    }
    let mut events: Vec<&Event> = state.log.after(0).filter(|event| fits(event)).collect();
    events.sort_by_key(|event| (event.published, event.seq));
    if descending {
        events.reverse();
    }
    let skip = wanted.after.map_or(0, |position| position + 1);
    let numbered = (0_u64..).zip(events).filter(|(position, _)| *position >= skip);
    let (page, next) = take(numbered, wanted.limit, false);
    Ok(PAGING.answer(request, sealer, wanted, write(&page), next))
}

fn moment(request: &Request, name: &str) -> Result<Option<Stamp>, Refusal> {
    match request.parameter(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            Stamp::parse(text).map(Some).ok_or_else(|| invalid(&format!("The '{name}' parameter is not a date")))
        }
    }
}

/// `q`: at most ten words of at most forty characters, all of which must occur.
fn keywords(request: &Request) -> Result<Vec<String>, Refusal> {
    let words: Vec<String> = request.parameter("q").unwrap_or("").split_whitespace().map(str::to_lowercase).collect();
    if words.len() > 10 || words.iter().any(|word| word.chars().count() > 40) {
        return Err(invalid("The 'q' parameter has too many or too long keywords"));
    }
    Ok(words)
}

fn selected(event: &Event, chosen: Option<&filter::Filter>, words: &[String]) -> bool {
    let tree = event.tree();
    let by_filter = chosen.is_none_or(|filter| filter.fits(DIALECT, &|attribute| values(&tree, attribute)));
    if !by_filter || words.is_empty() {
        return by_filter;
    }
    let text = tree.to_string().to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

/// The values at a dotted path; lists on the way fan out.
fn values(tree: &Value, path: &str) -> Vec<Value> {
    let mut found = vec![tree];
    for part in path.split('.') {
        found = found
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(list) => list.iter().collect(),
                other => vec![other],
            })
            .filter_map(|value| value.get(part))
            .collect();
    }
    found
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(list) => list.clone(),
            other => vec![other.clone()],
        })
        .collect()
}

fn write(page: &[&Event]) -> String {
    Value::Array(page.iter().map(|event| event.tree()).collect()).to_string()
}
