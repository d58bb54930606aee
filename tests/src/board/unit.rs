//! Numbers in the units that the dashboard uses, as short as Grafana writes them.

/// A value in a unit: `s` (seconds), `percentunit` (1 is all), `reqps` (a second), else a plain number.
pub(super) fn shown(value: f64, unit: &str) -> String {
    match unit {
        "s" => seconds(value),
        "percentunit" => format!("{} %", plain(value * 100.0)),
        "reqps" => format!("{}/s", plain(value)),
        _ => plain(value),
    }
}

fn seconds(value: f64) -> String {
    let steps = [(31_557_600.0, "years"), (604_800.0, "weeks"), (86_400.0, "days"), (3600.0, "h"), (60.0, "min")];
    match steps.iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) => format!("{} {unit}", plain(value / size)),
        None if value.abs() >= 1.0 || value == 0.0 => format!("{} s", plain(value)),
        None => format!("{} ms", plain(value * 1000.0)),
    }
}

/// At most three digits that say something.
fn plain(value: f64) -> String {
    let size = value.abs();
    if size >= 10_000.0 {
        return format!("{} K", plain(value / 1000.0));
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_name_their_unit() {
        for (value, unit, words) in [
            (0.0, "s", "0 s"),
            (0.25, "s", "250 ms"),
            (90.0, "s", "1.5 min"),
            (86_400.0 * 3.0, "s", "3 days"),
            (0.985, "percentunit", "98.5 %"),
            (12.0, "reqps", "12/s"),
            (250.0, "short", "250"),
            (100_000.0, "short", "100 K"),
        ] {
            assert_eq!(shown(value, unit), words);
        }
    }
}
