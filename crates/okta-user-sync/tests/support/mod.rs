//! Both simulators as child processes, a manifest that fits them, and runs of the binary.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod cluster;
#[cfg(feature = "demo")]
pub mod operator;
pub mod snapshot;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{Launch, Process};

/// How long a simulator or a command may take on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_okta-user-sync"))
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    run_with_input(arguments, "")
}

/// Runs the binary to its end, with this on standard input.
pub fn run_with_input(arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Exit code, standard output, standard error.
pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A simulator and the line that it printed.
pub struct Sim {
    pub process: Process,
    pub ready: Value,
}

impl Sim {
    /// Starts `sim <arguments>` and waits for its line.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut process = Launch::new(binary()).args(["sim"]).args(arguments.iter().copied()).start().unwrap();
        let ready = process.first_json(LONG).await.unwrap();
        Self { process, ready }
    }

    /// A field of the line.
    pub fn field(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.ready)).to_owned()
    }
}

/// An Okta organisation, a Teleport, and a folder with a manifest that joins them.
pub struct World {
    pub okta: Sim,
    pub teleport: Sim,
    pub folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl World {
    /// With this many people.
    pub async fn of(people: usize) -> Self {
        Self::with(people, &[], &[]).await
    }

    /// With a Teleport cluster of this name.
    pub async fn called(people: usize, cluster: &str) -> Self {
        Self::with(people, &[], &["--cluster", cluster]).await
    }

    /// With an organisation that is known by this host, which leads nowhere by itself.
    pub async fn behind(people: usize, host: &str) -> Self {
        Self::with(people, &["--host-name", host], &[]).await
    }

    async fn with(people: usize, of_okta: &[&str], of_teleport: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // They are killed at the end of a test, and then take no files with them: the folder does.
        let dir = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let people = people.to_string();
        let okta = ["okta", "--people", &people, "--seed", "3", "--dir", &dir("okta")].map(str::to_owned);
        let okta: Vec<&str> = okta.iter().map(String::as_str).chain(of_okta.iter().copied()).collect();
        let okta = Sim::start(&okta).await;
        let app = okta.field("appID");
        let folder_of_teleport = dir("teleport");
        let teleport = ["teleport", "--okta-app-id", &app, "--dir", &folder_of_teleport];
        let teleport = Sim::start(&[&teleport, of_teleport].concat()).await;
        let ca = reqwest::Certificate::from_pem(&std::fs::read(okta.field("caFile")).unwrap()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let world = Self { okta, teleport, folder, http };
        std::fs::write(world.manifest(), world.quickstart()).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn manifest(&self) -> PathBuf {
        self.path("acme.yaml")
    }

    /// `examples/quickstart.yaml`, filled in.
    pub fn quickstart(&self) -> String {
        self.filled(include_str!("../../../../examples/quickstart.yaml"))
    }

    /// An example, with the placeholders filled in as its reader would.
    pub fn filled(&self, example: &str) -> String {
        let indented = |path: String| std::fs::read_to_string(path).unwrap().trim_end().replace('\n', "\n    ");
        example
            .replace("https://acme.okta.com", &self.okta.field("orgURL"))
            .replace("0oa1api2services3app", &self.okta.field("clientID"))
            .replace("0oa9saml8app7teleprt", &self.okta.field("appID"))
            .replace("teleport.example.com:443", &self.teleport.field("authAddress"))
            .replace(
                "<the private key of the API Services app, PEM or JWK>",
                &indented(self.okta.field("privateKeyFile")),
            )
            .replace("<the content of the identity file>", &indented(self.teleport.field("identityFile")))
    }

    /// Runs `<verb> -f acme.yaml -o json …` and reads the document.
    pub fn pass(&self, verb: &str, further: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.told(verb, &[&["-o", "json"], further].concat());
        let document = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e} in {out:?}; {err}"));
        (code, document)
    }

    /// Runs `<verb> -f acme.yaml …`.
    pub fn told(&self, verb: &str, further: &[&str]) -> (i32, String, String) {
        let (file, ca) = (self.manifest(), self.okta.field("caFile"));
        let fixed = [verb, "-f", file.to_str().unwrap(), "--okta-ca", &ca];
        told(&run(&[&fixed, further].concat()))
    }

    /// What `init` asks about both sides, as it is here.
    pub fn answers(&self) -> Answers {
        let (okta, teleport) = (&self.okta, &self.teleport);
        Answers(vec![
            ("--org-url", okta.field("orgURL")),
            ("--client-id", okta.field("clientID")),
            ("--okta-key", okta.field("privateKeyFile")),
            ("--okta-ca", okta.field("caFile")),
            ("--app-id", okta.field("appID")),
            ("--teleport-address", teleport.field("authAddress")),
            ("--teleport-identity", teleport.field("identityFile")),
        ])
    }

    /// A call of Okta's management API.
    pub async fn okta(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.okta.field("orgURL"));
        let request = self.http.request(method, url);
        let request = request.header("Authorization", format!("SSWS {}", self.okta.field("ssws")));
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// The people who are assigned to the app: Okta id and user name.
    pub async fn assigned(&self) -> Vec<(String, String)> {
        let path = format!("/api/v1/apps/{}/users?limit=500", self.okta.field("appID"));
        let all = self.okta(reqwest::Method::GET, &path, None).await;
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        all.as_array().unwrap().iter().map(|one| (word(&one["id"]), word(&one["credentials"]["userName"]))).collect()
    }

    /// Takes a person's assignment away.
    pub async fn unassign(&self, id: &str) {
        let path = format!("/api/v1/apps/{}/users/{id}", self.okta.field("appID"));
        self.okta(reqwest::Method::DELETE, &path, None).await;
    }

    /// What teleport-sim's admin port answers; null for nothing there.
    pub async fn teleport(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.teleport.field("adminURL"));
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
        if answer.status().is_success() { answer.json().await.unwrap() } else { Value::Null }
    }

    /// Tells the admin port of a simulator something.
    pub async fn tell(&self, sim: &Sim, path: &str, body: &Value) {
        let url = format!("{}{path}", sim.field("adminURL"));
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().post(url).json(body).send().await.unwrap();
        let (status, words) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status} {words}");
    }

    /// How many writes Teleport has seen.
    pub async fn writes(&self) -> u64 {
        self.teleport("/state").await["writes"].as_u64().unwrap()
    }
}

/// Flags that answer the questions of `init`.
#[derive(Clone)]
pub struct Answers(Vec<(&'static str, String)>);

impl Answers {
    /// The same with this one as well, or with another value.
    #[must_use]
    pub fn with(mut self, flag: &'static str, value: &str) -> Self {
        self.0.retain(|(known, _)| *known != flag);
        self.0.push((flag, value.to_owned()));
        self
    }

    /// The same but for this one.
    #[must_use]
    pub fn without(mut self, flag: &str) -> Self {
        self.0.retain(|(known, _)| *known != flag);
        self
    }

    /// As they stand on a command line.
    pub fn words(&self) -> Vec<&str> {
        self.0.iter().flat_map(|(flag, value)| [*flag, value.as_str()]).collect()
    }
}

/// A file in a folder, with this content; its path as text.
pub fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
