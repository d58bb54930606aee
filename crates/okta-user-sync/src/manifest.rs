//! A stream of Kubernetes manifests, read without Kubernetes: one `OktaUserSync` and what it refers to.

use std::fmt;

use api::OktaUserSync;
use api::names::GROUP;
use api::spec::SecretKeyRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use operator::secrets::MapSecrets;
use serde_json::{Map, Value};

use crate::exit::Stop;
use crate::schema;

/// What a stream holds.
pub struct Manifests {
    /// The resource; its namespace is always set.
    pub resource: OktaUserSync,
    /// Where the key lies that an operator has made for it, if the stream is of a cluster and tells.
    pub own_key: Option<SecretKeyRef>,
    /// The Secrets and ConfigMaps.
    pub secrets: MapSecrets,
    /// Objects that were left aside, as `Kind namespace/name`, or `Kind name` if they name no namespace.
    pub ignored: Vec<String>,
}

impl fmt::Debug for Manifests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifests").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// Which resource of a stream is meant, and where objects live that do not say so.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// Name of the resource; needed only if there are several.
    pub name: Option<&'a str>,
    /// Namespace of objects that name none.
    pub namespace: &'a str,
}

impl Manifests {
    /// Reads `text`, YAML or JSON documents; `file` is its name in messages.
    ///
    /// # Errors
    /// The text is no YAML, an object is no Kubernetes object, the resource is missing, ambiguous or against its schema,
    /// or data of a Secret or ConfigMap are not base64.
    pub fn read(file: &str, text: &str, pick: Pick<'_>) -> Result<Self, Stop> {
        let documents = serde_saphyr::from_multiple::<Value>(text).map_err(|e| {
            Stop::bad_input(format!("{file} is not YAML: {}", first_line(&e.to_string())), "mend the file")
        })?;
        let mut found = Found::default();
        for (index, document) in documents.into_iter().enumerate() {
            found.take(document, &format!("{file}, document {}", index + 1), pick.namespace)?;
        }
        let resource = choose(file, found.resources, pick)?;
        let own_key = own_key(&resource);
        Ok(Self { resource: decode(file, resource)?, own_key, secrets: found.secrets, ignored: found.ignored })
    }
}

#[derive(Default)]
struct Found {
    resources: Vec<Value>,
    secrets: MapSecrets,
    ignored: Vec<String>,
}

impl Found {
    fn take(&mut self, mut object: Value, place: &str, namespace: &str) -> Result<(), Stop> {
        if object.is_null() {
            return Ok(());
        }
        let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (word("apiVersion"), word("kind"));
        if version.is_empty() || kind.is_empty() {
            return Err(Stop::bad_input(
                format!("{place} has no apiVersion and kind"),
                "give Kubernetes manifests, separated by ---",
            ));
        }
        if kind == "List" {
            for item in object.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default() {
                self.take(item, place, namespace)?;
            }
            return Ok(());
        }
        let own_namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(|of| format!("{of}/"));
        let (of, name) = identity(&mut object, namespace);
        match (version.as_str(), kind.as_str()) {
            ("usersync.dev/v1alpha1", "OktaUserSync") => self.resources.push(object),
            (_, "OktaUserSync") => {
                return Err(Stop::bad_input(
                    format!("{place}: OktaUserSync {name} is of version {version}, which is not known"),
                    format!("write apiVersion: {GROUP}/v1alpha1"),
                ));
            }
            ("v1", "Secret") => {
                let data = secret_data(&object).map_err(|what| {
                    Stop::bad_input(format!("{place}: Secret {of}/{name}: {what}"), "mend the Secret in the file")
                })?;
                for (key, bytes) in data {
                    self.secrets.insert(&of, &name, &key, bytes);
                }
            }
            ("v1", "ConfigMap") => {
                let data = config_data(&object).map_err(|what| {
                    Stop::bad_input(format!("{place}: ConfigMap {of}/{name}: {what}"), "mend the ConfigMap in the file")
                })?;
                for (key, bytes) in data {
                    self.secrets.insert_config(&of, &name, &key, bytes);
                }
            }
            _ => self.ignored.push(format!("{kind} {}{name}", own_namespace.unwrap_or_default())),
        }
        Ok(())
    }
}

/// Namespace and name of an object; the namespace is put in where it is missing.
fn identity(object: &mut Value, namespace: &str) -> (String, String) {
    let Some(metadata) = object
        .as_object_mut()
        .map(|o| o.entry("metadata").or_insert_with(|| Value::Object(Map::new())))
        .and_then(Value::as_object_mut)
    else {
        return (namespace.to_owned(), String::new());
    };
    let of = metadata.entry("namespace").or_insert_with(|| namespace.into()).as_str().unwrap_or(namespace).to_owned();
    (of, metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// `data` (base64) and after it `stringData`, which wins, as in the API server.
fn secret_data(secret: &Value) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut data = binaries(secret, "data")?;
    data.extend(texts(secret, "stringData")?);
    Ok(data)
}

/// `data` (text) and `binaryData` (base64); no key may stand in both.
fn config_data(config: &Value) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut data = texts(config, "data")?;
    data.extend(binaries(config, "binaryData")?);
    Ok(data)
}

fn binaries(object: &Value, field: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let entries = object.get(field).and_then(Value::as_object).into_iter().flatten();
    let decoded = entries.map(|(key, value)| {
        let text: String = value.as_str().unwrap_or_default().split_ascii_whitespace().collect();
        BASE64.decode(text).map(|bytes| (key.clone(), bytes)).map_err(|_| format!("{field}.{key} is not base64"))
    });
    decoded.collect()
}

fn texts(object: &Value, field: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let entries = object.get(field).and_then(Value::as_object).into_iter().flatten();
    let read = entries.map(|(key, value)| {
        let text = value.as_str().ok_or_else(|| format!("{field}.{key} is not a string"))?;
        Ok((key.clone(), text.as_bytes().to_vec()))
    });
    read.collect()
}

fn choose(file: &str, resources: Vec<Value>, pick: Pick<'_>) -> Result<Value, Stop> {
    let name = |r: &Value| r.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names = resources.iter().map(name).collect::<Vec<_>>().join(", ");
    let mut meant = resources.into_iter().filter(|r| pick.name.is_none_or(|wanted| wanted == name(r)));
    match (meant.next(), meant.next(), pick.name) {
        (Some(one), None, _) => Ok(one),
        (Some(_), Some(_), None) => Err(Stop::bad_input(
            format!("{file} holds several OktaUserSyncs: {names}"),
            "say which one is meant with --name",
        )),
        (Some(_), Some(_), Some(wanted)) => Err(Stop::bad_input(
            format!("{file} holds several OktaUserSyncs called {wanted}"),
            "keep one of them in the file",
        )),
        (None, _, Some(wanted)) => Err(Stop::bad_input(
            format!("{file} holds no OktaUserSync called {wanted}; it holds: {names}"),
            "name one of these with --name",
        )),
        (None, _, None) => Err(Stop::bad_input(
            format!("{file} holds no OktaUserSync"),
            format!(
                "add a manifest with apiVersion: {GROUP}/v1alpha1, kind: OktaUserSync; examples/quickstart.yaml is one"
            ),
        )),
    }
}

/// Of all that status tells, the one thing that counts here as well: which Secret holds the key.
fn own_key(resource: &Value) -> Option<SecretKeyRef> {
    let status = resource.get("status").cloned()?;
    operator::keys::reference(&serde_json::from_value(status).ok()?)
}

/// Decodes the resource, with the defaults that the API server would fill in, and holds it against its schema.
fn decode(file: &str, mut object: Value) -> Result<OktaUserSync, Stop> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = format!("{file}: OktaUserSync {name}");
    if name.is_empty() {
        return Err(Stop::bad_input(format!("{file}: the OktaUserSync has no metadata.name"), "give it one"));
    }
    let broken = |faults: Vec<String>| {
        Stop::bad_input(
            format!("{place}: {}", faults.join("; ")),
            "mend the file; `kubectl explain ous.spec` or docs/reference.md tell each field",
        )
    };
    if let Some(fields) = object.as_object_mut() {
        // What a cluster answered once says nothing here.
        fields.remove("status");
    }
    prune(&mut object);
    let misshapen = schema::misshapen(&object);
    if !misshapen.is_empty() {
        return Err(broken(misshapen));
    }
    let resource: OktaUserSync = serde_json::from_value(object).map_err(|e| broken(vec![e.to_string()]))?;
    let whole = serde_json::to_value(&resource).map_err(|e| broken(vec![e.to_string()]))?;
    let faults = schema::faults(&whole);
    if faults.is_empty() { Ok(resource) } else { Err(broken(faults)) }
}

/// Takes away fields that are null, as the API server does before it fills in defaults.
fn prune(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(prune);
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use operator::secrets::Secrets as _;
    use secrecy::ExposeSecret as _;

    const RESOURCE: &str = r"
apiVersion: usersync.dev/v1alpha1
kind: OktaUserSync
metadata: { name: acme }
spec:
  okta: { orgURL: 'https://acme.okta.com', clientID: 0oa1api2services3app, privateKeySecretRef: { name: key, key: pem } }
  scope: { appID: 0oa9saml8app7teleprt }
";
    const SECRET: &str = r"
apiVersion: v1
kind: Secret
metadata: { name: key }
data: { pem: b2xk, identity: bmV3 }
stringData: { pem: fresh }
";

    fn read(text: &str) -> Result<Manifests, Stop> {
        Manifests::read("acme.yaml", text, Pick { name: None, namespace: "default" })
    }

    #[tokio::test]
    async fn a_stream_gives_the_resource_with_defaults_and_the_secrets_decoded() {
        let other = "apiVersion: v1\nkind: Namespace\nmetadata: { name: default }\n";
        let all = read(&format!("---\n{RESOURCE}---\n{SECRET}---\n# nothing here\n---\n{other}")).unwrap();
        assert_eq!(all.resource.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(all.resource.spec.users.roles, ["okta-requester"]);
        assert_eq!(all.ignored, ["Namespace default"]);
        for (key, expected) in [("pem", "fresh"), ("identity", "new")] {
            let bytes = all.secrets.get("default", "key", key).await.unwrap();
            assert_eq!(bytes.expose_secret(), expected.as_bytes(), "{key}");
        }
        assert!(!format!("{all:?}").contains("fresh"), "a Secret in Debug");
    }

    #[tokio::test]
    async fn config_maps_are_taken_as_well() {
        let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ca }\n\
                      data: { ca.crt: plain }\nbinaryData: { raw: b2xk }\n";
        let all = read(&format!("{RESOURCE}---\n{config}")).unwrap();
        assert_eq!(all.ignored, Vec::<String>::new());
        for (key, expected) in [("ca.crt", "plain"), ("raw", "old")] {
            assert_eq!(all.secrets.get_config("default", "ca", key).await.unwrap(), expected.as_bytes(), "{key}");
        }
        let stop = read(&format!("{RESOURCE}---\n{}", config.replace("b2xk", "'%%'"))).unwrap_err();
        assert!(stop.message.contains("ConfigMap default/ca: binaryData.raw is not base64"), "{}", stop.message);
    }

    #[test]
    fn a_list_counts_as_what_it_holds() {
        let item: Value = serde_saphyr::from_str(RESOURCE).unwrap();
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": [item] });
        assert_eq!(read(&list.to_string()).unwrap().resource.metadata.name.as_deref(), Some("acme"));
    }

    #[test]
    fn of_several_resources_one_must_be_named() {
        let two = format!("{RESOURCE}---\n{}", RESOURCE.replace("name: acme", "name: beta"));
        assert!(read(&two).unwrap_err().message.contains("several OktaUserSyncs: acme, beta"));
        let pick = Pick { name: Some("beta"), namespace: "default" };
        assert_eq!(Manifests::read("f", &two, pick).unwrap().resource.metadata.name.as_deref(), Some("beta"));
        let pick = Pick { name: Some("gamma"), namespace: "default" };
        assert!(Manifests::read("f", &two, pick).unwrap_err().message.contains("no OktaUserSync called gamma"));
    }

    #[test]
    fn bad_input_is_named_with_its_place() {
        let table = [
            ("", "holds no OktaUserSync"),
            ("a: [", "is not YAML"),
            ("hello", "document 1 has no apiVersion and kind"),
            (&RESOURCE.replace("v1alpha1", "v1"), "version usersync.dev/v1, which is not known"),
            (&RESOURCE.replace("name: acme", "labels: {}"), "has no metadata.name"),
            (&RESOURCE.replace("orgURL", "orgUrl"), "unknown field spec.okta.orgUrl"),
            (&RESOURCE.replace("clientID: 0oa1api2services3app,", ""), "spec.okta: clientID is missing"),
            (&RESOURCE.replace("0oa1api2services3app", "0oa1"), "okta.clientID must be 0oa"),
            (&SECRET.replace("b2xk", "'%%'"), "Secret default/key: data.pem is not base64"),
        ];
        for (text, expected) in table {
            let stop = read(text).unwrap_err();
            assert!(stop.message.contains(expected), "{expected:?} not in {:?}", stop.message);
            assert_eq!(stop.exit, Exit::BadInput);
            assert!(!stop.remedy.is_empty(), "{expected}");
        }
    }
}
