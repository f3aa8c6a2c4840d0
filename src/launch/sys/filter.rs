//! seccomp(2).

use nix::errno::Errno;

use super::Linux;

/// What filtering system calls asks of the kernel.
pub trait FilterSys {
    /// Loads a filter: instructions of classic BPF, each as (code, jump if true, jump if false, k).
    fn load_filter(&mut self, program: &[(u16, u8, u8, u32)], flags: u64) -> nix::Result<()>;
}

impl FilterSys for Linux {
    fn load_filter(&mut self, program: &[(u16, u8, u8, u32)], flags: u64) -> nix::Result<()> {
        let mut code: Vec<libc::sock_filter> =
            program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
        let len = u16::try_from(code.len()).map_err(|_| Errno::EINVAL)?;
        let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
        // SAFETY: seccomp(2) reads the struct and the `len` instructions it points to, both of which live until the call
        // returns, and copies them; it writes nothing of ours.
        let done =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        match Errno::result(done)? {
            0 => Ok(()),
            // With TSYNC, the thread that could not follow; there is only one.
            _ => Err(Errno::ESRCH),
        }
    }
}

#[cfg(test)]
impl FilterSys for crate::launch::fake::Fake {
    fn load_filter(&mut self, program: &[(u16, u8, u8, u32)], flags: u64) -> nix::Result<()> {
        self.call(format!("seccomp {} {flags}", program.len()))
    }
}
