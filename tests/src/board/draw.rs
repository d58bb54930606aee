//! The picture: panels on their grid, a number in each `stat`, lines over time in each `timeseries`.

use std::fmt::Write as _;

use super::unit::shown;
use super::{Line, Panel};

/// Pixels of a column and of a row of the grid, and between panels.
const COLUMN: f64 = 56.0;
const ROW: f64 = 26.0;
const GAP: f64 = 6.0;

/// Room around the plot of a panel: for its title, the values on its left, and the times below.
const ABOVE: f64 = 28.0;
const LEFT: f64 = 62.0;
const BELOW: f64 = 18.0;

/// Height of a line of the legend, and how many there are at most.
const LEGEND: f64 = 14.0;
const LEGEND_LINES: usize = 3;

/// Width of a letter of the legend, about.
const LETTER: f64 = 5.6;

const COLOURS: [&str; 10] =
    ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffcb7d", "#96d98d", "#ff7383"];

/// A rectangle.
#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// The whole picture over the time from `start` to `end` (milliseconds).
pub(super) fn board(panels: &[(&Panel, Vec<Line>)], digest: &str, (start, end): (i64, i64), step: i64) -> String {
    let rows = panels.iter().map(|(panel, _)| panel.grid_pos.y + panel.grid_pos.h).max().unwrap_or(0);
    let (width, height) = (24.0 * COLUMN + GAP, f64::from(rows) * ROW + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"Inter, Helvetica, Arial, \
         'DejaVu Sans', sans-serif\" font-size=\"10\">\n<title>The dashboard</title>\n<desc>dashboard {digest}</desc>\n\
         <style>.p{{fill:#181b1f}}.t{{fill:#ccccdc;font-size:12px;font-weight:500}}.a{{fill:#8e8e9c}}\
         .g{{stroke:#2c3036;stroke-width:1}}.l{{fill:none;stroke-width:1.5;stroke-linejoin:round}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#111217\"/>\n"
    );
    #[allow(clippy::cast_precision_loss)] // milliseconds of this century fit
    let time = Time { start: start as f64, end: end as f64, step: step as f64 };
    for (panel, lines) in panels {
        let place = &panel.grid_pos;
        let area = Area {
            x: f64::from(place.x) * COLUMN + GAP,
            y: f64::from(place.y) * ROW + GAP,
            w: f64::from(place.w) * COLUMN - GAP,
            h: f64::from(place.h) * ROW - GAP,
        };
        one(&mut svg, panel, lines, area, time);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The time that is shown, in milliseconds.
#[derive(Clone, Copy)]
struct Time {
    start: f64,
    end: f64,
    step: f64,
}

fn one(svg: &mut String, panel: &Panel, lines: &[Line], area: Area, time: Time) {
    let title = escaped(&panel.title);
    if panel.kind == "row" {
        let (x, y) = (area.x + 4.0, area.y + 14.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"t\">⌄ {title}</text>");
        return;
    }
    let Area { x, y, w, h } = area;
    let _ = writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"2\" class=\"p\"/>");
    let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" class=\"t\">{title}</text>", x + 8.0, y + 17.0);
    match panel.kind.as_str() {
        "stat" => number(svg, panel, lines, area),
        "timeseries" => plot(svg, panel, lines, area, time),
        other => panic!("a panel of the kind {other} cannot be drawn yet"),
    }
}

/// The last value, in the colour of the threshold that it has reached.
fn number(svg: &mut String, panel: &Panel, lines: &[Line], area: Area) {
    let defaults = &panel.field_config.defaults;
    let last = lines.first().and_then(|line| line.points.last());
    let (text, colour) = match last {
        Some((_, value)) => {
            let reached =
                defaults.thresholds.steps.iter().rev().find(|step| step.value.is_none_or(|least| *value >= least));
            (
                shown(rounded(*value, defaults.decimals), &defaults.unit),
                reached.map_or("green", |step| step.color.as_str()),
            )
        }
        None => ("No data".to_owned(), "text"),
    };
    let colour = match colour {
        "green" => "#73bf69",
        "blue" => "#5794f2",
        "orange" => "#ff9830",
        "red" => "#f2495c",
        _ => "#8e8e9c",
    };
    let (x, y) = (area.x + area.w / 2.0, area.y + area.h / 2.0 + 22.0);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" font-size=\"30\" font-weight=\"500\" fill=\"{colour}\">{}</text>",
        escaped(&text)
    );
}

/// To so many digits behind the point, if the panel says how many.
fn rounded(value: f64, decimals: Option<i32>) -> f64 {
    decimals.map_or(value, |digits| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits))
}

fn plot(svg: &mut String, panel: &Panel, lines: &[Line], area: Area, time: Time) {
    let lines: Vec<&Line> = lines.iter().filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        let (x, y) = (area.x + area.w / 2.0, area.y + area.h / 2.0 + 8.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" class=\"a\">No data</text>");
        return;
    }
    let rows = legend_rows(&lines, area.w - 16.0);
    #[allow(clippy::cast_precision_loss)] // three rows
    let legend = rows.len() as f64 * LEGEND + 4.0;
    let inner =
        Area { x: area.x + LEFT, y: area.y + ABOVE, w: area.w - LEFT - 10.0, h: area.h - ABOVE - BELOW - legend };
    let unit = panel.field_config.defaults.unit.as_str();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let (least, most) = values.fold((0.0_f64, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    let scale = Scale::of(least, panel.field_config.defaults.max.unwrap_or(most));
    axes(svg, inner, scale, unit, time);
    for (at, line) in lines.iter().enumerate() {
        let path = path(line, inner, scale, time);
        let _ = writeln!(svg, "<path class=\"l\" stroke=\"{}\" d=\"{path}\"/>", COLOURS[at % COLOURS.len()]);
    }
    for (row, entries) in rows.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)] // three rows
        let y = area.y + area.h - legend + 8.0 + row as f64 * LEGEND;
        let mut x = area.x + 8.0;
        for (name, colour) in entries {
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"3\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{y:.1}\" \
                 class=\"a\">{}</text>",
                y - 5.0,
                x + 14.0,
                escaped(name)
            );
            x += entry_width(name);
        }
    }
}

#[allow(clippy::cast_precision_loss)] // letters of a name
fn entry_width(name: &str) -> f64 {
    name.chars().count() as f64 * LETTER + 26.0
}

/// The entries of the legend, in rows; what does not fit is counted.
fn legend_rows(lines: &[&Line], width: f64) -> Vec<Vec<(String, &'static str)>> {
    let mut rows: Vec<Vec<(String, &'static str)>> = vec![Vec::new()];
    let mut used = 0.0;
    for (at, line) in lines.iter().enumerate() {
        let need = entry_width(&line.name);
        let more = format!("and {} more", lines.len() - at);
        let last = rows.len() == LEGEND_LINES && at + 1 < lines.len();
        let room = if last { width - entry_width(&more) } else { width };
        if used > 0.0 && used + need > room {
            if rows.len() == LEGEND_LINES {
                rows.last_mut().unwrap().push((more, "none"));
                break;
            }
            rows.push(Vec::new());
            used = 0.0;
        }
        rows.last_mut().unwrap().push((line.name.clone(), COLOURS[at % COLOURS.len()]));
        used += need;
    }
    rows
}

/// The values from the lower edge to the upper one, and the distance of the lines between.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
    tick: f64,
}

impl Scale {
    /// Edges on round numbers, with two to five steps between.
    fn of(least: f64, most: f64) -> Self {
        let span = if most > least { most - least } else { 1.0 };
        let size = 10_f64.powf((span / 4.0).log10().floor());
        let tick = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|of| of * size).find(|tick| span / tick <= 4.0);
        let tick = tick.unwrap_or(size * 10.0);
        Self { low: (least / tick).floor() * tick, high: ((least + span) / tick).ceil() * tick, tick }
    }
}

fn axes(svg: &mut String, inner: Area, scale: Scale, unit: &str, time: Time) {
    let mut value = scale.low;
    while value <= scale.high + scale.tick / 2.0 {
        let y = across(value, scale, inner);
        let _ = writeln!(
            svg,
            "<path class=\"g\" d=\"M{:.1} {y:.1}h{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" class=\"a\">{}</text>",
            inner.x,
            inner.w,
            inner.x - 6.0,
            y + 3.5,
            shown(value, unit)
        );
        value += scale.tick;
    }
    // Minutes since the beginning.
    let (mut at, minute) = (time.start, 60_000.0);
    while at <= time.end {
        let x = along(at, time, inner);
        let minutes = (at - time.start) / minute;
        let y = inner.y + inner.h + 13.0;
        let _ =
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" class=\"a\">{minutes:.0} min</text>");
        at += minute;
    }
}

fn along(at: f64, time: Time, inner: Area) -> f64 {
    inner.x + (at - time.start) / (time.end - time.start).max(1.0) * inner.w
}

fn across(value: f64, scale: Scale, inner: Area) -> f64 {
    inner.y + inner.h - (value - scale.low) / (scale.high - scale.low) * inner.h
}

/// The line; where a point is missing it is broken, and a point alone is a short dash.
fn path(line: &Line, inner: Area, scale: Scale, time: Time) -> String {
    let mut path = String::new();
    let mut before = None::<f64>;
    for (at, value) in &line.points {
        let (x, y) = (along(*at, time, inner), across(*value, scale, inner));
        let joined = before.is_some_and(|before| at - before <= time.step * 1.5);
        let _ = if joined { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h1") };
        before = Some(*at);
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // round numbers
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_on_round_numbers_and_holds_every_value() {
        assert_eq!(Scale::of(0.0, 57.0), Scale { low: 0.0, high: 60.0, tick: 20.0 });
        assert_eq!(Scale::of(0.0, 1.0), Scale { low: 0.0, high: 1.0, tick: 0.25 });
        assert_eq!(Scale::of(0.0, 0.0), Scale { low: 0.0, high: 1.0, tick: 0.25 });
        for most in [0.003, 0.7, 4.1, 99.0, 12_345.0] {
            let scale = Scale::of(0.0, most);
            assert!(scale.high >= most && scale.high / scale.tick <= 5.0, "{most}: {scale:?}");
        }
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_seen() {
        let line = Line { name: String::new(), points: vec![(0.0, 0.0), (10.0, 1.0), (40.0, 1.0)] };
        let time = Time { start: 0.0, end: 40.0, step: 10.0 };
        let inner = Area { x: 0.0, y: 0.0, w: 40.0, h: 10.0 };
        let scale = Scale { low: 0.0, high: 1.0, tick: 1.0 };
        assert_eq!(path(&line, inner, scale, time), "M0.0 10.0h1L10.0 0.0M40.0 0.0h1");
    }

    #[test]
    fn a_legend_that_does_not_fit_says_how_much_is_left_out() {
        let lines: Vec<Line> = (0..40).map(|n| Line { name: format!("line {n}"), points: vec![] }).collect();
        let rows = legend_rows(&lines.iter().collect::<Vec<_>>(), 300.0);
        assert_eq!(rows.len(), LEGEND_LINES);
        let shown = rows.iter().map(Vec::len).sum::<usize>() - 1;
        assert_eq!(rows[LEGEND_LINES - 1].last().unwrap().0, format!("and {} more", 40 - shown));
    }
}
