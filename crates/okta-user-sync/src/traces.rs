//! Traces by OTLP (HTTP with protobuf): a span for each pass, and one for each call in it. Log lines are not sent, as they
//! name people.

use std::pin::Pin;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::exit::Stop;

/// Longest time that one export may take, and that the last spans may hold up the end of the process.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exporter. Dropped, it sends what is left.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// An exporter to the collector at `endpoint`; its requests run on `runtime`. `OTEL_EXPORTER_OTLP_HEADERS` is honoured.
    ///
    /// # Errors
    /// The endpoint is no http or https URL.
    pub fn start(endpoint: &str, runtime: Handle) -> Result<Self, Stop> {
        let bad = |why: &dyn std::fmt::Display| {
            Stop::bad_input(
                format!("--otlp-endpoint {endpoint:?} cannot be used: {why}"),
                "give the URL of a collector that takes OTLP over HTTP, such as http://collector:4318",
            )
        };
        let mut url = Url::parse(endpoint).map_err(|e| bad(&e))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(&"it is neither http nor https"));
        }
        if url.path() == "/" {
            url.set_path("/v1/traces");
        }
        let mut client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        if is_local(&url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| bad(&e))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, runtime })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|e| bad(&e))?;
        let instance = std::env::var("POD_NAME").unwrap_or_else(|_| std::process::id().to_string());
        let resource = Resource::builder()
            .with_service_name("okta-user-sync")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", instance),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_id_generator(Ids::default())
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// What takes in spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = |meta: &tracing::Metadata<'_>| meta.is_span() && matches!(meta.target(), "pass" | "call");
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("okta-user-sync"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(ours))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(why) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!("the last traces could not be sent: {why}");
        }
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A pass has its own id for its trace id.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        operator::trace::current().map_or_else(|| self.0.new_trace_id(), |id| TraceId::from_bytes(id.to_be_bytes()))
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// The exporter runs on a thread of its own, outside of the runtime that reqwest needs.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        });
        Box::pin(async move { sent.await? })
    }
}
