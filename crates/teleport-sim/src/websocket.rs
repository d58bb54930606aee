//! Frames of RFC 6455 as the real Proxy treats them (reference §17): it does not unmask, so that a client with a random mask is never understood, and
//! its own frames carry the mask bit with a zero key.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
};

const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The bit that says that a mask follows.
const MASKED: u8 = 0x80;

/// How often `alpn-ping` asks whether the client is there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Largest frame that is taken.
const LARGEST_FRAME: u64 = 16 * 1024 * 1024;

struct Frame {
    code: u8,
    masked_with_zero: bool,
    payload: Vec<u8>,
}

/// Carries bytes between WebSocket frames and a plain stream until either ends.
pub(crate) async fn relay<S: AsyncRead + AsyncWrite + Send + Unpin>(stream: S, tunnel: DuplexStream, pings: bool) {
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_server, mut to_server) = tokio::io::split(tunnel);
    let (reply, mut replies) = mpsc::channel::<Vec<u8>>(8);

    let inwards = async {
        while let Ok(frame) = read(&mut from_client).await {
            let carried = match frame.code {
                // A frame with a random mask is swallowed: the handshake inside hangs without an error.
                BINARY if frame.masked_with_zero => to_server.write_all(&frame.payload).await.is_ok(),
                PING => reply.send(frame.payload).await.is_ok(),
                CLOSE => false,
                _ => true,
            };
            if !carried {
                return;
            }
        }
    };
    let outwards = async {
        let mut buffer = vec![0; 32 * 1024];
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            let written = tokio::select! {
                read = from_server.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => {
                        // The other side learns it from the end of the stream if not from this.
                        let _ = write(&mut to_client, CLOSE, &[]).await;
                        return;
                    }
                    Ok(length) => write(&mut to_client, BINARY, &buffer[..length]).await,
                },
                Some(payload) = replies.recv() => write(&mut to_client, PONG, &payload).await,
                _ = ticks.tick(), if pings => write(&mut to_client, PING, b"teleport").await,
            };
            if written.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
}

async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let [first, second] = [from.read_u8().await?, from.read_u8().await?];
    let length = match second & 0x7f {
        126 => u64::from(from.read_u16().await?),
        127 => from.read_u64().await?,
        short => u64::from(short),
    };
    let mask = if second & 0x80 == 0 { 0 } else { from.read_u32().await? };
    if length > LARGEST_FRAME {
        return Err(std::io::Error::other("a frame is too large"));
    }
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
    from.read_exact(&mut payload).await?;
    Ok(Frame { code: first & 0x0f, masked_with_zero: mask == 0, payload })
}

async fn write(to: &mut (impl AsyncWrite + Unpin), code: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![0x80 | code];
    let length = payload.len();
    if length < 0x7e {
        frame.push(MASKED | u8::try_from(length).unwrap_or_default());
    } else if let Ok(length) = u16::try_from(length) {
        frame.push(MASKED | 0x7e);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(MASKED | 0x7f);
        frame.extend((length as u64).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    to.write_all(&frame).await?;
    to.flush().await
}
