//! Numbers as people read them.

/// Bytes, with three digits that matter: `118 MiB`, `4.00 KiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    // 1023.6 would be written with four digits.
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = if scaled < 9.995 { 2 } else { usize::from(scaled < 99.95) };
    format!("{scaled:.digits$} {}", UNITS[unit])
}

/// A class of sizes, which ends at a power of two, as the classes before it do: `17–32 B`, `1–2 KiB`.
pub fn size_range(least: u64, greatest: Option<u64>) -> String {
    // The class before ends at a round number, and this one begins a byte later.
    let before = least.saturating_sub(1);
    let Some(greatest) = greatest else { return format!("over {}", round(before)) };
    let (from, to) = (round(before), round(greatest));
    match (from.split_once(' '), to.split_once(' ')) {
        _ if greatest < 1024 => format!("{least}–{greatest} B"),
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{to}"),
        _ => format!("{from}–{to}"),
    }
}

/// Bytes without the places behind the point that a power of two does not need.
fn round(value: u64) -> String {
    let written = bytes(value);
    match written.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => written,
    }
}

/// Bytes with their sign.
pub fn signed_bytes(value: i128) -> String {
    let magnitude = bytes(u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX));
    match value {
        0 => "0 B".to_owned(),
        1.. => format!("+{magnitude}"),
        _ => format!("−{magnitude}"),
    }
}

/// A number with its digits in groups of three.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its digits grouped, and its sign.
pub fn signed_count(value: i128) -> String {
    let magnitude = count(u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX));
    match value {
        0 => "0".to_owned(),
        1.. => format!("+{magnitude}"),
        _ => format!("−{magnitude}"),
    }
}

/// A share of a whole in percent; nothing of nothing is nothing to print.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// A time in nanoseconds.
pub fn nanos(value: u64) -> String {
    let seconds = value as f64 / 1e9;
    match value {
        0..1_000_000 => format!("{:.0} µs", seconds * 1e6),
        1_000_000..1_000_000_000 => format!("{:.0} ms", seconds * 1e3),
        1_000_000_000..120_000_000_000 => format!("{seconds:.2} s"),
        _ => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_plain() {
        let written = [0, 1023, 1024, 1_048_575, 1 << 20, 123_456_789, u64::MAX].map(bytes);
        assert_eq!(written, ["0 B", "1023 B", "1.00 KiB", "1.00 MiB", "1.00 MiB", "118 MiB", "16.0 EiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 5, -5000].map(signed_count), ["0", "+5", "−5,000"]);
        assert_eq!(signed_bytes(-2048), "−2.00 KiB");
        assert_eq!((percent(1, 3), percent(0, 0)), ("33.3 %".to_owned(), "–".to_owned()));
        let times = [1_000, 2_500_000, 3_210_000_000, 3_725_000_000_000].map(nanos);
        assert_eq!(times, ["1 µs", "2 ms", "3.21 s", "62 min 05 s"]);
        let classes = [(0, Some(16)), (17, Some(32)), (513, Some(1024)), (1025, Some(2048))];
        let written = classes.map(|(least, greatest)| size_range(least, greatest));
        assert_eq!(written, ["0–16 B", "17–32 B", "512 B–1 KiB", "1–2 KiB"]);
        assert_eq!(size_range((1 << 39) + 1, None), "over 512 GiB");
    }
}
