//! A file of records, one JSON text a line, from which the next process learns what was so when this one was killed.
//!
//! A record is in the file before what it says is acknowledged. Nothing is synced to a disk: what is written outlives the process, not
//! the machine, and neither do namespaces. A last line without its end was never acknowledged, and is cut off.

mod error;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::Error;

/// For root alone: records may say what others must not read.
const MODE: u32 = 0o600;

/// Bytes from which on it is worth while to write a journal anew.
const GROWN_FROM: u64 = 16 << 20;

/// A journal that is written; nobody else has it open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file: each write is an append, for only the holder of the lock writes.
    bytes: u64,
    /// Where the last record begins.
    last: u64,
    /// Bytes at which it is to be written anew.
    grown: u64,
    line: Vec<u8>,
}

impl Journal {
    /// Opens the journal at `path`, made with its directory if need be, and hands over its records, first to last.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`]; [`Error::Broken`] for a line that is no record, or that `each` cannot take; [`Error::Failed`].
    pub fn open<R: DeserializeOwned>(
        path: &Path,
        mut each: impl FnMut(R) -> Result<(), String>,
    ) -> Result<Self, Error> {
        let file = locked(path)?;
        let (mut bytes, mut number) = (0, 0);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(failed("read", path))?;
            if line.pop() != Some(b'\n') {
                break;
            }
            number += 1;
            serde_json::from_slice(&line)
                .map_err(|error| error.to_string())
                .and_then(&mut each)
                .map_err(|why| Error::Broken { path: path.to_owned(), line: number, why })?;
            bytes += line.len() as u64 + 1;
        }
        file.set_len(bytes).map_err(failed("cut off the end of", path))?;
        Ok(Self { path: path.to_owned(), file, bytes, last: bytes, grown: GROWN_FROM, line })
    }

    /// Whether it is twice as long as when it was last written anew, and long: time for [`Self::rewrite`].
    #[must_use]
    pub fn has_grown(&self) -> bool {
        self.bytes > self.grown
    }

    /// Adds a record; when this returns, it outlives the process.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], and the file is as it was.
    pub fn append(&mut self, record: &impl Serialize) -> Result<(), Error> {
        self.line.clear();
        write_line(&mut self.line, record).map_err(failed("word a record of", &self.path))?;
        if let Err(error) = (&self.file).write_all(&self.line) {
            // A part of it may be there, and the next record must not follow that.
            drop(self.file.set_len(self.bytes));
            return Err(failed("write to", &self.path)(error));
        }
        self.last = self.bytes;
        self.bytes += self.line.len() as u64;
        Ok(())
    }

    /// Takes the record away that was added last: what it says did not come to be.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub fn take_back(&mut self) -> Result<(), Error> {
        self.file.set_len(self.last).map_err(failed("cut off the end of", &self.path))?;
        self.bytes = self.last;
        Ok(())
    }

    /// Writes these records in the place of all that are there, by a file of its own that then takes the name.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], and all is as it was.
    pub fn rewrite<R: Serialize>(&mut self, records: impl IntoIterator<Item = R>) -> Result<(), Error> {
        // Also when it fails: it is not tried again at once.
        self.grown = self.bytes.saturating_mul(2).max(GROWN_FROM);
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let failed = |operation| failed(operation, &new);
        // Left by one who was killed here.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("take away")(error)),
            _ => {}
        }
        let file = open(&new).map_err(failed("make"))?;
        file.try_lock().map_err(|error| failed("lock")(error.into()))?;
        let mut writer = BufWriter::new(&file);
        for record in records {
            write_line(&mut writer, &record).map_err(failed("write to"))?;
        }
        writer.flush().map_err(failed("write to"))?;
        drop(writer);
        let bytes = file.metadata().map_err(failed("look at"))?.len();
        std::fs::rename(&new, &self.path).map_err(failed("give its name to"))?;
        (self.file, self.bytes, self.last) = (file, bytes, bytes);
        self.grown = bytes.saturating_mul(2).max(GROWN_FROM);
        Ok(())
    }
}

fn write_line(mut to: impl io::Write, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut to, record)?;
    to.write_all(b"\n")
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)
}

/// The file of that name, locked: not one that lost the name while it was waited for.
fn locked(path: &Path) -> Result<File, Error> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed("make the directory of", path))?;
    }
    loop {
        let file = open(path).map_err(failed("open", path))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse { path: path.to_owned() },
            TryLockError::Error(error) => failed("lock", path)(error),
        })?;
        let inode = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let own = file.metadata().map(inode).map_err(failed("look at", path))?;
        if std::fs::metadata(path).is_ok_and(|named| inode(named) == own) {
            return Ok(file);
        }
    }
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Failed { operation, path: path.clone(), source }
}
