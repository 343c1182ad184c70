//! A C library's calls to the kernel, from `strace`'s words into ours.
//!
//! What is left out, on both sides: the stacks of threads, which are not malloc's business; and how
//! an aligned segment was found, which differs from run to run: where a hint happens to be free, or by
//! cutting off both ends of one of twice the length. Places in it are counted from the segment.

use std::collections::BTreeMap;

/// One call as strace tells it.
struct Call<'log> {
    name: &'log str,
    arguments: Vec<&'log str>,
    result: Option<u64>,
}

impl<'log> Call<'log> {
    /// Reads `1234 mmap(NULL, 4096, …) = 0x7f00`.
    fn parse(line: &'log str) -> Option<Call<'log>> {
        let (_, call) = line.split_once(' ')?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let (arguments, result) = rest.rsplit_once(") ")?;
        let result = result.trim().strip_prefix("= ")?.split(' ').next()?;
        Some(Call { name, arguments: arguments.split(", ").collect(), result: number(result) })
    }

    fn number(&self, place: usize) -> u64 {
        number(self.arguments[place]).unwrap_or(0)
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The lines for what strace saw.
pub fn lines(log: &str) -> String {
    let mut teller = Teller::default();
    let mut lines = String::new();
    let log = joined(log);
    for call in log.iter().filter_map(|line| Call::parse(line)) {
        if call.name == "write" {
            let text = call.arguments[1].trim_matches('"');
            match text.strip_prefix("break ") {
                Some(digits) => teller.initial_break = u64::from_str_radix(digits, 16).ok(),
                None => teller.index = text.to_owned(),
            }
        } else if let Some(initial_break) = teller.initial_break
            && let Some(line) = teller.tell(&call, initial_break)
        {
            lines.push_str(&format!("{} {line}\n", teller.index));
        }
    }
    lines
}

/// The log's lines, with those in one piece that strace began while another thread was ending.
fn joined(log: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, begin);
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            let begin = begun.remove(thread).expect("what is resumed was begun");
            lines.push(format!("{thread} {begin}{end}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// What is left of a mapping in one piece.
#[derive(Clone, Copy)]
struct Mapping {
    end: u64,
    /// Where the whole of it began.
    origin: u64,
    number: usize,
}

#[derive(Default)]
struct Teller {
    index: String,
    initial_break: Option<u64>,
    mappings: BTreeMap<u64, Mapping>,
    made: usize,
    stacks: BTreeMap<u64, u64>,
}

impl Teller {
    fn tell(&mut self, call: &Call, initial_break: u64) -> Option<String> {
        let at = call.number(0);
        if self.stacks.range(..=at).next_back().is_some_and(|(start, length)| at - start < *length) {
            return None;
        }
        let place = || self.place(at, initial_break);
        Some(match call.name {
            // A question: where is it?
            "brk" if at == 0 => return None,
            "brk" if call.result == Some(at) => format!("brk +{:x}", at - initial_break),
            "brk" => "brk refused".to_owned(),
            "munmap" => {
                let line = format!("munmap {} {}", place(), call.number(1));
                self.unmap(at, at + call.number(1));
                line
            }
            "mprotect" => format!("mprotect {} {} {}", place(), call.number(1), call.arguments[2]),
            "madvise" => format!("madvise {} {} {}", place(), call.number(1), call.arguments[2]),
            "mremap" => {
                let (place, from, to) = (place(), call.number(1), call.number(2));
                self.unmap(at, at + from);
                format!("mremap {place} {from} -> {to} {}", self.made(call.result, to))
            }
            "mmap" | "mmap2" => {
                let (length, access, flags) = (call.number(1), call.arguments[2], call.arguments[3]);
                if flags.contains("MAP_STACK") {
                    self.stacks.insert(call.result?, length);
                    return None;
                }
                if flags.contains("MAP_FIXED") {
                    return Some(format!("mmap {} {length} {access} {flags}", place()));
                }
                let hint = if at == 0 { "" } else { " hint" };
                format!("mmap {length} {access} {flags}{hint} -> {}", self.made(call.result, length))
            }
            other => panic!("strace was not asked for {other}"),
        })
    }

    fn made(&mut self, at: Option<u64>, length: u64) -> String {
        let Some(at) = at else { return "refused".to_owned() };
        self.mappings.insert(at, Mapping { end: at + length, origin: at, number: self.made });
        self.made += 1;
        format!("#{}", self.made - 1)
    }

    /// Forgets what lay there: other mappings may come to lie where an end was cut off.
    fn unmap(&mut self, from: u64, to: u64) {
        let cut = self.mappings.range(..to).filter(|(_, mapping)| mapping.end > from);
        for (start, mapping) in cut.map(|(start, mapping)| (*start, *mapping)).collect::<Vec<_>>() {
            self.mappings.remove(&start);
            if start < from {
                self.mappings.insert(start, Mapping { end: from, ..mapping });
            }
            if mapping.end > to {
                self.mappings.insert(to, mapping);
            }
        }
    }

    fn place(&self, at: u64, initial_break: u64) -> String {
        match self.mappings.range(..=at).next_back() {
            Some((_, Mapping { end, origin, number })) if at < *end => {
                format!("#{number}+{:x}", at - origin)
            }
            _ => format!("+{:x}", at.wrapping_sub(initial_break)),
        }
    }
}

/// Lines without what differs from run to run, where an arena's segments have this many bytes.
pub fn settled(lines: &str, segment: u64) -> String {
    let mut settler =
        Settler { segment: segment.to_string(), twice: (2 * segment).to_string(), ..Settler::default() };
    let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split(' ').collect()).collect();
    let mut settled = String::new();
    for (number, line) in lines.iter().enumerate() {
        if let Some(line) = settler.settle(line, lines.get(number + 1)) {
            settled.push_str(&line);
            settled.push('\n');
        }
    }
    settled
}

#[derive(Default)]
struct Settler<'lines> {
    /// Bytes of a segment, and those in which a whole aligned one surely lies.
    segment: String,
    twice: String,
    /// What mappings are called now, and where in them what counts begins.
    names: BTreeMap<&'lines str, (usize, u64)>,
    /// The mapping that is being cut to a segment, and by which call; until another line comes.
    cut: Option<(&'lines str, &'lines str)>,
}

impl<'lines> Settler<'lines> {
    fn settle(&mut self, line: &[&'lines str], next: Option<&Vec<&'lines str>>) -> Option<String> {
        let (index, name, object) = (line[0], line[1], line[2]);
        let made = line.last().and_then(|made| made.strip_prefix('#')).filter(|made| !made.contains('+'));
        if let Some(made) = made {
            let is_hinted = name == "mmap" && line.contains(&"hint");
            // Where a hint led nowhere, the mapping goes at once.
            if is_hinted && next.is_some_and(|next| next[1] == "munmap" && next[2] == format!("#{made}+0")) {
                self.cut = Some((index, made));
                return None;
            }
            self.names.insert(made, (self.names.len(), 0));
            let is_twice = object == self.twice && line[3] == "PROT_NONE";
            if is_hinted && object == self.segment || is_twice {
                self.cut = is_twice.then_some((index, made));
                return Some(format!("{index} mmap a segment -> #{}", self.names[made].0));
            }
        }
        let place = object.strip_prefix('#').and_then(|place| place.split_once('+'));
        if let Some((number, offset)) = place
            && name == "munmap"
            && self.cut == Some((index, number))
        {
            if offset == "0"
                && let Some((_, begin)) = self.names.get_mut(number)
            {
                *begin = line[3].parse().expect("a length is a number");
            }
            return None;
        }
        self.cut = None;
        let rename = |word: &&str| self.renamed(word);
        Some(line.iter().map(rename).collect::<Vec<_>>().join(" "))
    }

    /// A word, or what a mapping is called now.
    fn renamed(&self, word: &str) -> String {
        let Some(place) = word.strip_prefix('#') else { return word.to_owned() };
        let (number, offset) = place.split_once('+').unwrap_or((place, ""));
        let (number, begin) = self.names.get(number).expect("the mapping was made");
        match u64::from_str_radix(offset, 16) {
            Ok(offset) => format!("#{number}+{:x}", offset.wrapping_sub(*begin)),
            Err(_) => format!("#{number}"),
        }
    }
}
