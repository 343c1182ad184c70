//! The patcher within a process: laid out, run, and taken out again. All threads stand still meanwhile.
//!
//! ```text
//!  ┌────────────┬───────────┬─────────────────┬───────────┐
//!  │ code, page │ patcher   │ what it works   │ its stack │
//!  │ after page │           │ with            │           │
//!  └────────────┴───────────┴─────────────────┴───────────┘
//!    what was taken of it stays; all else goes
//! ```

#[cfg(not(feature = "gum"))]
pub use without_gum::{IS_THERE, patch};

#[cfg(feature = "gum")]
pub use with_gum::{IS_THERE, patch};

/// In a build without the feature, nothing of it.
#[cfg(not(feature = "gum"))]
mod without_gum {
    use crate::attach::inside::Held;
    use crate::attach::patches::{Entry, NotPatched, Patched};

    /// Whether this build has it.
    pub const IS_THERE: bool = false;

    /// Patches functions: not without gum.
    pub fn patch(_held: &mut Held<'_>, _entries: &[Entry]) -> Result<Vec<Patched>, NotPatched> {
        Err(NotPatched::gum("is not built in"))
    }
}

#[cfg(feature = "gum")]
mod with_gum {
    use std::mem::offset_of;

    use malloscope_wire::PAGE;
    use malloscope_wire::attachment::BEGINNING;
    use malloscope_wire::bench::{Bench, DONE, Ending, Room, Task};

    use crate::attach::image::Image;
    use crate::attach::inside::Held;
    use crate::attach::patches::{Entry, NotPatched, Patched};
    use crate::attach::target::Target;
    use crate::heap::copy::Range;

    /// The patcher, as `build.rs` made it; empty where it was only seen that it can be.
    const BYTES: &[u8] = include_bytes!(env!("MALLOSCOPE_PATCHER"));

    /// Whether this build has it.
    pub const IS_THERE: bool = !BYTES.is_empty();

    /// Room for code. Gum takes 32 KiB of it for the functions of malloc's.
    const CODE: u64 = 256 << 10;

    /// Room for what stands for functions, and to work with. Gum takes less than 1 MiB for the functions of malloc's.
    const WORK: u64 = 8 << 20;

    /// Room for a stack. Gum takes less than 16 KiB.
    const STACK: u64 = 256 << 10;

    /// What is read, written and run.
    const ALL: i32 = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;

    /// Patches functions that nobody has patched. Returns what could be; what could not is as it was. If this fails, all
    /// is.
    pub fn patch(held: &mut Held<'_>, entries: &[Entry]) -> Result<Vec<Patched>, NotPatched> {
        let image = Image::read(BYTES).ok_or_else(not_ours)?;
        let code = CODE;
        let length = code + image.length() + WORK + STACK;
        let start = held.make_room(length, ALL)?;
        let room = Range { start, end: start + length };
        let mappings = mappings_of(held.target(), entries);
        let before = beginnings(held.target(), entries);
        let patched = opened(held, &mappings).and_then(|()| run(held, &image, room, entries, &before));
        if patched.is_err() {
            for (entry, before) in entries.iter().zip(&before) {
                held.target().write(entry.function, before).map_err(NotPatched::Refused)?;
            }
        }
        for mapping in &mappings {
            held.protect(mapping.range, mapping.access)?;
        }
        let kept = patched.as_ref().map_or(room.start, |(_, kept)| *kept);
        held.give_back(Range { start: kept, end: room.end });
        if kept > room.start {
            held.protect(Range { start: room.start, end: kept }, libc::PROT_READ | libc::PROT_EXEC)?;
        }
        patched.map(|(patched, _)| patched)
    }

    fn not_ours() -> NotPatched {
        NotPatched::gum("was built to something that is no file of ours")
    }

    /// Bytes of what stands for a function that gum names and is not given.
    const STUB: usize = 10;

    /// The one with this number: `mov esi, number` and `jmp absent`.
    fn stub_of(number: u32, stubs: u64, absent: u64) -> [u8; STUB] {
        let after = stubs + STUB as u64 * (u64::from(number) + 1);
        // They lie within the same few mebibytes.
        let distance = absent.wrapping_sub(after).to_le_bytes();
        let mut stub = [0xbe, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0];
        stub[1..5].copy_from_slice(&number.to_le_bytes());
        stub[6..].copy_from_slice(&distance[..4]);
        stub
    }

    /// A mapping in which there is code to be changed.
    struct Mapping {
        range: Range,
        access: i32,
    }

    /// The mappings in which functions begin. How they may be used is changed for all of each, or they would be several
    /// ever after.
    fn mappings_of(target: &Target, entries: &[Entry]) -> Vec<Mapping> {
        let maps = target.told("maps");
        let of = |at: u64| maps.lines().filter_map(access_on).find(|(range, _)| range.contains(at));
        let ends = entries.iter().flat_map(|entry| [entry.function, entry.function + BEGINNING as u64 - 1]);
        let mut found: Vec<_> = ends.filter_map(of).collect();
        found.sort_by_key(|(range, _)| range.start);
        found.dedup();
        found.into_iter().map(|(range, access)| Mapping { range, access }).collect()
    }

    /// What a line of `maps` says of where, and of how it may be used.
    fn access_on(line: &str) -> Option<(Range, i32)> {
        let range = crate::heap::maps::line(line)?.range;
        let access = line.split(' ').nth(1)?;
        let letters = [('r', libc::PROT_READ), ('w', libc::PROT_WRITE), ('x', libc::PROT_EXEC)];
        let has = |(letter, _): &(char, i32)| access.contains(*letter);
        Some((range, letters.into_iter().filter(has).fold(0, |all, (_, one)| all | one)))
    }

    /// Lets the process write there.
    fn opened(held: &mut Held<'_>, mappings: &[Mapping]) -> Result<(), NotPatched> {
        mappings.iter().try_for_each(|mapping| held.protect(mapping.range, ALL))
    }

    /// How each function begins.
    fn beginnings(target: &Target, entries: &[Entry]) -> Vec<[u8; BEGINNING]> {
        let bytes = |entry: &Entry| target.bytes(entry.function, BEGINNING as u64)?.try_into().ok();
        entries.iter().map_while(bytes).collect()
    }

    /// Lays the patcher out in this room and has it run. Returns what it patched, and the end of what must stay.
    fn run(
        held: &mut Held<'_>,
        image: &Image,
        room: Range,
        entries: &[Entry],
        before: &[[u8; BEGINNING]],
    ) -> Result<(Vec<Patched>, u64), NotPatched> {
        let base = room.start + CODE;
        let find = |name| image.find(name).map(|at| base + at).ok_or_else(not_ours);
        let [absent, code, bench] = ["malloscope_absent", "malloscope_patch", "MALLOSCOPE_BENCH"].map(find);
        let (absent, code, bench) = (absent?, code?, bench?);
        let names: Vec<&str> = image.needed_functions().collect();
        let stubs = base + image.length();
        let stub = |name: &str| Some(stubs + (STUB * names.iter().position(|one| *one == name)?) as u64);
        let work = (stubs + (STUB * names.len()) as u64).next_multiple_of(PAGE as u64);
        let rooms =
            [(offset_of!(Bench, code), room.start, base), (offset_of!(Bench, work), work, work + WORK)];
        let target = held.target();
        let write = |at: u64, word: u64| target.write_word(at, word).map_err(NotPatched::Refused);
        target.write(base, &image.laid_out(base, stub)).map_err(NotPatched::Refused)?;
        let all = (0..).zip(&names).map(|(number, _)| stub_of(number, stubs, absent));
        target.write(stubs, &all.collect::<Vec<_>>().concat()).map_err(NotPatched::Refused)?;
        for (at, start, end) in rooms {
            write(bench + (at + offset_of!(Room, next)) as u64, start)?;
            write(bench + (at + offset_of!(Room, end)) as u64, end)?;
        }
        let task = |i: usize| bench + (offset_of!(Bench, tasks) + i * size_of::<Task>()) as u64;
        for (i, entry) in entries.iter().enumerate() {
            write(task(i) + offset_of!(Task, function) as u64, entry.function)?;
            write(task(i) + offset_of!(Task, gate) as u64, entry.gate)?;
        }
        match held.run(code, room.end, DONE)? {
            Some((ending, _)) if ending == Ending::Done as u64 => {}
            Some((ending, number)) if ending == Ending::Absent as u64 => {
                let name = usize::try_from(number).ok().and_then(|number| names.get(number));
                let name = name.unwrap_or(&"syscall");
                return Err(NotPatched::Gum(format!(
                    "called {name} of the C library, which it is not given"
                )));
            }
            Some(_) => return Err(NotPatched::gum("gave up")),
            None => return Err(NotPatched::gum("came to grief")),
        }
        let target = held.target();
        let after = beginnings(target, entries);
        let patched =
            (0..).zip(entries).zip(before.iter().zip(after)).filter_map(|((i, entry), (before, after))| {
                let original = target.word(task(i) + offset_of!(Task, original) as u64)?;
                (original != 0 && *before != after)
                    .then(|| Patched::new(entry.function, original, *before, after))
            });
        let patched: Vec<Patched> = patched.collect();
        let taken = target.word(bench + (offset_of!(Bench, code) + offset_of!(Room, next)) as u64);
        let kept = taken.filter(|end| (room.start..=base).contains(end)).ok_or_else(not_ours)?;
        if patched.is_empty() {
            return Err(NotPatched::gum("can patch none of them"));
        }
        Ok((patched, kept.next_multiple_of(PAGE as u64)))
    }
}
