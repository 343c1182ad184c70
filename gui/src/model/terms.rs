//! What the words of the window mean, in one sentence each.

/// Words and their meanings, from what a program does to what the kernel sees.
pub const ALL: [(&str, &str); 18] = [
    ("request", "The bytes a program asks malloc for."),
    ("allocation", "What lives where a request was granted, until it is freed."),
    ("call, record", "Something the program did to malloc; a call with its time, its thread and its stack."),
    ("trace", "A file of records: what a program asked of malloc, and where it landed."),
    ("chunk", "The span that malloc sets aside for a request: its head, the bytes themselves, and padding."),
    ("bin", "A place where free chunks wait to be used again: tcache, fast, small, unsorted or large."),
    ("tcache", "A small cache of each thread's own, by chunk size, which needs no lock."),
    ("top", "The chunk at the end of an arena, which borders memory that was not used yet."),
    ("hit, miss", "A request that a bin served; one that found nothing in it and went on to the next."),
    ("arena", "A heap with a lock of its own; threads share arenas, so as not to wait for each other."),
    ("program break", "The end of the main arena's memory; it grows when malloc needs more, and is trimmed."),
    ("mapped", "In a mapping of its own, which goes back to the kernel as soon as it is freed."),
    ("live, held", "The bytes that were asked for and not freed; those of the chunks they lie in."),
    ("resident", "Pages that are in memory: what the program costs the machine."),
    ("pinned", "Free memory that cannot go back to the kernel, because something live lies above it."),
    ("minor fault", "The first touch of a page, for which the kernel has to step in."),
    ("run", "A replay of the trace under some settings, which may be others than the recorded ones."),
    ("fidelity", "The share of placements in a replay that are the recorded ones: at 100 % it is exact."),
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_word_has_one_sentence() {
        for (word, meaning) in super::ALL {
            assert!(meaning.ends_with('.') && !meaning.contains(". "), "{word}: {meaning}");
        }
    }
}
