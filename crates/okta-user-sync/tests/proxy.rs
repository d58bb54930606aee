//! The way to Okta through a company's HTTP proxy, as `HTTPS_PROXY` and `NO_PROXY` name it, and through one that opens TLS.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

mod support;
use support::{World, binary, told};

/// A custom domain that no name server knows (RFC 2606), so that only the proxy leads there.
const HOST: &str = "login.acme.example";

/// What a proxy does when it is asked to connect.
#[derive(Clone, Copy)]
enum Manner {
    /// Connects, if the credential `user:hush` is shown.
    Connects(SocketAddr),
    /// Answers with this status line.
    Answers(&'static str),
}

/// A small HTTP proxy that knows `CONNECT` alone, and the heads of the requests that it saw.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner, seen.clone()));
            }
        });
        Self { address, heads }
    }

    /// Request lines that it saw.
    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

async fn serve(stream: TcpStream, manner: Manner, seen: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await? > 0 {}
    seen.lock().unwrap().push(head.clone());
    // Base64 of `user:hush`.
    let known = head.lines().any(|line| line.eq_ignore_ascii_case("proxy-authorization: Basic dXNlcjpodXNo"));
    let target = match manner {
        Manner::Connects(target) if known => target,
        Manner::Connects(_) => return refuse(stream, "407 Proxy Authentication Required").await,
        Manner::Answers(status) => return refuse(stream, status).await,
    };
    let mut there = TcpStream::connect(target).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}

async fn refuse(mut stream: BufReader<TcpStream>, status: &str) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Whatever still comes is read, or the answer might be lost with the connection.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// Both simulators, and a manifest that names the organisation by a host which only a proxy can reach.
async fn world() -> (World, SocketAddr) {
    let world = World::behind(5, HOST).await;
    let address = world.okta.field("orgURL").rsplit_once(':').unwrap().1.parse().unwrap();
    let manifest = world.quickstart().replace(&world.okta.field("orgURL"), &format!("https://{HOST}"));
    std::fs::write(world.manifest(), manifest).unwrap();
    (world, SocketAddr::from(([127, 0, 0, 1], address)))
}

/// Runs `preview -o json` in this environment and nothing of this machine's own.
fn preview(world: &World, environment: &[(&str, &str)]) -> (i32, Value, String) {
    let mut command = Command::new(binary());
    for name in
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"]
    {
        command.env_remove(name);
    }
    let (file, ca) = (world.manifest(), world.okta.field("caFile"));
    command.args(["preview", "-f", file.to_str().unwrap(), "--okta-ca", &ca, "-o", "json"]).stdin(Stdio::null());
    let (code, out, err) = told(&command.envs(environment.iter().copied()).output().unwrap());
    let document = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out:?}; {err}"));
    (code, document, format!("{out}{err}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn okta_is_reached_through_the_proxy_and_nothing_else_goes_there() {
    let (world, okta) = world().await;
    let proxy = Proxy::start(Manner::Connects(okta)).await;
    let url = format!("http://user:hush@{}", proxy.address);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let (code, document, all) = preview(&world, &[(name, &url)]);
        assert_eq!((code, &document["outcome"]), (0, &json!("Previewed")), "{document:#}");
        assert_eq!(document["counts"]["inScope"], 5, "{document:#}");
        assert!(!all.contains("hush") && !all.contains("dXNlcjpodXNo"), "P16: {all}");
        let asked = std::mem::take(&mut *proxy.heads.lock().unwrap());
        assert!(!asked.is_empty());
        // Teleport is on this machine, and what is on this machine is not asked for at a proxy.
        assert!(asked.iter().all(|head| head.starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1\r\n"))), "{asked:?}");
        assert!(asked.iter().all(|head| !head.contains("Bearer") && !head.contains("client_assertion")), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_exempts_a_host_and_its_domain() {
    let (world, okta) = world().await;
    let proxy = Proxy::start(Manner::Connects(okta)).await;
    let url = format!("http://user:hush@{}", proxy.address);
    // Each of them tries for some seconds before it gives up, so they do it side by side.
    std::thread::scope(|scope| {
        for exempt in [HOST, "acme.example", ".acme.example", "other.example,login.acme.example"] {
            let (world, url) = (&world, &url);
            scope.spawn(move || {
                let (code, document, _) = preview(world, &[("HTTPS_PROXY", url), ("NO_PROXY", exempt)]);
                assert_eq!(code, 1, "{document:#}");
                assert_eq!(document["failure"]["reason"], "OktaUnreachable", "{exempt}: {document:#}");
            });
        }
    });
    assert_eq!(proxy.asked(), Vec::<String>::new());
    let (code, document, _) = preview(&world, &[("HTTPS_PROXY", &url), ("NO_PROXY", "acme.example.com,login")]);
    assert_eq!((code, &document["outcome"]), (0, &json!("Previewed")), "{document:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_told_from_an_okta_that_cannot_be_reached() {
    let (world, okta) = world().await;
    let mut rows = Vec::new();
    for (manner, login, reason) in [
        (Manner::Connects(okta), "", "ProxyRefused"),
        (Manner::Connects(okta), "user:wrong@", "ProxyRefused"),
        (Manner::Answers("403 Forbidden"), "user:hush@", "OktaUnreachable"),
        (Manner::Answers("502 Bad Gateway"), "user:hush@", "OktaUnreachable"),
    ] {
        rows.push((Proxy::start(manner).await, login, reason));
    }
    std::thread::scope(|scope| {
        for (proxy, login, reason) in &rows {
            let world = &world;
            scope.spawn(move || {
                let url = format!("http://{login}{}", proxy.address);
                let (code, document, all) = preview(world, &[("HTTPS_PROXY", &url)]);
                assert_eq!(code, 1, "{document:#}");
                assert_eq!(document["failure"]["reason"], *reason, "{document:#}");
                assert!(document["failure"]["remedy"].as_str().unwrap().contains("HTTPS_PROXY"), "{document:#}");
                assert!(!all.contains("hush") && !all.contains("wrong@"), "P16: {all}");
                assert!(!proxy.asked().is_empty());
            });
        }
    });
}
