//! Where in a process the address of a hooked function stands, and what stands there instead.
//!
//! Three kinds of words lead a call of `malloc` to glibc: the words through which a module calls what others
//! define (`JUMP_SLOT`, `GLOB_DAT` and such); the value of the symbol itself, by which the dynamic linker fills
//! those in, of modules loaded later or bound late; and the pointers that the dynamic linker keeps for itself.
//! Each is changed where it holds the address of the function, or what stands before it, and nothing else is.
//! So what is to be written back need not be remembered. A word that is bound late and is not bound yet stays
//! as it is.

use std::io;

use super::modules::{self, Defined, Module, Slot};
use super::target::Target;

/// A function, and what stands before it.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Where the function is.
    pub original: u64,
    /// Where what stands before it is.
    pub hook: u64,
}

/// Which of a pair stands in the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The hook, from now on.
    In,
    /// The function, from now on.
    Out,
}

/// What is known of a process's modules.
#[derive(Debug)]
pub struct Survey {
    /// The names that were looked for.
    names: Vec<String>,
    known: Vec<Known>,
    linker: Option<(u64, u64)>,
}

/// What is known of a module.
#[derive(Debug)]
struct Known {
    module: Module,
    definitions: Vec<(usize, Defined)>,
    slots: Vec<Slot>,
}

/// The process changes its list of modules just now, or has none.
#[derive(Clone, Copy, Debug)]
pub struct Unsettled;

impl Survey {
    /// Looks in all modules of a process for these names.
    pub fn of(target: &Target, names: Vec<String>) -> Result<Survey, Unsettled> {
        let linker = modules::linker(target).and_then(|linker| linker.read_only(target));
        let mut survey = Survey { names, known: Vec::new(), linker };
        survey.renew(target)?;
        Ok(survey)
    }

    /// Looks in those modules that were not there before.
    pub fn renew(&mut self, target: &Target) -> Result<(), Unsettled> {
        let modules = modules::loaded(target).ok_or(Unsettled)?;
        let mut before = std::mem::take(&mut self.known);
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        for module in modules {
            let known = match before.iter().position(|known| known.module == module) {
                Some(at) => before.swap_remove(at),
                None => Known {
                    definitions: module.definitions(target, &names),
                    slots: module.slots(target, &names),
                    module,
                },
            };
            self.known.push(known);
        }
        Ok(())
    }

    /// The first definition of this name, in the order in which the dynamic linker searches, and its module.
    pub fn find(&self, name: &str) -> Option<(u64, &Module)> {
        let wanted = self.names.iter().position(|known| known == name)?;
        self.known.iter().find_map(|known| {
            let (_, defined) = known.definitions.iter().find(|(name, _)| *name == wanted)?;
            Some((defined.at, &known.module))
        })
    }

    /// How long what is found first under this name is, as its module says.
    pub fn length(&self, target: &Target, name: &str) -> Option<u64> {
        let wanted = self.names.iter().position(|known| known == name)?;
        let all = self.known.iter().flat_map(|known| &known.definitions);
        let (_, defined) = all.into_iter().find(|(name, _)| *name == wanted)?;
        // The length of a symbol stands behind its value.
        target.word(defined.value_at + 8)
    }

    /// Turns all words that hold one of a pair into the other. Returns how many those were.
    pub fn turn(&self, target: &Target, pairs: &[Pair], way: Way) -> io::Result<usize> {
        let mut turned = 0;
        for (at, bias, value) in self.words(target) {
            let stands = |pair: &&Pair| pair.from(way).wrapping_sub(bias) == value;
            if let Some(pair) = pairs.iter().find(stands) {
                target.write_word(at, pair.to(way).wrapping_sub(bias))?;
                turned += 1;
            }
        }
        Ok(turned)
    }

    /// How many words hold what this way would change.
    pub fn count(&self, target: &Target, pairs: &[Pair], way: Way) -> usize {
        let holds = |(_, bias, value): &(u64, u64, u64)| {
            pairs.iter().any(|pair| pair.from(way).wrapping_sub(*bias) == *value)
        };
        self.words(target).filter(holds).count()
    }

    /// The words that may hold an address: where each is, what is taken from the address there, and what it holds.
    fn words(&self, target: &Target) -> impl Iterator<Item = (u64, u64, u64)> {
        let slots = self.known.iter().flat_map(|known| known.slots.iter().map(|slot| (slot.at, 0)));
        let values = self.known.iter().flat_map(|known| {
            known.definitions.iter().map(|(_, defined)| (defined.value_at, known.module.bias))
        });
        let single = slots.chain(values).filter_map(|(at, bias)| Some((at, bias, target.word(at)?)));
        let (start, length) = self.linker.unwrap_or_default();
        let start = start.next_multiple_of(8);
        let kept = target.bytes(start, length / 8 * 8).unwrap_or_default();
        let kept: Vec<u64> = kept.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        single.chain((start..).step_by(8).zip(kept).map(|(at, value)| (at, 0, value)))
    }
}

impl Pair {
    fn from(&self, way: Way) -> u64 {
        if way == Way::In { self.original } else { self.hook }
    }

    fn to(&self, way: Way) -> u64 {
        if way == Way::In { self.hook } else { self.original }
    }
}
