//! A way to a server that can be cut, blocked and slowed: a forwarder of TCP on loopback, for the faults that a network has.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Every piece of data waits this long.
    Slow(Duration),
    /// Nothing comes through, and nobody is told: what a partition looks like from both ends.
    Blocked,
}

/// What every connection looks at.
#[derive(Debug, Clone, Copy)]
struct State {
    way: Way,
    /// Connections of an earlier generation have been cut.
    generation: u64,
}

/// The way. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Passage {
    address: SocketAddr,
    state: watch::Sender<State>,
    door: JoinHandle<()>,
}

impl Passage {
    /// Opens a way to the server on this port of loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State { way: Way::Open, generation: 0 });
        let door = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, port, seen.clone()));
            }
        });
        Ok(Self { address, state, door })
    }

    /// The port of this end.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks every connection off; new ones are let through.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Nothing passes from now on, in either direction, and no connection is closed.
    pub fn block(&self) {
        self.state.send_modify(|state| state.way = Way::Blocked);
    }

    /// Every piece of data takes so much longer from now on.
    pub fn slow(&self, by: Duration) {
        self.state.send_modify(|state| state.way = Way::Slow(by));
    }

    /// Everything passes again, and at once.
    pub fn open(&self) {
        self.state.send_modify(|state| state.way = Way::Open);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.door.abort();
        self.cut();
    }
}

async fn connection(client: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let born = state.borrow_and_update().generation;
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forward = async {
        tokio::join!(
            pump(from_client, to_server, state.clone(), born),
            pump(from_server, to_client, state.clone(), born)
        );
    };
    let mut cuts = state.clone();
    tokio::select! {
        () = forward => {}
        // Also when the passage is gone.
        _ = cuts.wait_for(|state| state.generation != born) => {}
    }
}

/// Carries one direction until its end. What was held back when the connection was cut is lost with it.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>, born: u64) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let way = state.borrow_and_update().way;
        if let Way::Slow(by) = way {
            tokio::time::sleep(by).await;
        }
        let passes = state.wait_for(|state| state.way != Way::Blocked || state.generation != born).await;
        let passes = passes.is_ok_and(|state| state.generation == born);
        if !passes || to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back.
    async fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        port
    }

    async fn say(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(&[7]).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn what_is_blocked_comes_through_later_and_what_is_cut_is_over() {
        let passage = Passage::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", passage.port())).await.unwrap();
        assert_eq!(say(&mut stream).await.unwrap(), 7);

        passage.block();
        stream.write_all(&[8]).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        passage.open();
        assert_eq!(stream.read_u8().await.unwrap(), 8, "it was on its way");

        passage.block();
        stream.write_all(&[9]).await.unwrap();
        passage.cut();
        passage.open();
        assert!(stream.read_u8().await.is_err(), "what was held back is lost");
        let mut stream = TcpStream::connect(("127.0.0.1", passage.port())).await.unwrap();
        assert_eq!(say(&mut stream).await.unwrap(), 7, "a new one is let through");

        passage.slow(Duration::from_millis(100));
        let began = std::time::Instant::now();
        assert_eq!(say(&mut stream).await.unwrap(), 7);
        assert!(began.elapsed() >= Duration::from_millis(200), "there and back");
    }
}
