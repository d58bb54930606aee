//! Probes by HTTP, as the kubelet makes them.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PodError;
use super::container::Network;

/// An `httpGet` probe and what it has seen.
#[derive(Debug)]
pub(super) struct HttpProbe {
    ip: Ipv4Addr,
    port: u16,
    path: String,
    period: Duration,
    timeout: Duration,
    failure_threshold: u32,
    /// Failures in a row.
    failures: u32,
    next: Instant,
}

impl HttpProbe {
    /// The probe that the manifest asks for; `None` if it asks for none.
    pub(super) fn read(probe: Option<&Probe>, network: &Network) -> Result<Option<Self>, PodError> {
        let Some(probe) = probe else { return Ok(None) };
        let get = probe.http_get.as_ref().ok_or_else(|| PodError::Unknown("a probe but httpGet".to_owned()))?;
        let port = match &get.port {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(name) => name.clone(),
        };
        let port = network.port(&port).ok_or_else(|| PodError::Missing(format!("there is no port {port}")))?;
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
        };
        let delay = seconds(probe.initial_delay_seconds, 0);
        Ok(Some(Self {
            ip: network.ip,
            port,
            path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            period: seconds(probe.period_seconds, 10),
            // A busy machine is no reason to restart.
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(5)),
            failure_threshold: probe.failure_threshold.and_then(|n| u32::try_from(n).ok()).unwrap_or(3),
            failures: 0,
            next: Instant::now() + delay,
        }))
    }

    /// Whether it answers now, whatever its period: for readiness, which nobody wants to wait for.
    pub(super) async fn answers(&self) -> bool {
        let asked = tokio::time::timeout(self.timeout, status(self.ip, self.port, &self.path)).await;
        matches!(asked, Ok(Ok(200..400)))
    }

    /// Asks when it is time; whether it has failed too often in a row.
    pub(super) async fn has_failed(&mut self) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + self.period;
        self.failures = if self.answers().await { 0 } else { self.failures + 1 };
        self.failures >= self.failure_threshold
    }
}

/// The status that `GET path` is answered with.
async fn status(ip: Ipv4Addr, port: u16, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((ip, port)).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {ip}:{port}\r\nUser-Agent: kube-probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let line = String::from_utf8_lossy(&answer);
    let code = line.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    code.ok_or_else(|| std::io::Error::other("no HTTP"))
}
