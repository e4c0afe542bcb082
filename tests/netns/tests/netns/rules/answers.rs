//! Filters that answer: `reject` tells the sender at once, `reset` ends connections that are open.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::family::Family;
use shaper_netns_tests::node::Node;
use shaper_netns_tests::world::World;

/// An answer that takes longer is none: a SYN is sent again after a second (RFC 6298, 2.1).
const AT_ONCE: Duration = Duration::from_secs(1);
/// What waits for longer was not told anything.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::each_engine("rules_that_reject_answer_at_once", Load::Light, |c| rejects(c, "egress")),
        Case::each_engine("rules_that_reject_on_ingress_answer_at_once", Load::Light, |c| {
            rejects(c, "ingress");
        }),
        Case::each_engine("rules_that_reject_both_ways_answer_at_once", Load::Light, |c| rejects(c, "both")),
        Case::each_engine("rules_that_reset_end_open_connections", Load::Light, resets),
    ]
}

/// Who sends is told: the instance of what it sends, the peer of what comes in.
fn rejects(context: &Context, direction: &str) {
    for family in Family::ALL {
        let world = World::new();
        let (client, server) = match direction {
            "ingress" => (&world.peer, &world.inst),
            _ => (&world.inst, &world.peer),
        };
        let listener = listen(server, family);
        let to = listener.local_addr().expect("a bound socket has an address");
        let connect = || client.run(|| TcpStream::connect_timeout(&to, PATIENCE));
        connect().expect("nothing is rejected yet");

        let peer = world.peer.address(family, 0).to_string();
        world.apply(context.engine(), &["--to", &peer, "--direction", direction, "--filter", "reject"]);
        let asked = Instant::now();
        let error = connect().expect_err("the connection is rejected");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{family:?} {direction}: {error}");
        assert!(asked.elapsed() < AT_ONCE, "{family:?} {direction}: after {:?}", asked.elapsed());

        let socket = client.run(|| UdpSocket::bind((client.address(family, 0), 0))).expect("a UDP socket");
        socket.connect(to).expect("UDP connects to anybody");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout of seconds");
        let asked = Instant::now();
        socket.send(b"?").expect("nobody has said anything yet");
        let error = socket.recv(&mut [0; 16]).expect_err("the packet is rejected");
        // What the kernel makes of "administratively prohibited" (icmp_err_convert, icmpv6_err_convert).
        let told = if family == Family::V4 { libc::EHOSTUNREACH } else { libc::EACCES };
        assert_eq!(error.raw_os_error(), Some(told), "{family:?} {direction}: {error}");
        assert!(asked.elapsed() < AT_ONCE, "{family:?} {direction}: after {:?}", asked.elapsed());

        world.clear();
        connect().expect("nothing is rejected any more");
    }
}

fn listen(node: &Node, family: Family) -> TcpListener {
    node.run(|| TcpListener::bind((node.address(family, 0), 0))).expect("an address of the node")
}

/// Each end is told as soon as it sends something; what is not TCP goes on.
fn resets(context: &Context) {
    for family in Family::ALL {
        let world = World::new();
        let listener = listen(&world.peer, family);
        let to = listener.local_addr().expect("a bound socket has an address");
        let ours = world.inst.run(|| TcpStream::connect(to)).expect("nothing is reset yet");
        let (theirs, _) = listener.accept().expect("the connection is there");
        let mut ends = [ours, theirs];
        for end in &ends {
            end.set_read_timeout(Some(PATIENCE)).expect("a timeout of seconds");
        }
        pass_a_byte(&mut ends);

        let peer = world.peer.address(family, 0);
        let filter = ["--direction", "both", "--filter", "reset"];
        world.apply(context.engine(), &[&["--to", &peer.to_string()], &filter[..]].concat());
        for end in &mut ends {
            let asked = Instant::now();
            end.write_all(b"?").expect("nobody has said anything yet");
            let error = end.read(&mut [0; 16]).expect_err("the connection is reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{family:?}: {error}");
            assert!(asked.elapsed() < AT_ONCE, "{family:?}: after {:?}", asked.elapsed());
        }
        world.baseline_to(peer);
    }
}

fn pass_a_byte([ours, theirs]: &mut [TcpStream; 2]) {
    ours.write_all(b"!").expect("an open connection");
    theirs.read_exact(&mut [0]).expect("an open connection");
}
