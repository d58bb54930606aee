//! A connection that nobody needs is not kept: after a while without a byte it looks like one that the other side has closed, and the next call
//! makes a new one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream that ends when nothing went over it for too long.
pub(crate) struct UntilIdle<S> {
    stream: S,
    longest: Duration,
    /// When something went over it last.
    last: Instant,
    /// Looked at when it goes off, and set again: so a byte costs no timer.
    alarm: Pin<Box<Sleep>>,
}

impl<S> UntilIdle<S> {
    /// Ends `stream` after `longest` without a byte. An answer must not take that long.
    pub(crate) fn new(stream: S, longest: Duration) -> Self {
        Self { stream, longest, last: Instant::now(), alarm: Box::pin(sleep(longest)) }
    }

    /// Ready when the time is over.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let end = self.last + self.longest;
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(end);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UntilIdle<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.last = Instant::now();
            return Poll::Ready(read);
        }
        // Nothing read is the end of a stream.
        self.poll_end(cx).map(Ok)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UntilIdle<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.last = Instant::now();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.last = Instant::now();
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(90);

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_nothing_went_over_it_for_so_long_in_either_direction() {
        let (here, mut there) = duplex(64);
        let mut here = UntilIdle::new(here, LONGEST);
        let began = Instant::now();
        let mut byte = [0];
        // Longer than it may be idle, but never so long without a byte.
        for _ in 0..3 {
            tokio::time::advance(LONGEST * 2 / 3).await;
            here.write_all(b"x").await.unwrap();
            tokio::time::advance(LONGEST * 2 / 3).await;
            there.write_all(b"y").await.unwrap();
            assert_eq!(here.read(&mut byte).await.unwrap(), 1);
        }
        assert_eq!(began.elapsed(), LONGEST * 4);
        assert_eq!(here.read(&mut byte).await.unwrap(), 0, "the end of the stream");
        assert_eq!(began.elapsed().as_secs(), (LONGEST * 5).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_the_end_is_read_first() {
        let (here, mut there) = duplex(64);
        let mut here = UntilIdle::new(here, LONGEST);
        there.write_all(b"y").await.unwrap();
        tokio::time::advance(LONGEST * 2).await;
        let mut byte = [0];
        assert_eq!(here.read(&mut byte).await.unwrap(), 1);
    }
}
