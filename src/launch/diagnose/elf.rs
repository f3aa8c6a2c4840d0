//! The little of an ELF file that decides whether it can be run here (elf(5)).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What a program header is about.
const PT_LOAD: u64 = 1;
const PT_INTERP: u64 = 3;
/// The longest path the kernel takes.
const LONGEST_PATH: u64 = 4096;

/// A native program.
pub(super) struct Elf {
    wide: bool,
    machine: u16,
    /// The program that loads it (PT_INTERP); none for a static one.
    pub(super) loader: Option<PathBuf>,
}

impl Elf {
    /// Reads the headers of a program. One that ends before something that its headers announce is an unexpected end.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut head = [0; 64];
        file.read_exact_at(&mut head[..52], 0)?;
        let (wide, little) = (head[4] == 2, head[5] == 1);
        if wide {
            file.read_exact_at(&mut head, 0)?;
        }
        let number = |bytes: &[u8]| number(bytes, little);
        let machine = number(&head[18..20]) as u16;
        let (table, size, count) = match wide {
            true => (number(&head[32..40]), number(&head[54..56]), number(&head[56..58])),
            false => (number(&head[28..32]), number(&head[42..44]), number(&head[44..46])),
        };
        let least = if wide { 56 } else { 32 };
        if size != least {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut headers = vec![0; (size * count) as usize];
        file.read_exact_at(&mut headers, table)?;

        let (length, mut loader) = (file.metadata()?.len(), None);
        for header in headers.chunks_exact(size as usize) {
            let (offset, extent) = match wide {
                true => (number(&header[8..16]), number(&header[32..40])),
                false => (number(&header[4..8]), number(&header[16..20])),
            };
            let kind = number(&header[..4]);
            if matches!(kind, PT_LOAD | PT_INTERP) && offset.saturating_add(extent) > length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if kind == PT_INTERP {
                let mut name = vec![0; extent.min(LONGEST_PATH) as usize];
                file.read_exact_at(&mut name, offset)?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                loader = Some(OsStr::from_bytes(name).into());
            }
        }
        Ok(Self { wide, machine, loader })
    }

    /// Whether a kernel that runs `own` runs this as well.
    pub(super) fn runs_beside(&self, own: &Self) -> bool {
        // 32-bit programs that a 64-bit kernel of the same family runs.
        const FAMILIES: [(u16, u16); 2] = [(libc::EM_386, libc::EM_X86_64), (libc::EM_ARM, libc::EM_AARCH64)];
        (self.machine, self.wide) == (own.machine, own.wide) || FAMILIES.contains(&(self.machine, own.machine))
    }

    /// The machine it is for.
    pub(super) fn machine(&self) -> String {
        let name = match self.machine {
            libc::EM_386 => "32-bit x86",
            libc::EM_X86_64 => "x86-64",
            libc::EM_ARM => "32-bit ARM",
            libc::EM_AARCH64 => "64-bit ARM (aarch64)",
            libc::EM_RISCV => "RISC-V",
            libc::EM_PPC64 => "64-bit PowerPC",
            libc::EM_S390 => "s390x",
            libc::EM_MIPS => "MIPS",
            other => return format!("another kind of machine (ELF machine {other})"),
        };
        name.to_owned()
    }
}

/// A number of up to eight bytes.
fn number(bytes: &[u8], little: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Elf> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Elf::of(&file)
    }

    #[test]
    fn a_program_names_its_loader_and_its_machine() {
        let own = Elf::of(&File::open("/proc/self/exe").unwrap()).unwrap();
        let shell = Elf::of(&File::open("/bin/sh").unwrap()).unwrap();
        assert!(shell.runs_beside(&own));
        assert_eq!(shell.machine(), own.machine());
        assert!(shell.loader.is_none_or(|loader| loader.exists()));
    }

    #[test]
    fn a_program_that_ends_too_early_is_cut_short() {
        let bytes = std::fs::read("/bin/sh").unwrap();
        for length in [5, 51, 63, 100, 600, bytes.len() / 2] {
            assert_eq!(read(&bytes[..length]).err().unwrap().kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(wide: bool, mut bytes in proptest::collection::vec(any::<u8>(), 64..300)) {
            bytes[..5].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide)]);
            let _ = read(&bytes);
        }
    }
}
