//! How much memory the C library holds on to.
//!
//! It gives threads arenas of their own, so that they do not wait for one another, and each keeps what it needed at its
//! busiest. Many small clusters that are mostly idle are better served by one arena: a fourth of what is not program is
//! saved. The C library reads how many there may be only when a program starts, so the program starts once more.

use std::process::Command;

/// The C library's own switch; whoever has set it has decided.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts this program again with one arena. Returns if that is not needed, or not possible.
pub(crate) fn settle() {
    if !cfg!(target_env = "gnu") || std::env::var_os(ARENAS).is_some() {
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
    let _error = again.args(arguments).env(ARENAS, "1").exec();
}
