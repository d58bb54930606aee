//! The chart as helm renders it, and the schemas that what it renders is held against.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Tools, eventually};

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every document of a YAML text; empty ones are left out.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// Compares a file with what was made, or writes it with `UPDATE=1`.
pub fn made(path: &Path, made: &str, how: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, made).unwrap();
    }
    let there = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}; write it: {how}", path.display()));
    if there != made {
        let line = there.lines().zip(made.lines()).position(|(one, other)| one != other);
        let line = line.unwrap_or_else(|| there.lines().count().min(made.lines().count()));
        let at = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
        panic!(
            "{} is out of date from line {} on; it says\n  {}\nand should say\n  {}\nLook, then write it anew: {how}",
            path.display(),
            line + 1,
            at(&there),
            at(made),
        );
    }
}

/// helm, with a home of its own.
pub struct Helm {
    tools: &'static Tools,
    home: TempDir,
}

impl Helm {
    /// The pinned helm.
    pub async fn provide() -> Self {
        Self { tools: Tools::provide().await.unwrap(), home: tempfile::tempdir().unwrap() }
    }

    /// A command that runs `name` (helm, kubeconform or kubectl).
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        self.tools.command(name, self.home.path())
    }

    /// Writes a file that lives as long as this value.
    #[must_use]
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What the chart in the repository renders with these values, or what helm says against them.
    ///
    /// # Errors
    /// helm's words.
    pub fn render(&self, values: &Value, further: &[&str]) -> Result<String, String> {
        // A name for each call, because tests render at the same time.
        let file = tempfile::Builder::new().suffix(".json").tempfile_in(self.home.path()).unwrap();
        fs::write(file.path(), values.to_string()).unwrap();
        let mut command = self.command("helm");
        command.args(["template", "okta-user-sync"]).arg(repository().join("charts/okta-user-sync"));
        command.args(["--namespace", "identity", "--kube-version", "1.34.0", "--values"]).arg(file.path());
        succeed(command.args(further))
    }
}

/// Runs a command: its standard output, or everything that it said.
///
/// # Errors
/// It did not succeed.
pub fn succeed(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}

/// Installs our definition and those of other projects (`fixtures/crds`), and waits until the server publishes them.
pub async fn install_definitions(client: &Client) {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/crds");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut all: Vec<Value> = files.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect();
    let ours = fs::read_to_string(repository().join("crds/oktausersyncs.usersync.dev.yaml")).unwrap();
    all.extend(documents(&ours));
    for definition in &all {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let apply = PatchParams::apply("suites").force();
        definitions.patch(name, &apply, &Patch::Apply(definition)).await.unwrap();
    }
    for definition in &all {
        let (spec, kind) = (&definition["spec"], definition["spec"]["names"]["kind"].as_str().unwrap());
        let version = spec["versions"][0]["name"].as_str().unwrap();
        let api_version = format!("{}/{version}", spec["group"].as_str().unwrap());
        eventually(Duration::from_secs(120), "a definition to be published", async || {
            openapi(client, &api_version, kind).await.map(drop)
        })
        .await
        .unwrap();
    }
}

/// Makes namespaces, if they are not there.
pub async fn make_namespaces(client: &Client, names: &[&str]) {
    let namespaces = Api::<Namespace>::all(client.clone());
    for name in names {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        namespaces.patch(name, &PatchParams::apply("suites"), &Patch::Apply(&object)).await.unwrap();
    }
}

/// Applies on the server, which checks everything strictly and keeps nothing.
///
/// # Errors
/// What the server says against it.
pub async fn dry_run(client: &Client, document: &Value) -> kube::Result<()> {
    let (api_version, kind) = (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let known = pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await?;
    let (resource, capabilities): (ApiResource, _) = known;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = document["metadata"]["namespace"].as_str().unwrap();
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    let parameters = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("helm").force()
    };
    api.patch(document["metadata"]["name"].as_str().unwrap(), &parameters, &Patch::Apply(document)).await.map(drop)
}

/// The server's schema of a kind, with everything that it refers to, as a JSON schema that refuses unknown fields.
///
/// # Errors
/// The server does not publish it.
pub async fn openapi(client: &Client, api_version: &str, kind: &str) -> Result<Value, String> {
    let path = if api_version.contains('/') { "apis" } else { "api" };
    let request = http::Request::get(format!("/openapi/v3/{path}/{api_version}")).body(Vec::new()).unwrap();
    let document: Value = client.request(request).await.map_err(|error| error.to_string())?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let wanted = json!({ "group": group, "version": version, "kind": kind });
    let schemas = document["components"]["schemas"].as_object().ok_or("no schemas")?;
    let is_it = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.contains(&wanted))
    };
    let (root, _) = schemas.iter().find(|(_, schema)| is_it(schema)).ok_or(format!("no schema of {kind}"))?;
    let mut definitions = BTreeMap::new();
    let mut open = BTreeSet::from([root.clone()]);
    while let Some(name) = open.pop_first() {
        let mut schema = schemas.get(&name).ok_or(format!("no schema {name}"))?.clone();
        strict(&mut schema, &mut open);
        open.retain(|name| !definitions.contains_key(name));
        definitions.insert(name, schema);
    }
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": format!("#/definitions/{root}"),
        "definitions": definitions,
    }))
}

/// Refuses fields that the schema does not name, points references at `definitions`, and notes them in `open`.
fn strict(schema: &mut Value, open: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
                *reference = format!("#/definitions/{name}");
                open.insert(name);
            }
            let closed = fields.get("properties").is_some_and(Value::is_object)
                && !fields.contains_key("additionalProperties")
                && fields.get("x-kubernetes-preserve-unknown-fields") != Some(&Value::Bool(true));
            if closed {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            fields.values_mut().for_each(|value| strict(value, open));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| strict(value, open)),
        _ => {}
    }
}

/// Holds manifests against the server's schemas by kubeconform, without any network; kubeconform's words if it objects.
///
/// # Errors
/// A manifest does not fit its schema, or there is none.
pub async fn kubeconform(helm: &Helm, client: &Client, manifests: &str) -> Result<(), String> {
    let schemas = tempfile::tempdir().unwrap();
    for document in documents(manifests) {
        let (api_version, kind) = (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
        let (group, version) = api_version.split_once('/').unwrap_or((api_version, api_version));
        let file = schemas.path().join(format!("{}_{group}_{version}.json", kind.to_lowercase()));
        if !file.exists() {
            fs::write(&file, openapi(client, api_version, kind).await?.to_string()).unwrap();
        }
    }
    let location = format!(
        "{}/{{{{ .ResourceKind }}}}_{{{{ .Group }}}}_{{{{ .ResourceAPIVersion }}}}.json",
        schemas.path().display()
    );
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), manifests).unwrap();
    succeed(helm.command("kubeconform").args(["-strict", "-summary", "-schema-location", &location]).arg(file.path()))
        .map(drop)
}
