//! One row for each resource. A metric is a view of one field of all rows, so a resource's name is held once, whatever the
//! number of metrics, and a resource that is gone is forgotten at one place.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use super::{label::Resource, series::Series};

/// Rows are boxed because a tree has up to as many free places as resources.
type Rows<R> = BTreeMap<Resource, Box<R>>;

/// The rows of all resources.
#[derive(Debug)]
pub(super) struct Table<R>(Arc<Mutex<Rows<R>>>);

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<R: Default> Table<R> {
    /// Changes the row of a resource, which is made if need be.
    pub(super) fn change(&self, of: &Resource, change: impl FnOnce(&mut R)) {
        let mut rows = self.rows();
        if let Some(row) = rows.get_mut(of) {
            change(row);
        } else {
            let mut row = Box::default();
            change(&mut row);
            rows.insert(of.clone(), row);
        }
    }
}

impl<R> Table<R> {
    /// For the registry: a metric that shows that field of each row.
    pub(super) fn metric<S>(&self, field: fn(&R) -> &S) -> Column<R, S> {
        Column { table: Self(self.0.clone()), field }
    }

    /// Forgets a resource.
    pub(super) fn forget(&self, of: &Resource) {
        self.rows().remove(of);
    }

    fn rows(&self) -> MutexGuard<'_, Rows<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One field of all rows, as a metric.
#[derive(Debug)]
pub(super) struct Column<R, S> {
    table: Table<R>,
    field: fn(&R) -> &S,
}

impl<R, S: Series> EncodeMetric for Column<R, S> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.table.rows().iter().try_for_each(|(of, row)| (self.field)(row).encode(of, &mut encoder))
    }

    fn metric_type(&self) -> MetricType {
        S::TYPE
    }

    fn is_empty(&self) -> bool {
        self.table.rows().values().all(|row| (self.field)(row).is_empty())
    }
}

#[cfg(test)]
impl<R> Table<R> {
    /// Looks at every row.
    pub(super) fn each(&self, mut look: impl FnMut(&Resource, &R)) {
        self.rows().iter().for_each(|(of, row)| look(of, row));
    }
}
