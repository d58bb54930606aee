//! The dashboard of the chart: its panels, what their queries answer over a [`Recording`], and a picture of both.

mod draw;
mod unit;

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{Promtool, Recording, recording::Series};

/// The dashboard, as Grafana reads it.
#[derive(Debug, Deserialize)]
pub struct Board {
    /// Its panels.
    pub panels: Vec<Panel>,
}

/// A panel, or the heading of a row of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// `row`, `stat` or `timeseries`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is.
    pub grid_pos: Place,
    /// Its queries.
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    field_config: FieldConfig,
}

/// A place in a grid of 24 columns.
#[derive(Debug, Deserialize)]
pub struct Place {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

/// A query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its words.
    pub expr: String,
    #[serde(default)]
    legend_format: String,
}

#[derive(Debug, Default, Deserialize)]
struct FieldConfig {
    #[serde(default)]
    defaults: Defaults,
}

#[derive(Debug, Default, Deserialize)]
struct Defaults {
    #[serde(default)]
    unit: String,
    max: Option<f64>,
    decimals: Option<i32>,
    #[serde(default)]
    thresholds: Thresholds,
}

#[derive(Debug, Default, Deserialize)]
struct Thresholds {
    #[serde(default)]
    steps: Vec<Threshold>,
}

#[derive(Debug, Deserialize)]
struct Threshold {
    color: String,
    value: Option<f64>,
}

/// A line of a panel: its name in the legend and its points.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Board {
    /// Reads it.
    #[must_use]
    pub fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap()
    }

    /// Twelve hexadecimal digits that change with every panel and query, so that a picture can say what it shows.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for panel in &self.panels {
            digest.update(format!("{panel:?}\n"));
        }
        hex::encode(&digest.finalize()[..6])
    }

    /// A picture (SVG) of what the panels show over this recording, with one point each `step` milliseconds.
    #[must_use]
    pub fn draw(&self, promtool: &Promtool, recording: &Recording, step: i64) -> String {
        let (start, end) = recording.span();
        let queries: Vec<String> =
            self.panels.iter().flat_map(|panel| &panel.targets).map(|target| filled_in(&target.expr, step)).collect();
        let mut answers = promtool.evaluate(recording, &queries, step).into_iter();
        let panels = self.panels.iter().map(|panel| {
            let lines = panel.targets.iter().zip(answers.by_ref());
            let lines = lines.flat_map(|(target, found)| found.into_iter().map(|series| line(target, series)));
            (panel, lines.collect::<Vec<_>>())
        });
        draw::board(&panels.collect::<Vec<_>>(), &self.digest(), (start, end), step)
    }
}

/// A query as Grafana sends it: with every namespace and resource chosen, and windows of four scrapes and a little more,
/// which is its rule for `$__rate_interval`.
fn filled_in(query: &str, step: i64) -> String {
    let window = format!("{}ms", step * 5);
    query.replace("$namespace", ".*").replace("$resource", ".*").replace("$__rate_interval", &window)
}

fn line(target: &Target, series: Series) -> Line {
    Line { name: named(&target.legend_format, &series.labels), points: series.points }
}

/// The legend's words with the labels filled in; without any, the labels themselves.
fn named(format: &str, labels: &BTreeMap<String, String>) -> String {
    if format.is_empty() {
        return labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    }
    let mut name = String::new();
    for (at, part) in format.split("{{").enumerate() {
        match part.split_once("}}") {
            Some((label, rest)) if at > 0 => {
                let _ = write!(name, "{}{rest}", labels.get(label.trim()).map_or("", String::as_str));
            }
            _ => name.push_str(part),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_takes_the_labels_that_it_names() {
        let labels = BTreeMap::from([("state".to_owned(), "held".to_owned()), ("org".to_owned(), "acme".to_owned())]);
        assert_eq!(named("{{org}}: {{state}}!", &labels), "acme: held!");
        assert_eq!(named("p95", &labels), "p95");
        assert_eq!(named("", &labels), "org=acme state=held");
    }
}
