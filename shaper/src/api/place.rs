//! A namespace as a caller of the API names it.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::failure::{self, Code, Failure};
use crate::target::Target;
use crate::target::netns::{self, Id};

/// A namespace: one of `ns`, `pid` and `container`, which mean what they mean to the agent. What the caller sees there tells whether that is
/// the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Its name in `ip netns`, or the absolute path of a namespace file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
    /// The namespace of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The namespace of a container, by its name or the beginning of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Device and inode of the namespace (`4:4026531840`), as the caller sees it: another one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Where the caller may not look: those of its own pid namespace, for `pid`, or of its mount namespace, for a path. Where the agent
    /// has another one, that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_from: Option<String>,
}

impl Place {
    /// `target`, as this process sees it; `None` for the one that this process itself runs in.
    #[must_use]
    pub fn of(target: &Target) -> Option<Self> {
        let place = match target {
            Target::Name(name) => Self { ns: Some(name.clone()), ..Self::default() },
            Target::Path(path) => Self { ns: Some(path.to_str()?.to_owned()), ..Self::default() },
            Target::Pid(pid) => Self { pid: Some(*pid), ..Self::default() },
            // Its process is what the runtime says, and that is asked by whoever opens it.
            Target::Container { name, .. } => return Some(Self::of_container(name)),
            Target::Seen { target, .. } => Self::of(target)?,
            Target::Own => return None,
        };
        let seen = target.id().map(|id| id.to_string());
        let seen_from = if seen.is_none() { of_caller(target).map(|id| id.to_string()) } else { None };
        Some(Self { seen, seen_from, ..place })
    }

    /// A container.
    #[must_use]
    pub fn of_container(name: &str) -> Self {
        Self { container: Some(name.to_owned()), ..Self::default() }
    }

    /// Where that is for an agent.
    ///
    /// # Errors
    ///
    /// When it is nowhere, or somewhere else than for the caller.
    pub async fn target(&self, agent: &Agent) -> Result<Target, Failure> {
        let usage = |words: String| Failure::new(Code::Usage, anyhow::anyhow!(words));
        let target = match (&self.ns, self.pid, &self.container) {
            (Some(ns), None, None) => Target::of_namespace(ns),
            (None, Some(pid), None) => Target::of_pid(pid),
            (None, None, Some(container)) => return Ok(agent.container(container).await?),
            _ => Err("say which namespace: one of `ns`, `pid` and `container`".to_owned()),
        };
        let target = target.map_err(usage)?;
        if matches!(&target, Target::Path(path) if !path.is_absolute()) {
            return Err(usage(format!(
                "`{target}` is not an absolute path, and whose directory is meant is not known"
            )));
        }
        let read =
            |text: &Option<String>| text.as_ref().map(|text| text.parse::<Id>()).transpose().map_err(usage);
        let (seen, seen_from) = (read(&self.seen)?, read(&self.seen_from)?);
        if seen_from.is_some_and(|id| of_caller(&target).is_some_and(|own| own != id)) {
            return Err(failure::netns(netns::Error::Another { asked: target.to_string() }));
        }
        Ok(match seen {
            Some(id) => Target::Seen { target: Box::new(target), id },
            None => target,
        })
    }
}

/// As [`Target`]'s.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ns, pid, container, .. } = self;
        ns.iter().try_for_each(|ns| f.write_str(ns))?;
        pid.iter().try_for_each(|pid| write!(f, "pid {pid}"))?;
        container.iter().try_for_each(|container| write!(f, "container {container}"))
    }
}

/// This process's own namespace of the kind that says what `target` means; `None` for a name, which means the same to all.
fn of_caller(target: &Target) -> Option<Id> {
    match target {
        Target::Pid(_) => netns::identify(Path::new("/proc/self/ns/pid")),
        Target::Path(_) => netns::identify(Path::new("/proc/self/ns/mnt")),
        Target::Seen { target, .. } => of_caller(target),
        Target::Name(_) | Target::Container { .. } | Target::Own => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::States;

    async fn target(place: &Place) -> Result<Target, Failure> {
        place.target(&Agent::new(States::memory())).await
    }

    #[tokio::test]
    async fn what_the_caller_sees_is_what_is_meant() {
        let own = Target::Pid(std::process::id());
        let place = Place::of(&own).unwrap();
        assert_eq!(target(&place).await.unwrap().id(), own.id());
        assert_eq!(place.to_string(), own.to_string());
        let other = Place { seen: Some("4:1".to_owned()), ..place.clone() };
        let error = target(&other).await.unwrap().open().unwrap_err().to_string();
        assert!(error.contains("is another network namespace here"), "{error}");
        // Who may not look says where it looks from.
        let unseen = Place { seen: None, ..Place::of(&Target::Pid(i32::MAX.cast_unsigned())).unwrap() };
        assert!(target(&unseen).await.is_ok());
        let from_elsewhere = Place { seen_from: Some("4:1".to_owned()), ..unseen };
        assert_eq!(target(&from_elsewhere).await.unwrap_err().code(), Code::Usage);
        assert_eq!(Place::of(&Target::Own), None);
    }

    #[tokio::test]
    async fn what_means_nothing_is_refused() {
        let ns = |ns: &str| Place { ns: Some(ns.to_owned()), ..Place::default() };
        for (place, words) in [
            (Place::default(), "one of `ns`, `pid` and `container`"),
            (Place { pid: Some(1), ..ns("a") }, "one of `ns`, `pid` and `container`"),
            (Place { container: Some("c".to_owned()), ..ns("a") }, "one of `ns`, `pid` and `container`"),
            (Place { pid: Some(0), ..Place::default() }, "0 is not a process id"),
            (ns("a b"), "names no namespace"),
            (ns("./a"), "not an absolute path"),
            (Place { seen: Some("7".to_owned()), ..ns("a") }, "identifies no namespace"),
        ] {
            let failure = target(&place).await.unwrap_err();
            assert_eq!(failure.code(), Code::Usage);
            assert!(failure.what().contains(words), "{failure}");
        }
    }
}
