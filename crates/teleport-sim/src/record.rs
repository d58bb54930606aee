//! Requests as they came over the wire, kept for tests that read them with somebody else's types.

use axum::{body::Body, extract::Request};
use bytes::Bytes;

/// Calls whose messages flow both ways, and cannot be waited for.
const STREAMS: [&str; 1] = ["Join"];

/// Length of what stands before a message in gRPC: whether it is compressed, and how long it is.
const FRAME: usize = 5;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `CreateUser`, ….
    pub method: String,
    /// The encoded message.
    pub message: Bytes,
}

/// The requests so far, once they are wanted.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Option<Vec<RecordedRequest>>);

impl Recorder {
    pub(crate) fn start(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.0.clone().unwrap_or_default()
    }

    pub(crate) fn wants(&self, method: &str) -> bool {
        self.0.is_some() && !STREAMS.contains(&method)
    }

    pub(crate) fn add(&mut self, method: &str, body: &Bytes) {
        if let Some(requests) = &mut self.0 {
            let message = body.slice(FRAME.min(body.len())..);
            requests.push(RecordedRequest { method: method.to_owned(), message });
        }
    }
}

/// The request, and its whole body beside it.
pub(crate) async fn read(request: Request) -> Result<(Request, Bytes), axum::Error> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    Ok((Request::from_parts(head, Body::from(body.clone())), body))
}
