//! What a filter says, before it is instructions: for every call of every architecture a verdict, or conditions on its
//! arguments with a verdict each.
//!
//! Where several conditions hold at once, the strictest verdict counts, as it does for the kernel among several filters;
//! of two error numbers the one that was written first.

use std::collections::BTreeMap;

use super::arch::Arch;

/// What becomes of a call, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    KillProcess,
    KillThread,
    Trap,
    Errno(u16),
    Log,
    Allow,
}

impl Verdict {
    /// SECCOMP_RET_*, with its data.
    pub(super) fn value(self) -> u32 {
        match self {
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Allow => libc::SECCOMP_RET_ALLOW,
        }
    }

    /// Its place among the verdicts, 0 being the strictest.
    pub(super) fn mildness(self) -> u8 {
        match self {
            Self::KillProcess => 0,
            Self::KillThread => 1,
            Self::Trap => 2,
            Self::Errno(_) => 3,
            Self::Log => 4,
            Self::Allow => 5,
        }
    }

    /// Whether the call is made.
    pub(super) fn lets_pass(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }
}

/// How an argument is compared, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    /// Equal in the bits of this mask.
    Masked(u64),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, from 0 to 5.
    pub(super) index: u8,
    pub(super) op: Op,
    pub(super) value: u64,
}

impl Condition {
    /// The same for arguments of 32 bits.
    fn narrow(self) -> Self {
        let op = match self.op {
            Op::Masked(mask) => Op::Masked(mask & u64::from(u32::MAX)),
            op => op,
        };
        Self { op, value: self.value & u64::from(u32::MAX), ..self }
    }
}

/// Conditions that have to hold together, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) all: Vec<Condition>,
    pub(super) verdict: Verdict,
}

/// What a filter says about one call: the first rule whose conditions hold, or else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) rules: Vec<Rule>,
    pub(super) otherwise: Verdict,
}

impl Call {
    /// The verdict whatever the arguments.
    pub(super) fn always(verdict: Verdict) -> Self {
        Self { rules: Vec::new(), otherwise: verdict }
    }

    /// Whether some arguments let the call pass.
    pub(super) fn may_pass(&self) -> bool {
        self.rules.iter().map(|rule| rule.verdict).chain([self.otherwise]).any(Verdict::lets_pass)
    }
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The calls that are spoken of, by number, for each architecture that is.
    pub(super) calls: BTreeMap<Arch, BTreeMap<u32, Call>>,
    /// What becomes of the others.
    pub(super) default: Verdict,
    /// What becomes of the calls of other architectures.
    pub(super) foreign: Verdict,
}

impl Rules {
    /// A filter that speaks of no call yet.
    pub(super) fn new(arches: impl IntoIterator<Item = Arch>, default: Verdict, foreign: Verdict) -> Self {
        Self { calls: arches.into_iter().map(|arch| (arch, BTreeMap::new())).collect(), default, foreign }
    }

    /// Says what becomes of a call, by name, wherever there is one of that name.
    pub(super) fn set(&mut self, name: &str, call: &Call) {
        for (arch, calls) in &mut self.calls {
            for number in arch.numbers(name) {
                calls.insert(number, narrowed(*arch, call));
            }
        }
    }

    /// Adds a verdict for a call to those it has: under these conditions, or, without any, whatever the arguments.
    pub(super) fn add(&mut self, name: &str, all: &[Condition], verdict: Verdict) {
        for (arch, calls) in &mut self.calls {
            for number in arch.numbers(name) {
                let call = calls.entry(number).or_insert_with(|| Call::always(self.default));
                let rule = Rule { all: all.to_vec(), verdict };
                call.rules.push(rule);
                *call = narrowed(*arch, call);
            }
        }
    }

    /// Puts the rules of each call in order, the strictest first, and forgets those that cannot be reached.
    pub(super) fn settle(&mut self) {
        for call in self.calls.values_mut().flat_map(BTreeMap::values_mut) {
            call.rules.sort_by_key(|rule| rule.verdict.mildness());
            if let Some(end) = call.rules.iter().position(|rule| rule.all.is_empty()) {
                call.otherwise = call.rules[end].verdict;
                call.rules.truncate(end);
            }
        }
    }
}

fn narrowed(arch: Arch, call: &Call) -> Call {
    let mut call = call.clone();
    if arch.is_narrow() {
        for condition in call.rules.iter_mut().flat_map(|rule| &mut rule.all) {
            *condition = condition.narrow();
        }
    }
    call
}
