//! For tests, here and in crates that build on this one: which library they run on, and what they
//! leave behind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::lanes::{Lane, submit};
use crate::library::{LIBRARY_VARIABLE, Library, Source};
use crate::node::Node;
use crate::{event, pending};

/// The library to test with: the one that [`LIBRARY_VARIABLE`] names, or else the drop-in
/// `waku-node-capi`, which is built if cargo has not built it with the test. If there is neither, this
/// says on standard error that the test of this thread is skipped, and returns `None`. `suite` is the
/// name of the test program.
///
/// The first call may block for as long as it takes to build the drop-in.
///
/// # Panics
///
/// If there is a library and it does not load, which is not a reason to skip a test.
pub fn library(suite: &str) -> Option<Library> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    match LIBRARY.get_or_init(|| find(suite)) {
        Ok(library) => Some(library.clone()),
        Err(why) => {
            skipped(suite, why);
            None
        }
    }
}

/// Says on standard error, past the test runner, that the test of this thread is skipped.
pub fn skipped(suite: &str, why: &str) {
    let thread = std::thread::current();
    say(&format!("SKIPPED {suite}::{}: {why}", thread.name().unwrap_or("a test")));
}

/// Says something on standard error that the test runner does not hide.
pub fn say(text: &str) {
    // Where standard error is closed, there is no one to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether the environment names the library, so that it is not the drop-in.
pub fn is_foreign() -> bool {
    std::env::var_os(LIBRARY_VARIABLE).is_some()
}

/// Runs something while no node of the process is made, started or destroyed through this crate: for
/// tests that do one of these things themselves, as a host does. Blocks until it has run.
///
/// # Panics
///
/// If it panics.
pub fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::sync_channel(1);
    let job = move || drop(done.send(work()));
    assert!(submit(Lane::Life, Box::new(job)), "there is no thread to call libwaku from");
    result.recv().unwrap_or_else(|_| panic!("what was to run alone has panicked"))
}

/// How many calls in the whole process wait for their answer.
pub fn awaited_answers() -> usize {
    pending::total()
}

/// For how many nodes of our own events are kept in the whole process.
pub fn kept_queues() -> usize {
    event::total()
}

/// How many calls of a node count as queued: 0 once all have begun or were given up.
pub fn queued_calls(node: &Node) -> usize {
    node.queued()
}

fn find(suite: &str) -> Result<Library, String> {
    let source = if is_foreign() { Source::Environment } else { Source::Path(drop_in()?) };
    let library = Library::load(&source);
    let library = library.unwrap_or_else(|error| panic!("what is there does not load: {error}"));
    say(&format!("{suite} runs on {}", library.place()));
    Ok(library)
}

fn drop_in() -> Result<PathBuf, String> {
    let name =
        format!("{}waku_node_capi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    // …/target/<profile>/deps/<this test>
    let test = std::env::current_exe().map_err(|e| e.to_string())?;
    let profile = test.ancestors().nth(2).ok_or("a test that is not in a target directory")?;
    let found = || {
        let places = [profile.join(&name), profile.join("deps").join(&name)];
        places.into_iter().find(|place| place.is_file())
    };
    if let Some(place) = found() {
        return Ok(place);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !workspace.join("waku-node-capi").is_dir() {
        return Err(format!("{LIBRARY_VARIABLE} is not set, and there is no waku-node-capi"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "waku-node-capi"]).current_dir(workspace);
    match profile.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => {}
        Some(other) => {
            command.args(["--profile", other]);
        }
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let built = command.stdin(Stdio::null()).status().map_err(|e| e.to_string())?;
    if !built.success() {
        return Err(format!("{LIBRARY_VARIABLE} is not set, and waku-node-capi does not build"));
    }
    found().ok_or(format!("{LIBRARY_VARIABLE} is not set, and waku-node-capi built no library"))
}
