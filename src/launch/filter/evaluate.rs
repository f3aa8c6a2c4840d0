//! A machine that runs filters, as the kernel does: for tests.

use super::compile::{AND, ARCH, ARGUMENTS, AT_LEAST, EQUAL, GREATER, Instruction, JUMP, LOAD, NUMBER, RETURN};

/// What the kernel shows a filter of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) tag: u32,
    pub(super) number: u32,
    pub(super) args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            NUMBER => self.number,
            ARCH => self.tag,
            _ => {
                assert!((ARGUMENTS..ARGUMENTS + 48).contains(&offset) && offset.is_multiple_of(4), "loads at {offset}");
                let argument = self.args[((offset - ARGUMENTS) / 8) as usize];
                let bytes = argument.to_ne_bytes();
                let half = (offset % 8) as usize;
                u32::from_ne_bytes(bytes[half..half + 4].try_into().unwrap())
            }
        }
    }
}

/// Runs a program to its return. Also says after how many instructions.
pub(super) fn run(program: &[Instruction], data: &Data) -> (u32, usize) {
    let (mut at, mut loaded) = (0, 0);
    for steps in 1.. {
        let Instruction { code, yes, no, k } = program[at];
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { yes } else { no });
        match code {
            LOAD => loaded = data.word(k),
            AND => loaded &= k,
            JUMP => at += k as usize,
            EQUAL => jump(loaded == k),
            GREATER => jump(loaded > k),
            AT_LEAST => jump(loaded >= k),
            RETURN => return (k, steps),
            _ => panic!("instruction {code:#x}"),
        }
    }
    unreachable!("a program has no way back")
}
