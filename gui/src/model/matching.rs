//! How well some typed letters name something: `cmpth` means “Compare thresholds”.

/// The letter begins a word.
const BEGINS_WORD: u32 = 6;
/// The letter follows the one matched before.
const FOLLOWS: u32 = 7;
/// The letter is there.
const THERE: u32 = 1;

/// How well `typed` names `text`: the more the better; none if a letter is missing.
///
/// Each word that was typed has its letters in `text`, in this order, whatever stands between them; the
/// words themselves may come in any order. Capitals do not matter.
pub fn score(typed: &str, text: &str) -> Option<u32> {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    typed.split_whitespace().map(|word| word_score(word, &text)).sum()
}

/// The best of all ways to find the word's letters in the text.
fn word_score(word: &str, text: &[char]) -> Option<u32> {
    // For each place of the text, the best score of the letters so far of which the last is here.
    let mut ending_here: Vec<Option<u32>> = Vec::new();
    for (number, letter) in word.chars().flat_map(char::to_lowercase).enumerate() {
        let mut next = Vec::with_capacity(text.len());
        // The best that ended before the place in question.
        let mut best_before = if number == 0 { Some(0) } else { None };
        for (place, &there) in text.iter().enumerate() {
            let just_before =
                place.checked_sub(1).and_then(|before| ending_here.get(before).copied().flatten());
            best_before = best_before.max(just_before);
            let so_far = best_before.max(just_before.map(|score| score + FOLLOWS));
            next.push((there == letter).then(|| so_far.map(|score| score + worth(text, place))).flatten());
        }
        ending_here = next;
    }
    ending_here.into_iter().max().flatten()
}

fn worth(text: &[char], place: usize) -> u32 {
    let begins = place.checked_sub(1).is_none_or(|before| !text[before].is_alphanumeric());
    if begins { THERE + BEGINS_WORD } else { THERE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_order_name_a_text_and_others_do_not() {
        for typed in ["", "cmd", "Copy", "copy command line", "line copy", "  CL ", "pyom"] {
            assert!(score(typed, "Copy command line").is_some(), "{typed}");
        }
        for typed in ["x", "yp oc lx", "copyy", "line copy z"] {
            assert_eq!(score(typed, "Copy command line"), None, "{typed}");
        }
        assert_eq!(score("a", ""), None);
    }

    #[test]
    fn beginnings_of_words_and_runs_of_letters_count_more() {
        let best = |typed: &str, texts: [&'static str; 3]| {
            texts.into_iter().max_by_key(|text| score(typed, text)).unwrap()
        };
        assert_eq!(best("sr", ["Close trace", "Select a range", "First record"]), "Select a range");
        assert_eq!(best("bin", ["Before the line", "Show Bins", "Built in"]), "Show Bins");
        // The best way counts, not the first: `line` is not spread over “Close if nothing else”.
        assert!(score("line", "c l i line") > score("line", "c l i n e"));
    }
}
