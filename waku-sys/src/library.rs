//! Finding libwaku and loading it.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::LoadError;
use crate::symbols::Symbols;

/// The environment variable that names a libwaku to load.
pub const LIBRARY_VARIABLE: &str = "LIBWAKU_PATH";

/// Where to look for the library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The file that [`LIBRARY_VARIABLE`] names, if it is set. Otherwise the running process, if it
    /// has libwaku already, and then the system's library path.
    #[default]
    Anywhere,
    /// The file at this path.
    Path(PathBuf),
    /// The file that [`LIBRARY_VARIABLE`] names.
    Environment,
    /// The system's library path, by the library's usual name.
    System,
    /// The libwaku that a host has loaded into the running process already.
    Process,
}

/// A loaded libwaku with all its functions found. Cheap to clone.
///
/// It stays loaded until the process ends, because nothing ends the threads and the runtime that it
/// has of its own.
#[derive(Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

struct Inner {
    symbols: Symbols,
    place: String,
    _library: Option<ManuallyDrop<libloading::Library>>,
}

impl Library {
    /// Loads the library. None of its functions is called.
    ///
    /// Loading a library runs its initialisers with all rights of this process, so the path must come
    /// from the user who runs the program, never from the network.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names the places that were tried and the functions that are missing.
    pub fn load(source: &Source) -> Result<Self, LoadError> {
        match source {
            Source::Path(path) => Self::from_path(path),
            Source::Environment => match Self::variable()? {
                Some(path) => Self::from_path(Path::new(&path)),
                None => Err(LoadError::NotFound {
                    looked: vec![format!("{LIBRARY_VARIABLE}: it is not set")],
                }),
            },
            Source::System => Self::from_system(),
            Source::Process => Self::from_process(),
            Source::Anywhere => {
                if let Some(path) = Self::variable()? {
                    return Self::from_path(Path::new(&path));
                }
                let in_process = match Self::from_process() {
                    Ok(library) => return Ok(library),
                    Err(error) => error,
                };
                Self::from_system().map_err(|error| match error {
                    LoadError::NotFound { looked } => LoadError::NotFound {
                        looked: [
                            format!("{LIBRARY_VARIABLE}: it is not set"),
                            match in_process {
                                LoadError::MissingSymbols { place, missing } => {
                                    format!("{place}: {} functions missing", missing.len())
                                }
                                other => other.to_string(),
                            },
                        ]
                        .into_iter()
                        .chain(looked)
                        .collect(),
                    },
                    other => other,
                })
            }
        }
    }

    /// The functions of the library, for uses that [`Node`](crate::Node) does not cover. Calling them
    /// is unsafe; the header states their contracts.
    pub fn symbols(&self) -> &Symbols {
        &self.inner.symbols
    }

    /// The path that it was loaded from, or a description of the place.
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    /// A library of the given functions.
    #[cfg(test)]
    pub(crate) fn of(symbols: Symbols) -> Self {
        Self { inner: Arc::new(Inner { symbols, place: "a test".to_owned(), _library: None }) }
    }

    fn variable() -> Result<Option<OsString>, LoadError> {
        match std::env::var_os(LIBRARY_VARIABLE) {
            Some(path) if path.is_empty() => {
                Err(LoadError::EmptyVariable { variable: LIBRARY_VARIABLE })
            }
            path => Ok(path),
        }
    }

    fn from_path(path: &Path) -> Result<Self, LoadError> {
        // The loader would take a path without a slash for a name, and search elsewhere.
        let file = path.canonicalize().ok().filter(|file| file.is_file());
        let file = file.ok_or_else(|| LoadError::NoSuchFile(path.to_owned()))?;
        Self::open(file.as_os_str()).map_err(|e| not_found(&file, &e))?
    }

    fn from_system() -> Result<Self, LoadError> {
        let name = libloading::library_filename("waku");
        Self::open(&name).map_err(|e| not_found(Path::new(&name), &e))?
    }

    /// The outer result is about the library, the inner one about its functions.
    fn open(name: &OsStr) -> Result<Result<Self, LoadError>, libloading::Error> {
        // SAFETY: this runs the initialisers of a library that the user named, as `load` says.
        let library = unsafe { libloading::Library::new(name) }?;
        Ok(Self::resolve(library, name.display().to_string()))
    }

    #[cfg(unix)]
    fn from_process() -> Result<Self, LoadError> {
        let process = libloading::os::unix::Library::this();
        Self::resolve(process.into(), "the running process".to_owned())
    }

    #[cfg(not(unix))]
    fn from_process() -> Result<Self, LoadError> {
        let looked = vec!["the running process: not on this system".to_owned()];
        Err(LoadError::NotFound { looked })
    }

    fn resolve(library: libloading::Library, place: String) -> Result<Self, LoadError> {
        let address = |name: &'static str| {
            // SAFETY: the symbol is only looked up, as an address, which stays valid because the
            // library stays loaded once all symbols are there.
            unsafe { library.get::<*mut c_void>(name).ok()?.try_as_raw_ptr() }
        };
        // SAFETY: the names are libwaku's, and a library with functions of these names declares them
        // as libwaku does. The library is never unloaded, see below.
        let symbols = unsafe { Symbols::resolve(address) };
        match symbols {
            Ok(symbols) => {
                tracing::debug!(place, "libwaku loaded");
                let _library = Some(ManuallyDrop::new(library));
                Ok(Self { inner: Arc::new(Inner { symbols, place, _library }) })
            }
            Err(missing) => Err(LoadError::MissingSymbols { place, missing }),
        }
    }
}

fn not_found(place: &Path, error: &libloading::Error) -> LoadError {
    // The system's own error is the source of this one, where there is one.
    let said = std::error::Error::source(error).map_or(error.to_string(), ToString::to_string);
    LoadError::NotFound { looked: vec![format!("{}: {said}", place.display())] }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
