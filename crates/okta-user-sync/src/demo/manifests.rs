//! `examples/quickstart.yaml`, with the simulators' addresses and credentials put in.

use std::path::Path;

use okta_sim::OktaSim;
use serde_json::{Value, json};
use teleport_sim::TeleportSim;

use crate::exit::Stop;

/// The example as it stands in the repository.
const QUICKSTART: &str = include_str!("../../../../examples/quickstart.yaml");

/// The objects of the quickstart, ready to be applied in `namespace`.
///
/// # Errors
/// A file of a simulator cannot be read.
pub fn quickstart(okta: &OktaSim, teleport: &TeleportSim, namespace: &str) -> Result<Vec<Value>, Stop> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(QUICKSTART)
        .map_err(|e| Stop::undone(format!("examples/quickstart.yaml: {e}"), "this is a bug; please report it"))?;
    let (org, auth) = (okta.ready(), teleport.ready());
    for object in &mut objects {
        match (object["kind"].as_str(), object["metadata"]["name"].as_str()) {
            (Some("Namespace"), _) => {
                object["metadata"]["name"] = namespace.into();
                continue;
            }
            (Some("OktaUserSync"), _) => {
                let spec = &mut object["spec"];
                spec["okta"]["orgURL"] = org.org_url.as_str().into();
                spec["okta"]["clientID"] = org.client_id.as_str().into();
                spec["scope"]["appID"] = org.app_id.as_str().into();
                spec["teleport"]["address"] = auth.auth_address.as_str().into();
                spec["teleport"]["connector"] = auth.connector.as_str().into();
            }
            (Some("Secret"), Some("acme-okta-key")) => {
                object["stringData"] = json!({ "private.pem": content(&org.private_key_file)? });
            }
            (Some("Secret"), _) => {
                object["stringData"] = json!({ "identity": content(Path::new(&auth.identity_file))? });
            }
            _ => {}
        }
        object["metadata"]["namespace"] = namespace.into();
    }
    Ok(objects)
}

fn content(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|e| Stop::undone(format!("{}: {e}", path.display()), ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifests, Pick};

    #[test]
    fn the_quickstart_fits_the_types_and_the_rules() {
        let all =
            Manifests::read("examples/quickstart.yaml", QUICKSTART, Pick { name: None, namespace: "default" }).unwrap();
        let spec = &all.resource.spec;
        assert_eq!(all.resource.metadata.name.as_deref(), Some("acme"));
        assert_eq!(all.ignored, ["Namespace okta-user-sync"]);
        for reference in [&spec.okta.private_key_secret_ref, &spec.teleport.identity_secret_ref] {
            let reference = reference.as_ref().unwrap();
            assert!(QUICKSTART.contains(&format!(
                "name: {}\n  namespace: okta-user-sync\nstringData:\n  {}: |",
                reference.name, reference.key
            )));
        }
    }
}
