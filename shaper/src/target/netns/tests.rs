use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::*;
use crate::netlink::link::{self, Settings};
use crate::netlink::{Socket, address, route};

/// Held by the tests that lock the namespace they all run in.
static CURRENT_NETNS: Mutex<()> = Mutex::new(());

/// Makes a namespace; `None`, with the reason on stdout, where this process may not.
fn created(test: &str) -> Option<Netns> {
    match Netns::create() {
        Ok(netns) => Some(netns),
        Err(error @ Error::Permission { .. }) => {
            println!("SKIP {test}: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_current_namespace_is_that_of_this_process() {
    let current = Netns::current().expect("/proc is mounted");
    let by_pid = Netns::open_pid(std::process::id()).expect("own process");
    assert_eq!(current.id(), by_pid.id());
    assert!(list().iter().any(|found| found.is_current && found.id == current.id()));
}

#[test]
fn what_is_not_there_is_named() {
    let error = Netns::open_name("no-such-namespace").expect_err("no such name");
    assert!(error.to_string().starts_with("there is no network namespace `no-such-namespace`"), "{error}");
    for name in ["", ".", "..", "../../proc/self/ns/net"] {
        assert!(matches!(Netns::open_name(name), Err(Error::NotFound { .. })), "{name}");
    }
    let error = Netns::open_path(Path::new("/no/such/file")).expect_err("no such path");
    assert_eq!(error.to_string(), "there is no file `/no/such/file`");
    let error = Netns::open_pid(u32::MAX).expect_err("no such process");
    assert_eq!(error.to_string(), format!("there is no process {}", u32::MAX));
    let error =
        Error::NotFound { asked: "network namespace `x`".into(), known: vec!["a".into(), "b".into()] };
    assert_eq!(error.to_string(), "there is no network namespace `x`; there are: a, b");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    for path in ["/proc/self/ns/uts", "/dev/null", "/proc/self/status", "/"] {
        let error = Netns::open_path(Path::new(path)).expect_err(path);
        assert_eq!(error.to_string(), format!("`{path}` is not a network namespace"));
    }
}

#[test]
fn two_that_opened_a_namespace_each_for_itself_exclude_each_other() {
    let _turn = CURRENT_NETNS.lock().unwrap_or_else(PoisonError::into_inner);
    let first = Netns::current().expect("/proc is mounted");
    let (locked, was_locked) = mpsc::channel();
    let lock = first.lock().expect("lockable");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let second = Netns::current().expect("/proc is mounted");
            assert!(second.try_lock().expect("lockable").is_none());
            let _lock = second.lock().expect("lockable");
            locked.send(()).expect("the test waits");
        });
        assert!(first.try_lock().expect("lockable").is_none(), "the same value excludes itself as well");
        let early = was_locked.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        drop(lock);
        was_locked.recv_timeout(Duration::from_secs(10)).expect("the second gets the lock");
    });
}

#[test]
fn a_lock_of_another_process_excludes() {
    let _turn = CURRENT_NETNS.lock().unwrap_or_else(PoisonError::into_inner);
    let netns = Netns::current().expect("/proc is mounted");
    let flock = std::process::Command::new("flock")
        .args(["--nonblock", "--conflict-exit-code", "9", "/proc/self/ns/net", "true"])
        .status();
    match flock {
        Ok(status) if status.success() => {}
        other => return println!("SKIP a_lock_of_another_process_excludes: flock(1): {other:?}"),
    }
    let _lock = netns.lock().expect("lockable");
    let status = std::process::Command::new("flock")
        .args(["--nonblock", "--conflict-exit-code", "9", "/proc/self/ns/net", "true"])
        .status()
        .expect("it ran a moment ago");
    assert_eq!(status.code(), Some(9));
}

#[test]
fn a_new_namespace_is_entered_and_left_alone_by_this_thread() {
    let Some(netns) = created("a_new_namespace_is_entered_and_left_alone_by_this_thread") else {
        return;
    };
    let here = Netns::current().expect("/proc is mounted").id();
    let inside = netns.run(|| Netns::current().expect("/proc is mounted").id()).expect("just made");
    assert_eq!(inside, netns.id());
    assert_ne!(inside, here);
    assert_eq!(Netns::current().expect("/proc is mounted").id(), here);
    let panic = std::panic::catch_unwind(|| netns.run(|| panic!("inside")));
    assert_eq!(panic.expect_err("the panic comes through").downcast_ref(), Some(&"inside"));
    let (Ok(Some(cookie)), Ok(Some(own))) = (netns.cookie(), Netns::current().and_then(|own| own.cookie()))
    else {
        return println!("SKIP the cookie: this kernel has none");
    };
    assert_ne!(cookie, own);
}

#[test]
fn a_socket_stays_in_its_namespace() {
    let Some(left) = created("a_socket_stays_in_its_namespace") else {
        return;
    };
    let right = Netns::create().expect("as before");
    let mut socket = left.run(Socket::open).expect("just made").expect("a socket");
    let names = |socket: &mut Socket| -> Vec<String> {
        link::dump(socket).expect("a dump").into_iter().map(|link| link.name).collect()
    };
    assert_eq!(names(&mut socket), ["lo"]);

    let ours = Settings { name: Some("left".into()), up: Some(true), mtu: Some(1400), ..Settings::default() };
    let peer = Settings { name: Some("right".into()), netns: Some(right.as_fd()), ..Settings::default() };
    let alias = Settings { ifalias: Some("ours".into()), gso_max_segs: Some(1), ..Settings::default() };
    match socket.batch(vec![link::add_veth(&ours, &peer), link::set_by_name("left", &alias)]) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::EOPNOTSUPP => return println!("SKIP veth: {error}"),
        Err(error) => panic!("{error}"),
    }
    let veth = link::by_name(&mut socket, "left").expect("just made");
    assert_eq!((veth.kind.as_deref(), veth.ifalias.as_deref(), veth.mtu), (Some("veth"), Some("ours"), 1400));
    assert!(veth.is_up() && !veth.is_loopback() && veth.mac.is_some() && veth.peer_netnsid.is_some());
    assert_eq!(veth.gso_max_segs.unwrap_or(1), 1);
    assert_eq!(link::by_index(&mut socket, veth.ifindex).expect("just made"), veth);

    let mut other = right.run(Socket::open).expect("just made").expect("a socket");
    let twin = link::by_name(&mut other, "right").expect("the other end");
    assert_eq!((twin.peer_ifindex, veth.peer_ifindex), (Some(veth.ifindex), Some(twin.ifindex)));

    let v4 = "10.9.0.1".parse().expect("an address");
    let v6 = "fd00:9::1".parse().expect("an address");
    let default = route::Route { to: None, via: "10.9.0.2".parse().expect("an address"), dev: None };
    socket
        .batch(vec![address::add(&veth.device(), v4, 24), route::add(&default)])
        .expect("an address and a route");
    let mut expected = vec![(v4, 24)];
    match socket.request(address::add(&veth.device(), v6, 64)) {
        Ok(()) => expected.push((v6, 64)),
        Err(error) => println!("SKIP IPv6: {error}"),
    }
    let addresses = address::dump(&mut socket).expect("a dump");
    for (local, prefix_len) in expected {
        assert!(addresses.contains(&address::Address { ifindex: veth.ifindex, local, prefix_len }));
    }

    let error = socket
        .batch(vec![
            link::set(&veth.device(), &Settings { txqlen: Some(77), ..Settings::default() }),
            link::add("no-such-kind", &Settings { name: Some("x".into()), ..Settings::default() }),
            link::set(&veth.device(), &Settings { mtu: Some(1300), ..Settings::default() }),
        ])
        .expect_err("no such kind");
    assert_eq!((error.index(), error.errno()), (Some(1), Errno::EOPNOTSUPP));
    assert!(error.to_string().starts_with("cannot add no-such-kind `x`: EOPNOTSUPP: "), "{error}");
    let veth = link::by_name(&mut socket, "left").expect("still there");
    assert_eq!((veth.txqlen, veth.mtu), (77, 1300), "the kernel goes on after a refusal");

    socket.request(link::delete(&veth.device())).expect("still there");
    assert_eq!(names(&mut other), ["lo"]);
    let error = link::by_name(&mut socket, "left").expect_err("gone");
    assert_eq!(error.to_string(), "cannot find link `left`: ENODEV: No such device");
}

#[test]
fn a_fifo_does_not_hang() {
    let path = std::env::temp_dir().join(format!("shaper-netns-fifo-{}", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a directory for temporary files");
    // A writer that would only come later: opening for reading must not wait for it.
    let opened = Netns::open_path(&path);
    std::fs::remove_file(&path).expect("just made");
    assert!(matches!(opened, Err(Error::NotANamespace { .. })));
}
