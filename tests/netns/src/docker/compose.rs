//! Projects of compose: several containers and their networks, as a file says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Dockerd, found};
use crate::shaper::{self, Exit};

/// For a client in Python that starts several containers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says why there can be no project here, as a skipped trial prints it.
///
/// # Errors
/// The reason.
pub fn available() -> Result<(), String> {
    super::available()?;
    found("SHAPER_COMPOSE").map(drop)
}

/// A project that is up; it ends with its daemon.
#[derive(Debug)]
pub struct Project<'d> {
    dockerd: &'d Dockerd,
    file: &'d Path,
}

impl<'d> Project<'d> {
    /// Starts all that `file` says, from images that are there.
    ///
    /// # Panics
    /// When compose is not installed, or something does not start.
    #[track_caller]
    pub fn up(dockerd: &'d Dockerd, file: &'d Path) -> Self {
        let project = Self { dockerd, file };
        project.compose(&["up", "--detach"]);
        project
    }

    /// Returns the ids of a service's containers.
    ///
    /// # Panics
    /// When the file has no such service.
    #[track_caller]
    pub fn containers(&self, service: &str) -> Vec<String> {
        self.compose(&["ps", "--quiet", service]).lines().map(str::to_owned).collect()
    }

    /// Returns the address of a container on one of the file's networks.
    ///
    /// # Panics
    /// When it is not on it.
    #[track_caller]
    pub fn address(&self, container: &str, network: &str) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{PROJECT}_{network}\").IPAddress}}}}");
        self.dockerd.inspect(container, &format)
    }

    #[track_caller]
    fn compose(&self, args: &[&str]) -> String {
        let program = found("SHAPER_COMPOSE").unwrap_or_else(|reason| panic!("{reason}"));
        // A program of its own, or a command of the client.
        let mut words = program.to_str().expect("a path in UTF-8").split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["--project-name", PROJECT, "--file"]).arg(self.file).args(args);
        self.dockerd.lead(&mut command);
        shaper::run_within(&mut command, PATIENCE).expect(Exit::Done).stdout.trim().to_owned()
    }
}

const PROJECT: &str = "trial";
