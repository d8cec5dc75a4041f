//! Numbers as people read them: three significant digits, a unit, and percent without false precision.

/// A time in ns with its best unit: `340 ns`, `1.24 ms`, `13.1 s`.
pub fn time(ns: u64) -> String {
    let ns_float = ns as f64;
    // Half of the last digit below a unit belongs to it: 999.5 µs is 1.00 ms.
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => format!("{} µs", digits(ns_float / 1e3)),
        999_500..999_500_000 => format!("{} ms", digits(ns_float / 1e6)),
        _ => format!("{} s", digits(ns_float / 1e9)),
    }
}

/// Three significant digits, no fraction from 100 on.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    let places = if size >= 99.95 {
        0
    } else if size >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}

/// A share in percent: `42%`, and `3.1%` below ten.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.05 {
        "<0.1%".to_owned()
    } else if percent < 9.95 && percent != 0.0 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A count: `412`, `8 412`, `1.2 M`.
pub fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{} {:03}", n / 1_000, n % 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.1} G", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_the_largest_unit_that_they_fill() {
        let shown =
            [0, 999, 1_000, 999_499, 999_500, 12_345_678, 999_500_000, 13_120_000_000].map(time);
        assert_eq!(
            shown,
            ["0 ns", "999 ns", "1.00 µs", "999 µs", "1.00 ms", "12.3 ms", "1.00 s", "13.1 s"]
        );
    }

    #[test]
    fn percents_show_a_digit_where_it_matters() {
        assert_eq!(
            [0.0, 0.0001, 0.031, 0.0996, 0.42, 1.0].map(percent),
            ["0%", "<0.1%", "3.1%", "10%", "42%", "100%"]
        );
    }

    #[test]
    fn counts_are_grouped_or_shortened() {
        assert_eq!([7, 8_412, 1_234_567].map(count), ["7", "8 412", "1.2 M"]);
    }
}
