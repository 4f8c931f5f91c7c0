//! Hostile input for every parser: one program, one target each, chosen by `FUZZ_TARGET`.
//!
//! `cargo xtask fuzz` builds it with coverage counters and lets libFuzzer drive it. Built as usual it lists its targets,
//! or runs the files it is given (`FUZZ_TARGET=json cargo run -p fuzz -- FILE`), to look at what was found.
//! A target fails by panicking: by itself, or because what was read, written and read again is not the same.
#![cfg_attr(fuzzing, no_main)]

mod credentials;
mod expressions;
mod objects;
mod patches;
mod requests;
mod sessions;
mod targets;
mod values;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::chosen()(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        targets::chosen()(&std::fs::read(&file)?);
        eprintln!("{}: passed", file.to_string_lossy());
    }
    if std::env::args_os().len() == 1 {
        targets::ALL.iter().for_each(|(name, _)| println!("{name}"));
    }
    Ok(())
}
