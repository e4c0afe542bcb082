//! Names of qdiscs and classes: `major:minor`, 16 bits each, in hex.

use std::fmt;
use std::str::FromStr;

/// The name of a qdisc (`1a:`), of a class (`1a:10`), or of a place where one is attached (`root`, `clsact`).
///
/// ```
/// use shaper::tc::Handle;
///
/// let class: Handle = "1a:10".parse()?;
/// assert_eq!(class, Handle::new(0x1a, 0x10));
/// assert_eq!(class.to_string(), "1a:10");
/// assert_eq!(Handle::qdisc(0x1a).to_string(), "1a:");
/// # Ok::<(), shaper::tc::ParseHandleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// No handle: the kernel chooses one (`TC_H_UNSPEC`).
    pub const NONE: Handle = Handle(0);
    /// The parent of a link's egress qdisc (`TC_H_ROOT`).
    pub const ROOT: Handle = Handle(0xffff_ffff);
    /// The parent of a clsact or ingress qdisc (`TC_H_CLSACT`, the same as `TC_H_INGRESS`).
    pub const CLSACT: Handle = Handle(0xffff_fff1);
    /// The parent of clsact's filters for what comes in (`TC_H_MIN_INGRESS`).
    pub const INGRESS: Handle = Handle(0xffff_fff2);
    /// The parent of clsact's filters for what goes out (`TC_H_MIN_EGRESS`).
    pub const EGRESS: Handle = Handle(0xffff_fff3);

    const NAMED: [(Handle, &str); 5] = [
        (Handle::NONE, "none"),
        (Handle::ROOT, "root"),
        (Handle::CLSACT, "clsact"),
        (Handle::INGRESS, "ingress"),
        (Handle::EGRESS, "egress"),
    ];

    /// Names a class.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }

    /// Names a qdisc: the minor number is zero.
    pub const fn qdisc(major: u16) -> Self {
        Self::new(major, 0)
    }

    /// Reads the kernel's number.
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// Returns the kernel's number.
    pub const fn to_u32(self) -> u32 {
        self.0
    }

    /// Returns the number of the qdisc.
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Returns the number of the class within its qdisc; zero for the qdisc itself.
    pub const fn minor(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = Self::NAMED.iter().find(|(handle, _)| handle == self) {
            return f.write_str(name);
        }
        match (self.major(), self.minor()) {
            (0, minor) => write!(f, ":{minor:x}"),
            (major, 0) => write!(f, "{major:x}:"),
            (major, minor) => write!(f, "{major:x}:{minor:x}"),
        }
    }
}

/// A text that names no qdisc or class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a handle: expected hex `1a:`, `1a:10` or `:10`, or root, clsact, ingress, egress, none"
)]
pub struct ParseHandleError {
    text: String,
}

impl FromStr for Handle {
    type Err = ParseHandleError;

    fn from_str(text: &str) -> Result<Self, ParseHandleError> {
        if let Some((handle, _)) = Self::NAMED.iter().find(|(_, name)| *name == text) {
            return Ok(*handle);
        }
        let number = |digits: &str| match digits {
            "" => Some(0),
            _ if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u16::from_str_radix(digits, 16).ok(),
            _ => None,
        };
        text.split_once(':')
            .filter(|_| text != ":")
            .and_then(|(major, minor)| Some(Self::new(number(major)?, number(minor)?)))
            .ok_or_else(|| ParseHandleError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(number: u32) {
            let handle = Handle::from_u32(number);
            prop_assert_eq!(handle.to_string().parse::<Handle>(), Ok(handle));
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = text.parse::<Handle>();
        }
    }

    #[test]
    fn names_and_numbers_are_those_of_tc() {
        for (number, text) in [
            (0x001a_0010, "1a:10"),
            (0x5a00_0000, "5a00:"),
            (0x0000_0010, ":10"),
            (0xffff_0000, "ffff:"),
            (0xffff_ffff, "root"),
            (0xffff_fff1, "clsact"),
            (0xffff_fff2, "ingress"),
            (0xffff_fff3, "egress"),
            (0, "none"),
        ] {
            assert_eq!(Handle::from_u32(number).to_string(), text);
        }
        assert_eq!("ffff:fff1".parse(), Ok(Handle::CLSACT));
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        for text in ["", ":", "1a", "1g:", "10000:", "1:+2", "1:2:3", "-1:"] {
            assert!(text.parse::<Handle>().is_err(), "{text}");
        }
    }
}
