//! What `show` says of one namespace.

use serde::Serialize;

use super::{Report, of_attachment};
use crate::attachment::Survey;
use crate::measure::clock;
use crate::netlink::{self, Socket};
use crate::policy::{self, Standing};
use crate::probe;
use crate::rules;
use crate::shape::{Direction, EngineChoice, Named as _};
use crate::target::netns::{self, Netns};

/// What is shaped in a namespace, and which policy it has.
#[derive(Debug, Serialize)]
pub struct Namespace {
    /// Each direction of each link that is shaped.
    pub attachments: Vec<Attached>,
    /// The routing policy; absent where there is none of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<policy::Report>,
}

/// One direction of a link.
#[derive(Debug, Serialize)]
pub struct Attached {
    /// What is said of it.
    #[serde(flatten)]
    pub report: Report,
    /// Why this engine.
    pub why: String,
}

/// Why a namespace does not say what is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be entered.
    #[error(transparent)]
    Netns(#[from] netns::Error),
    /// A dump is refused.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// There are no rules to tell.
    #[error("no link of `{namespace}` is shaped")]
    Unshaped {
        /// The namespace.
        namespace: String,
    },
    /// The rules of one link are asked for, and several have some.
    #[error("several links of `{namespace}` are shaped, so say which with --dev: {}", .links.join(", "))]
    Several {
        /// The namespace.
        namespace: String,
        /// The links.
        links: Vec<String>,
    },
    /// What is there cannot be told as rules.
    #[error(transparent)]
    File(#[from] rules::file::Error),
}

/// Looks at a namespace.
///
/// # Errors
///
/// [`Error`].
pub fn of_namespace(netns: &Netns) -> Result<Namespace, Error> {
    let mut socket = netns.run(Socket::open)??;
    let survey = Survey::take(&mut socket)?;
    let now_ns = clock::now_ns();
    let attached = |found| {
        let report = of_attachment(&survey, found, now_ns);
        Attached { why: why(&report), report }
    };
    let attachments = survey.attachments.iter().map(attached).collect();
    let standing = Standing::take(&mut socket)?;
    let policy = (!standing.is_nothing()).then(|| policy::Report::new(&standing, &survey.links));
    Ok(Namespace { attachments, policy })
}

/// The user's word, or what the kernel has and lacks.
fn why(report: &Report) -> String {
    if report.engine_asked {
        return "asked for".to_owned();
    }
    let direction = Direction::from_name(report.direction).unwrap_or_default();
    match probe::choose(EngineChoice::Auto, direction, &report.needs()) {
        Ok(picked) => picked.why,
        Err(error) => error.to_string(),
    }
}
