//! Which link of a namespace is meant.

use crate::attachment;
use crate::netlink::link::Link;

/// Why no link could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No link of that name.
    #[error("there is no link `{asked}` here: this namespace has {}", list(.known))]
    NotFound {
        /// The name given.
        asked: String,
        /// The links there are.
        known: Vec<String>,
    },
    /// The link is one that shaper made for itself.
    #[error("link `{asked}` is shaper's own: name the link to shape, one of {}", list(.known))]
    Ours {
        /// The name given.
        asked: String,
        /// The other links.
        known: Vec<String>,
    },
    /// Several links could be meant.
    #[error("there are several links here: say which with --dev, one of {}", list(.known))]
    Several {
        /// The links there are.
        known: Vec<String>,
    },
    /// Only the loopback is there.
    #[error("there is no link here but `lo`: give the namespace one, or shape the loopback with --dev lo")]
    OnlyLoopback,
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The longest name of a link, in bytes: `IFNAMSIZ` less the final zero.
pub const LINK_NAME_MAX: usize = 15;

/// Says whether a link can have this name, by the rules of the kernel's `dev_valid_name`.
#[must_use]
pub fn is_link_name(text: &str) -> bool {
    let legal = !matches!(text, "" | "." | "..") && text.len() <= LINK_NAME_MAX;
    legal && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
}

/// Chooses the link named, or the only one there is.
///
/// The loopback must be named, and a link that is down counts only where none is up: a new namespace is born with such
/// links when the kernel has tunnels built in.
///
/// # Errors
///
/// When there is none, or more than one.
pub fn choose<'a>(links: &'a [Link], asked: Option<&str>) -> Result<&'a Link, Error> {
    let names = |links: &[&Link]| links.iter().map(|link| link.name.clone()).collect::<Vec<_>>();
    let (ours, theirs): (Vec<&Link>, Vec<&Link>) = links.iter().partition(|link| attachment::is_holder(link));
    if let Some(asked) = asked {
        if ours.iter().any(|link| link.name == asked) {
            return Err(Error::Ours { asked: asked.to_owned(), known: names(&theirs) });
        }
        let found = theirs.iter().find(|link| link.name == asked);
        return found
            .copied()
            .ok_or_else(|| Error::NotFound { asked: asked.to_owned(), known: names(&theirs) });
    }
    let candidates: Vec<&Link> = theirs.into_iter().filter(|link| !link.is_loopback()).collect();
    let up: Vec<&Link> = candidates.iter().copied().filter(|link| link.is_up()).collect();
    match (up.as_slice(), candidates.as_slice()) {
        ([only], _) | ([], [only]) => Ok(only),
        ([], []) => Err(Error::OnlyLoopback),
        _ => Err(Error::Several { known: names(&candidates) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, flags: i32, kind: Option<&str>) -> Link {
        Link {
            ifindex: 2,
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            flags: flags.cast_unsigned(),
            ..Link::default()
        }
    }

    #[test]
    fn the_only_link_is_found_and_several_are_named() {
        let lo = link("lo", libc::IFF_UP | libc::IFF_LOOPBACK, None);
        let eth0 = link("eth0", libc::IFF_UP, Some("veth"));
        let eth1 = link("eth1", libc::IFF_UP, Some("veth"));
        let sit0 = link("sit0", 0, Some("sit"));
        let tap = link("shp-e2", libc::IFF_UP, Some("tun"));
        let links = [lo.clone(), sit0.clone(), eth0.clone(), tap.clone()];
        assert_eq!(choose(&links, None), Ok(&eth0));
        assert_eq!(choose(std::slice::from_ref(&lo), None), Err(Error::OnlyLoopback));
        assert_eq!(choose(&[lo.clone(), sit0.clone()], None).map(|link| link.name.as_str()), Ok("sit0"));
        assert_eq!(choose(std::slice::from_ref(&lo), Some("lo")), Ok(&lo));
        let several = choose(&[lo.clone(), eth0.clone(), eth1], None).unwrap_err();
        assert_eq!(several, Error::Several { known: vec!["eth0".into(), "eth1".into()] });
        let missing = choose(&[lo, eth0], Some("wlan0")).unwrap_err().to_string();
        assert!(missing.contains("`wlan0`") && missing.contains("`lo`, `eth0`"), "{missing}");
        assert!(matches!(choose(&links, Some("shp-e2")), Err(Error::Ours { .. })));
    }
}
