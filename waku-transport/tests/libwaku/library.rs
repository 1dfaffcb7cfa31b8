//! Finds the library to test with, or says which test is skipped for lack of one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::OnceCell;
use waku_transport::libwaku::{Library, Source};

/// The library; `None` if there is none and the drop-in cannot be built.
///
/// # Panics
///
/// If there is a library and it does not load, which is not a reason to skip a test.
pub(crate) async fn library() -> Option<Library> {
    static LIBRARY: OnceCell<Result<Library, String>> = OnceCell::const_new();
    let find = || async { tokio::task::spawn_blocking(find).await.expect("it does not panic") };
    match LIBRARY.get_or_init(find).await {
        Ok(library) => Some(library.clone()),
        Err(why) => {
            skipped(why);
            None
        }
    }
}

/// Whether the environment names the library, which may then be slower to destroy nodes than ours.
pub(crate) fn is_real() -> bool {
    std::env::var_os(waku_sys::LIBRARY_VARIABLE).is_some()
}

/// Says that this test is skipped.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Not `eprintln`, which the test runner hides.
    let _ = writeln!(std::io::stderr(), "SKIPPED libwaku::{name}: {why}");
}

fn find() -> Result<Library, String> {
    let source = match std::env::var_os(waku_sys::LIBRARY_VARIABLE) {
        Some(_) => Source::Environment,
        None => Source::Path(drop_in()?),
    };
    let library = Library::load(&source).expect("what is there loads");
    let _ = writeln!(std::io::stderr(), "libwaku tests run on {}", library.place());
    Ok(library)
}

/// The drop-in, as cargo has built it with this test, or as it is built now.
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
    // Into the directory where it is looked for.
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => drop(command.args(["--profile", name])),
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
