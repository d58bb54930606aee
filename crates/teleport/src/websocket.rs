//! A byte stream inside WebSocket frames (RFC 6455), as a Proxy behind a balancer understands them.
//!
//! Two things are not as in a library: our frames carry the mask bit with a mask of *zero*, because servers do not unmask (with any other the stream
//! hangs without an error); and the server's frames carry a mask key too, which RFC 6455 forbids and strict libraries refuse.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
};

const CONTINUATION: u8 = 0x0;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Largest frame that is taken.
const LARGEST_FRAME: u64 = 16 << 20;

/// Bytes in one frame of ours.
const OUR_FRAME: usize = 32 << 10;

/// The stream inside `outer`. It ends when either side closes.
pub(crate) fn inside<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(outer: S) -> DuplexStream {
    let (inner, here) = tokio::io::duplex(2 * OUR_FRAME);
    tokio::spawn(carry(outer, here));
    inner
}

async fn carry<S: AsyncRead + AsyncWrite + Send + Unpin>(outer: S, inner: DuplexStream) {
    let (mut from_server, mut to_server) = tokio::io::split(outer);
    let (mut from_client, mut to_client) = tokio::io::split(inner);
    let (ping, mut pings) = mpsc::channel::<Vec<u8>>(4);
    let inwards = async {
        loop {
            let (code, payload) = read(&mut from_server).await?;
            match code {
                BINARY | CONTINUATION => to_client.write_all(&payload).await?,
                // If the other direction is stuck, pongs are not worth waiting for.
                PING => drop(ping.try_send(payload)),
                CLOSE => return Ok(()),
                _ => {}
            }
        }
    };
    let outwards = async {
        let mut buffer = vec![0; OUR_FRAME];
        loop {
            tokio::select! {
                read = from_client.read(&mut buffer) => match read? {
                    0 => return write(&mut to_server, CLOSE, &[]).await,
                    length => write(&mut to_server, BINARY, buffer.get(..length).unwrap_or_default()).await?,
                },
                Some(payload) = pings.recv() => write(&mut to_server, PONG, &payload).await?,
            }
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = inwards => ended,
        ended = outwards => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a WebSocket stream broke off");
    }
}

async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let (first, second) = (from.read_u8().await?, from.read_u8().await?);
    let length = match second & 0x7f {
        126 => u64::from(from.read_u16().await?),
        127 => from.read_u64().await?,
        short => u64::from(short),
    };
    let mask = if second & 0x80 == 0 { [0; 4] } else { from.read_u32().await?.to_be_bytes() };
    let length = usize::try_from(length)
        .ok()
        .filter(|_| length <= LARGEST_FRAME)
        .ok_or_else(|| io::Error::other("a WebSocket frame is too large"))?;
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    if mask != [0; 4] {
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Ok((first & 0x0f, payload))
}

async fn write(to: &mut (impl AsyncWrite + Unpin), code: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | code);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => frame.push(0x80 | short),
        (_, Ok(middle)) => {
            frame.push(0x80 | 0x7e);
            frame.extend(middle.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 0x7f);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    to.write_all(&frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(code: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write(&mut frame, code, payload).await.unwrap();
        frame
    }

    #[tokio::test]
    async fn our_frames_are_whole_and_carry_a_mask_of_zero() {
        assert_eq!(written(BINARY, b"ab").await, [0x82, 0x82, 0, 0, 0, 0, b'a', b'b']);
        for length in [0, 125, 126, 65_535, 65_536] {
            let frame = written(BINARY, &vec![7; length]).await;
            let (code, payload) = read(&mut frame.as_slice()).await.unwrap();
            assert_eq!((code, payload.len()), (BINARY, length));
        }
    }

    #[tokio::test]
    async fn frames_are_read_with_and_without_a_mask() {
        assert_eq!(read(&mut &[0x82, 2, b'a', b'b'][..]).await.unwrap().1, b"ab");
        assert_eq!(read(&mut &[0x82, 0x82, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2][..]).await.unwrap().1, b"ab");
        let huge = [0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0];
        assert!(read(&mut &huge[..]).await.is_err());
    }

    #[tokio::test]
    async fn pings_are_answered_and_a_close_ends_the_stream() {
        let (outer, mut server) = tokio::io::duplex(1024);
        let mut stream = inside(outer);
        server.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), (PONG, b"hi".to_vec()));
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), (BINARY, b"hello".to_vec()));
        server.write_all(&[0x82, 1, b'x', 0x88, 0]).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"x");
    }
}
