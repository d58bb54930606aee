//! The older text format (0.0.4), for scrapers and tools that do not ask for `OpenMetrics`.
//!
//! The differences that matter here: a counter's type is announced under the name of its samples (`…_total`), an info is
//! a gauge, and units and the end are not told.

use std::fmt::Write as _;

/// The same metrics in the older format.
#[must_use]
pub fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            // Writing to a String cannot fail.
            if let Some(help) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_and_infos_change_their_names_and_all_else_stays() {
        let open = "# HELP a_build The program.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                    # HELP a_calls Calls.\n# TYPE a_calls counter\na_calls_total 3\n\
                    # HELP a_wait_seconds Time.\n# TYPE a_wait_seconds gauge\n# UNIT a_wait_seconds seconds\na_wait_seconds 1.5\n# EOF\n";
        let wanted = "# HELP a_build_info The program.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
                      # HELP a_calls_total Calls.\n# TYPE a_calls_total counter\na_calls_total 3\n\
                      # HELP a_wait_seconds Time.\n# TYPE a_wait_seconds gauge\na_wait_seconds 1.5\n";
        assert_eq!(plain(open), wanted);
    }
}
