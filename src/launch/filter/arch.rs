//! Architectures as the kernel tells a filter of them, and the numbers that their calls have.
//!
//! A processor of 64 bits runs programs of its elder sister too, by other numbers for the same calls: a filter that
//! looks at numbers alone is walked round by `int 0x80`. Each architecture a machine can run is therefore told apart.

use std::str::FromStr;

use syscalls::{aarch64, arm, x86, x86_64};

/// An architecture whose calls have names here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arch {
    X86_64,
    /// Pointers of 32 bits on x86_64: the same tag, and a bit in the number.
    X32,
    X86,
    Aarch64,
    Arm,
}

/// What marks a number as x32's.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// Calls that have numbers of their own in x32, where a structure has another layout.
const X32_CALLS: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// The number of the first of them.
const X32_FIRST: u32 = 512;

/// Calls of machines that have no table here, and names that profiles have for what is no call of its own.
const ELSEWHERE: [&str; 30] = [
    "arm_fadvise64_64",
    "arm_sync_file_range",
    "breakpoint",
    "cachectl",
    "cacheflush",
    "get_tls",
    "multiplexer",
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    "riscv_flush_icache",
    "riscv_hwprobe",
    "rtas",
    "s390_guarded_storage",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "s390_runtime_instr",
    "s390_sthyi",
    "spu_create",
    "set_tls",
    "spu_run",
    "subpage_prot",
    "swapcontext",
    "sync_file_range2",
    "switch_endian",
    "sys_debug_setcontext",
    "sysmips",
    "usr26",
    "usr32",
    "utrap_install",
];

impl Arch {
    pub(super) const ALL: [Self; 5] = [Self::X86_64, Self::X32, Self::X86, Self::Aarch64, Self::Arm];

    /// What this program was built for, if its calls have names here.
    pub(super) const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else if cfg!(target_arch = "x86") {
            Some(Self::X86)
        } else if cfg!(target_arch = "arm") {
            Some(Self::Arm)
        } else {
            None
        }
    }

    /// AUDIT_ARCH_*, by which the kernel says in which table a number is meant.
    pub(super) const fn tag(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments have 32 bits.
    pub(super) const fn is_narrow(self) -> bool {
        matches!(self, Self::X86 | Self::Arm)
    }

    /// Its name in a profile, without `SCMP_ARCH_`.
    pub(super) const fn profile_name(self) -> &'static str {
        match self {
            Self::X86_64 => "X86_64",
            Self::X32 => "X32",
            Self::X86 => "X86",
            Self::Aarch64 => "AARCH64",
            Self::Arm => "ARM",
        }
    }

    /// Whether a word in a profile's `arches` means it.
    pub(super) fn is_called(self, word: &str) -> bool {
        match self {
            Self::X86_64 => ["amd64", "x86_64"].contains(&word),
            Self::X32 => word == "x32",
            Self::X86 => ["386", "x86"].contains(&word),
            Self::Aarch64 => ["arm64", "aarch64"].contains(&word),
            Self::Arm => word == "arm",
        }
    }

    /// The numbers a call has: none where it does not exist.
    pub(super) fn numbers(self, name: &str) -> Vec<u32> {
        let number = match self {
            Self::X86_64 | Self::X32 => x86_64::Sysno::from_str(name).ok().map(|call| call.id() as u32),
            Self::X86 => x86::Sysno::from_str(name).ok().map(|call| call.id() as u32),
            // The table has the name that this call has in C.
            Self::Aarch64 if name == "newfstatat" => Some(aarch64::Sysno::fstatat.id() as u32),
            Self::Aarch64 => aarch64::Sysno::from_str(name).ok().map(|call| call.id() as u32),
            Self::Arm => arm::Sysno::from_str(name).ok().map(|call| call.id() as u32),
        };
        if self != Self::X32 {
            return number.into_iter().collect();
        }
        // Older kernels took the number of the other table for these, too.
        let own = X32_CALLS.iter().position(|call| *call == name).map(|at| X32_FIRST + at as u32);
        number.into_iter().chain(own).map(|number| number | X32_BIT).collect()
    }
}

/// Whether a name is a call on any machine.
pub(super) fn exists(name: &str) -> bool {
    Arch::ALL.iter().any(|arch| !arch.numbers(name).is_empty()) || ELSEWHERE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_number_of_each_table() {
        let numbers = |name| Arch::ALL.map(|arch| arch.numbers(name));
        assert_eq!(numbers("mkdir"), [vec![83], vec![83 | X32_BIT], vec![39], vec![], vec![39]]);
        assert_eq!(numbers("pwritev2")[1], [328 | X32_BIT, 547 | X32_BIT]);
        assert_eq!(numbers("execve")[1], [59 | X32_BIT, 520 | X32_BIT]);
        assert_eq!(numbers("nothing"), [const { Vec::<u32>::new() }; 5]);
        assert_eq!(numbers("newfstatat")[3], [79]);
        assert!(exists("chown32") && exists("s390_pci_mmio_read") && !exists("nothing"));
        assert_eq!(libc::SYS_execve as u32, Arch::native().unwrap().numbers("execve")[0]);
    }
}
