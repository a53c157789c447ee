//! Bars and curves out of characters.

/// The eighths of a block that stands, the smallest first.
const UPRIGHT: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The eighths of a block that lies, the smallest first.
const LYING: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar of `width` characters of which the share `value` of `full` is filled; more than full is full. What is not
/// nothing is seen.
pub(super) fn bar(value: f64, full: f64, width: usize) -> String {
    let share = if full > 0.0 { (value / full).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = rounded(share * width as f64 * 8.0);
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut bar: String = std::iter::repeat_n(LYING[7], eighths / 8).collect();
    if eighths % 8 > 0 {
        bar.push(LYING[eighths % 8 - 1]);
    }
    let missing = width.saturating_sub(bar.chars().count());
    bar.extend(std::iter::repeat_n(' ', missing));
    bar
}

/// The last `width` of `values` as a curve from 0 to their largest, at the right of `width` characters. Nothing is the
/// lowest line, so that a curve is seen where there is one.
pub(super) fn curve(values: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
    let mut last: Vec<f64> = values.rev().take(width).collect();
    last.reverse();
    let most = last.iter().copied().fold(0.0, f64::max);
    let height = |value: f64| if most > 0.0 { rounded(value / most * 7.0) } else { 0 };
    let mut curve: String = std::iter::repeat_n(' ', width - last.len()).collect();
    curve.extend(last.iter().map(|value| UPRIGHT[height(*value).min(7)]));
    curve
}

#[expect(clippy::cast_sign_loss, reason = "what is below 0 becomes 0, which is right for something drawn")]
fn rounded(value: f64) -> usize {
    value.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_by_eighths() {
        assert_eq!(bar(0.0, 10.0, 4), "    ");
        assert_eq!(bar(5.0, 10.0, 4), "██  ");
        assert_eq!(bar(1.0, 1000.0, 4), "▏   ", "what is there is seen");
        assert_eq!(bar(20.0, 10.0, 4), "████");
        assert_eq!(bar(5.0, 0.0, 4), "    ");
    }

    #[test]
    fn a_curve_shows_the_last_values() {
        assert_eq!(curve([1.0, 2.0, 7.0].into_iter(), 5), "  ▂▃█");
        assert_eq!(curve([9.0, 0.0, 7.0].into_iter(), 2), "▁█");
        assert_eq!(curve([0.0; 3].into_iter(), 3), "▁▁▁");
        assert_eq!(curve([].into_iter(), 3), "   ");
    }
}
