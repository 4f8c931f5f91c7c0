//! Where memory comes from, and how soon it is given back.
//!
//! jemalloc takes a third of the processor time off what a busy API server does, most of which is to build and drop JSON
//! trees. As it is built here (`.cargo/config.toml`), it gives back what has been free for a second, but only sees to that
//! while something asks it for memory. Many small clusters that are mostly idle are better served if it gives everything back
//! at once. It reads how it is to work only when a program starts, so the program starts once more.

use std::process::Command;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The allocator's own switches; whoever has set them has decided.
const SWITCHES: &str = "_RJEM_MALLOC_CONF";
const GIVE_BACK: &str = "dirty_decay_ms:0";

/// Starts this program again so that it gives memory back at once. Returns if that is not needed, or not possible.
pub(crate) fn settle() {
    if std::env::var_os(SWITCHES).is_some() {
        return;
    }
    use std::os::unix::process::CommandExt;
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Takes this process over, or fails and leaves it as it is: then it needs a little more memory.
    let _error = again.args(arguments).env(SWITCHES, GIVE_BACK).exec();
}
