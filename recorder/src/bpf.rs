//! What a filter of system calls answers: programs for the kernel's packet filter, as seccomp(2) and the kernel's
//! `Documentation/networking/filter.rst` have them.
//!
//! Nothing is known of a call's arguments, nor from where it is made: where a program looks at them, it is followed
//! both ways.

/// An instruction, as in the kernel's `sock_filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are left out if a comparison holds.
    pub holds: u8,
    /// And if not.
    pub fails: u8,
    /// A number.
    pub number: u32,
}

/// The kernel's name for this kind of processor.
pub const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

/// How the kernel goes on with a call as if nothing had been asked, or with a line in its log.
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
/// Which part of an answer says what becomes of the call.
const ACTION: u32 = 0xffff_0000;

/// The bytes a program is shown of a call: `seccomp_data`.
const SHOWN: u32 = 64;

/// More steps than this are not followed.
const MOST_STEPS: usize = 1 << 16;

/// Words of memory that a program has.
const WORDS: usize = 16;

/// How far a program has come. A number that depends on what we do not know is none.
#[derive(Clone, Copy, Debug)]
struct State {
    next: usize,
    accumulator: Option<u32>,
    index: Option<u32>,
    memory: [Option<u32>; WORDS],
}

/// Whether a program lets this call be made, whatever its arguments are.
pub fn allows(program: &[Instruction], call: u32) -> bool {
    let start = State { next: 0, accumulator: Some(0), index: Some(0), memory: [Some(0); WORDS] };
    let mut states = vec![start];
    for _ in 0..MOST_STEPS {
        let Some(mut state) = states.pop() else { return true };
        let Some(&instruction) = program.get(state.next) else { return false };
        match step(&mut state, instruction, call) {
            Some(Step::Ends(answer)) if matches!(answer & ACTION, ALLOW | LOG) => {}
            Some(Step::GoesOn) => states.push(state),
            Some(Step::Parts(other)) => states.extend([State { next: other, ..state }, state]),
            Some(Step::Ends(_)) | None => return false,
        }
    }
    false
}

/// What comes of an instruction.
enum Step {
    /// The program ends with this answer.
    Ends(u32),
    /// It goes on.
    GoesOn,
    /// It goes on, and perhaps here instead.
    Parts(usize),
}

/// Does an instruction. `None` if there is no such, or its answer is not known.
fn step(state: &mut State, instruction: Instruction, call: u32) -> Option<Step> {
    let Instruction { code, holds, fails, number } = instruction;
    let word = usize::try_from(number).ok();
    let operand = if code & 0x08 == 0 { Some(number) } else { state.index };
    state.next += 1;
    match code & 7 {
        // Loads, of which there are four ways, to one or the other place.
        class @ (0 | 1) => {
            let value = match (code & 0xe0, number) {
                (0x00, _) => Some(number),
                (0x20, 0) if class == 0 => Some(call),
                (0x20, 4) if class == 0 => Some(ARCHITECTURE),
                (0x20, 8..SHOWN) if class == 0 => None,
                (0x60, _) => *state.memory.get(word?)?,
                (0x80, _) => Some(SHOWN),
                _ => return None,
            };
            *(if class == 0 { &mut state.accumulator } else { &mut state.index }) = value;
        }
        2 => *state.memory.get_mut(word?)? = state.accumulator,
        3 => *state.memory.get_mut(word?)? = state.index,
        4 => {
            let of = |with: fn(u32, u32) -> Option<u32>| {
                state.accumulator.zip(operand).and_then(|(a, b)| with(a, b))
            };
            state.accumulator = match code & 0xf0 {
                0x00 => of(|a, b| Some(a.wrapping_add(b))),
                0x10 => of(|a, b| Some(a.wrapping_sub(b))),
                0x20 => of(|a, b| Some(a.wrapping_mul(b))),
                0x30 => of(u32::checked_div),
                0x40 => of(|a, b| Some(a | b)),
                0x50 => of(|a, b| Some(a & b)),
                0x60 => of(u32::checked_shl),
                0x70 => of(u32::checked_shr),
                0x80 => state.accumulator.map(u32::wrapping_neg),
                0xa0 => of(|a, b| Some(a ^ b)),
                _ => return None,
            };
        }
        5 => {
            let by = |count: usize| state.next.saturating_add(count);
            let (holds, fails) = (by(holds.into()), by(fails.into()));
            let is = state.accumulator.zip(operand);
            let is = match code & 0xf0 {
                0x00 => {
                    state.next = by(word?);
                    return Some(Step::GoesOn);
                }
                0x10 => is.map(|(a, b)| a == b),
                0x20 => is.map(|(a, b)| a > b),
                0x30 => is.map(|(a, b)| a >= b),
                0x40 => is.map(|(a, b)| a & b != 0),
                _ => return None,
            };
            state.next = if is == Some(false) { fails } else { holds };
            return Some(if is.is_none() { Step::Parts(fails) } else { Step::GoesOn });
        }
        6 => return if code & 0x10 == 0 { Some(number) } else { state.accumulator }.map(Step::Ends),
        _ if code & 0x80 == 0 => state.index = state.accumulator,
        _ => state.accumulator = state.index,
    }
    Some(Step::GoesOn)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KILL: u32 = 0x8000_0000;
    const ERROR: u32 = 0x0005_0001;

    fn does(code: u16, number: u32) -> Instruction {
        Instruction { code, number, ..Instruction::default() }
    }

    fn compares(code: u16, number: u32, holds: u8, fails: u8) -> Instruction {
        Instruction { code, holds, fails, number }
    }

    /// As container engines make them: for this processor only, a list of calls, and one that depends on an argument.
    fn as_of_a_container() -> Vec<Instruction> {
        vec![
            does(0x20, 4),
            compares(0x15, ARCHITECTURE, 1, 0),
            does(0x06, KILL),
            does(0x20, 0),
            compares(0x35, 0x4000_0000, 5, 0),
            compares(0x15, 9, 5, 0),
            compares(0x15, 56, 0, 2),
            does(0x20, 16),
            compares(0x45, 0x7e02_0000, 1, 2),
            compares(0x25, 200, 0, 1),
            does(0x06, ERROR),
            does(0x06, ALLOW),
        ]
    }

    #[test]
    fn calls_are_allowed_as_the_list_has_them() {
        let allowed = [9, 56, 57, 200, 201, 0x4000_0009].map(|call| allows(&as_of_a_container(), call));
        // What may be refused for its argument counts as refused.
        assert_eq!(allowed, [true, false, true, true, false, false]);
    }

    #[test]
    fn a_call_that_is_logged_is_made_and_one_that_is_traced_or_told_of_may_not_be() {
        for (answer, expected) in [
            (ALLOW, true),
            (LOG, true),
            (0x7ff0_0000, false),
            (0x7fc0_0000, false),
            (0x0003_0000, false),
            (ERROR, false),
            (0, false),
            (KILL, false),
        ] {
            assert_eq!(allows(&[does(0x06, answer)], 9), expected, "{answer:#x}");
        }
    }

    #[test]
    fn numbers_are_computed() {
        let program = [
            does(0x20, 0),
            does(0x07, 0),
            does(0x04, 5),
            does(0x1c, 0),
            does(0x02, 3),
            does(0x61, 3),
            does(0x00, ALLOW - 5),
            does(0x0c, 0),
            does(0x16, 0),
        ];
        assert!(allows(&program, 77));
        // One that ends without an answer, and one that has none.
        assert!(!allows(&program[..8], 77));
        assert!(!allows(&[does(0x20, 16), does(0x16, 0)], 77));
    }

    proptest! {
        /// Whatever is taken for a program, there is an end to it.
        #[test]
        fn following_a_program_ends(
            code in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), 0..100_u32), 0..4096),
            call in any::<u32>(),
        ) {
            let program: Vec<Instruction> =
                code.into_iter().map(|(code, holds, fails, number)| compares(code & 0xff, number, holds, fails)).collect();
            allows(&program, call);
        }
    }
}
