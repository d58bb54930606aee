//! The ways in other than the direct one: TLS routing, a balancer with connection upgrades, and what the web side tells (reference §7.4–7.6, §15–17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::{Client, pem_blocks, start};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use teleport_proto::{
    auth::auth_service_client::AuthServiceClient, names::auth_alpn, users::users_service_client::UsersServiceClient,
};
use teleport_sim::{Edition, Options, TeleportSim, Version};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::Endpoint;

const CLUSTER: &str = "acme";

async fn sim(version: Version) -> TeleportSim {
    start(Options { cluster: CLUSTER.into(), version, ..Options::default() }).await
}

fn config(ca: &str, identity: Option<&str>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(text) => {
            let blocks = pem_blocks(text);
            let certificate = CertificateDer::from_pem_slice(blocks[1].as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(blocks[0].as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// TLS to the Auth Service over any stream, with the bot's identity.
async fn inner<S: AsyncRead + AsyncWrite + Unpin>(
    sim: &TeleportSim,
    stream: S,
    protocols: &[&str],
) -> std::io::Result<TlsStream<S>> {
    let identity = std::fs::read_to_string(&sim.ready().identity_file).unwrap();
    let name = ServerName::try_from("teleport.cluster.local").unwrap();
    TlsConnector::from(config(&sim.ca_pem(), Some(&identity), protocols)).connect(name, stream).await
}

/// TLS to the web side.
async fn outer(sim: &TeleportSim, address: SocketAddr, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config(&sim.web_ca_pem(), None, protocols)).connect(name, stream).await
}

/// gRPC over a stream that stands.
async fn over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Client {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new).ok_or_else(|| std::io::Error::other("one connection only"));
        async move { stream }
    });
    let endpoint = Endpoint::from_static("http://teleport.cluster.local").timeout(Duration::from_secs(10));
    let channel = endpoint.connect_with_connector(connector).await.expect("a connection");
    Client { users: UsersServiceClient::new(channel.clone()), auth: AuthServiceClient::new(channel) }
}

#[tokio::test]
async fn the_proxy_passes_through_whoever_names_the_auth_service_first() {
    let sim = sim(Version::V17).await;
    let auth = auth_alpn(CLUSTER);
    let stream = TcpStream::connect(sim.proxy_address()).await.unwrap();
    let tls = inner(&sim, stream, &[&auth, "h2"]).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()), "the Auth Service terminates");
    assert!(over(tls).await.page(0, "").await.is_ok());

    for (protocols, why) in [
        (vec!["h2", auth.as_str()], "h2 first lands on the web certificate"),
        (vec!["h2"], "so does h2 alone"),
        (vec![auth.as_str()], "the Teleport name alone is refused"),
        (vec![auth_alpn("other").leak(), "h2"], "another cluster's name is closed"),
    ] {
        let stream = TcpStream::connect(sim.proxy_address()).await.unwrap();
        assert!(inner(&sim, stream, &protocols).await.is_err(), "{why}");
    }
}

#[tokio::test]
async fn without_tls_routing_there_is_only_the_direct_way() {
    let sim = start(Options { cluster: CLUSTER.into(), tls_routing: false, ..Options::default() }).await;
    let stream = TcpStream::connect(sim.proxy_address()).await.unwrap();
    assert!(inner(&sim, stream, &[&auth_alpn(CLUSTER), "h2"]).await.is_err());
    assert!(!found(&sim, sim.proxy_address()).await["proxy"]["tls_routing_enabled"].as_bool().unwrap());
}

async fn found(sim: &TeleportSim, address: SocketAddr) -> Value {
    let ca = reqwest::Certificate::from_pem(sim.web_ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    client.get(format!("https://localhost:{}/webapi/find", address.port())).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn find_tells_cluster_version_edition_and_address() {
    let sim = start(Options { cluster: CLUSTER.into(), edition: Edition::Community, ..Options::default() }).await;
    for address in [sim.proxy_address(), sim.balancer_address()] {
        let found = found(&sim, address).await;
        assert_eq!(found["cluster_name"], CLUSTER);
        assert_eq!((&found["server_version"], &found["min_client_version"]), (&"17.0.0".into(), &"16.0.0".into()));
        assert_eq!((&found["edition"], &found["proxy"]["tls_routing_enabled"]), (&"community".into(), &true.into()));
        assert_eq!(found["proxy"]["ssh"]["public_addr"], address.to_string());
    }
}

#[tokio::test]
async fn a_balancer_takes_protocol_names_away_and_a_proxy_does_not() {
    let sim = sim(Version::V17).await;
    let direct = outer(&sim, sim.proxy_address(), &["teleport-reversetunnel"]).await.unwrap();
    assert_eq!(direct.get_ref().1.alpn_protocol(), Some(b"teleport-reversetunnel".as_slice()));
    let balanced = outer(&sim, sim.balancer_address(), &["teleport-reversetunnel"]).await.unwrap();
    assert_eq!(balanced.get_ref().1.alpn_protocol(), None);
}

/// Asks for an upgrade; the status line and headers of the answer.
async fn upgrade(sim: &TeleportSim, address: SocketAddr, headers: &str) -> (TlsStream<TcpStream>, String) {
    let mut stream = outer(sim, address, &[]).await.unwrap();
    let request = format!("GET /webapi/connectionupgrade HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: alpn\r\n";
const LEGACY: &str = "Upgrade: alpn\r\nX-Teleport-Upgrade: alpn\r\nConnection: Upgrade\r\n";

/// A plain stream over WebSocket frames with this mask. Does not unmask, as the server's mask is zero.
fn framed(stream: TlsStream<TcpStream>, mask: [u8; 4]) -> tokio::io::DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_near, mut to_near) = tokio::io::split(far);
    tokio::spawn(async move {
        loop {
            let [code, second] = [from_server.read_u8().await?, from_server.read_u8().await?];
            assert_eq!(second & 0x80, 0x80, "the server sets the mask bit");
            let length = match second & 0x7f {
                126 => usize::from(from_server.read_u16().await?),
                127 => usize::try_from(from_server.read_u64().await?).unwrap(),
                short => usize::from(short),
            };
            assert_eq!(from_server.read_u32().await?, 0, "with a zero key");
            let mut payload = vec![0; length];
            from_server.read_exact(&mut payload).await?;
            if code == 0x82 {
                to_near.write_all(&payload).await?;
            }
        }
        #[allow(unreachable_code)]
        Ok::<(), std::io::Error>(())
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_near.read(&mut buffer).await {
            let mut frame = vec![0x82, 0x80 | 0x7e];
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            frame.extend(mask);
            frame.extend(buffer[..length].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
            if to_server.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    near
}

#[tokio::test]
async fn behind_a_balancer_a_websocket_carries_the_inner_tls() {
    let sim = sim(Version::V17).await;
    let (stream, head) = upgrade(&sim, sim.balancer_address(), WEBSOCKET).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("sec-websocket-protocol: alpn\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    let tls = inner(&sim, framed(stream, [0; 4]), &[&auth_alpn(CLUSTER), "h2"]).await.unwrap();
    let mut client = over(tls).await;
    assert!(client.page(0, "").await.is_ok());
    for number in 0..400 {
        sim.put_user(&common::user(&format!("u{number}@acme.com"))).unwrap();
    }
    assert!(client.page(0, "").await.unwrap().users.len() > 400, "large answers come through in many frames");
}

#[tokio::test]
async fn a_random_mask_is_never_understood() {
    let sim = sim(Version::V17).await;
    let (stream, _) = upgrade(&sim, sim.balancer_address(), WEBSOCKET).await;
    let auth = auth_alpn(CLUSTER);
    let names = [auth.as_str(), "h2"];
    let handshake = inner(&sim, framed(stream, [1, 2, 3, 4]), &names);
    assert!(tokio::time::timeout(Duration::from_millis(300), handshake).await.is_err(), "it hangs without an error");
}

#[tokio::test]
async fn the_legacy_upgrade_gives_the_raw_stream_and_loses_to_websocket() {
    for version in [Version::V15, Version::V17] {
        let sim = sim(version).await;
        let (stream, head) = upgrade(&sim, sim.proxy_address(), LEGACY).await;
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: alpn"), "{head}");
        let tls = inner(&sim, stream, &[&auth_alpn(CLUSTER), "h2"]).await.unwrap();
        assert!(over(tls).await.page(0, "").await.is_ok(), "{version:?}");

        let (_, head) = upgrade(&sim, sim.proxy_address(), &format!("{WEBSOCKET}X-Teleport-Upgrade: alpn\r\n")).await;
        let expected = if version == Version::V15 { "upgrade: alpn" } else { "upgrade: websocket" };
        assert!(head.contains(expected), "{version:?}: {head}");
    }
    let old = sim(Version::V15).await;
    let (_, head) = upgrade(&old, old.proxy_address(), WEBSOCKET).await;
    assert!(head.starts_with("http/1.1 404"), "the 15 line knows no WebSocket: {head}");
}

#[tokio::test]
async fn a_new_host_ca_cuts_old_connections_and_the_new_identity_file_trusts_it() {
    let sim = sim(Version::V17).await;
    let old_ca = sim.ca_pem();
    let mut standing = common::bot(&sim);
    standing.page(0, "").await.unwrap();
    sim.rotate_host_ca().unwrap();
    assert_ne!(sim.ca_pem(), old_ca);
    assert_eq!(std::fs::read_to_string(&sim.ready().ca_file).unwrap(), sim.ca_pem());
    common::until("the old connection fails", async || standing.page(0, "").await.is_err()).await;

    let identity = std::fs::read_to_string(&sim.ready().identity_file).unwrap();
    let blocks = pem_blocks(&identity);
    assert_eq!(blocks[2..], [sim.ca_pem(), old_ca], "both authorities, the new one first");
    assert!(common::bot(&sim).page(0, "").await.is_ok());
}
