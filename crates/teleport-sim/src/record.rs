//! Requests as they came over the wire, kept for tests that read them with somebody else's types.

use std::sync::Arc;

use axum::{body::Body, extract::Request};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::StreamExt as _;

use crate::shared::Shared;

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

    pub(crate) fn wanted(&self) -> bool {
        self.0.is_some()
    }

    fn add(&mut self, method: &str, message: Bytes) {
        if let Some(requests) = &mut self.0 {
            requests.push(RecordedRequest { method: method.to_owned(), message });
        }
    }
}

/// Notes the messages of a request, and passes it on as it came.
pub(crate) async fn note(shared: &Arc<Shared>, method: &str, request: Request) -> Result<Request, axum::Error> {
    if STREAMS.contains(&method) {
        return Ok(follow(shared, method, request));
    }
    let (request, body) = read(request).await?;
    shared.recorder().add(method, body.slice(FRAME.min(body.len())..));
    Ok(request)
}

/// The request, each of whose messages is noted as it comes by.
fn follow(shared: &Arc<Shared>, method: &str, request: Request) -> Request {
    let (shared, method) = (Arc::clone(shared), method.to_owned());
    let (head, body) = request.into_parts();
    let mut come = BytesMut::new();
    let body = body.into_data_stream().inspect(move |data| {
        if let Ok(data) = data {
            come.extend_from_slice(data);
        }
        while let Some(message) = next_message(&mut come) {
            shared.recorder().add(&method, message);
        }
    });
    Request::from_parts(head, Body::from_stream(body))
}

/// Takes the first message out of what has come, if it is there whole.
fn next_message(come: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(come.get(1..FRAME)?.try_into().ok()?);
    let end = FRAME.checked_add(usize::try_from(length).ok()?)?;
    if come.len() < end {
        return None;
    }
    let mut frame = come.split_to(end);
    frame.advance(FRAME);
    Some(frame.freeze())
}

/// The request, and its whole body beside it.
async fn read(request: Request) -> Result<(Request, Bytes), axum::Error> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    Ok((Request::from_parts(head, Body::from(body.clone())), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_however_they_arrive() {
        let all = [&[0, 0, 0, 0, 2][..], b"ab", &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1], b"c"].concat();
        for piece in 1..=all.len() {
            let (mut come, mut messages) = (BytesMut::new(), Vec::new());
            for data in all.chunks(piece) {
                come.extend_from_slice(data);
                messages.extend(std::iter::from_fn(|| next_message(&mut come)));
            }
            assert_eq!(messages, [&b"ab"[..], b"", b"c"], "in pieces of {piece}");
        }
    }
}
