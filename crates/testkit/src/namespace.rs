//! A namespace for one test, so that all tests share one control plane and none sees another's objects.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};

/// Makes a namespace called `<prefix>-<random>` and returns its name.
///
/// It is not deleted afterwards: a local control plane is thrown away as a whole, and without a namespace controller a
/// deleted namespace would stay in Terminating for ever.
///
/// # Errors
/// What the API server answers, for instance when `prefix` is not a DNS label.
pub async fn namespace(client: &Client, prefix: &str) -> kube::Result<String> {
    let wanted = Namespace {
        metadata: ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &wanted).await?;
    Ok(made.name_any())
}
