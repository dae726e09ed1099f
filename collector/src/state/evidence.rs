//! How much a share proves: the Wilson score interval (Wilson, 1927).

/// Two-sided 95%.
const Z: f64 = 1.959_963_984_540_054;

/// Fewer bad events than this are a coincidence, whatever the interval says.
pub(crate) const BAD_MIN: u64 = 3;

/// Lower end of the 95% interval of the share `part` of `whole`; 0 when there is nothing.
pub(crate) fn share_at_least(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let n = whole as f64;
    let p = part.min(whole) as f64 / n;
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let margin = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - margin) / (1.0 + z2 / n)).max(0.0)
}

/// Three significant digits are enough for evidence, and the same in every build.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_few_is_wide() {
        // Published values: 1 of 10 has 95% interval 0.0179 to 0.4042.
        assert!((share_at_least(1, 10) - 0.0179).abs() < 1e-4);
        assert!(share_at_least(1, 1) < 0.21);
        assert!(share_at_least(1_000, 10_000) > 0.09);
        assert_eq!(share_at_least(0, 0), 0.0);
        assert!(share_at_least(0, 50) < 1e-12);
    }
}
