//! The flamegraph: what it is of, how it is put together, and what of it is looked at.

pub mod layout;
pub mod picture;

use super::Tile;
use malloscope_replayer::blame::What;
use malloscope_replayer::blame::legend::{FunctionId, Legend};
use malloscope_replayer::blame::tree::Shape;
use malloscope_replayer::excerpt::Excerpt;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::trial::Trial;
use malloscope_traces::Stack;
use picture::Picture;
use std::path::Path;
use std::sync::Arc;

/// What a flamegraph is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Of what.
    pub what: What,
    /// Whether it shows what is different under the other settings.
    pub compares: bool,
    /// How stacks are put together.
    pub shape: Shape,
    /// Of which records, where it is of what the program did: the first, and the first after them.
    pub range: Option<(u64, u64)>,
    /// Of which allocations.
    pub filter: Filter,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            what: What::Bytes,
            compares: false,
            shape: Shape::default(),
            range: None,
            filter: Filter::default(),
        }
    }
}

impl Recipe {
    /// The range, where it means something: what malloc did is known of the whole trace only.
    pub fn range_in_use(&self) -> Option<(u64, u64)> {
        self.range.filter(|_| !self.what.needs_replay())
    }
}

/// The flamegraph.
#[derive(Clone, Debug, Default)]
pub struct Flame {
    /// Whether anybody has looked at it: until then nothing is done for it.
    pub is_wanted: bool,
    /// Whether what was being done for it was stopped: then it waits until it is asked for.
    pub is_stopped: bool,
    /// What it should be made of.
    pub recipe: Recipe,
    /// Whether the root is below, and what it calls grows upward.
    pub grows_upward: bool,
    /// The text that is searched for.
    pub search: String,
    /// What is being made.
    pub asked: Option<Recipe>,
    /// What is there.
    pub picture: Option<Picture>,
    /// A stack to be shown as soon as there is a picture.
    pub reveal: Option<Stack>,
    /// Whether the source of the function that is looked at is shown.
    pub shows_source: bool,
    /// What is there of it: nothing where the file is not at hand.
    pub source: Source,
}

/// The source of the function that is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The file and the line.
    pub of: Option<(String, u32)>,
    /// What stands there.
    pub text: Tile<Option<Arc<Excerpt>>>,
}

/// What a user does to it.
#[derive(Clone, Debug, PartialEq)]
pub enum FlameCommand {
    /// Look at it.
    Want,
    /// Make it of this.
    Of(What),
    /// Show what is different under the other settings, or do not.
    Compare(bool),
    /// Put innermost functions at the root and their callers above, or do not.
    Invert(bool),
    /// Show functions that call themselves once, or do not.
    MergeRecursion(bool),
    /// Count only stacks with this function, or all.
    Focus(Option<FunctionId>),
    /// Leave stacks with this function out.
    Hide(FunctionId),
    /// Leave nothing out.
    ShowAll,
    /// Let it grow upward, or do not.
    GrowUpward(bool),
    /// Search for this.
    Search(String),
    /// Fill the width with this node.
    Zoom(u32),
    /// Go back to where it was before the last zoom.
    Back,
    /// Look at this node.
    Choose(u32),
    /// Look at the node in this direction.
    Move(Direction),
    /// Open or close the row of a node.
    Toggle(u32),
    /// Show this stack.
    Reveal(Stack),
    /// Show the source of the function that is looked at, or do not.
    Source(bool),
    /// Stop what is being done for it.
    Cancel,
}

/// A direction in a tree of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the node above: towards the root.
    ToRoot,
    /// To the widest of the nodes below.
    FromRoot,
    /// To the neighbour on the left.
    Left,
    /// To the neighbour on the right.
    Right,
}

/// The command that draws the same; nothing if there is none, because what `other` is cannot be said of one
/// side alone.
pub fn command(trace: &Path, recipe: &Recipe, legend: &Legend, other: Option<&Trial>) -> Option<String> {
    let mut words = vec!["malloscope flame".to_owned(), quoted(&trace.to_string_lossy())];
    words.push(format!("--of {}", recipe.what.name()));
    let shape = &recipe.shape;
    words.extend(shape.is_inverted.then(|| "--callers".to_owned()));
    words.extend(shape.merges_recursion.then(|| "--merge-recursion".to_owned()));
    let name = |function: FunctionId| quoted(&legend.get(function).name);
    words.extend(shape.focus.map(|function| format!("--focus {}", name(function))));
    words.extend(shape.hidden.iter().map(|&function| format!("--hide {}", name(function))));
    words.extend(options(&recipe.filter));
    words.extend(recipe.range_in_use().map(|(first, end)| format!("--range {first}..{end}")));
    for option in other.map(Trial::options).unwrap_or_default().chunks(2) {
        let against = match option.first().map(String::as_str) {
            Some("--set") => "--against-set",
            Some("--glibc") => "--against-glibc",
            _ => return None,
        };
        words.push(format!("{against} {}", quoted(option.get(1)?)));
    }
    words.push(format!("-o {}.svg", recipe.what.name()));
    Some(words.join(" "))
}

/// The options that say a filter, for a shell.
pub fn options(filter: &Filter) -> Vec<String> {
    filter.options().into_iter().map(|(name, value)| format!("{name} {}", quoted(&value))).collect()
}

/// A word as shells read it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_replayer::export::names::Offsets;
    use malloscope_traces::Stacks;

    #[test]
    fn the_command_prints_the_same() {
        let mut recipe = Recipe { what: What::Pinned, ..Recipe::default() };
        let settings = vec![("mmap_threshold".to_owned(), 65536)];
        let other = Trial { settings, release: Some("2.31".to_owned()), ..Trial::default() };
        let legend = Legend::of(&Stacks::default(), Offsets);
        let against = |recipe: &Recipe, other| command(Path::new("it's.mscope"), recipe, &legend, other);
        let said = |recipe: &Recipe| against(recipe, None).unwrap();
        assert_eq!(said(&recipe), r"malloscope flame 'it'\''s.mscope' --of pinned -o pinned.svg");
        recipe.shape.merges_recursion = true;
        let expected = "--of pinned --merge-recursion --against-glibc 2.31 --against-set mmap_threshold=64K -o pinned.svg";
        let line = against(&recipe, Some(&other)).unwrap();
        assert!(line.ends_with(expected), "{line}");
        let narrow = Trial { huge_pages: 3, ..Trial::default() };
        assert_eq!(against(&recipe, Some(&narrow)), None);
        recipe.shape = Shape { is_inverted: true, hidden: vec![FunctionId(0)], ..Shape::default() };
        assert!(said(&recipe).contains("--callers --hide '[no stack]'"), "{}", said(&recipe));
        let filter = Filter { thread: Some(2), sizes: "..64".parse().ok(), ..Filter::default() };
        recipe = Recipe { filter, ..Recipe::default() };
        assert!(
            said(&recipe).ends_with("--of bytes --thread 2 --size ..64 -o bytes.svg"),
            "{}",
            said(&recipe)
        );
        recipe = Recipe { range: Some((3, 9)), ..Recipe::default() };
        assert!(said(&recipe).ends_with("--of bytes --range 3..9 -o bytes.svg"), "{}", said(&recipe));
    }
}
