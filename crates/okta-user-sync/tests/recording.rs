//! The picture in the README: what the demo prints, as a terminal in SVG. `UPDATE=1 cargo test -p okta-user-sync --test
//! recording` plays the demo and draws it anew; look at it before you commit it.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use testkit::Launch;
use testkit::process::Stream;

mod support;
use support::binary;

/// The steps that are shown; all would be too many for a picture.
const SHOWN: [&str; 7] = ["import", "profile", "deactivated", "suspended", "brake", "approved", "kubectl-get"];

/// Columns of the terminal.
const COLUMNS: usize = 118;
const LINE: usize = 19;
const LEFT: usize = 18;
const TOP: usize = 50;

fn picture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/demo.svg")
}

#[tokio::test]
async fn the_picture_shows_what_the_demo_prints() {
    if std::env::var_os("UPDATE").is_some() {
        let mut demo = Launch::new(binary()).args(["demo", "--people", "250"]).start().unwrap();
        let status = demo.wait(Duration::from_secs(900)).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", demo.output());
        let out = demo.lines().into_iter().filter(|(stream, _)| *stream == Stream::Out).map(|(_, line)| line);
        std::fs::write(picture(), draw(&out.collect::<Vec<_>>())).unwrap();
    }
    let drawn = std::fs::read_to_string(picture()).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"));
    let story = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap();
    for step in SHOWN {
        assert!(drawn.contains(&format!(">{step} (")), "{step} is not in the picture; draw it anew");
        assert!(story.contains(&format!("`{step}`")), "the demo has no step {step} any more; draw it anew");
    }
}

/// The paragraphs of the shown steps, cut to the terminal's width.
fn shown(lines: &[String]) -> Vec<String> {
    let mut chosen = Vec::new();
    let mut taking = false;
    for line in lines {
        if let Some(step) = line.strip_prefix("✓ ").and_then(|rest| rest.split_whitespace().next()) {
            taking = SHOWN.contains(&step);
        }
        if taking {
            chosen.extend(cut(line));
        }
    }
    chosen
}

/// A line in pieces that fit, the later ones indented.
fn cut(line: &str) -> Vec<String> {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut pieces = vec![String::new()];
    // Columns of a table stay as they are.
    if line.chars().count() <= COLUMNS || line.contains("   ") && !indent.is_empty() && line.trim().contains("   ") {
        return vec![line.chars().take(COLUMNS).collect()];
    }
    for word in line.trim_start().split(' ') {
        let last = pieces.last_mut().unwrap();
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > COLUMNS {
            pieces.push(format!("{indent}  {word}"));
        } else if last.is_empty() {
            *last = format!("{indent}{word}");
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    pieces
}

/// A terminal in which the lines appear one after the other; a viewer without animation shows them all.
fn draw(lines: &[String]) -> String {
    let lines = shown(lines);
    let (width, height) = (COLUMNS * 8 + 2 * LEFT, TOP + (lines.len() + 2) * LINE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, \
         SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\">\n<title>cargo demo</title>\n\
         <style>.o{{fill:#e2e8f0}}.d{{fill:#94a3b8}}.g{{fill:#4ade80}}.n{{fill:#f8fafc;font-weight:600}}\
         .l{{animation:a 1ms both}}@keyframes a{{from{{opacity:0}}}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"#0f172a\"/>\n\
         <circle cx=\"20\" cy=\"19\" r=\"6\" fill=\"#f87171\"/><circle cx=\"40\" cy=\"19\" r=\"6\" fill=\"#fbbf24\"/>\
         <circle cx=\"60\" cy=\"19\" r=\"6\" fill=\"#4ade80\"/>\n\
         <text x=\"{LEFT}\" y=\"{TOP}\" class=\"n\">$ cargo demo</text>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let (y, begin) = (TOP + (number + 1) * LINE, 600 + number * 220);
        let line = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let place = format!("x=\"{LEFT}\" y=\"{y}\" xml:space=\"preserve\" style=\"animation-delay:{begin}ms\"");
        if let Some(rest) = line.strip_prefix("✓ ") {
            let text = format!("<tspan class=\"g\">✓ </tspan><tspan class=\"n\">{rest}</tspan>");
            writeln!(svg, "<text class=\"l\" {place}>{text}</text>").unwrap();
        } else if !line.trim().is_empty() {
            let class = if line.starts_with("    ") { "d" } else { "o" };
            writeln!(svg, "<text class=\"l {class}\" {place}>{line}</text>").unwrap();
        }
    }
    svg.push_str("</svg>\n");
    svg
}
