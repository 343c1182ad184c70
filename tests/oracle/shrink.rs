//! The few lines of a script that matter: a script of thousands of calls that comes out wrong says
//! little, one of ten says why.

use std::collections::BTreeSet;

/// The script without the lines that it fails without, as far as leaving out runs of lines finds them.
/// `fails` must be true of the script itself.
pub fn shrunk(script: &str, fails: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
    let mut run = lines.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut left_out = false;
        while at < lines.len() {
            let end = (at + run).min(lines.len());
            let rest = [&lines[..at], &lines[end..]].concat();
            if is_sound(&rest) && fails(&joined(&rest)) {
                lines = rest;
                left_out = true;
            } else {
                at = end;
            }
        }
        if run == 1 && !left_out {
            return joined(&lines);
        }
        run = if left_out { run } else { run / 2 }.clamp(1, lines.len().max(1));
    }
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// Whether only threads call that are there: begun before, and not joined yet.
fn is_sound(lines: &[&str]) -> bool {
    let mut running = BTreeSet::from(["0"]);
    lines.iter().all(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [thread, call, ..] = words[..] else { return false };
        let other = words.get(2).copied().unwrap_or_default();
        running.contains(thread)
            && match call {
                "spawn" => running.insert(other),
                "join" => running.remove(other),
                _ => true,
            }
    })
}

#[test]
fn what_does_not_matter_is_left_out() {
    let script = (0..1000).map(|slot| format!("0 malloc {slot} 24\n")).collect::<String>();
    let fails = |text: &str| text.contains(" 17 ") && text.contains(" 900 ");
    assert_eq!(shrunk(&script, fails), "0 malloc 17 24\n0 malloc 900 24\n");
}

#[test]
fn a_thread_that_calls_is_there() {
    let script = "0 malloc 1 8\n0 spawn 3\n3 malloc 2 8\n0 join 3\n0 free 1\n";
    assert_eq!(shrunk(script, |text| text.contains("3 malloc")), "0 spawn 3\n3 malloc 2 8\n");
}
