//! Finds a libwaku to test with, or says which test is skipped for want of one.
#![allow(dead_code, unreachable_pub)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The library: what `LIBWAKU_PATH` names, otherwise the drop-in. None if it cannot be had; then
/// it was said that the running test is skipped.
pub fn library() -> Option<PathBuf> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match LIBRARY.get_or_init(find) {
        Ok(path) => Some(path.clone()),
        Err(why) => {
            skipped(why);
            None
        }
    }
}

/// Says that the running test is skipped.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Not `eprintln`, which the test runner hides.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}::{name}: {why}", env!("CARGO_CRATE_NAME"));
}

fn find() -> Result<PathBuf, String> {
    let path = match std::env::var_os("LIBWAKU_PATH") {
        Some(path) => PathBuf::from(path),
        None => drop_in()?,
    };
    let _ = writeln!(std::io::stderr(), "libwaku is {}", path.display());
    Ok(path)
}

/// The drop-in: what cargo has built together with this test, or builds now.
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
        return Err("LIBWAKU_PATH is not set, and waku-node-capi is not there".to_owned());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "waku-node-capi"]).current_dir(workspace);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let built = command.stdin(Stdio::null()).status().map_err(|e| e.to_string())?;
    if !built.success() {
        return Err("LIBWAKU_PATH is not set, and waku-node-capi does not build".to_owned());
    }
    found().ok_or("LIBWAKU_PATH is not set, and waku-node-capi built no library".to_owned())
}
