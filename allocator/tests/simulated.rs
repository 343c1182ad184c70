//! The simulated machine: what is written can be read, what was not is zero, and who asks for more
//! than there is gets nothing.

use malloscope_allocator::address::Address;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, PAGE, Simulated};
use malloscope_allocator::memory::{Access, Kernel, Mapping, Processors, Words};

fn machine() -> Simulated {
    Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 })
}

fn mapped(machine: &mut Simulated, length: u64) -> Option<Address> {
    machine.map(Mapping { length, access: Access::ReadWrite, hint: None, no_reserve: false, huge_page: 0 })
}

#[test]
fn filled_memory_reads_as_it_was_filled() {
    let mut machine = machine();
    let at = mapped(&mut machine, 8 * PAGE).unwrap();
    machine.fill(at + 24, 5 * PAGE, 0xa5);
    let filled = u64::from_ne_bytes([0xa5; 8]);
    let read = |machine: &Simulated, offset: u64| machine.load(at + offset);
    for (offset, word) in [(16, 0), (24, filled), (PAGE, filled), (5 * PAGE + 16, filled), (5 * PAGE + 24, 0)]
    {
        assert_eq!(read(&machine, offset), word, "{offset}");
    }
    // One word changes, and its neighbours do not.
    machine.store(at + 2 * PAGE + 8, 7);
    let words = [0, 8, 16].map(|offset| read(&machine, 2 * PAGE + offset));
    assert_eq!(words, [filled, 7, filled]);
    // Copies are as the original, whether they begin with a page or not.
    let other = mapped(&mut machine, 8 * PAGE).unwrap();
    for shift in [0, 8] {
        machine.copy(at + PAGE, other + shift, 3 * PAGE);
        for offset in (0..3 * PAGE).step_by(8) {
            let copied = machine.load(other + shift + offset);
            assert_eq!(copied, read(&machine, PAGE + offset), "{shift} {offset}");
        }
    }
    // What is given back is zero again, and so is what was cleared.
    machine.discard(at + PAGE, PAGE);
    assert_eq!([read(&machine, PAGE), read(&machine, 3 * PAGE)], [0, filled]);
    machine.fill(at, 8 * PAGE, 0);
    assert!((0..8 * PAGE).step_by(8).all(|offset| read(&machine, offset) == 0));
}

#[test]
fn filling_moves_with_its_page() {
    let mut machine = machine();
    let at = mapped(&mut machine, 2 * PAGE).unwrap();
    machine.fill(at, 2 * PAGE, 1);
    machine.store(at + PAGE, 2);
    // Something lies above, so that it cannot grow where it is.
    let moved = machine.remap(at, 2 * PAGE, 600 * PAGE).unwrap();
    assert_ne!(moved, at);
    let ones = u64::from_ne_bytes([1; 8]);
    assert_eq!([0, PAGE, PAGE + 8, 2 * PAGE].map(|offset| machine.load(moved + offset)), [ones, 2, ones, 0]);
    assert_eq!(machine.residency().pages, 2);
}

#[test]
fn filling_much_takes_little() {
    let mut machine = machine();
    let at = mapped(&mut machine, 4 << 30).unwrap();
    machine.fill(at, 4 << 30, 0xff);
    assert_eq!(machine.residency().pages, (4 << 30) / PAGE);
    assert_eq!(machine.load(at + (3 << 30)), u64::MAX);
}

#[test]
fn nobody_gets_more_than_there_is() {
    let mut machine = machine();
    machine.limit_grants(1 << 30);
    machine.limit_total(1 << 30);
    assert_eq!(mapped(&mut machine, (1 << 30) + 1), None);
    assert_eq!(machine.move_break((1 << 30) + 1), None);
    // As long as nothing is written, it is only addresses.
    let [first, second] = [0, 1].map(|_| mapped(&mut machine, 1 << 29).unwrap());
    machine.touch(first, 1 << 29);
    machine.touch(second, 1 << 29);
    assert_eq!(mapped(&mut machine, PAGE), None);
    assert_eq!(machine.remap(first, 1 << 29, (1 << 29) + PAGE), None);
    machine.unmap(first, 1 << 29);
    assert!(mapped(&mut machine, PAGE).is_some());
}
