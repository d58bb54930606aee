//! What Prometheus would have stored of an operator at work: its samples at the times of the scrapes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Scrape;

/// A series: its labels, and its points as time (milliseconds since 1970) and value.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Series {
    /// Its labels; `__name__` is that of the metric.
    pub labels: BTreeMap<String, String>,
    /// Its points, in the order of time.
    pub points: Vec<(f64, f64)>,
}

/// All scrapes so far.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>>,
    begin: Option<i64>,
    end: i64,
}

impl Recording {
    /// Adds a scrape, taken at `at` (milliseconds since 1970), later than those before.
    pub fn add(&mut self, at: i64, scrape: &Scrape) {
        for sample in scrape.families.values().flat_map(|family| &family.samples) {
            let mut labels = sample.labels.clone();
            labels.insert("__name__".to_owned(), sample.name.clone());
            #[allow(clippy::cast_precision_loss)] // milliseconds of this century fit
            self.series.entry(labels).or_default().push((at as f64, sample.value));
        }
        self.begin.get_or_insert(at);
        self.end = at;
    }

    /// Times of the first and of the last scrape, in milliseconds since 1970.
    #[must_use]
    pub fn span(&self) -> (i64, i64) {
        (self.begin.unwrap_or(self.end), self.end)
    }

    /// The series.
    #[must_use]
    pub fn series(&self) -> Vec<Series> {
        let all = self.series.iter();
        all.map(|(labels, points)| Series { labels: labels.clone(), points: points.clone() }).collect()
    }
}
