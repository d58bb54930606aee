//! What `ServiceAccount`s asked of the API server, as its own audit log tells it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::ControlPlaneError;
use super::credentials::write_secret;

/// The policy: every request of every `ServiceAccount`, without bodies (Secrets are among them), and nobody else's. A
/// watch is told when it begins, because it ends much later.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts']
- level: None
";

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The RBAC verb: `get`, `list`, `watch`, `create` ….
    pub verb: String,
    /// API group; empty: the core group, or no resource at all.
    pub group: String,
    /// Resource with its subresource, such as `oktausersyncs/status`; empty for a path that is no resource.
    pub resource: String,
    /// Namespace; empty: none.
    pub namespace: String,
    /// Name of the object; empty: none is named.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// HTTP status.
    pub code: u16,
}

/// Writes the policy.
pub(crate) fn write_policy(file: &Path) -> Result<(), ControlPlaneError> {
    write_secret(file, POLICY)
}

/// Every request of the user that the log has by now, each once.
pub(crate) fn read(file: &Path, user: &str) -> Vec<Request> {
    // Before the first request there is no file.
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut seen = std::collections::HashSet::new();
    text.lines()
        // Most lines are of others, and need no reading.
        .filter(|line| line.contains(user))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["user"]["username"] == user)
        .filter(|event| seen.insert(event["auditID"].clone().to_string()))
        .map(|event| request(&event))
        .collect()
}

fn request(event: &Value) -> Request {
    let word = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (resource, part) = (word("/objectRef/resource"), word("/objectRef/subresource"));
    let uri = word("/requestURI");
    Request {
        verb: word("/verb"),
        group: word("/objectRef/apiGroup"),
        resource: if part.is_empty() { resource } else { format!("{resource}/{part}") },
        namespace: word("/objectRef/namespace"),
        // A list or watch of one object by a field selector is told under its name in newer versions only.
        name: Some(word("/objectRef/name")).filter(|name| !name.is_empty()).unwrap_or_else(|| selected(&uri)),
        code: event
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .and_then(|c| u16::try_from(c).ok())
            .unwrap_or(0),
        uri,
    }
}

/// The name that a field selector asks for.
fn selected(uri: &str) -> String {
    let name = uri.split_once("fieldSelector=metadata.name%3D").map_or("", |(_, rest)| rest);
    name.split('&').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_once_with_what_rbac_sees() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        assert_eq!(read(&file, "a"), []);
        let line = |id: &str, user: &str, stage: &str| {
            format!(
                r#"{{"auditID":"{id}","stage":"{stage}","verb":"watch","user":{{"username":"{user}"}},"requestURI":"/api/v1/namespaces/home/secrets?watch=1&fieldSelector=metadata.name%3Dkey&timeout=1","objectRef":{{"resource":"secrets","namespace":"home"}},"responseStatus":{{"code":200}}}}"#
            )
        };
        let text = [
            line("1", "a", "ResponseStarted"),
            line("1", "a", "ResponseComplete"),
            line("2", "b", "ResponseComplete"),
            "broken".into(),
        ];
        fs::write(&file, text.join("\n")).unwrap();
        let told = read(&file, "a");
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].resource.as_str(), told[0].name.as_str(), told[0].code), ("secrets", "key", 200));
    }
}
