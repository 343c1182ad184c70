//! Records and ranges of records, as they are typed.

/// Reads a record's number: `1500`, or `1,500` as it is shown.
///
/// # Errors
///
/// What to type instead.
pub fn record(text: &str) -> Result<u64, String> {
    let digits: String = text.trim().chars().filter(|&letter| letter != ',' && letter != '_').collect();
    digits
        .parse()
        .map_err(|_| format!("“{}” is not the number of a record: type 1500 or 1,500.", text.trim()))
}

/// Reads a range, of which the end does not belong to it: `100..200`.
///
/// # Errors
///
/// What to type instead.
pub fn range(text: &str) -> Result<(u64, u64), String> {
    let Some((first, end)) = text.split_once("..") else {
        return Err(format!("“{}” is not a range of records: type 100..200.", text.trim()));
    };
    let (first, end) = (record(first)?, record(end)?);
    if first >= end {
        return Err(format!(
            "There is no record from {first} to before {end}: type the lesser number first."
        ));
    }
    Ok((first, end))
}

/// A range as it is typed.
pub fn typed((first, end): (u64, u64)) -> String {
    format!("{first}..{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_shown() {
        assert_eq!(record(" 1,500 "), Ok(1500));
        assert_eq!(record("0"), Ok(0));
        for wrong in ["", ",", "-1", "1.5", "x", "99999999999999999999999"] {
            assert!(record(wrong).unwrap_err().contains("type 1500"), "{wrong}");
        }
    }

    #[test]
    fn a_range_is_read_as_it_is_typed() {
        assert_eq!(range(" 1,000 .. 2000"), Ok((1000, 2000)));
        assert_eq!(range(&typed((7, 9))), Ok((7, 9)));
        for wrong in ["", "7", "9..7", "7..7", "..", "1..", "a..b", "1...2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
