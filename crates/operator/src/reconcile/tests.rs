use engine::role::Ceiling;
use kube::runtime::watcher::Event;

use super::*;
use crate::{
    metrics::Metrics,
    resolve::{Defaults, TeleportDefaults},
    status::tests::example,
    store::Written,
};

/// An operator beside whose API server nobody listens: a look that would write fails. With it the writing side of its
/// watch.
pub(crate) fn lonely() -> (Arc<Context>, reflector::store::Writer<Guarded>) {
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let (watched, writer) = reflector::store();
    let defaults = Defaults {
        okta_ca: None,
        teleport_address: None,
        teleport: TeleportDefaults::default(),
        ceiling: Ceiling::new(&["okta-*".into()]).unwrap(),
    };
    let context = Context {
        store: Store::new(client.clone()),
        secrets: KubeSecrets::new(client.clone()),
        vault: keys::vault::Vault::new(client.clone()),
        keys: keys::Pace::default(),
        resolver: Resolver::new(defaults),
        watched,
        records: Records::default(),
        fast_path: FastPath::new(fast_path::INTERVAL, Duration::from_secs(1)).0,
        claim: Claim::alone(),
        stop: CancellationToken::new(),
        metrics: Arc::new(Metrics::new("1")),
        announcer: Announcer::new(client, "one", false),
        journal: Journal::none(),
        backoff: Backoff::default(),
        cleanup_within: Duration::from_secs(1),
    };
    (Arc::new(context), writer)
}

/// A suspended resource at that version with that status.
fn suspended(version: &str, status: Option<OktaUserSyncStatus>) -> Guarded {
    let mut object = example();
    object.spec.suspend = true;
    object.metadata.resource_version = Some(version.into());
    object.status = status;
    DeserializeGuard(Ok(object))
}

/// The status of such a resource about which there is nothing more to say.
fn said() -> OktaUserSyncStatus {
    status::suspended(&OktaUserSyncStatus::default(), 1, Timestamp::now()).unwrap()
}

fn remember(context: &Context, version: &str) {
    let written = Written { version: Some(version.into()), status: said() };
    let unshown = Some(Box::new(Unshown::written(written)));
    context.records.put("uid-1", Box::new(Record { unshown, ..Record::default() }));
}

async fn nothing_to_write(context: &Arc<Context>, seen: Guarded) -> bool {
    reconcile(Arc::new(seen), context.clone()).await.is_ok()
}

// reconcile.rs, `newest`.
#[tokio::test]
async fn p05_a_look_begins_with_the_newest_status_however_old_the_object_is_that_led_to_it() {
    let (context, mut watch) = lonely();
    watch.apply_watcher_event(&Event::Apply(suspended("1", None)));
    assert!(!nothing_to_write(&context, suspended("1", None)).await, "there is something to say");
    context.records.forget("uid-1", &resource(&example()));

    remember(&context, "2");
    assert!(nothing_to_write(&context, suspended("1", None)).await, "written, and not shown yet");
    watch.apply_watcher_event(&Event::Apply(suspended("2", Some(said()))));
    context.records.shown("uid-1", Some("2"));
    assert!(nothing_to_write(&context, suspended("1", None)).await, "shown after that object had been put in line");
    assert!(context.records.take("uid-1").unshown.is_none());
}

// records.rs, `shown`.
#[tokio::test]
async fn p05_a_status_is_kept_until_the_watch_shows_it_whichever_comes_first() {
    let (context, mut watch) = lonely();
    watch.apply_watcher_event(&Event::Apply(suspended("1", None)));
    remember(&context, "2");
    assert!(nothing_to_write(&context, suspended("1", None)).await);
    let record = context.records.take("uid-1");
    assert!(record.unshown.is_some(), "the watch shows an older one");

    // While the record is in use, there is nobody to tell.
    watch.apply_watcher_event(&Event::Apply(suspended("2", Some(said()))));
    context.records.shown("uid-1", Some("2"));
    context.records.put("uid-1", record);
    assert!(nothing_to_write(&context, suspended("2", Some(said()))).await);
    assert!(context.records.take("uid-1").unshown.is_none(), "found when it is put back");
}
