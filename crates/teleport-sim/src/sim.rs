//! A running simulator, and its handle.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use teleport_proto::types;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Counters, Edition, Fault, IdentityKind, IssuedCertificate, Lag, LockView, Options, PluginPass, ProvisionToken,
    Ready, RecordedRequest, Refusal, SamlLogin, Session, StateView, TeleportSimError, UserView, WriteRecord, admin,
    clock::Clock,
    cluster::Cluster,
    doors::Doors,
    files::{self, Addresses, Site},
    identity::{Holder, Pki},
    listener::{self, Door, Server},
    preset, proxy,
    shared::Shared,
    user::{Draft, key},
};

/// A Teleport Auth Service that runs here. It stops when it is dropped.
#[derive(Debug)]
pub struct TeleportSim {
    shared: Arc<Shared>,
    clock: Clock,
    ready: Ready,
    addresses: Addresses,
    stop: CancellationToken,
    /// Holds the folder of the files, if it is the simulator's own.
    _folder: Option<tempfile::TempDir>,
}

/// The session probe of a simulator, for a thread of its own.
#[derive(Debug, Clone)]
pub struct Probe(Arc<Shared>);

impl Probe {
    /// What it says of a name, looking only at certificates issued before a time, if one is given.
    #[must_use]
    pub fn session(&self, name: &str, issued_before: Option<Timestamp>) -> Session {
        self.0.cluster().session(name, issued_before)
    }
}

impl Drop for TeleportSim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TeleportSim {
    /// Starts a simulator; it serves when this returns.
    ///
    /// # Errors
    /// A port that cannot be bound, a file that cannot be written, a key that cannot be made.
    pub async fn start(options: Options) -> Result<Self, TeleportSimError> {
        let clock = Clock::default();
        let now = clock.now();
        let pki = Pki::new(&options.cluster, options.keys, now)?;
        let doors = Doors::new(&pki, options.keys, &clock)?;
        let any = SocketAddr::new(options.proxy_listen.ip(), 0);
        let (auth, auth_address) = bind(options.listen).await?;
        let (admin, admin_address) = bind(options.admin_listen).await?;
        let (proxy, proxy_address) = bind(options.proxy_listen).await?;
        let (balancer, balancer_address) = bind(any).await?;
        let (folder, path) = files::folder(options.directory.as_deref())?;
        let addresses =
            Addresses { auth: auth_address, admin: admin_address, proxy: proxy_address, balancer: balancer_address };
        let site = Site::new(&options, path, addresses);
        let ready = site.write(&pki, now)?;

        let mut cluster = Cluster::new(&options.cluster, options.version, options.edition, clock.clone(), options.lag);
        if options.edition == Edition::Enterprise {
            cluster
                .connectors
                .insert(options.connector.clone(), preset::connector(&options.connector, &options.okta_app_id));
        }
        let shared = Shared::new(cluster, pki, doors, site);
        let sim = Self { shared, clock, ready, addresses, stop: CancellationToken::new(), _folder: folder };
        let residents = preset::residents(options.people, options.seed, now);
        for user in preset::users(options.edition, now).into_iter().chain(residents) {
            sim.put_raw_user(&user)
                .map_err(|refusal| TeleportSimError::Malformed { what: "a preset user", why: refusal.message })?;
        }
        let server = Server::new(&sim.shared);
        for (listener, door, address) in [
            (auth, Door::Auth, auth_address),
            (proxy, Door::Proxy, proxy_address),
            (balancer, Door::Balancer, balancer_address),
        ] {
            let web = proxy::router(&server, address.to_string());
            tokio::spawn(listener::serve(listener, door, Arc::clone(&server), web, sim.stop.clone()));
        }
        tokio::spawn(admin::serve(admin, Arc::clone(&sim.shared), sim.stop.clone()));
        Ok(sim)
    }

    /// Where everything is.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Address of the Auth Service.
    #[must_use]
    pub fn auth_address(&self) -> SocketAddr {
        self.addresses.auth
    }

    /// Address of the Proxy, which routes by protocol names.
    #[must_use]
    pub fn proxy_address(&self) -> SocketAddr {
        self.addresses.proxy
    }

    /// Address of a balancer before the Proxy, which takes protocol names away: the way in is a connection upgrade.
    #[must_use]
    pub fn balancer_address(&self) -> SocketAddr {
        self.addresses.balancer
    }

    /// The CA of the Proxy's web side, PEM: not Teleport's, as public web authorities are not.
    #[must_use]
    pub fn web_ca_pem(&self) -> String {
        self.shared.pki().web.pem()
    }

    /// The host CA, PEM: what clients trust.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.shared.pki().hosts.pem()
    }

    /// The pin of the host CA, as `tctl status` shows it.
    #[must_use]
    pub fn ca_pin(&self) -> String {
        self.shared.pki().hosts.pin()
    }

    /// The text of an identity file. Certificates of users are remembered for the session probe.
    ///
    /// # Errors
    /// A key that cannot be made.
    pub fn identity(&self, kind: &IdentityKind) -> Result<String, TeleportSimError> {
        let now = self.clock.now();
        let text = self.shared.pki().identity(kind, now)?;
        if let Holder::User { name, roles } = &kind.holder {
            let expires = kind.not_after.unwrap_or(now + SignedDuration::from_hours(12));
            self.shared.cluster().certificates.add(name, roles.clone(), now, expires);
        }
        Ok(text)
    }

    /// Issues a certificate to a user for the session probe, with the roles that the user has now.
    #[must_use]
    pub fn issue_certificate(&self, user: &str, ttl: SignedDuration) -> IssuedCertificate {
        let mut cluster = self.shared.cluster();
        let roles = cluster.view_user(user).map(|view| view.roles).unwrap_or_default();
        let now = cluster.now();
        cluster.certificates.add(user, roles, now, now + ttl)
    }

    /// Whether a session can be opened now with a certificate: it has not expired, and no enforced lock hits its user. Whether the user still exists
    /// does not matter, as on real nodes.
    #[must_use]
    pub fn certificate_usable(&self, certificate: &IssuedCertificate) -> bool {
        self.shared.cluster().certificate_usable(certificate.id)
    }

    /// The session probe, for a thread that asks it all the time.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe(Arc::clone(&self.shared))
    }

    /// What the session probe says of a name, looking only at certificates issued before a time, if one is given.
    #[must_use]
    pub fn session(&self, name: &str, issued_before: Option<Timestamp>) -> Session {
        self.shared.cluster().session(name, issued_before)
    }

    /// The cluster at a glance.
    #[must_use]
    pub fn state(&self) -> StateView {
        admin::state(&self.shared)
    }

    /// Calls by method and code.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters().clone()
    }

    /// Connections that are open now, at all doors.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.open_connections()
    }

    /// Forgets all counts.
    pub fn reset_counters(&self) {
        self.shared.counters().reset();
    }

    /// Every write in order, granted or not.
    #[must_use]
    pub fn writes(&self) -> Vec<WriteRecord> {
        self.writes_after(0)
    }

    /// Every write after a sequence number.
    #[must_use]
    pub fn writes_after(&self, sequence: u64) -> Vec<WriteRecord> {
        self.shared.cluster().writes.after(sequence)
    }

    /// A user as stored.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<UserView> {
        self.shared.cluster().view_user(name)
    }

    /// A user as stored, encoded.
    #[must_use]
    pub fn raw_user(&self, name: &str) -> Option<bytes::Bytes> {
        self.shared.cluster().users.stored(&key(name)).map(|user| user.raw.clone())
    }

    /// The names of all users, in the order of lists.
    #[must_use]
    pub fn user_names(&self) -> Vec<String> {
        self.shared.cluster().view_names("", usize::MAX)
    }

    /// All locks as stored.
    #[must_use]
    pub fn locks(&self) -> Vec<LockView> {
        self.shared.cluster().view_locks()
    }

    /// Stores a user past all checks, as if it had always been there. Not logged as a write.
    ///
    /// # Errors
    /// A message that cannot be decoded.
    pub fn put_user(&self, user: &types::UserV2) -> Result<(), Refusal> {
        self.put_raw_user(&user.encode_to_vec())
    }

    /// Stores an encoded user past all checks; fields that nobody here knows stay. Not logged as a write.
    ///
    /// # Errors
    /// Bytes that cannot be decoded.
    pub fn put_raw_user(&self, raw: &[u8]) -> Result<(), Refusal> {
        let draft = Draft::read(raw)?;
        let key = key(draft.name());
        let user = draft.seal(None)?;
        self.shared.cluster().plant_user(key, user);
        Ok(())
    }

    /// The same with the user's secrets (`local_auth`), which Teleport keeps elsewhere and shows to nobody: for the question what a
    /// client does with what it should never see.
    ///
    /// # Errors
    /// Bytes that cannot be decoded.
    pub fn put_raw_user_with_secrets(&self, raw: &[u8]) -> Result<(), Refusal> {
        let draft = Draft::read(raw)?;
        let key = key(draft.name());
        let user = draft.seal_with_secrets()?;
        self.shared.cluster().plant_user(key, user);
        Ok(())
    }

    /// Removes a user past all checks (somebody else did). Not logged as a write.
    pub fn remove_user(&self, name: &str) {
        self.shared.cluster().remove_user(name);
    }

    /// Stores a lock past all checks, as if another had made it. Not logged as a write.
    pub fn put_lock(&self, lock: types::LockV2) {
        let name = preset::name_of(lock.metadata.as_ref());
        self.shared.cluster().store_lock(name, "somebody", lock);
    }

    /// Stores or replaces a role.
    pub fn put_role(&self, role: types::RoleV6) {
        self.shared.cluster().roles.insert(preset::name_of(role.metadata.as_ref()), role);
    }

    /// The role of that name, as it is stored.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<types::RoleV6> {
        self.shared.cluster().roles.get(name).cloned()
    }

    /// Stores or replaces a role with no rules and this longest session, in seconds; 0 for none given.
    pub fn put_plain_role(&self, name: &str, max_session_seconds: i64) {
        self.put_role(admin::plain_role(name, max_session_seconds));
    }

    /// Sets the longest session of a role that is there, in seconds; certificates for it live no longer.
    pub fn limit_session(&self, role: &str, seconds: i64) {
        admin::limit_session(&mut self.shared.cluster(), role, seconds);
    }

    /// Removes a role.
    pub fn remove_role(&self, name: &str) {
        self.shared.cluster().roles.remove(name);
    }

    /// Stores or replaces a SAML connector, with the label of an Okta app unless that is empty.
    pub fn put_connector(&self, name: &str, okta_app_id: &str) {
        self.shared.cluster().connectors.insert(name.to_owned(), preset::connector(name, okta_app_id));
    }

    /// Removes a SAML connector.
    pub fn remove_connector(&self, name: &str) {
        self.shared.cluster().connectors.remove(name);
    }

    /// Takes a verb on a kind from the bot's role (`drop_permission("lock", "update")`).
    pub fn drop_permission(&self, kind: &str, verb: &str) {
        admin::drop_permission(&mut self.shared.cluster(), preset::BOT_ROLE, kind, verb);
    }

    /// Gives the bot's role back all its verbs.
    pub fn restore_permissions(&self) {
        self.put_role(preset::bot_role());
    }

    /// Switches a fault on.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults().add(fault);
    }

    /// Falls silent after so many writes from now on (at once for 0): the last of them is done and not answered, and no further call is let in.
    pub fn hold_after(&self, writes: u64) {
        self.shared.hold.after(writes);
    }

    /// Whether it has fallen silent.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.shared.hold.is_silent()
    }

    /// Calls that have arrived and are kept waiting by the silence.
    #[must_use]
    pub fn kept_waiting(&self) -> usize {
        self.shared.hold.waiting()
    }

    /// Answers again.
    pub fn release(&self) {
        self.shared.hold.release();
    }

    /// Keeps every request from now on, as it comes over the wire.
    pub fn record_requests(&self) {
        self.shared.recorder().start();
    }

    /// The requests that were kept, in order; those of streams are not.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder().requests()
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// Sets how far the caches are behind, for changes from now on.
    pub fn set_lag(&self, lag: Lag) {
        self.shared.cluster().lag = lag;
    }

    /// Lets the caches follow at once up to what is stored now, whatever the lag: with a long [`Lag`], a test decides when a lock bites.
    pub fn catch_up(&self) {
        self.shared.cluster().catch_up();
    }

    /// Sets how far the simulator's time is ahead of the machine's, in seconds.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// The simulator's now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Cuts every connection and lets nobody in for a while. The state is kept.
    pub fn restart(&self, down: Duration) {
        self.shared.restart(down);
    }

    /// Makes a new host CA and cuts all connections. The old one is trusted still for callers; the identity files are written anew, with both.
    ///
    /// # Errors
    /// A key that cannot be made, a file that cannot be written.
    pub fn rotate_host_ca(&self) -> Result<(), TeleportSimError> {
        self.shared.rotate_host_ca()
    }

    /// Stores or replaces a provision token, so that bots or hosts can join.
    pub fn put_token(&self, token: ProvisionToken) {
        self.shared.tokens().by_name.insert(token.name.clone(), token);
    }

    /// Removes a provision token.
    pub fn remove_token(&self, name: &str) {
        self.shared.tokens().by_name.remove(name);
    }

    /// Demands a second factor for writes from users that are neither bots nor the administrator.
    pub fn demand_mfa(&self, demanded: bool) {
        self.shared.cluster().demands_mfa = demanded;
    }

    /// A person logs in through SAML.
    ///
    /// # Errors
    /// A local user of that name, a lock, no such connector.
    pub fn saml_login(&self, login: &SamlLogin) -> Result<IssuedCertificate, Refusal> {
        admin::saml_login(&mut self.shared.cluster(), login)
    }

    /// Teleport's own Okta plugin makes a pass beside us.
    ///
    /// # Errors
    /// A name that is no name; Community Edition, which has no plugin.
    pub fn plugin_pass(&self, pass: &PluginPass) -> Result<(), Refusal> {
        admin::plugin_pass(&mut self.shared.cluster(), pass)
    }

    /// SCIM locks a user without an end, and leaves the account.
    pub fn scim_lock(&self, user: &str) {
        admin::by_scim(&mut self.shared.cluster(), "scim-lock", user);
    }

    /// SCIM brings a user back: its own lock goes.
    pub fn scim_provision(&self, user: &str) {
        admin::by_scim(&mut self.shared.cluster(), "scim-provision", user);
    }

    /// SCIM takes a user away: the user goes, and a lock without an end stays.
    pub fn scim_delete(&self, user: &str) {
        admin::by_scim(&mut self.shared.cluster(), "scim-delete", user);
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), TeleportSimError> {
    let failed = |source| TeleportSimError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
