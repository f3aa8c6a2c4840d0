//! Links the unwinder statically. The shared libgcc_s costs every start of the program about 0.15 ms: mapping and
//! relocating it, and a constructor that asks the processor what it is, which a virtual machine answers slowly. A
//! launcher pays that for every process it starts.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Without the archive the program is linked as usual, and is a little slower.
    let Ok(output) = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output() else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(directory) = Path::new(text.trim()).parent().filter(|directory| directory.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
