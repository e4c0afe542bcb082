//! From what failed to what kind of failure it is: the one table of codes and hints.

use nix::errno::Errno;

use super::{Code, Failure};
use crate::{bpf, docker, engine, http, netlink, policy, probe, report, target, wanted};

const DOCTOR: &str = "`shaper doctor` shows what this kernel can do";

pub(crate) fn netns(error: target::netns::Error) -> Failure {
    use target::netns::Error;
    match error {
        Error::Permission { .. } => Failure::new(Code::Permission, error)
            .hint("entering another namespace takes CAP_SYS_ADMIN, and CAP_SYS_PTRACE where a process of more privileges has it: run as root"),
        Error::NotFound { .. } | Error::NotANamespace { .. } => Failure::new(Code::Usage, error),
        Error::Another { .. } => Failure::new(Code::Usage, error)
            .hint("who is asked has processes or mounts of its own: name it as seen there; or `--agent none`, as root"),
        _ => Failure::new(Code::Failed, error),
    }
}

pub(crate) fn docker(error: docker::Error) -> Failure {
    use docker::Error;
    match error {
        Error::Http(http::Error::Connect { ref source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Failure::new(Code::Permission, error)
                .hint("the runtime's socket is for root, and for members of its group")
        }
        Error::Http(_) => Failure::new(Code::Unreachable, error)
            .hint("start it, or say with DOCKER_HOST=unix://PATH where it listens; --pid needs no runtime"),
        Error::Host { .. }
        | Error::Name { .. }
        | Error::NotFound { .. }
        | Error::NotRunning { .. }
        | Error::HostNetwork { .. } => Failure::new(Code::Usage, error),
        Error::Answer { .. } | Error::Elsewhere { .. } | Error::Runtime { .. } => {
            Failure::new(Code::Failed, error)
        }
    }
}

pub(crate) fn probe(error: probe::Error) -> Failure {
    let code = if error.is_permission() {
        Code::Permission
    } else if error.is_unsupported() {
        Code::Unsupported
    } else {
        Code::Failed
    };
    let hint = error.hint();
    Failure::new(code, error).hint(hint)
}

pub(crate) fn report(error: report::Error) -> Failure {
    match error {
        report::Error::Netns(error) => netns(error),
        report::Error::Netlink(error) => netlink(error),
        report::Error::Unshaped { .. } | report::Error::Several { .. } => Failure::new(Code::Usage, error),
        report::Error::File(error) => Failure::new(Code::Failed, error),
    }
}

pub(crate) fn wanted(error: wanted::Error) -> Failure {
    use wanted::Error;
    let what = error.to_string();
    match error {
        Error::Probe(error) => probe(error),
        Error::Netns(error) => netns(error),
        Error::Netlink(error) => netlink(error),
        Error::Open(error) => engine(*error),
        Error::Link { .. } => Failure::new(Code::Usage, error),
        Error::Shape { source, .. } | Error::Address { source, .. } | Error::Policy { source, .. } => {
            engine(*source).context(what)
        }
        Error::Undo { .. } => Failure::new(Code::Failed, error),
    }
}

pub(crate) fn netlink(error: netlink::Error) -> Failure {
    let errno = error.errno();
    let failure = Failure::new(code_of(errno), error);
    if errno == Errno::EPERM {
        failure.hint("changing links and qdiscs takes CAP_NET_ADMIN: run as root")
    } else {
        failure
    }
}

pub(crate) fn bpf(error: bpf::object::Error) -> Failure {
    match error.errno().map(Errno::from_raw) {
        Some(Errno::EPERM) => Failure::new(Code::Permission, error).hint(
            "loading classifiers takes CAP_BPF and CAP_NET_ADMIN in the initial user namespace: run as root",
        ),
        Some(Errno::EINVAL | Errno::EOPNOTSUPP) => Failure::new(Code::Unsupported, error).hint(DOCTOR),
        _ => Failure::new(Code::Failed, error),
    }
}

pub(crate) fn engine(error: engine::Error) -> Failure {
    use engine::Error;
    match error {
        Error::Netlink(error) => netlink(error),
        Error::Bpf(error) => bpf(error),
        Error::Netns(error) => netns(error),
        Error::Policy(error) => of_policy(error),
        Error::Address(error) => Failure::new(Code::Usage, error),
        Error::Rules(error) => Failure::new(Code::Usage, error),
        Error::ForeignRoot { .. } => Failure::new(Code::Failed, error).hint(
            "--engine relay needs no root qdisc; or take the qdisc away with `tc qdisc del dev LINK root`",
        ),
        Error::NotEthernet { .. } => {
            Failure::new(Code::Usage, error).hint("shape the link that carries the tunnel's packets instead")
        }
        _ => Failure::new(Code::Failed, error),
    }
}

fn of_policy(error: policy::Error) -> Failure {
    use policy::Error;
    match error {
        // What the namespace's own rules say to a route's router, ours among them.
        Error::Netlink(error) if error.errno() == Errno::EACCES => Failure::new(Code::Failed, error),
        Error::Netlink(error) => netlink(error),
        Error::NoRules { .. } => Failure::new(Code::Unsupported, error),
        Error::NoRoute { .. } => Failure::new(Code::Usage, error)
            .hint("`ip route` in the namespace shows what it can reach; a kept host is reached as it is now"),
        Error::LocalRule { .. } => Failure::new(Code::Failed, error).hint(
            "put it back with `ip rule add pref 0 lookup local`, or the namespace could not even reach itself",
        ),
    }
}

fn code_of(errno: Errno) -> Code {
    match errno {
        Errno::EPERM | Errno::EACCES => Code::Permission,
        Errno::EOPNOTSUPP => Code::Unsupported,
        _ => Code::Failed,
    }
}
