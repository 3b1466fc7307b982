//! libFuzzer's program: fuzzes the target that `SYMBOLON_FUZZ_TARGET` names. `.ci/fuzz` builds and runs it.
//!
//! - Without a name it prints those there are, one a line.
//! - With `SYMBOLON_FUZZ_SEEDS` it writes the target's seeds to that folder, and what it finds in the folder that
//!   `SYMBOLON_VECTORS` names; it fuzzes nothing.
#![no_main]

use fuzz::{TARGETS, Target, vectors};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, io, process};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(init: begin(), |input: &[u8]| {
    let target = TARGET.get().expect("libFuzzer begins before it runs");
    // Inputs that are refused are kept as well: they are how a parser refuses.
    (target.run)(input);
});

fn begin() {
    let Ok(name) = env::var("SYMBOLON_FUZZ_TARGET") else { list() };
    let Some(target) = fuzz::target(&name) else { give_up(&format!("there is no target {name:?}")) };
    if let Some(folder) = env::var_os("SYMBOLON_FUZZ_SEEDS") {
        match write_seeds(target, Path::new(&folder)) {
            Ok(()) => process::exit(0),
            Err(error) => give_up(&format!("seeds of {name}: {error}")),
        }
    }
    TARGET.get_or_init(|| target);
}

/// One file for each input, numbered.
fn write_seeds(target: &Target, folder: &Path) -> io::Result<()> {
    let found = env::var_os("SYMBOLON_VECTORS").map(|root| vectors::inputs(Path::new(&root)));
    let inputs = (target.seeds)().into_iter().chain(found.transpose()?.unwrap_or_default());
    fs::create_dir_all(folder)?;
    inputs.enumerate().try_for_each(|(number, input)| fs::write(folder.join(number.to_string()), input))
}

#[allow(clippy::print_stdout, reason = "the list is what was asked for")]
fn list() -> ! {
    TARGETS.iter().for_each(|target| println!("{}", target.name));
    process::exit(0)
}

#[allow(clippy::print_stderr, reason = "a program's last word")]
fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(2)
}
