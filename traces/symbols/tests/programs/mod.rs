//! Programs that are built for a test, and what is said of their addresses, by us and by addr2line(1).
#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use malloscope_symbols::{Resolution, Search, Symbolizer};
use malloscope_traces::stacks::{Module, ModuleId};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind};

/// A program, as a trace would speak of it.
pub struct Program {
    pub path: PathBuf,
    pub module: Module,
}

impl Program {
    /// The file at a path, as if it had been loaded.
    pub fn at(path: &Path) -> Program {
        let bytes = fs::read(path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let begin = file.segments().map(|segment| segment.address()).min().unwrap();
        let end = file.segments().map(|segment| segment.address() + segment.size()).max().unwrap();
        let build_id = file.build_id().unwrap().unwrap_or_default().to_vec();
        let bias = if begin < 0x1000 { 0x5555_0000_0000 } else { 0 };
        let path = fs::canonicalize(path).unwrap();
        let (start, end) = ((begin + bias) & !0xfff, (end + bias + 0xfff) & !0xfff);
        let module = Module { path: path.to_str().unwrap().to_owned(), build_id, start, end, bias };
        Program { path, module }
    }
}

/// Sources with functions that are inlined, static, in templates, in assembly, and left without a size.
const SOURCES: [(&str, &str); 3] = [
    (
        "a.c",
        r#"
#include <stdio.h>
#include <stdlib.h>
static inline __attribute__((always_inline)) int twice(int x) { return x * 2 + rand(); }
static inline __attribute__((always_inline)) int more(int x) {
    return twice(x) + 3;
}
__attribute__((noinline)) static int outer(int x) {
    int y = more(x);
    return y * more(y);
}
__asm__(".text\n.globl sizeless\nsizeless:\n nop\n nop\n ret\n.skip 64, 0x90\n");
int main(int argc, char **argv) { printf("%d\n", outer(argc)); return 0; }
"#,
    ),
    (
        "a.cc",
        r#"
#include <map>
#include <string>
#include <vector>
namespace shop {
template <typename T> struct Shelf {
    std::vector<T> goods;
    void put(T good) { goods.push_back(good); }
    T &last() { return goods.back(); }
};
namespace {
__attribute__((noinline)) int price(const std::string &name) { return name.size() * 3; }
}
}
int main(int argc, char **argv) {
    shop::Shelf<std::string> shelf;
    std::map<std::string, int> prices;
    for (int i = 0; i < argc * 10; i++) {
        shelf.put(std::to_string(i));
        prices[shelf.last()] = shop::price(shelf.last());
    }
    auto sum = [&] { int all = 0; for (auto &p : prices) all += p.second; return all; };
    return sum() & 1;
}
"#,
    ),
    (
        "a.rs",
        r#"
use std::collections::BTreeMap;
struct Shelf<T> { goods: Vec<T> }
impl<T: Clone> Shelf<T> {
    #[inline(never)]
    fn put(&mut self, good: T) { self.goods.push(good.clone()); }
}
fn main() {
    let mut shelf = Shelf { goods: Vec::new() };
    let mut prices = BTreeMap::new();
    for number in 0..std::env::args().count() * 10 {
        shelf.put(format!("{number}"));
        prices.insert(format!("{number:?}"), number);
    }
    println!("{} {:?}", shelf.goods.len(), prices.values().map(|price| price * 2).max());
}
"#,
    ),
];

/// Runs a command in a folder; whether it could.
pub fn run(command: &str, folder: &Path) -> bool {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    process.args(words).current_dir(folder).stderr(Stdio::null()).stdout(Stdio::null());
    process.status().is_ok_and(|status| status.success())
}

/// Builds a program; `None`, and a word about it, if something that is needed is not here.
pub fn compile(folder: &Path, name: &str, commands: &[&str]) -> Option<Program> {
    let folder = folder.join(name);
    fs::create_dir(&folder).unwrap();
    for (name, source) in SOURCES {
        fs::write(folder.join(name), source).unwrap();
    }
    for command in commands {
        if !run(command, &folder) {
            eprintln!("left out: {name}, because of `{command}`");
            return None;
        }
    }
    Some(Program::at(&folder.join(name)))
}

/// Addresses all over the code of a file, of odd distances.
pub fn addresses_of_code(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let sections = file.sections().filter(|section| section.kind() == SectionKind::Text);
    sections.flat_map(|section| (section.address()..section.address() + section.size()).step_by(7)).collect()
}

/// Which addresses each symbol of a file has.
pub struct Aliases(HashMap<String, HashSet<u64>>);

impl Aliases {
    pub fn of(path: &Path) -> Aliases {
        let bytes = fs::read(path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let mut all: HashMap<String, HashSet<u64>> = HashMap::new();
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            all.entry(symbol.name().unwrap().to_owned()).or_default().insert(symbol.address());
        }
        Aliases(all)
    }

    /// Whether two names are of one address.
    pub fn are_one(&self, a: &str, b: &str) -> bool {
        let (a, b) = (self.0.get(a), self.0.get(b));
        a.zip(b).is_some_and(|(a, b)| !a.is_disjoint(b))
    }
}

/// A function at an address; empty and 0 is what is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub function: String,
    pub file: String,
    pub line: u32,
}

/// What we say of addresses in a program.
pub fn resolve(program: &Program, addresses: &[u64], search: Search) -> Resolution {
    // What is looked up is the instruction in front of where a call returns to.
    let frames: Vec<_> = addresses.iter().map(|address| (ModuleId(0), address + 1)).collect();
    Symbolizer::new(search).resolve_addresses(std::slice::from_ref(&program.module), &frames, &mut |_| {})
}

/// The functions at each of some addresses.
pub fn ours(program: &Program, addresses: &[u64], search: Search) -> Vec<Vec<Line>> {
    let symbols = resolve(program, addresses, search).symbols;
    let lines = |address: &u64| {
        let functions = symbols.of(ModuleId(0), address + 1);
        let lines = functions.map(|function| Line {
            function: function.name.to_owned(),
            file: function.file.unwrap_or_default().to_owned(),
            line: function.line.unwrap_or(0),
        });
        lines.collect()
    };
    addresses.iter().map(lines).collect()
}

/// The same as addr2line says it.
pub fn theirs(path: &Path, addresses: &[u64]) -> Vec<Vec<Line>> {
    let mut command = Command::new(std::env::var_os("ADDR2LINE").unwrap_or("addr2line".into()));
    command.args(["-a", "-C", "-f", "-i", "-e"]).arg(path);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let asked: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut all, mut lines) = (Vec::new(), text.lines().peekable());
    let is_address =
        |line: &str| line.starts_with("0x") && line[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
    while let Some(line) = lines.next() {
        assert!(is_address(line), "{line}");
        let mut functions = Vec::new();
        while let Some(name) = lines.next_if(|line| !is_address(line)) {
            // llvm-addr2line ends each answer with an empty line.
            if name.is_empty() {
                continue;
            }
            let place = lines.next().unwrap().split(" (discriminator").next().unwrap().to_owned();
            let (file, line) = place.rsplit_once(':').unwrap();
            let unknown = |text: &str| if text == "??" { String::new() } else { text.to_owned() };
            let line = line.parse().unwrap_or(0);
            functions.push(Line { function: unknown(name), file: unknown(file), line });
        }
        functions.retain(|line| !(line.function.is_empty() && line.file.is_empty()));
        all.push(functions);
    }
    all
}
