//! One governor for each Okta organisation, shared by all resources on it (P14).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use okta::{BucketView, Governor, OrgUrl};

/// All governors of the process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Governors(Arc<Mutex<HashMap<OrgUrl, Governor>>>);

impl Governors {
    /// The governor of that organisation, made at the first call.
    #[must_use]
    pub fn of(&self, org: OrgUrl) -> Governor {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(org).or_default().clone()
    }

    /// What is known of every rate limit, by the host of the organisation.
    #[must_use]
    pub fn view(&self) -> Vec<(String, Vec<BucketView>)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(org, governor)| (org.host().to_owned(), governor.view())).collect()
    }
}
