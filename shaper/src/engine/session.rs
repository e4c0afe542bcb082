//! One command's hold on a namespace: its lock, its socket, and what was sent.

use crate::attachment::Survey;
use crate::netlink::{self, Message, Socket};
use crate::target::netns::{Lock, Netns};

use super::Error;

/// A namespace that no other `shaper` command changes meanwhile.
#[derive(Debug)]
pub struct Session {
    netns: Netns,
    socket: Socket,
    _lock: Lock,
    dry_run: Option<Vec<String>>,
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
        Ok(Self { netns, socket, _lock: lock, dry_run: None })
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
        match &mut self.dry_run {
            Some(noted) => {
                noted.extend(messages.iter().map(|message| message.command().to_owned()));
                Ok(())
            }
            None => self.socket.batch(messages),
        }
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
