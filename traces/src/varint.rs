//! Numbers of any size in as few bytes as they need: seven bits to a byte, the lowest first; a set
//! high bit says that more follow.
//!
//! A signed number is folded first: 0, −1, 1, −2, 2 … become 0, 1, 2, 3, 4 …

/// Appends `number`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the seven lowest bits are what is meant")]
pub(crate) fn put(into: &mut Vec<u8>, number: u64) {
    if number >= 1 << 14 {
        return put_any(into, number);
    }
    // One byte or two, which nobody can foresee: without a branch.
    let more = number >= 0x80;
    let end = into.len() + 1 + usize::from(more);
    into.extend_from_slice(&[number as u8 & 0x7f | u8::from(more) << 7, (number >> 7) as u8]);
    into.truncate(end);
}

#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "the seven lowest bits are what is meant")]
fn put_any(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends a signed number.
#[inline(always)]
pub(crate) fn put_signed(into: &mut Vec<u8>, number: i64) {
    put(into, (number << 1 ^ number >> 63).cast_unsigned());
}

/// Takes a number from the front of `bytes`; `None` if they end within it or it has more than 64 bits.
#[inline(always)]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let &[first, second, ..] = *bytes else {
        return take_any(bytes);
    };
    if first & second >= 0x80 {
        return take_any(bytes);
    }
    // One byte or two, which nobody can foresee: without a branch.
    let more = first >> 7;
    *bytes = &bytes[1 + usize::from(more)..];
    Some(u64::from(first & 0x7f) | u64::from(second & more.wrapping_neg()) << 7)
}

fn take_any(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            // The tenth byte has room for one bit.
            return (shift < 63 || byte <= 1).then_some(number);
        }
    }
    None
}

/// Takes a signed number from the front of `bytes`.
#[inline(always)]
pub(crate) fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let folded = take(bytes)?;
    Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_number_comes_back() {
        let edges = (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1, (1 << bits) + 1]);
        for number in edges.chain([u64::MAX]) {
            let signed = [number.cast_signed(), number.cast_signed().wrapping_neg()];
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            signed.into_iter().for_each(|number| put_signed(&mut bytes, number));
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Some(number));
            assert_eq!(signed.map(|_| take_signed(&mut rest)), signed.map(Some));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_does_not_fit_is_refused() {
        for bytes in
            [&[][..], &[0x80], &[0xff; 9], &[0xff; 11], &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]]
        {
            assert_eq!(take(&mut &bytes[..]), None, "{bytes:?}");
        }
    }
}
