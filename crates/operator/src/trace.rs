//! Spans: one for each pass, and one for each call in it, which the clients make. The command line exports them where it
//! is told to; without that they cost nothing.
//!
//! The id of a pass is its trace id. So one word finds a pass in status, log, journal, lock messages and traces, whether
//! or not anything is exported, and nothing has to carry two ids. No span holds a user name.

use std::future::Future;

use tracing::{Instrument as _, Span};

tokio::task_local! {
    static ID: u128;
}

/// Runs a pass within the span that `span` makes. `id` is 32 hexadecimal digits; another one gets a trace id of its own.
pub async fn within<T>(id: &str, span: impl FnOnce() -> Span, pass: impl Future<Output = T>) -> T {
    let id = u128::from_str_radix(id, 16).unwrap_or_default();
    // The span is made and ended inside, as its trace id is asked for at either end.
    ID.scope(id, async { pass.instrument(span()).await }).await
}

/// The trace id of the pass that runs on this task.
#[must_use]
pub fn current() -> Option<u128> {
    ID.try_with(|id| *id).ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_knows_its_trace_id_and_nothing_else_does() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(within(id, Span::none, async { current() }).await, Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
        assert_eq!(within("explain", Span::none, async { current() }).await, None);
        assert_eq!(current(), None);
    }
}
