//! One command's hold on a namespace: its lock, its socket, and what was sent.

use std::io;

use nix::errno::Errno;

use crate::attachment::Survey;
use crate::netlink::{self, Message, Socket};
use crate::target::netns::{Lock, Netns};

use super::Error;
use super::fault::{self, Faults, Step};
use super::inverse::Inverse;

/// A namespace that no other `shaper` command changes meanwhile.
#[derive(Debug)]
pub struct Session {
    netns: Netns,
    socket: Socket,
    _lock: Lock,
    dry_run: Option<Vec<String>>,
    faults: Faults,
    inverses: Vec<Inverse>,
}

impl Session {
    /// Waits for other commands in this namespace, and opens a socket in it.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered or locked.
    pub fn open(netns: Netns) -> Result<Self, Error> {
        let lock = netns.lock()?;
        let socket = netns.run(Socket::open)??;
        let (faults, inverses) = (Faults::asked(), Vec::new());
        Ok(Self { netns, socket, _lock: lock, dry_run: None, faults, inverses })
    }

    /// From here on, changes nothing and only notes what would be done.
    #[must_use]
    pub fn dry(self) -> Self {
        Self { dry_run: Some(Vec::new()), ..self }
    }

    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.dry_run.is_some()
    }

    /// What a dry session noted: `ip` and `tc` commands, and comments for what they cannot say.
    #[must_use]
    pub fn noted(&self) -> &[String] {
        self.dry_run.as_deref().unwrap_or_default()
    }

    /// The namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The socket, for looking.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Looks at the namespace.
    ///
    /// # Errors
    ///
    /// When a dump is refused.
    pub fn survey(&mut self) -> Result<Survey, netlink::Error> {
        Survey::take(&mut self.socket)
    }

    /// Changes the namespace by messages that nothing can come between.
    pub(super) fn send(&mut self, messages: Vec<Message<'_>>) -> Result<(), netlink::Error> {
        if let Some(noted) = &mut self.dry_run {
            noted.extend(messages.iter().map(|message| message.command().to_owned()));
            return Ok(());
        }
        batch(&mut self.faults, &mut self.socket, messages)
    }

    /// Changes another namespace, which the socket is in, by a message.
    pub(super) fn send_by(
        &mut self,
        socket: &mut Socket,
        message: Message<'_>,
    ) -> Result<(), netlink::Error> {
        batch(&mut self.faults, socket, vec![message])
    }

    /// Begins an effect that is not a netlink message, unless it is `refused`.
    pub(super) fn begin<E: Into<Error>>(
        &mut self,
        refused: impl FnOnce(io::Error) -> E,
    ) -> Result<Step, Error> {
        if self.is_dry() {
            return Ok(Step::inert());
        }
        match self.faults.next(1) {
            (step, None) => Ok(step),
            (_, Some(_)) => Err(refused(fault::refusal()).into()),
        }
    }

    /// Writes down what takes the next effect back if the command fails.
    pub(super) fn on_failure(&mut self, inverse: Inverse) {
        if !self.is_dry() {
            self.inverses.push(inverse);
        }
    }

    /// What was written down since this was called last.
    pub(super) fn take_inverses(&mut self) -> Vec<Inverse> {
        std::mem::take(&mut self.inverses)
    }

    /// Notes an effect that is not a netlink message; whether it is to be done.
    pub(super) fn effect(&mut self, note: impl FnOnce() -> String) -> bool {
        match &mut self.dry_run {
            Some(noted) => {
                noted.push(format!("# {}", note()));
                false
            }
            None => true,
        }
    }
}

fn batch(
    faults: &mut Faults,
    socket: &mut Socket,
    mut messages: Vec<Message<'_>>,
) -> Result<(), netlink::Error> {
    let (step, refused) = faults.next(messages.len());
    let Some(index) = refused else {
        return step.done(socket.batch(messages));
    };
    let operation = messages.remove(index).operation().to_owned();
    // The kernel goes on behind a message that it refuses, and reports the first.
    let others = socket.batch(messages);
    others.or_else(|error| if error.index() < Some(index) { Err(error) } else { Ok(()) })?;
    Err(netlink::Error::Refused { operation, errno: Errno::ENOMEM, ext_ack: None, index })
}
