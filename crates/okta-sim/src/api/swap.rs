//! Pages in another order: what a list looks like that is sorted anew while it is being read.

use super::Request;
use super::answer::Answer;
use crate::faults::FaultKind;
use crate::shared::Shared;

/// The page as the faults want it. The page that was asked for is withheld and its successor given in its place; the
/// withheld one comes where the successor would have come. Links stay where they belong, so the walk has as many pages as
/// it would have had.
pub(super) fn lay(
    faults: &[FaultKind],
    shared: &Shared,
    request: &Request,
    mut answer: Answer,
    ask: impl Fn(&Request) -> Answer,
) -> Answer {
    if !faults.contains(&FaultKind::SwapPages) || answer.status != 200 {
        return answer;
    }
    let withheld = shared.faults().withheld.remove(&request.path);
    if withheld.is_some() {
        answer.body = withheld;
        return answer;
    }
    let Some(cursor) = answer.links.iter().find(|(relation, _)| *relation == "next").and_then(|(_, url)| after(url))
    else {
        return answer;
    };
    let mut further = request.clone();
    further.query.retain(|(name, _)| name != "after");
    further.query.push(("after".to_owned(), cursor));
    let successor = ask(&further);
    if let Some(body) = answer.body.take() {
        shared.faults().withheld.insert(request.path.clone(), body);
    }
    answer.body = successor.body;
    answer
}

/// The cursor in a link.
fn after(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "after").map(|(_, cursor)| cursor.into_owned())
}
