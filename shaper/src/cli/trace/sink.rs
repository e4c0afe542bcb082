//! Where a trace goes.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::exit::{Code, Failure};
use crate::cli::output;

/// Standard output or a file.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    File(File, PathBuf),
}

impl Sink {
    /// Opens `path`, or standard output for `-`. What a file holds stays until [`Sink::begin`], for the trace may be refused.
    ///
    /// A pipe with a name is waited for until somebody reads it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let file = File::options().write(true).create(true).truncate(false).open(path);
        Ok(Self::File(file.map_err(|error| unwritable(path, error))?, path.to_owned()))
    }

    /// Takes away what a file held before.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        let Self::File(file, path) = self else {
            return Ok(());
        };
        // A pipe or a terminal holds nothing.
        let emptied = file.metadata().and_then(|of| if of.is_file() { file.set_len(0) } else { Ok(()) });
        emptied.map_err(|error| unwritable(path, error))
    }

    /// Writes all of it at once, and says whether anybody still reads.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        match self {
            Self::Stdout => output::stream(bytes),
            Self::File(file, path) => match file.write_all(bytes) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
                Err(error) => Err(unwritable(path, error)),
            },
        }
    }
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    Failure::new(Code::Failed, error).context(format!("cannot write `{}`", path.display()))
}
