//! A scrape of `/metrics`, taken apart, and held against the rules that Prometheus's own linter and the `OpenMetrics` text
//! have for names, types, help and units.

use std::collections::{BTreeMap, BTreeSet};

/// One family of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// Names of the samples that it may have.
    pub names: BTreeSet<String>,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Families by name.
    pub families: BTreeMap<String, Family>,
}

impl Scrape {
    /// Takes an `OpenMetrics` text apart.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        let mut last = String::new();
        assert_eq!(text.lines().last(), Some("# EOF"));
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(meta) = line.strip_prefix("# ") {
                let [word, name, rest] = meta.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let family = scrape.families.entry(name.to_owned()).or_default();
                match word {
                    "HELP" => rest.clone_into(&mut family.help),
                    "UNIT" => rest.clone_into(&mut family.unit),
                    "TYPE" => {
                        rest.clone_into(&mut family.kind);
                        let suffixes: &[&str] = match rest {
                            "counter" => &["_total"],
                            "histogram" => &["_bucket", "_sum", "_count"],
                            "info" => &["_info"],
                            _ => &[""],
                        };
                        family.names = suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect();
                    }
                    _ => panic!("{line}"),
                }
                name.clone_into(&mut last);
            } else {
                let sample = sample(line);
                let family = scrape.families.get_mut(&last).unwrap();
                assert!(family.names.contains(&sample.name), "{} is no sample of {last}", sample.name);
                family.samples.push(sample);
            }
        }
        scrape
    }

    /// The family that a sample of that name belongs to.
    #[must_use]
    pub fn of_sample(&self, name: &str) -> Option<&Family> {
        self.families.values().find(|family| family.names.contains(name))
    }

    /// The values of a sample, summed by the value of one of its labels.
    #[must_use]
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let samples = self.of_sample(name).map(|family| family.samples.clone()).unwrap_or_default();
        let named = samples.into_iter().filter(|sample| sample.name == name);
        let mut sums = BTreeMap::new();
        for sample in named {
            *sums.entry(sample.labels.get(label).cloned().unwrap_or_default()).or_default() += sample.value;
        }
        sums
    }

    /// What is against the rules.
    #[must_use]
    pub fn lint(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, family) in &self.families {
            let mut fault = |what: &str| faults.push(format!("{name}: {what}"));
            let words: Vec<&str> = name.split('_').collect();
            if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                fault("is not in snake case");
            }
            if !name.starts_with("okta_user_sync_") {
                fault("does not begin with the program's name");
            }
            if family.help.trim_end_matches('.').is_empty() {
                fault("has no help");
            }
            if words.iter().any(|word| NOT_BASE.contains(word)) {
                fault("is not in a base unit");
            }
            if family.unit.is_empty() == words.contains(&"seconds")
                || (!family.unit.is_empty() && family.unit != "seconds")
            {
                fault("names a unit that it does not have, or the other way round");
            }
            if ["total", "count", "sum", "bucket", "info"].contains(words.last().unwrap_or(&"")) {
                fault("ends in a word that is kept for samples");
            }
            if words.iter().any(|word| ["counter", "gauge", "histogram"].contains(word)) {
                fault("tells its type in its name");
            }
            let sets: BTreeSet<_> =
                family.samples.iter().map(|s| (&s.name, &s.labels)).map(|k| format!("{k:?}")).collect();
            if sets.len() != family.samples.len() {
                fault("has the same series twice");
            }
            let labels = family.samples.iter().flat_map(|sample| sample.labels.keys());
            if labels.into_iter().any(|label| RESERVED.contains(&label.as_str())) {
                fault("has a label that a scrape sets");
            }
        }
        faults
    }
}

const NOT_BASE: [&str; 12] =
    ["milliseconds", "ms", "minutes", "hours", "days", "percent", "kb", "mb", "kib", "mib", "kilobytes", "megabytes"];

/// Labels that the scrape, the Prometheus operator or Kubernetes' service discovery set.
const RESERVED: [&str; 8] = ["namespace", "pod", "job", "instance", "service", "container", "endpoint", "cluster"];

/// `name{label="value",…} value`.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (key, value) = label.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        Scrape::read(&format!("{text}# EOF\n")).lint()
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let family = |name: &str, kind: &str, help: &str, rest: &str| {
            format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n{rest}")
        };
        let good = family("okta_user_sync_a", "counter", "Calls", "okta_user_sync_a_total{x=\"1\",y=\"2\"} 3\n");
        assert_eq!(faults(&good), Vec::<String>::new());
        for (bad, what) in [
            (family("okta_user_sync_A", "gauge", "x", ""), "snake case"),
            (family("a", "gauge", "x", ""), "program's name"),
            (family("okta_user_sync_a", "gauge", "", ""), "no help"),
            (family("okta_user_sync_a_ms", "gauge", "x", ""), "base unit"),
            (family("okta_user_sync_a_seconds", "gauge", "x", ""), "unit that it does not have"),
            (
                family("okta_user_sync_a", "gauge", "x", "# UNIT okta_user_sync_a seconds\n"),
                "unit that it does not have",
            ),
            (family("okta_user_sync_a_total", "gauge", "x", ""), "kept for samples"),
            (family("okta_user_sync_a_gauge", "gauge", "x", ""), "tells its type"),
            (family("okta_user_sync_a", "gauge", "x", "okta_user_sync_a 1\nokta_user_sync_a 2\n"), "twice"),
            (family("okta_user_sync_a", "gauge", "x", "okta_user_sync_a{namespace=\"b\"} 1\n"), "a scrape sets"),
        ] {
            let faults = faults(&bad);
            assert!(faults.len() == 1 && faults[0].contains(what), "{what}: {faults:?}");
        }
    }
}
