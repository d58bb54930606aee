//! An organisation, a cluster, and the product between them.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    error::BenchError,
    measure::{Done, Measured, run},
    stage::{OktaPlace, Places, Running, Stage, TeleportPlace},
};

/// Whose users they are: `namespace/name` of the resource.
pub const OWNER: &str = "bench/bench";

/// Calls to the simulators' own APIs at once, while a scene is changed.
const AT_ONCE: usize = 8;

/// Both simulators and the resource between them.
pub struct Scene {
    /// The organisation.
    pub okta: Running<OktaPlace>,
    /// The cluster.
    pub teleport: Running<TeleportPlace>,
    /// How many people are in scope.
    pub people: usize,
    /// Of the people who were there at first, in the order of Okta's list, how many have left.
    gone: usize,
    program: PathBuf,
    folder: TempDir,
    client: Client,
}

/// Scenes by the number of people that they began with; each is made, and its people are imported, when it is first used.
pub struct Scenes<'a> {
    /// Where they come from.
    pub stage: &'a Stage,
    there: BTreeMap<usize, Scene>,
}

impl<'a> Scenes<'a> {
    /// None yet.
    pub fn of(stage: &'a Stage) -> Self {
        Self { stage, there: BTreeMap::new() }
    }

    /// The scene of so many people, all of them imported.
    pub fn imported(&mut self, people: usize) -> Result<&mut Scene, BenchError> {
        let scene = if let Some(scene) = self.there.remove(&people) {
            scene
        } else {
            eprintln!("-- importing {people} people");
            let scene = Scene::of(self.stage, people)?;
            let made = scene.sync(&["--teleport-write-rate=0"])?.done.writes;
            if made < people as u64 {
                return Err(BenchError::process("the import", &format!("only {made} of {people} were made")));
            }
            scene
        };
        Ok(self.there.entry(people).or_insert(scene))
    }
}

impl Scene {
    /// So many people, and an empty cluster.
    pub fn of(stage: &Stage, people: usize) -> Result<Self, BenchError> {
        let okta = stage.okta(people)?;
        let teleport = stage.teleport(&okta.place.app_id)?;
        let folder = tempfile::tempdir().map_err(BenchError::system("a temporary folder"))?;
        let ca = fs::read(&okta.place.ca_file).map_err(BenchError::system("the CA"))?;
        let ca = Certificate::from_pem(&ca).map_err(|error| BenchError::unreadable("the CA", &error))?;
        let client = Client::builder().no_proxy().tls_certs_merge([ca]).build();
        let client = client.map_err(|error| BenchError::process("an HTTP client", &error))?;
        let program = stage.program().to_path_buf();
        let scene = Self { okta, teleport, people, gone: 0, program, folder, client };
        scene.set(&json!({}))?;
        Ok(scene)
    }

    /// The same people, and another cluster that is empty.
    pub fn empty_cluster(&mut self, stage: &Stage) -> Result<(), BenchError> {
        self.teleport = stage.teleport(&self.okta.place.app_id)?;
        self.set(&json!({}))
    }

    /// Where both are.
    pub fn places(&self) -> Places {
        Places { okta: self.okta.place.clone(), teleport: self.teleport.place.clone() }
    }

    /// CPU time that both simulators have used, in seconds.
    pub fn simulators_cpu(&self) -> Result<f64, BenchError> {
        Ok(self.okta.cpu()? + self.teleport.cpu()?)
    }

    /// The specification of the resource, with `more` over it.
    pub fn spec(&self, more: &Value) -> Value {
        let mut spec = json!({
            "okta": { "orgURL": self.okta.place.org_url, "clientID": self.okta.place.client_id },
            "scope": { "appID": self.okta.place.app_id },
            "teleport": { "address": self.teleport.place.auth_address, "connector": self.teleport.place.connector },
        });
        lay_over(&mut spec, more);
        spec
    }

    /// Writes the manifest.
    pub fn set(&self, more: &Value) -> Result<(), BenchError> {
        let (namespace, name) = OWNER.split_once('/').unwrap_or_default();
        let manifest = json!({
            "apiVersion": "usersync.dev/v1alpha1", "kind": "OktaUserSync",
            "metadata": { "namespace": namespace, "name": name }, "spec": self.spec(more),
        });
        fs::write(self.file("manifest.json"), manifest.to_string()).map_err(BenchError::system("the manifest"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One pass of the product, as a process.
    pub fn sync(&self, more: &[&str]) -> Result<Measured, BenchError> {
        let mut command = Command::new(&self.program);
        command
            .args(["sync", "--output=json", "--counts-only", "--file"])
            .arg(self.file("manifest.json"))
            .arg("--okta-key")
            .arg(&self.okta.place.private_key_file)
            .arg("--okta-ca")
            .arg(&self.okta.place.ca_file)
            .arg("--teleport-identity")
            .arg(&self.teleport.place.identity_file)
            .args(more);
        run("okta-user-sync sync", &mut command, told)
    }

    /// Changes a profile value of the first people in the list, so many of those who are still there.
    pub fn change(&self, people: usize) -> Result<(), BenchError> {
        let profile = json!({ "profile": { "department": "Night watch" } });
        self.each(people, |id| (format!("/api/v1/users/{id}"), profile.clone()))
    }

    /// Deactivates the first people in the list, so many of those who are still there.
    pub fn leave(&mut self, people: usize) -> Result<(), BenchError> {
        self.each(people, |id| (format!("/api/v1/users/{id}/lifecycle/deactivate"), json!({})))?;
        self.gone += people;
        self.people -= people;
        Ok(())
    }

    fn each(&self, people: usize, call: impl Fn(&str) -> (String, Value)) -> Result<(), BenchError> {
        block_on(async {
            let ids = self.first(people).await?;
            let calls = ids.iter().map(|(id, _)| call(id));
            stream::iter(calls)
                .map(|(path, body)| async move { self.manage(Method::POST, &path, &body).await.map(drop) })
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await
        })
    }

    /// Okta id and user name of the first people in the list.
    pub async fn first(&self, people: usize) -> Result<Vec<(String, String)>, BenchError> {
        let mut found = Vec::new();
        let mut after = String::new();
        while found.len() < people {
            let path = format!("/api/v1/apps/{}/users?limit=500{after}", self.okta.place.app_id);
            let (page, next) = self.manage_page(&path).await?;
            found.extend(page.iter().map(|person| {
                let text = |at: &str| person.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
                (text("/id"), text("/credentials/userName"))
            }));
            match next {
                Some(cursor) => after = format!("&after={cursor}"),
                None => break,
            }
        }
        if found.len() < people {
            return Err(BenchError::process("the list of people", &format!("{} of {people} are there", found.len())));
        }
        found.truncate(people);
        Ok(found)
    }

    async fn manage_page(&self, path: &str) -> Result<(Vec<Value>, Option<String>), BenchError> {
        let answer = self.ask(Method::GET, path, &Value::Null).await?;
        let links = answer.headers().get_all("link").iter().filter_map(|link| link.to_str().ok());
        let next = links.filter(|link| link.contains("rel=\"next\"")).find_map(cursor);
        let page = answer.json().await.map_err(|error| BenchError::unreadable(path, &error))?;
        Ok((page, next))
    }

    /// One call of Okta's management API.
    pub async fn manage(&self, method: Method, path: &str, body: &Value) -> Result<Value, BenchError> {
        let text = self.ask(method, path, body).await?.text().await;
        let text = text.map_err(|error| BenchError::process(path, &error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| BenchError::unreadable(path, &error))
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<reqwest::Response, BenchError> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.okta.place.org_url))
            .header("authorization", format!("SSWS {}", self.okta.place.ssws));
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        answer.map_err(|error| BenchError::process(path, &error))
    }

    /// What the admin port of the cluster answers.
    pub async fn cluster(&self, path: &str) -> Result<Value, BenchError> {
        let asked = self.client.get(format!("{}{path}", self.teleport.place.admin_url)).send().await;
        let answer = asked.and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|error| BenchError::process(path, &error))?;
        answer.json().await.map_err(|error| BenchError::unreadable(path, &error))
    }

    /// Tells the admin port of the cluster something.
    pub async fn tell_cluster(&self, path: &str, body: &Value) -> Result<(), BenchError> {
        let asked = self.client.post(format!("{}{path}", self.teleport.place.admin_url)).json(body).send().await;
        asked.and_then(reqwest::Response::error_for_status).map(drop).map_err(|error| BenchError::process(path, &error))
    }
}

/// Runs to the end, from where no runtime is.
pub fn block_on<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(BenchError::system("starting the runtime"))?.block_on(work)
}

/// The cursor in a next link.
fn cursor(link: &str) -> Option<String> {
    let url = link.strip_prefix('<')?.split_once('>')?.0;
    let query = url.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix("after=")).map(str::to_owned)
}

/// What a pass said of itself.
fn told(document: &str) -> Result<Done, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
    if document["outcome"] != "Succeeded" {
        return Err(format!("{}: {}", document["outcome"], document["failure"]));
    }
    let number = |at: &str| document.pointer(at).and_then(Value::as_u64).ok_or_else(|| format!("no {at}"));
    Ok(Done {
        seen: number("/counts/inScope")?,
        calls: number("/oktaCalls")?,
        writes: number("/teleportWrites")?,
        ..Done::default()
    })
}

/// Lays one document over another, field by field.
pub fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_did_not_succeed_is_no_measurement() {
        let held = json!({ "outcome": "Held", "failure": null }).to_string();
        assert!(told(&held).unwrap_err().contains("Held"));
        let done = json!({ "outcome": "Succeeded", "counts": { "inScope": 7 }, "oktaCalls": 3, "teleportWrites": 1 });
        assert_eq!(told(&done.to_string()).unwrap().seen, 7);
    }

    #[test]
    fn a_specification_is_laid_over_field_by_field() {
        let mut under = json!({ "a": { "b": 1, "c": 2 } });
        lay_over(&mut under, &json!({ "a": { "c": 3 }, "d": 4 }));
        assert_eq!(under, json!({ "a": { "b": 1, "c": 3 }, "d": 4 }));
    }

    #[test]
    fn the_cursor_of_a_next_link() {
        assert_eq!(cursor("<https://x/users?after=abc&limit=5>; rel=\"next\"").as_deref(), Some("abc"));
    }
}
