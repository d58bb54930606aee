//! Whether the SAML connector is there, and which Okta app it belongs to.

use engine::cluster::ConnectorLookup;

use super::{CONNECTOR, Look, READ_CONNECTOR, permissions};
use crate::call::Call;

impl Look<'_> {
    pub(super) async fn connector(&mut self) {
        let (name, from_connector) = (self.intent.connector, self.intent.app_from_connector);
        let lookup = match self.client.look_up_connector(name).await {
            Ok(lookup) => lookup,
            Err(error) => {
                self.list.skip_after(READ_CONNECTOR, CONNECTOR);
                return self.list.refuse(CONNECTOR, &error.into());
            }
        };
        if !matches!(lookup, ConnectorLookup::Unreadable(_)) {
            self.list.pass(READ_CONNECTOR, format!("{} answers", Call::GetSamlConnector.method()));
        }
        match lookup {
            ConnectorLookup::Found { app_id: Some(theirs) } => {
                match self.intent.app_id.filter(|ours| *ours != theirs) {
                    Some(ours) => self.list.warn(
                        CONNECTOR,
                        format!("{name} belongs to the Okta app {theirs}, but scope.appID is {ours}"),
                        "name the connector and the app that belong together",
                    ),
                    None => self.list.pass(CONNECTOR, format!("{name}, of the Okta app {theirs}")),
                }
                self.connector_app = Some(theirs);
            }
            ConnectorLookup::Found { app_id: None } => {
                self.list.pass(CONNECTOR, format!("{name}; it does not say to which Okta app it belongs"));
            }
            ConnectorLookup::Missing => {
                let found = format!("Teleport has no SAML connector {name}");
                let remedy = "name one of `tctl get saml` in spec.teleport.connector, and the Okta app in scope.appID \
                              (Community Edition has no SAML connectors)";
                self.blame(CONNECTOR, from_connector, found, remedy.to_owned());
            }
            ConnectorLookup::Unreadable(why) => {
                self.list.skip_after(CONNECTOR, READ_CONNECTOR);
                let remedy =
                    permissions::remedy(self.client.identity().user(), Call::GetSamlConnector, "saml", "readnosecrets");
                self.blame(READ_CONNECTOR, from_connector, why, remedy);
            }
        }
    }

    /// A failure if it stands in the way, else a warning.
    fn blame(&mut self, name: &str, in_the_way: bool, found: String, remedy: String) {
        if in_the_way {
            self.list.fail(name, found, remedy);
        } else {
            self.list.warn(name, found, remedy);
        }
    }
}
