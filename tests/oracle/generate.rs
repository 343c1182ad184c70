//! Scripts of calls from a seed: the same seed gives the same script, on every machine, for ever.

use std::fmt::Write;

/// A generator of numbers that nobody can change under us (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from `least` up to, and without, `end`.
    pub fn range(&mut self, least: u64, end: u64) -> u64 {
        least + self.next() % (end - least)
    }

    /// True this often in a thousand.
    fn thousandths(&mut self, often: u64) -> bool {
        self.range(0, 1000) < often
    }

    pub fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.next() % all.len() as u64) as usize]
    }

    /// A size of about as many bits as any other between these.
    fn bits(&mut self, least: u64, most: u64) -> u64 {
        let bits = self.range(least, most);
        self.range(1 << bits, 2 << bits)
    }
}

/// What a script is made of. Shares are in thousandths.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    size: fn(&mut Random) -> u64,
    /// Slots: a bound on what lives at one time.
    live: u64,
    /// Threads that may run at one time besides the main one.
    threads: usize,
    /// Of the calls on something that lives, reallocations.
    reallocates: u64,
    /// Of the allocations.
    clears: u64,
    aligns: u64,
    /// Of those that follow, and of the reallocations, how many ask for nearly all that a word can count.
    overflows: u64,
    /// How far below the greatest number of a word these may be, in bits.
    misses: (u64, u64),
    /// Of all calls.
    trims: u64,
    sets: u64,
    moves_break: u64,
    /// Whether what lives grows and shrinks, in turns of some hundred calls.
    has_phases: bool,
    /// What comes before everything else.
    begins: &'static [&'static str],
    /// Calls whose number is not in the script are made before this many.
    pub break_offset: u64,
    pub break_limit: u64,
}

const PLAIN: Kind = Kind {
    name: "",
    size: |random| random.bits(3, 17),
    live: 100,
    threads: 0,
    reallocates: 0,
    clears: 0,
    aligns: 0,
    overflows: 0,
    misses: (14, 17),
    trims: 0,
    sets: 0,
    moves_break: 0,
    has_phases: false,
    begins: &[],
    break_offset: 0,
    break_limit: 0,
};

/// Every kind; a golden names them.
pub const KINDS: &[Kind] = &[
    Kind { name: "fast", size: |random| random.range(0, 137), live: 400, ..PLAIN },
    Kind { name: "small", size: |random| random.range(0, 1100), live: 300, reallocates: 20, ..PLAIN },
    Kind {
        name: "mixed",
        reallocates: 150,
        clears: 120,
        aligns: 60,
        trims: 3,
        sets: 1,
        moves_break: 1,
        ..PLAIN
    },
    Kind { name: "large", size: |random| random.range(900, 80_000), reallocates: 80, ..PLAIN },
    Kind { name: "mapped", size: |random| random.bits(15, 22), live: 30, reallocates: 200, ..PLAIN },
    Kind { name: "reallocated", live: 60, reallocates: 800, ..PLAIN },
    Kind { name: "aligned", size: |random| random.bits(2, 14), aligns: 600, reallocates: 50, ..PLAIN },
    Kind { name: "cleared", size: |random| random.bits(2, 18), clears: 700, ..PLAIN },
    Kind { name: "phases", size: |random| random.bits(3, 13), live: 2000, has_phases: true, ..PLAIN },
    Kind { name: "oscillating", size: |random| random.bits(13, 17), live: 64, has_phases: true, ..PLAIN },
    Kind { name: "tuned", size: |random| random.bits(3, 18), sets: 30, trims: 10, clears: 50, ..PLAIN },
    Kind { name: "shared_break", size: |random| random.bits(5, 17), moves_break: 20, trims: 10, ..PLAIN },
    Kind { name: "crooked", reallocates: 100, aligns: 50, trims: 5, break_offset: 0x808, ..PLAIN },
    Kind { name: "walled", reallocates: 100, clears: 50, trims: 2, break_limit: 0x9_0000, ..PLAIN },
    Kind { name: "refused", reallocates: 200, clears: 150, aligns: 400, overflows: 300, threads: 3, ..PLAIN },
    Kind {
        name: "threads",
        live: 300,
        threads: 6,
        reallocates: 100,
        clears: 60,
        aligns: 20,
        trims: 2,
        has_phases: true,
        ..PLAIN
    },
    Kind { name: "many_threads", live: 400, threads: 40, reallocates: 80, clears: 40, ..PLAIN },
    Kind {
        name: "segments",
        size: |random| random.bits(14, 24),
        live: 40,
        threads: 3,
        reallocates: 150,
        trims: 5,
        begins: &["0 mallopt -3 67108864"],
        ..PLAIN
    },
];

/// Requests that wrap round when an alignment's padding, a header or a page is added, and not before that.
/// 2.23 to 2.26 corrupt their heap over some.
pub const WRAPPING: Kind = Kind {
    name: "wrapping",
    size: |random| random.bits(2, 14),
    live: 40,
    threads: 2,
    reallocates: 200,
    clears: 100,
    aligns: 500,
    overflows: 150,
    misses: (0, 14),
    trims: 3,
    ..PLAIN
};

/// What shows most settings: requests of all sizes, many threads, memory that comes and goes.
pub const SENSITIVE: Kind = Kind {
    name: "sensitive",
    size: |random| random.bits(3, 19),
    live: 300,
    threads: 24,
    reallocates: 120,
    clears: 60,
    aligns: 30,
    trims: 4,
    has_phases: true,
    ..PLAIN
};

/// Requests that nobody serves.
const TOO_LARGE: &[u64] = &[u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 63) - 100_000, 1 << 62];
/// Values for `mallopt`, by parameter.
const PARAMETERS: &[(i32, &[i64])] = &[
    (1, &[0, 16, 64, 128, 160, 200]),
    (-1, &[0, 4096, 65_536, 200_000, 1_000_000]),
    (-2, &[0, 4096, 100_000]),
    (-3, &[4096, 65_536, 200_000, 1_000_000]),
    (-4, &[0, 3, 65_536]),
    (-6, &[0, 165]),
    (5, &[1]),
];
/// Threads a script may number.
const THREADS: usize = 500;

/// A script of this kind.
pub fn script(kind: &Kind, seed: u64, lines: usize) -> String {
    let mut maker = Maker {
        kind,
        random: Random::new(seed),
        lives: vec![false; kind.live as usize],
        running: vec![0],
        started: 0,
    };
    let mut text = String::new();
    for line in kind.begins {
        text.push_str(line);
        text.push('\n');
    }
    let mut made = kind.begins.len();
    while made < lines {
        if let Some(line) = maker.line(made) {
            text.push_str(&line);
            text.push('\n');
            made += 1;
        }
    }
    text
}

struct Maker<'kind> {
    kind: &'kind Kind,
    random: Random,
    lives: Vec<bool>,
    running: Vec<usize>,
    started: usize,
}

impl Maker<'_> {
    fn line(&mut self, made: usize) -> Option<String> {
        let thread = self.random.choose(&self.running);
        let call = self.thread_call(thread).or_else(|| self.rare_call())?;
        if !call.is_empty() {
            return Some(format!("{thread} {call}"));
        }
        let slot = self.random.range(0, self.kind.live);
        let call = self.common_call(slot, made)?;
        Some(format!("{thread} {call}"))
    }

    fn thread_call(&mut self, by: usize) -> Option<String> {
        if self.kind.threads == 0 {
            return None;
        }
        if self.running.len() <= self.kind.threads && self.started < THREADS && self.random.thousandths(20) {
            self.started += 1;
            self.running.push(self.started);
            return Some(format!("spawn {}", self.started));
        }
        if self.running.len() > 1 && self.random.thousandths(8) {
            let place = 1 + (self.random.next() % (self.running.len() as u64 - 1)) as usize;
            if self.running[place] != by {
                return Some(format!("join {}", self.running.remove(place)));
            }
        }
        None
    }

    /// A call that is made now and then; nothing most of the time.
    fn rare_call(&mut self) -> Option<String> {
        let kind = self.kind;
        let mut call = String::new();
        if self.random.thousandths(kind.trims) {
            write!(call, "trim {}", self.random.choose(&[0, 0, 4096, 100_000])).ok()?;
        } else if self.random.thousandths(kind.sets) {
            let (parameter, values) = self.random.choose(PARAMETERS);
            write!(call, "mallopt {parameter} {}", self.random.choose(values)).ok()?;
        } else if self.random.thousandths(kind.moves_break) {
            write!(call, "sbrk {}", self.random.choose(&[16, 100, 4096, 5000, 8192, 100_000])).ok()?;
        }
        Some(call)
    }

    fn common_call(&mut self, slot: u64, made: usize) -> Option<String> {
        let lives = self.lives[slot as usize];
        let grows = (made / 400).is_multiple_of(2);
        if self.kind.has_phases && lives == grows && !self.random.thousandths(150) {
            return None;
        }
        if lives { Some(self.call_on_live(slot)) } else { Some(self.allocation(slot)) }
    }

    fn call_on_live(&mut self, slot: u64) -> String {
        if self.random.thousandths(self.kind.reallocates) {
            if self.random.thousandths(10) {
                self.lives[slot as usize] = false;
                return format!("realloc {slot} 0");
            }
            if self.overflows() {
                return format!("realloc {slot} {}", self.too_large());
            }
            return format!("realloc {slot} {}", (self.kind.size)(&mut self.random).max(1));
        }
        if self.random.thousandths(5) {
            return format!("usable {slot}");
        }
        self.lives[slot as usize] = false;
        format!("free {slot}")
    }

    fn overflows(&mut self) -> bool {
        self.kind.overflows != 0 && self.random.thousandths(self.kind.overflows)
    }

    /// A size that nobody serves: a little less than a word can count, or than half of that.
    fn too_large(&mut self) -> u64 {
        let (least, most) = self.kind.misses;
        let less = if self.random.thousandths(200) {
            self.random.range(1, 24)
        } else {
            self.random.bits(least, most)
        };
        self.random.choose(&[0_u64, 1 << 63]).wrapping_sub(less)
    }

    fn allocation(&mut self, slot: u64) -> String {
        let size = (self.kind.size)(&mut self.random);
        if self.random.thousandths(2) {
            return format!("malloc {slot} {}", self.random.choose(TOO_LARGE));
        }
        let overflows = self.overflows();
        let size = if overflows { self.too_large() } else { size };
        self.lives[slot as usize] = !overflows;
        if self.random.thousandths(self.kind.clears) {
            return format!("calloc {slot} {size}");
        }
        if self.random.thousandths(self.kind.aligns) {
            // An alignment above a page would depend on where the heap is.
            let alignment = 1_u64 << self.random.range(3, 13);
            return match self.random.range(0, 8) {
                0 => format!("valloc {slot} {size}"),
                1 => format!("pvalloc {slot} {size}"),
                2 | 3 => format!("posix_memalign {slot} {alignment} {size}"),
                4 => format!("aligned_alloc {slot} {alignment} {size}"),
                _ => format!("memalign {slot} {alignment} {size}"),
            };
        }
        format!("malloc {slot} {size}")
    }
}
