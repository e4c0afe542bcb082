//! A body that is read line by line, as it comes.

use std::path::PathBuf;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Error;

/// Bytes of a line, at most.
const LINE_MAX: usize = 1 << 20;

/// The lines of an answer's body.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    body: Incoming,
    read: BytesMut,
    /// Bytes of `read` in which there is no end of a line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(path: PathBuf, body: Incoming) -> Self {
        Self { path, body, read: BytesMut::new(), searched: 0 }
    }

    /// The next line, without its end; `None` when the server has said all. What follows the last end is no line. Dropped, it loses none.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`], [`Error::TooLong`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(self.searched + end).to_vec();
                self.read.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.read.len();
            if self.searched > LINE_MAX {
                return Err(Error::TooLong { path: self.path.clone(), limit: LINE_MAX });
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| Error::Broken {
                operation: "read the answer of",
                path: self.path.clone(),
                source: error.into(),
            })?;
            if let Some(data) = frame.data_ref() {
                self.read.extend_from_slice(data);
            }
        }
    }
}
