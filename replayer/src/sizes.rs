//! Numbers of bytes as people type them: `65536`, `64K`, `1M`.

/// Reads a number of bytes. K, M and G are multiples of 1024; `-1` is the greatest number, which
/// glibc takes for “never”.
///
/// # Errors
///
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<u64, String> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    // In a hexadecimal number, B is a digit.
    let (number, shift) = match text.strip_prefix("0x") {
        Some(hexadecimal) => (u64::from_str_radix(hexadecimal, 16), 0),
        None => {
            let (digits, shift) = split_unit(text);
            (digits.parse(), shift)
        }
    };
    let number: u64 =
        number.map_err(|_| format!("`{text}` is not a number of bytes like 65536, 64K or 1M"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

/// What stands before the unit, and the power of two that the unit is: `64KiB` is `64` and 10.
pub fn split_unit(text: &str) -> (&str, u32) {
    let unsuffixed = text.trim_end_matches(['B', 'b']).trim_end_matches('i');
    match unsuffixed.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&unsuffixed[..at], 10),
        Some((at, 'm' | 'M')) => (&unsuffixed[..at], 20),
        Some((at, 'g' | 'G')) => (&unsuffixed[..at], 30),
        _ => (unsuffixed, 0),
    }
}

/// A number of bytes in the shortest way to type it.
pub fn shortest(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let fits = |&&(shift, _): &&(u32, &str)| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None if bytes == u64::MAX => "-1".to_owned(),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let read = ["0", "65536", "64K", "64k", "64KiB", "1M", "2g", "0x10", "0x1B", "-1"].map(parse);
        let expected = [0, 65536, 65536, 65536, 65536, 1 << 20, 2 << 30, 16, 27, u64::MAX];
        assert_eq!(read, expected.map(Ok));
        assert!(["", "K", "1X", "-2", "99999999999G"].iter().all(|text| parse(text).is_err()));
        assert_eq!([0, 100, 65536, 1 << 20, u64::MAX].map(shortest), ["0", "100", "64K", "1M", "-1"]);
    }

    #[test]
    fn a_unit_is_split_from_what_stands_before_it() {
        let split = ["64KiB", "1 M", "2gb", "100", ""].map(split_unit);
        assert_eq!(split, [("64", 10), ("1 ", 20), ("2", 30), ("100", 0), ("", 0)]);
    }
}
