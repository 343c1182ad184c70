//! Which arena each thread has, and which cache: from its thread-local variables, which have no names here.
//!
//! The C library has `thread_arena` and `tcache` at the same distance from every thread's pointer. So the
//! distance is looked for at which every thread has what makes sense: an arena, or a cache whose counts and
//! stacks agree.

use malloscope_traces::snapshot::{Arena, Cache, Thread};

use super::VARIABLES;
use super::copy::Copy;
use super::find::HEADER;
use super::walk::{Met, Unsound};

/// The variables of all threads.
pub struct Variables<'a> {
    /// The memory.
    pub copy: &'a Copy,
    /// The threads, each with its pointer.
    pub threads: &'a [(u32, u64)],
    /// The arenas.
    pub arenas: &'a [Arena],
    /// How many chunks a stack of a cache holds.
    pub fill: u64,
    /// Whether an address lies in the C library: a cache that is never used does.
    pub is_of_library: &'a dyn Fn(u64) -> bool,
}

/// What every thread has at some distance.
struct Candidate<T> {
    distance: u64,
    of_threads: Vec<Option<T>>,
}

impl Variables<'_> {
    /// Finds them. What the caches hold is then taken.
    pub fn find(&self, met: &mut Met<'_>) -> Result<Vec<Thread>, Unsound> {
        let arenas = self.arenas();
        let near = arenas.as_ref().map_or(0, |found| found.distance);
        let caches = self.caches(met, near);
        let mut threads = Vec::new();
        for (number, &(id, _)) in self.threads.iter().enumerate() {
            let arena = arenas.as_ref().and_then(|found| *found.of_threads.get(number)?);
            let cache = caches.as_ref().and_then(|found| found.of_threads.get(number)?.clone());
            cache.iter().try_for_each(|cache| met.claim_cache(cache))?;
            threads.push(Thread { id, arena, cache });
        }
        Ok(threads)
    }

    /// What every thread has at a distance, if all of that makes sense.
    fn at<T>(&self, distance: u64, mut sense: impl FnMut(u64) -> Option<Option<T>>) -> Option<Candidate<T>> {
        let value = |&(_, pointer): &(u32, u64)| self.copy.word(pointer.checked_sub(distance)?);
        let of_threads =
            self.threads.iter().map(|thread| sense(value(thread)?)).collect::<Option<Vec<_>>>()?;
        Some(Candidate { distance, of_threads })
    }

    fn arenas(&self) -> Option<Candidate<u32>> {
        let number = |state: u64| {
            let place = self.arenas.iter().position(|arena| arena.state == state)?;
            u32::try_from(place).ok()
        };
        let sense = |value: u64| if value == 0 { Some(None) } else { number(value).map(Some) };
        let found = (8..=VARIABLES).step_by(8).filter_map(|distance| self.at(distance, sense));
        // The first thread always has one: malloc begins with that.
        let found = found.filter(|one| one.of_threads.first().is_some_and(Option::is_some));
        // A few of other threads' variables may name arenas too; what arenas count tells which it is.
        found.max_by_key(|one| {
            let agree = |(number, arena): &(u32, &Arena)| {
                let attached = one.of_threads.iter().filter(|&&of| of == Some(*number)).count();
                attached as u64 == arena.attached_threads
            };
            let agreeing = (0..).zip(self.arenas).filter(agree).count();
            (agreeing, u64::MAX - one.distance)
        })
    }

    fn caches(&self, met: &mut Met<'_>, near: u64) -> Option<Candidate<Cache>> {
        let mut best: Option<(Candidate<Cache>, (usize, usize, u64))> = None;
        for distance in (8..=VARIABLES).step_by(8) {
            let found = self.at(distance, |value| match value {
                0 => Some(None),
                value if (self.is_of_library)(value) => Some(None),
                value => met.cache(value.wrapping_sub(HEADER), self.fill).ok().map(Some),
            });
            let Some(found) = found else { continue };
            let caches = found.of_threads.iter().flatten();
            let chunks = caches.clone().flat_map(|cache| &cache.stacks).map(|stack| stack.chunks.len()).sum();
            let rank = (caches.count(), chunks, u64::MAX - distance.abs_diff(near));
            if rank.0 > 0 && best.as_ref().is_none_or(|(_, other)| rank > *other) {
                best = Some((found, rank));
            }
        }
        best.map(|(found, _)| found)
    }
}
