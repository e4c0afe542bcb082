//! Damage on `edt`: a second filter in front of ours, whose action finishes the checksums of the packets to be damaged.
//!
//! What a local sender leaves to the link is filled in behind every classifier, over the flipped bit, or never looked at by a local
//! receiver. No helper of classifiers finishes it; the `csum` action does, on the packet's second way past the hook:
//!
//! ```text
//! clone of shaper_edt, marked ─▶ pref 89: shaper_finish ─ csum ─▶ pref 90: shaper_edt flips the bit ─▶ fq
//! ```

use std::os::fd::AsFd as _;

use shaper_common::abi::program;

use crate::attachment::{FILTER_HANDLE, FINISH_PREF};
use crate::bpf::object::Room;
use crate::bpf::{Maps, Object};
use crate::netlink::link::Device;
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::{Handle, Verb};

use super::{Error, Session, add};

/// Puts the filter on the egress of `dev`, whether or not it is there.
pub(super) fn attach(session: &mut Session, dev: &Device) -> Result<(), Error> {
    let object = Object::committed()?;
    // The program reads no map; the others of the object have to be bound to some.
    let maps = add::make_maps(session, &object, &Room::default(), Maps::default())?;
    let program = add::load(session, &object.bind(&maps)?, program::FINISH)?;
    session.send(vec![filter(dev).attach(Verb::Replace, program.as_fd())])?;
    Ok(())
}

/// The filter.
pub(super) fn filter(dev: &Device) -> Filter {
    Filter {
        dev: dev.clone(),
        parent: Handle::EGRESS,
        pref: FINISH_PREF,
        handle: FILTER_HANDLE,
        name: program::FINISH.to_owned(),
        action: Action::Checksum,
    }
}
