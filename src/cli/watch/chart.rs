//! Numbers over time as a line of bars.

/// Bars from the lowest to the highest; of nothing there is none.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last numbers, one a column, at most `width` of them. The highest bar stands for `most`, or for the greatest
/// number, if that is greater.
pub(super) fn chart(numbers: impl DoubleEndedIterator<Item = f64>, width: usize, most: f64) -> String {
    let mut last: Vec<f64> = numbers.rev().take(width).collect();
    last.reverse();
    let most = last.iter().copied().fold(most, f64::max);
    let bar = |number: f64| match number > 0.0 && most > 0.0 {
        true => BARS[((number / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
        false => ' ',
    };
    last.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_numbers_are_drawn_against_the_greatest() {
        let numbers = [0.0, 1.0, 25.0, 50.0, 99.0, 100.0];
        assert_eq!(chart(numbers.into_iter(), 10, 0.0), " ▁▂▄██");
        assert_eq!(chart(numbers.into_iter(), 3, 200.0), "▂▄▄");
        assert_eq!(chart([0.0, 0.0].into_iter(), 5, 0.0), "  ");
        assert_eq!(chart(numbers.into_iter(), 0, 0.0), "");
    }
}
