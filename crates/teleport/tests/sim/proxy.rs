//! Through a Proxy that routes TLS: it reads the first protocol name of the handshake, and passes the stream on or answers for itself.

use std::sync::{Arc, Mutex};

use engine::{cluster::Cluster as _, failure::Class};
use rustls::{ServerConfig, crypto::aws_lc_rs, server::Acceptor};
use rustls_pki_types::PrivateKeyDer;
use teleport::{HttpProxy, Settings, TeleportClient, Way};
use teleport_sim::{Options, TeleportSim, Version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::fixture::{new_user, settings, start};

/// What clients offered, connection by connection.
type Seen = Arc<Mutex<Vec<(Option<String>, Vec<String>)>>>;

/// A Proxy in front of a cluster; `known` is the name that it routes by.
async fn proxy(sim: &TeleportSim, known: &str) -> (String, Seen) {
    let route = teleport_proto::names::auth_alpn(known);
    let web = rcgen::generate_simple_self_signed(vec!["proxy.example.com".into()]).unwrap();
    let key = PrivateKeyDer::try_from(web.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![web.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let web = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (auth, seen) = (sim.auth_address(), Seen::default());
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (route, web, log) = (route.clone(), web.clone(), Arc::clone(&log));
            tokio::spawn(async move { handle(stream, &route, &web, auth, &log).await });
        }
    });
    (address, seen)
}

async fn handle(mut stream: TcpStream, route: &str, web: &TlsAcceptor, auth: std::net::SocketAddr, log: &Seen) {
    let mut hello = vec![0; 16 * 1024];
    let length = stream.read(&mut hello).await.unwrap_or(0);
    hello.truncate(length);
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut hello.as_slice()).unwrap();
    let Ok(Some(accepted)) = acceptor.accept() else { return };
    let protocols: Vec<String> = accepted
        .client_hello()
        .alpn()
        .into_iter()
        .flatten()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let name = accepted.client_hello().server_name().map(str::to_owned);
    log.lock().unwrap().push((name, protocols.clone()));
    match protocols.first().map(String::as_str) {
        Some(first) if first == route => {
            let Ok(mut auth) = TcpStream::connect(auth).await else { return };
            if auth.write_all(&hello).await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut auth).await;
            }
        }
        // Another cluster's name: closed.
        Some(first) if first.starts_with("teleport-auth@") => {}
        _ => {
            let (reader, writer) = stream.split();
            let _ = web.accept(tokio::io::join(std::io::Cursor::new(hello).chain(reader), writer)).await;
        }
    }
}

#[tokio::test]
async fn the_proxy_routes_by_the_protocol_name_and_our_handshake_ends_at_the_auth_service() {
    let sim = start(Options::default()).await;
    let (address, seen) = proxy(&sim, "teleport.sim").await;
    for way in [Way::Auto, Way::Proxy] {
        let client = TeleportClient::connect(Settings { address: address.clone(), way, ..settings(&sim) }).unwrap();
        client.prove_identity().await.unwrap();
        assert_eq!(client.way(), Some(Way::Proxy));
        client.create_user(new_user(&format!("{}@acme.com", way.as_str()))).await.unwrap();
    }
    let encoded = "74656c65706f72742e73696d.teleport.cluster.local";
    let offered = (Some(encoded.to_owned()), vec![format!("teleport-auth@{encoded}"), "h2".to_owned()]);
    assert_eq!(*seen.lock().unwrap(), [offered.clone(), offered], "no try is wasted");
}

#[tokio::test]
async fn the_form_for_an_auth_service_lands_on_the_proxys_own_certificate() {
    let sim = start(Options::default()).await;
    let (address, _) = proxy(&sim, "teleport.sim").await;
    let settings = Settings { address, way: Way::Auth, ..settings(&sim) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Credential, "TeleportNotTrusted"), "{refused}");
}

#[tokio::test]
async fn a_proxy_of_another_cluster_is_told_by_the_form_for_proxies() {
    let sim = start(Options::default()).await;
    let (address, seen) = proxy(&sim, "another.example.com").await;
    let settings = Settings { address, ..settings(&sim) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Transient, "TeleportHandshakeFailed"), "{refused}");
    assert!(refused.remedy.contains("of this cluster"), "{}", refused.remedy);
    assert!(seen.lock().unwrap().iter().any(|(_, protocols)| protocols == &["h2"]), "the other form was tried, too");
}

#[tokio::test]
async fn behind_a_balancer_the_connection_is_upgraded() {
    for version in [Version::V15, Version::V17, Version::V18] {
        let sim = start(Options { version, ..Options::default() }).await;
        for way in [Way::Auto, Way::Upgrade] {
            let address = sim.balancer_address().to_string();
            let web_authorities = Some(sim.web_ca_pem());
            let settings = Settings { address, way, web_authorities, ..settings(&sim) };
            let client = TeleportClient::connect(settings).unwrap();
            client.prove_identity().await.unwrap();
            assert_eq!(client.way(), Some(Way::Upgrade), "{version:?}");
            client.create_user(new_user(&format!("{}@acme.com", way.as_str()))).await.unwrap();
            // More than one frame each way.
            let mut user = new_user(&format!("long-{}@acme.com", way.as_str()));
            user.traits.insert("okta/notes".into(), vec!["x".repeat(300_000)]);
            client.create_user(user.clone()).await.unwrap();
            assert_eq!(client.user(&user.name).await.unwrap().unwrap().traits, user.traits);
        }
    }
}

#[tokio::test]
async fn a_balancer_before_another_cluster_is_told_by_what_lies_behind_it() {
    let (here, other) = (start(Options::default()).await, start(Options::default()).await);
    let address = other.balancer_address().to_string();
    let settings = Settings { address, web_authorities: Some(other.web_ca_pem()), ..settings(&here) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Credential, "TeleportNotTrusted"), "{refused}");
}

#[tokio::test]
async fn a_proxy_without_tls_routing_is_told_so() {
    let sim = start(Options { tls_routing: false, ..Options::default() }).await;
    let settings = Settings { address: sim.proxy_address().to_string(), ..settings(&sim) };
    let refused = TeleportClient::connect(settings).unwrap().prove_identity().await.unwrap_err();
    assert_eq!((refused.class, refused.reason), (Class::Transient, "TeleportHandshakeFailed"), "{refused}");
}

#[tokio::test]
async fn an_http_proxy_on_the_way_out_passes_us_on_or_says_why_not() {
    let sim = start(Options::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:secret@{}", listener.local_addr().unwrap());
    let auth = sim.auth_address();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
                if head.starts_with("CONNECT teleport.example.com:3025 HTTP/1.1\r\n") {
                    let mut auth = TcpStream::connect(auth).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut auth).await;
                } else {
                    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    let through = |address: &str| {
        let http_proxy = Some(HttpProxy::parse(&url).unwrap());
        TeleportClient::connect(Settings { address: address.into(), http_proxy, ..settings(&sim) }).unwrap()
    };
    through("teleport.example.com:3025").prove_identity().await.unwrap();
    let refused = through("elsewhere.example.com:3025").prove_identity().await.unwrap_err();
    assert_eq!(refused.reason, "TeleportUnreachable");
    assert!(refused.message.contains("403") && !refused.message.contains("secret"), "{refused}");
}
