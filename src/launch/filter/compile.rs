//! From rules to instructions of classic BPF, as seccomp(2) takes them.
//!
//! Every piece of the program ends in a return, whichever way it is left, and leads to no place outside of itself: pieces
//! are put behind each other without labels, and a jump is as long as the piece it passes over. A number is found by
//! halving, so that a call costs about nine comparisons however long the list is.

use std::collections::BTreeMap;

use super::arch::{Arch, X32_BIT};
use super::rules::{Call, Condition, Op, Rules, Verdict};

/// The most instructions that the kernel takes (BPF_MAXINSNS).
pub(super) const MOST: usize = 4096;

/// One instruction: struct sock_filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) yes: u8,
    pub(super) no: u8,
    pub(super) k: u32,
}

pub(super) const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
pub(super) const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
pub(super) const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
pub(super) const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(super) const GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
pub(super) const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
pub(super) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Where struct seccomp_data has the number, the architecture, and the first argument.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;

type Piece = Vec<Instruction>;

/// The whole program.
pub(super) fn compile(rules: &Rules) -> Piece {
    let mut program = vec![step(LOAD, ARCH)];
    let mut tail = back(rules.foreign);
    let mut tags: BTreeMap<u32, Vec<Arch>> = BTreeMap::new();
    for arch in rules.calls.keys() {
        tags.entry(arch.tag()).or_default().push(*arch);
    }
    // An architecture without a section of its own shares none: x32 has the tag of x86_64.
    for (tag, arches) in tags {
        let mut section = vec![step(LOAD, NUMBER)];
        section.extend(match tag == Arch::X86_64.tag() {
            true => {
                let part = |arch| match arches.contains(&arch) {
                    true => search(&rules.calls[&arch], rules.default),
                    false => back(rules.foreign),
                };
                branch(AT_LEAST, X32_BIT, part(Arch::X32), part(Arch::X86_64))
            }
            false => search(&rules.calls[&arches[0]], rules.default),
        });
        tail = branch(EQUAL, tag, section, tail);
    }
    program.extend(tail);
    program
}

/// Finds the number that is loaded among these calls.
fn search(calls: &BTreeMap<u32, Call>, default: Verdict) -> Piece {
    // Ranges of numbers that are treated alike, by where each begins.
    let default = Call::always(default);
    let mut ranges: Vec<(u32, &Call)> = vec![(0, &default)];
    let mut begin = |at: u32, call| match ranges.last() {
        Some((_, last)) if *last == call => {}
        Some((from, _)) if *from == at => {
            ranges.pop();
            // What was begun here has no number of its own, and the one before it may be like this one.
            if ranges.last().is_none_or(|(_, last)| *last != call) {
                ranges.push((at, call));
            }
        }
        _ => ranges.push((at, call)),
    };
    for (number, call) in calls {
        begin(*number, call);
        begin(number + 1, &default);
    }
    halve(&ranges)
}

fn halve(ranges: &[(u32, &Call)]) -> Piece {
    match ranges {
        [] => Vec::new(),
        [(_, call)] => decide(call),
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            branch(AT_LEAST, upper[0].0, halve(upper), halve(lower))
        }
    }
}

/// The rules of a call, one after the other.
fn decide(call: &Call) -> Piece {
    let mut piece = Vec::new();
    for rule in &call.rules {
        let mut tests: Piece = rule.all.iter().flat_map(test).collect();
        tests.extend(back(rule.verdict));
        // A rule has at most six conditions of seven instructions: its end is always within reach.
        let length = tests.len();
        for (at, instruction) in tests.iter_mut().enumerate() {
            let end = (length - at - 1) as u8;
            for way in [&mut instruction.yes, &mut instruction.no] {
                if *way == FAIL {
                    *way = end;
                }
            }
        }
        piece.extend(tests);
    }
    piece.extend(back(call.otherwise));
    piece
}

/// Stands for a jump to the end of the rule, until that is known.
const FAIL: u8 = u8::MAX;

/// A condition: falls through if it holds.
fn test(condition: &Condition) -> Piece {
    let Condition { index, op, value } = *condition;
    // The halves of an argument lie as the machine has them.
    let (low, high) = if cfg!(target_endian = "little") { (0, 4) } else { (4, 0) };
    let load = |half: u32| step(LOAD, ARGUMENTS + 8 * u32::from(index) + half);
    let (upper, lower) = ((value >> 32) as u32, value as u32);
    let compare = |code, k, yes, no| Instruction { code, yes, no, k };
    match op {
        Op::Eq => vec![load(high), compare(EQUAL, upper, 0, FAIL), load(low), compare(EQUAL, lower, 0, FAIL)],
        Op::Ne => {
            vec![load(high), compare(EQUAL, upper, 0, 2), load(low), compare(EQUAL, lower, FAIL, 0)]
        }
        Op::Gt | Op::Ge => vec![
            load(high),
            compare(GREATER, upper, 3, 0),
            compare(EQUAL, upper, 0, FAIL),
            load(low),
            compare(if op == Op::Gt { GREATER } else { AT_LEAST }, lower, 0, FAIL),
        ],
        Op::Lt | Op::Le => vec![
            load(high),
            compare(GREATER, upper, FAIL, 0),
            compare(EQUAL, upper, 0, 2),
            load(low),
            compare(if op == Op::Lt { AT_LEAST } else { GREATER }, lower, FAIL, 0),
        ],
        Op::Masked(mask) => {
            let half = |at, mask, value| [load(at), step(AND, mask), compare(EQUAL, value & mask, 0, FAIL)];
            let (first, second) = (half(high, (mask >> 32) as u32, upper), half(low, mask as u32, lower));
            [first, second].concat()
        }
    }
}

fn step(code: u16, k: u32) -> Instruction {
    Instruction { code, yes: 0, no: 0, k }
}

fn back(verdict: Verdict) -> Piece {
    vec![step(RETURN, verdict.value())]
}

/// Compares what is loaded, and goes on with one of two pieces. A conditional jump passes over 255 instructions at most.
fn branch(code: u16, k: u32, yes: Piece, no: Piece) -> Piece {
    let mut piece = match u8::try_from(yes.len()) {
        Ok(length) => vec![Instruction { code, yes: 0, no: length, k }],
        Err(_) => vec![Instruction { code, yes: 1, no: 0, k }, step(JUMP, yes.len() as u32)],
    };
    piece.extend(yes);
    piece.extend(no);
    piece
}
