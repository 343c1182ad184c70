//! What is shown for a stack: the one place that says it, for reports, flamegraphs and exports alike.

use std::collections::HashMap;
use std::ops::Range;

use malloscope_traces::Symbols;
use malloscope_traces::stacks::{Frame, ModuleId, Stack, Stacks};

use crate::symbolizer::file_name;

/// A line of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The function; `module+0xoffset` if it has no name, where the offset is where the call returns to, as
    /// the module's file calls it; the address alone if there is no module.
    pub function: String,
    /// Whether it has a name of its own.
    pub is_known: bool,
    /// The file that the line is in, as the compiler was told it.
    pub file: Option<String>,
    /// The line of the call, from 1.
    pub line: Option<u32>,
    /// The name of the module's file, without where it is; empty if there is no module.
    pub module: String,
    /// Whether the function was inlined into the next one outwards, and is no frame of its own.
    pub is_inlined: bool,
}

/// The lines of all stacks of a trace.
#[derive(Debug)]
pub struct Names<'a> {
    stacks: &'a Stacks,
    /// For every address one line, or more if functions were inlined: the innermost first.
    lines: Vec<Named>,
    /// Where the lines of an address are.
    places: HashMap<Place, Range<usize>>,
}

/// An address, in a module or in none.
type Place = (Option<ModuleId>, u64);

/// The lines of all stacks, with what is known of their addresses: [`Symbols`] that the trace has, or that a
/// [`Symbolizer`](crate::Symbolizer) found. What is not known of them is shown as an address.
pub fn names<'a>(stacks: &'a Stacks, symbols: &Symbols) -> Names<'a> {
    let mut names = Names { stacks, lines: Vec::new(), places: HashMap::new() };
    let modules: Vec<String> = stacks.modules.iter().map(|module| printable(&file_name(module))).collect();
    for frame in stacks.frames.iter().flatten() {
        names.add(*frame, &modules, symbols);
    }
    names
}

impl Names<'_> {
    /// The lines of a stack, the innermost first.
    pub fn of(&self, stack: Stack) -> impl Iterator<Item = &Named> {
        self.stacks.of(stack).flat_map(|(_, frame)| self.frame(frame))
    }

    /// The lines of a stack, the outermost first.
    pub fn outermost_first(&self, stack: Stack) -> impl Iterator<Item = &Named> {
        let frames: Vec<Frame> = self.stacks.of(stack).map(|(_, frame)| frame).collect();
        frames.into_iter().rev().flat_map(|frame| self.frame(frame).iter().rev())
    }

    /// The lines of one frame of these stacks, the innermost first.
    pub fn frame(&self, frame: Frame) -> &[Named] {
        self.places.get(&(frame.module, frame.address)).map_or(&[], |place| &self.lines[place.clone()])
    }

    fn add(&mut self, frame: Frame, modules: &[String], symbols: &Symbols) {
        let place = (frame.module, frame.address);
        if self.places.contains_key(&place) {
            return;
        }
        let module = frame.module.map(|id| modules.get(id.0 as usize).map_or("?", String::as_str));
        let begin = self.lines.len();
        if let Some(id) = frame.module {
            let mut functions = symbols.of(id, frame.address);
            while let Some(function) = functions.next() {
                self.lines.push(Named {
                    function: if function.name.is_empty() {
                        address(module, frame.address)
                    } else {
                        printable(function.name)
                    },
                    is_known: !function.name.is_empty(),
                    file: function.file.map(printable),
                    line: function.line,
                    module: module.unwrap_or_default().to_owned(),
                    is_inlined: functions.len() > 0,
                });
            }
        }
        if self.lines.len() == begin {
            self.lines.push(Named {
                function: address(module, frame.address),
                is_known: false,
                file: None,
                line: None,
                module: module.unwrap_or_default().to_owned(),
                is_inlined: false,
            });
        }
        self.places.insert(place, begin..self.lines.len());
    }
}

/// What is shown for an address that has no name.
fn address(module: Option<&str>, address: u64) -> String {
    module.map_or_else(|| format!("{address:#x}"), |module| format!("{module}+{address:#x}"))
}

/// A text of a stranger without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::stacks::Module;
    use malloscope_traces::symbols::{Builder, Function};

    fn frame(caller: u32, module: Option<u32>, address: u64) -> Option<Frame> {
        Some(Frame { caller: Stack(caller), module: module.map(ModuleId), address })
    }

    #[test]
    fn a_stack_is_shown_the_same_from_both_ends_and_without_names_as_addresses() {
        let module = Module { path: "/usr/lib/lib\x1b[2Ja.so".to_owned(), ..Module::default() };
        let frames = vec![
            None,
            frame(0, Some(0), 0x10),
            frame(1, Some(0), 0x20),
            frame(2, None, 0x7f00),
            frame(3, Some(9), 0x30),
        ];
        let stacks = Stacks { capture: None, modules: vec![module], frames };
        let mut builder = Builder::default();
        let function = |name| Function { name, file: Some("a.c"), line: Some(1) };
        builder.put(ModuleId(0), 0x20, [function("inner"), function("out\u{7}er"), function("")]);
        let names = names(&stacks, &builder.finish());
        let shown: Vec<_> = names.of(Stack(4)).map(|named| named.function.as_str()).collect();
        let expected = [
            "?+0x30",
            "0x7f00",
            "inner",
            "out\u{fffd}er",
            "lib\u{fffd}[2Ja.so+0x20",
            "lib\u{fffd}[2Ja.so+0x10",
        ];
        assert_eq!(shown, expected);
        let mut backwards: Vec<_> = names.outermost_first(Stack(4)).collect();
        backwards.reverse();
        assert_eq!(backwards, names.of(Stack(4)).collect::<Vec<_>>());
        let inlined: Vec<_> = names.of(Stack(2)).map(|named| named.is_inlined).collect();
        assert_eq!(inlined, [true, true, false, false]);
    }
}
