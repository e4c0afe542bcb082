//! Trying, one capability at a time.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use aya_obj::generated::{bpf_attach_type, bpf_insn};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use shaper_common::abi::program;

use super::scratch::Scratch;
use super::{Cap, Capability, Finding, Obstacle, Outcome, Refusal};
use crate::bpf::object::Room;
use crate::bpf::{self, Object, sys};
use crate::netlink::Message;
use crate::netlink::link::{self, Settings};
use crate::netlink::uapi::{TCA_KIND, TCA_OPTIONS};
use crate::relay::{packet, tap};
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::filter::{Mirred, Side};
use crate::tc::qdisc::{Kind, Qdisc};
use crate::tc::{Handle, Verb};

/// Names of the devices that are made to be tried.
const TAP_NAME: &str = "shp-tap";
const IFB_NAME: &str = "shp-ifb";
const VETH_NAMES: [&str; 2] = ["shp-veth0", "shp-veth1"];
const PROG_LOAD: &str = "bpf(BPF_PROG_LOAD)";
const PROGRAM_NAME: &str = "shaper_probe";
const TUN: &str = "/dev/net/tun";

/// How far an attempt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// As far as it takes to know that the kernel has it: no device is made, because the end of one takes the kernel
    /// some 15 ms, and the programs are the shortest that will do.
    Quick,
    /// As far as the engines go.
    Full,
}

/// Where things are tried.
#[derive(Debug)]
pub(super) struct Bench {
    depth: Depth,
    /// What there is instead of a finding when it could not be made.
    scratch: Result<Scratch, Finding>,
    /// Whether the loopback has a clsact.
    clsact: bool,
    /// What filters are tried with.
    program: Option<OwnedFd>,
}

impl Bench {
    pub(super) fn new(depth: Depth) -> Self {
        Self { depth, scratch: Scratch::create(), clsact: false, program: None }
    }

    /// Asks the kernel for one capability.
    pub(super) fn attempt(&mut self, capability: Capability) -> Finding {
        match capability {
            Capability::Fq => self.qdisc(Kind::Fq(Default::default())),
            Capability::Netem => self.qdisc(Kind::Netem(Default::default())),
            Capability::Htb => self.qdisc(Kind::Htb(Default::default())),
            Capability::Tbf => self.request(tbf()),
            Capability::Clsact => self.clsact(),
            Capability::ClsBpf => self.cls_bpf(),
            Capability::SkbSetTstamp => self.set_tstamp(),
            Capability::Mirred => self.mirred(),
            Capability::Csum => self.filter(Action::Checksum),
            Capability::Ifb => self.ifb(),
            Capability::Tun => self.tun(),
            Capability::Packet => self.packet(),
            Capability::Veth => self.request(link::add_veth(&named(VETH_NAMES[0]), &named(VETH_NAMES[1]))),
            Capability::Tcx => tcx(),
            Capability::Btf => btf(),
            Capability::Jit => jit(),
        }
    }

    fn qdisc(&mut self, kind: Kind) -> Finding {
        let qdisc = Qdisc { dev: Scratch::lo(), parent: Handle::ROOT, handle: Handle::NONE, kind };
        self.request(qdisc.message(Verb::Replace))
    }

    fn clsact(&mut self) -> Finding {
        let finding = self.request(Qdisc::clsact(Scratch::lo()).message(Verb::Add));
        self.clsact = finding.is_yes();
        finding
    }

    fn cls_bpf(&mut self) -> Finding {
        let loaded = match self.program_depth() {
            Depth::Quick => load_raw(&super::program::pass()),
            Depth::Full => {
                load(&[program::STEER, program::STAMP, program::RETURN, program::NETEM, program::DIVERT])
            }
        };
        match loaded {
            Ok(program) => self.program = Some(program),
            Err(finding) => return finding,
        }
        self.filter(Action::Direct)
    }

    fn mirred(&mut self) -> Finding {
        self.filter(Action::Redirect(Mirred { side: Side::Egress, dev: Scratch::lo() }))
    }

    /// Attaches the program to the loopback's clsact.
    fn filter(&mut self, action: Action) -> Finding {
        let (handle, words) = match action {
            Action::Direct => (1, "direct-action"),
            Action::Redirect(_) => (2, "action mirred egress redirect dev lo"),
            Action::Checksum => (3, "action csum ip4h icmp tcp udp continue"),
        };
        let tried = format!("tc filter add dev lo egress bpf {words}");
        let without = |capability| Finding {
            tried: tried.clone(),
            outcome: Outcome::NotTried(Obstacle::Without(capability)),
        };
        if !self.clsact {
            return without(Capability::Clsact);
        }
        let Some(program) = &self.program else { return without(Capability::ClsBpf) };
        let (dev, parent, name) = (Scratch::lo(), Handle::EGRESS, PROGRAM_NAME.to_owned());
        let filter = Filter { dev, parent, pref: 1, handle, name, action };
        let finding = request(&mut self.scratch, filter.attach(Verb::Add, program.as_fd()));
        Finding { tried, ..finding }
    }

    fn set_tstamp(&self) -> Finding {
        let (tried, loaded) = match self.program_depth() {
            Depth::Quick => (format!("{PROG_LOAD} of a call to it"), load_raw(&super::program::set_tstamp())),
            Depth::Full => (format!("{PROG_LOAD} of {}", program::EDT), load(&[program::EDT])),
        };
        match loaded {
            Ok(_) => Finding { tried, outcome: Outcome::Yes(None) },
            Err(finding) => Finding { tried, ..finding },
        }
    }

    /// Which programs to load: without `CAP_PERFMON`, which `CAP_SYS_ADMIN` includes, the verifier also follows what a
    /// processor might speculate, and gives our programs up after 6 s and a million instructions.
    fn program_depth(&self) -> Depth {
        if Cap::SysAdmin.is_held() { self.depth } else { Depth::Quick }
    }

    fn ifb(&mut self) -> Finding {
        load_ifb_module();
        match self.depth {
            Depth::Full => self.request(link::add("ifb", &named(IFB_NAME))),
            Depth::Quick => {
                // The driver itself refuses such an address, before there is a device.
                let settings = Settings { mac: Some([0; 6]), ..named(IFB_NAME) };
                let mut finding = self.request(link::add("ifb", &settings));
                if let Outcome::No(Refusal { errno: Some(Errno::EADDRNOTAVAIL), .. }) = finding.outcome {
                    finding.outcome = Outcome::Yes(Some("the driver answers".to_owned()));
                }
                finding
            }
        }
    }

    fn tun(&self) -> Finding {
        if let Err(outcome) = open_tun() {
            return Finding { tried: format!("open {TUN}"), outcome };
        }
        match self.depth {
            Depth::Quick => Finding { tried: format!("open {TUN}"), outcome: Outcome::Yes(None) },
            Depth::Full => {
                self.inside(format!("ioctl(TUNSETIFF) on {TUN}"), Cap::NetAdmin, || {
                    match tap::open(TAP_NAME) {
                        Ok(_) => Ok(()),
                        Err(tap::Error::Create { source, .. } | tap::Error::OpenNode { source }) => {
                            Err((&source).into())
                        }
                        Err(error) => Err(Refusal::in_words(error.to_string())),
                    }
                })
            }
        }
    }

    fn packet(&self) -> Finding {
        match self.depth {
            Depth::Full => {
                self.inside("socket(AF_PACKET, SOCK_RAW)".to_owned(), Cap::NetRaw, || match packet::open() {
                    Ok(_) => Ok(()),
                    Err(packet::Error::Open { source }) => Err((&source).into()),
                    Err(error) => Err(Refusal::in_words(error.to_string())),
                })
            }
            // The family has no streams, and only a kernel that has the family says so; closing a real one takes the
            // kernel some 10 ms.
            Depth::Quick => self.inside("socket(AF_PACKET)".to_owned(), Cap::NetRaw, || {
                match socket(AddressFamily::Packet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None) {
                    Ok(_) | Err(Errno::ESOCKTNOSUPPORT) => Ok(()),
                    Err(errno) => Err(errno.into()),
                }
            }),
        }
    }

    fn request(&mut self, message: Message<'_>) -> Finding {
        request(&mut self.scratch, message)
    }

    /// Runs `attempt` in the scratch namespace.
    fn inside(
        &self,
        tried: String,
        cap: Cap,
        attempt: impl FnOnce() -> Result<(), Refusal> + Send,
    ) -> Finding {
        let scratch = match &self.scratch {
            Ok(scratch) => scratch,
            Err(finding) => return finding.clone(),
        };
        let outcome = match scratch.netns.run(attempt) {
            Ok(answer) => outcome(answer, cap),
            Err(error) => Outcome::NotTried(Obstacle::Failed(error.to_string())),
        };
        Finding { tried, outcome }
    }
}

/// Sends `message` in the scratch namespace.
fn request(scratch: &mut Result<Scratch, Finding>, message: Message<'_>) -> Finding {
    let tried = message.command().to_owned();
    match scratch {
        Ok(scratch) => {
            let answer = scratch.socket.request(message).map_err(Refusal::from);
            Finding { tried, outcome: outcome(answer, Cap::NetAdmin) }
        }
        Err(finding) => finding.clone(),
    }
}

fn outcome(answer: Result<(), Refusal>, cap: Cap) -> Outcome {
    match answer {
        Ok(()) => Outcome::Yes(None),
        Err(refusal) if refusal.is_permission() => {
            Outcome::NotTried(Obstacle::Permission { takes: cap.name(), refusal })
        }
        Err(refusal) => Outcome::No(refusal),
    }
}

fn named(name: &str) -> Settings<'static> {
    Settings { name: Some(name.to_owned()), ..Settings::default() }
}

/// A token bucket of 8 mbit; [`Kind`] has none, because no engine needs it.
fn tbf() -> Message<'static> {
    const TCA_TBF_PARMS: u16 = 1;
    /// `TC_LINKLAYER_ETHERNET`: the kernel wants no rate table.
    const ETHERNET: u8 = 1;
    let (rate_bytes_per_sec, limit_bytes, burst_ticks): (u32, u32, u32) = (1_000_000, 10_000, 156_250);
    let mut message = Message::new(
        libc::RTM_NEWQDISC,
        libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        "replace qdisc `tbf` on `lo`",
        "tc qdisc replace dev lo root tbf rate 8mbit burst 10kb limit 10kb",
    );
    // struct tcmsg, then struct tc_tbf_qopt: rate and peak rate of 12 bytes each, limit, burst, peak burst.
    let tcmsg = [0, Scratch::lo().ifindex, Handle::NONE.to_u32(), Handle::ROOT.to_u32(), 0];
    let rate = [u32::from_ne_bytes([0, ETHERNET, 0, 0]), 0, rate_bytes_per_sec];
    let qopt = [rate, [0; 3], [limit_bytes, burst_ticks, 0]].concat();
    let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    message.body_mut().raw(&bytes(&tcmsg)).attr_str(TCA_KIND, "tbf").nest(TCA_OPTIONS, |options| {
        options.attr(TCA_TBF_PARMS, &bytes(&qopt));
    });
    message
}

/// Loads programs of ours, all of `names`, and keeps the first.
fn load(names: &[&str]) -> Result<OwnedFd, Finding> {
    let failed = |error: bpf::object::Error| match &error {
        bpf::object::Error::CreateMap { name, source } => {
            bpf_finding(format!("bpf(BPF_MAP_CREATE) of {name}"), source)
        }
        bpf::object::Error::LoadProgram { name, source, .. } => {
            bpf_finding(format!("{PROG_LOAD} of {name}"), source)
        }
        _ => Finding {
            tried: PROG_LOAD.to_owned(),
            outcome: Outcome::NotTried(Obstacle::Failed(error.to_string())),
        },
    };
    let object = Object::committed().map_err(failed)?;
    let maps = object.create_maps(&Room::default()).map_err(failed)?;
    let programs = object.bind(&maps).map_err(failed)?;
    let loaded =
        names.iter().map(|name| programs.load(name)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(loaded.into_iter().next().expect("a program is named"))
}

fn load_raw(instructions: &[bpf_insn]) -> Result<OwnedFd, Finding> {
    sys::prog_load(PROGRAM_NAME, c"Dual MIT/GPL", instructions)
        .map_err(|error| bpf_finding(PROG_LOAD.to_owned(), &error.source))
}

fn bpf_finding(tried: String, error: &io::Error) -> Finding {
    let outcome = match Refusal::from(error) {
        refusal if refusal.is_permission() => Outcome::NotTried(Obstacle::Permission {
            takes: "CAP_BPF in the initial user namespace",
            refusal,
        }),
        refusal => Outcome::No(refusal),
    };
    Finding { tried, outcome }
}

/// Loads the module of ifb, where it is one, without the two devices that it makes in the first namespace when the kernel
/// loads it on demand: nothing is to be left behind.
fn load_ifb_module() {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    if modules.is_empty() || modules.lines().any(|line| line.starts_with("ifb ")) {
        return;
    }
    let mut modprobe = Command::new("modprobe");
    modprobe
        .args(["--quiet", "ifb", "numifbs=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Without modprobe the kernel can load no module either; whether there is an ifb, the next request tells.
    let _ = modprobe.status();
}

fn open_tun() -> Result<(), Outcome> {
    let errno = match open(TUN, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(_) => return Ok(()),
        Err(errno) => errno,
    };
    let words = match errno {
        // Not the kernel's answer but that of the node's mode: root gets further.
        Errno::EACCES => {
            return Err(Outcome::NotTried(Obstacle::Permission { takes: "root", refusal: errno.into() }));
        }
        Errno::EPERM => Some("the container's device rules do not allow it"),
        // The list of drivers that share a major number; TUN's minor number there is its own (linux/miscdevice.h).
        Errno::ENOENT if fs::read_to_string("/proc/misc").is_ok_and(|drivers| drivers.contains(" tun\n")) => {
            Some(
                "the kernel has the driver, only the node is missing: mknod /dev/net/tun c 10 200, or for a container \
                 --device /dev/net/tun",
            )
        }
        _ => None,
    };
    Err(Outcome::No(Refusal { errno: Some(errno), words: words.map(str::to_owned) }))
}

fn tcx() -> Finding {
    let lo = Scratch::lo().ifindex;
    let tried = "bpf(BPF_PROG_QUERY) of TCX_INGRESS on lo".to_owned();
    match sys::prog_query(bpf_attach_type::BPF_TCX_INGRESS as u32, lo) {
        Ok(()) => Finding { tried, outcome: Outcome::Yes(None) },
        Err(error) => bpf_finding(tried, &error),
    }
}

fn btf() -> Finding {
    const FILE: &str = "/sys/kernel/btf/vmlinux";
    let outcome = match fs::metadata(FILE) {
        Ok(_) => Outcome::Yes(Some("there".to_owned())),
        Err(error) => Outcome::No((&error).into()),
    };
    Finding { tried: FILE.to_owned(), outcome }
}

fn jit() -> Finding {
    const FILE: &str = "/proc/sys/net/core/bpf_jit_enable";
    /// A setting that, like the one in question, only the first network namespace shows, and that every kernel has.
    const NEIGHBOUR: &str = "/proc/sys/net/core/dev_weight";
    let outcome = match fs::read_to_string(FILE) {
        Ok(text) if text.trim() == "0" => Outcome::No(Refusal::in_words("0: switched off")),
        Ok(text) => Outcome::Yes(Some(text.trim().to_owned())),
        Err(_) if !Path::new(NEIGHBOUR).exists() => {
            Outcome::NotTried(Obstacle::Failed("only the first network namespace shows it".to_owned()))
        }
        Err(error) => Outcome::No((&error).into()),
    };
    Finding { tried: FILE.to_owned(), outcome }
}
