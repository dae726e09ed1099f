//! Small drawings in SVG: sizes are attributes, since the page allows no inline styles.

use std::fmt::Write as _;

use checks::profile::RELATIVE_ERROR;
use checks::report::{FieldSummary, NumericSummary};

use crate::view::Figure;

/// Bars of a distribution.
const BARS: usize = 48;

/// A bar from 0 to 1, with its class.
pub(super) fn meter(share: f64, class: &str) -> String {
    let width = share.clamp(0.0, 1.0) * 110.0;
    format!(
        "<svg class=\"meter\" viewBox=\"0 0 110 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"110\" height=\"8\" rx=\"4\"/>\
         <rect class=\"fill {class}\" width=\"{width:.1}\" height=\"8\" rx=\"4\"/></svg>"
    )
}

/// An age on a scale from a second to a day, by its logarithm.
pub(super) fn age(seconds: f64) -> String {
    let class = if seconds >= 600.0 {
        "bad"
    } else if seconds >= 60.0 {
        "warn"
    } else {
        ""
    };
    meter((1.0 + seconds.max(0.0)).ln() / 86_400f64.ln(), class)
}

/// Values, empty ones, nulls and missing ones as shares of the parents.
pub(super) fn shares(f: &FieldSummary) -> String {
    let mut svg = String::from(
        "<svg class=\"shares\" viewBox=\"0 0 1000 9\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"1000\" height=\"9\"/>",
    );
    let filled = f.present.saturating_sub(f.null).saturating_sub(f.empty);
    let mut x = 0.0;
    for (class, n) in
        [("p-value", filled), ("p-empty", f.empty), ("p-null", f.null), ("p-missing", f.missing())]
    {
        let width = n as f64 / f.records.max(1) as f64 * 1000.0;
        // A sliver is still to be seen.
        let width = if n > 0 { width.max(4.0) } else { 0.0 };
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"9\"/>");
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

/// A distribution between two values.
pub(super) struct Distribution {
    /// Left end.
    pub(super) from: f64,
    /// Right end.
    pub(super) to: f64,
    /// The drawing.
    pub(super) svg: String,
}

/// The middle 99% of the numbers, each bin of the sketch spread evenly over its width. `None` where
/// there is nothing to see: no numbers, or one value only.
pub(super) fn distribution(n: &NumericSummary) -> Option<Distribution> {
    let from = n.quantile(0.005)?.max(n.min);
    let to = n.quantile(0.995)?.min(n.max);
    let width = (to - from) / BARS as f64;
    if !(width.is_finite() && width > 0.0) {
        return None;
    }
    let mut bars = [0.0f64; BARS];
    let mut spread = |low: f64, high: f64, count: f64| {
        let (low, high) = (low.max(n.min), high.min(n.max));
        for (i, bar) in bars.iter_mut().enumerate() {
            let left = from + width * i as f64;
            if high > low {
                let overlap = (high.min(left + width) - low.max(left)).max(0.0);
                *bar += count * overlap / (high - low);
            } else if left <= low && low < left + width {
                *bar += count;
            }
        }
    };
    // Bin i holds (gamma^(i-1), gamma^i]: see `NumericSummary`.
    let gamma = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
    for bin in &n.positive {
        spread(gamma.powi(bin.index.saturating_sub(1)), gamma.powi(bin.index), bin.count as f64);
    }
    for bin in &n.negative {
        spread(-gamma.powi(bin.index), -gamma.powi(bin.index.saturating_sub(1)), bin.count as f64);
    }
    spread(0.0, 0.0, n.zeros as f64);
    let most = bars.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let mut svg = String::from(
        "<svg class=\"dist\" viewBox=\"0 0 480 76\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <line x1=\"0\" y1=\"75.5\" x2=\"480\" y2=\"75.5\"/>",
    );
    for (i, bar) in bars.iter().enumerate().filter(|(_, bar)| **bar > 0.0) {
        let height = (bar / most * 74.0).max(1.0);
        let _ = write!(
            svg,
            "<rect x=\"{}\" y=\"{:.1}\" width=\"9\" height=\"{height:.1}\" rx=\"1\"/>",
            i * 10,
            75.0 - height
        );
    }
    svg.push_str("</svg>");
    Some(Distribution { from, to, svg })
}

/// A figure over time, with a mark where it began to move; nothing where there is nothing to see.
pub(super) fn line(figure: &Figure, began_ms: i64) -> Option<String> {
    const WIDTH: f64 = 960.0;
    const HEIGHT: f64 = 110.0;
    let seen = || figure.values.iter().flatten().copied().map(f64::from);
    let (low, high) = (seen().fold(0.0, f64::min), seen().fold(0.0, f64::max));
    if seen().count() < 2 || !(high - low).is_normal() {
        return None;
    }
    let step = WIDTH / figure.values.len() as f64;
    let mut svg = format!(
        "<svg class=\"line\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <line class=\"axis\" x1=\"0\" y1=\"{0}\" x2=\"{WIDTH}\" y2=\"{0}\"/>",
        HEIGHT - 0.5
    );
    let mark = (began_ms - figure.from_ms) as f64 / figure.step_ms.max(1) as f64 * step;
    if (0.0..=WIDTH).contains(&mark) {
        let _ =
            write!(svg, "<line class=\"mark\" x1=\"{mark:.1}\" y1=\"0\" x2=\"{mark:.1}\" y2=\"{HEIGHT}\"/>");
    }
    svg.push_str("<path d=\"");
    let mut pen = 'M';
    for (slot, value) in figure.values.iter().enumerate() {
        let Some(value) = value else {
            pen = 'M';
            continue;
        };
        let x = (slot as f64 + 0.5) * step;
        let y = HEIGHT - 4.0 - (f64::from(*value) - low) / (high - low) * (HEIGHT - 8.0);
        let _ = write!(svg, "{pen}{x:.1} {y:.1}");
        pen = 'L';
    }
    svg.push_str("\"/></svg>");
    Some(svg)
}

/// A bar of a top value.
pub(super) fn top(share: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 90 7\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"90\" height=\"7\" rx=\"3\"/>\
         <rect class=\"fill\" width=\"{:.1}\" height=\"7\" rx=\"3\"/></svg>",
        share.clamp(0.0, 1.0) * 90.0
    )
}
