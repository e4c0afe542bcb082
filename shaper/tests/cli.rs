//! The command line as a user types it: what is refused before anything is tried, and where the output goes.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn shaper() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shaper"));
    command.stdin(Stdio::null()).env("SHAPER_AGENT", "none");
    command
}

fn run(args: &[&str]) -> Output {
    shaper().args(args).output().expect("the binary under test starts")
}

fn run_fed(args: &[&str], input: &str) -> Output {
    let mut command = shaper();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary under test starts");
    // One that refuses its arguments does not read; the pipe has room for all of it.
    let _unread = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("our own child can be waited for")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// Shapes: what follows `shaper apply --ns inst-1`, and what the message must say. No row gets as far as the namespace.
#[rustfmt::skip]
const BAD_SHAPES: &[(&[&str], &[&str])] = &[
    // no shape, or parts that do nothing
    (&[], &["nothing to apply", "`100ms`", "`10mbit`"]),
    (&["--seed", "4"], &["nothing to apply"]),
    (&["--latency", "0ms"], &["a latency of zero is none", "shaper clear"]),
    (&["--jitter", "5ms"], &["jitter 5ms", "a latency of at least 5ms"]),
    (&["--jitter", "5ms", "--bandwidth", "1mbit"], &["jitter 5ms", "a latency of at least 5ms"]),
    (&["--latency", "10ms", "--distribution", "normal"], &["`normal`", "give a jitter"]),
    (&["--latency", "10ms", "--jitter", "1ms", "--distribution", "gauss"], &["'--distribution <NAME|FILE>'", "`gauss` is not a distribution", "`normal`", "a `/` or a `.`"]),
    (&["--distribution", "./no/such.dist"], &["'--distribution <NAME|FILE>'", "cannot read `./no/such.dist`", "No such file"]),
    (&["--distribution", "/"], &["cannot read `/`", "directory"]),
    (&["--distribution", "/dev/zero"], &["`/dev/zero`", "more than 16 MiB"]),
    (&["--distribution", "/dev/null"], &["`/dev/null`", "no numbers", "`12.3ms`"]),
    (&["--latency", "10ms", "--jitter", "1ms", "--distribution", "table:AAAA"], &["is no table", "base64", "`shaper show --json`"]),
    (&["--latency", "10ms", "--queue", "64kb"], &["queue 64Kb", "give a bandwidth"]),
    // times
    (&["--latency", "100"], &["'--latency <TIME>'", "`100` has no unit", "`100ms` or `100us`"]),
    (&["--latency", "0"], &["`0` has no unit"]),
    (&["--latency", ""], &["--latency <TIME>", "empty", "`100ms`"]),
    (&["--latency="], &["--latency <TIME>", "empty", "`100ms`"]),
    (&["--latency"], &["a value is required for '--latency <TIME>'"]),
    (&["--latency", "--jitter", "5ms"], &["a value is required for '--latency <TIME>'"]),
    (&["--latency", "-5ms"], &["'--latency <TIME>'", "`-5ms` is negative", "`100ms`"]),
    (&["--delay", "-.5s"], &["'--latency <TIME>'", "`-.5s` is negative", "`100ms`"]),
    (&["--latency", "+5ms"], &["`+5ms` is not a time", "`100ms`"]),
    (&["--latency", "ms"], &["`ms` is not a time", "`100ms`"]),
    (&["--latency", "fast"], &["`fast` is not a time", "`100ms`"]),
    (&["--latency", "NaN"], &["`NaN` is not a time"]),
    (&["--latency", "infs"], &["`infs` is not a time"]),
    (&["--latency", "１００ms"], &["`１００ms` is not a time", "`100ms`"]),
    (&["--latency", "−5ms"], &["`−5ms` is not a time", "`100ms`"]),
    (&["--latency", "100 ms"], &["` ms` is no unit", "`100ms`"]),
    (&["--latency", "1,5s"], &["`,5s` is no unit", "`1.5s`"]),
    (&["--latency", "1e3ms"], &["`e3ms` is no unit"]),
    (&["--latency", "0x10ms"], &["`x10ms` is no unit"]),
    (&["--latency", "10mbit"], &["`mbit` is no unit", "`ms`"]),
    (&["--latency", "5m"], &["`5m` is ambiguous", "`5ms` or `5min`"]),
    (&["--latency", "0.1ns"], &["`0.1ns` is too small", "1ns"]),
    (&["--latency", "99999999999999999999s"], &["too large", "at most 18446744073.709551615s"]),
    (&["--latency", "61min"], &["latency 3660s", "at most 3600s"]),
    (&["--latency", "10ms", "--jitter", "20ms"], &["jitter 20ms", "latency 10ms", "at most 10ms"]),
    (&["--latency", "10ms", "--jitter", "11ms", "--distribution", "pareto"], &["jitter 11ms", "at most 10ms"]),
    (&["--latency", "10ms", "--jitter", "10%"], &["'--jitter <TIME>'", "`%` is no unit"]),
    // the link's MTU
    (&["--mtu", "1279"], &["'--mtu <BYTES>'", "an MTU of 1279 is out of range", "from 1280", "takes IPv6 off"]),
    (&["--mtu", "65536"], &["an MTU of 65536 is out of range", "65535"]),
    (&["--mtu", "1500b"], &["`1500b` is not an MTU", "`1400`"]),
    (&["--mtu", "1400", "--for", "5s"], &["nothing to apply"]),
    // rates
    (&["--bandwidth", "10"], &["'--bandwidth <RATE>'", "`10` has no unit", "`10mbit`"]),
    (&["--bandwidth", "8mbps"], &["`8mbps` is ambiguous", "bits or bytes?", "`8mbit` or `8MB/s`"]),
    (&["--rate", "64kbps"], &["`64kbps` is ambiguous", "`64kbit` or `64kB/s`"]),
    (&["--bandwidth", "9600bps"], &["ambiguous", "`9600bit` or `9600B/s`"]),
    (&["--bandwidth", "1Gbps"], &["ambiguous", "`1gbit` or `1GB/s`"]),
    (&["--bandwidth", "1Mb/s"], &["ambiguous", "`1mbit` or `1MB/s`"]),
    (&["--bandwidth", "10m"], &["ambiguous", "`10mbit` or `10MB/s`"]),
    (&["--bandwidth", "-1mbit"], &["`-1mbit` is negative", "`10mbit`"]),
    (&["--bandwidth", "0mbit"], &["bandwidth 0bit", "from 8Kbit to 100Gbit"]),
    (&["--bandwidth", "7kbit"], &["bandwidth 7Kbit", "from 8Kbit to 100Gbit"]),
    (&["--bandwidth", "101gbit"], &["bandwidth 101Gbit", "from 8Kbit to 100Gbit"]),
    (&["--bandwidth", "99999999999999999999tbit"], &["too large"]),
    // queues
    (&["--bandwidth", "1mbit", "--queue", "100"], &["'--queue <TIME|SIZE>'", "`100ms` or `100kb`"]),
    (&["--bandwidth", "1mbit", "--queue", "1m"], &["`1m` is ambiguous", "`1ms` or `1min` or `1mb`"]),
    (&["--bandwidth", "1mbit", "--queue", "64kbit"], &["`kbit` is no unit", "`64kb`"]),
    (&["--bandwidth", "1mbit", "--queue", "1000b"], &["queue 1000b at 1Mbit", "at least 1514b"]),
    (&["--bandwidth", "1mbit", "--queue", "1ms"], &["queue 1ms at 1Mbit", "at least 12.112ms"]),
    (&["--bandwidth", "1gbit", "--queue", "2gb"], &["queue 2Gb at 1Gbit", "at most 1Gb"]),
    (&["--bandwidth", "1mbit", "--queue", "0ms"], &["queue 0ns", "at least"]),
    // probabilities
    (&["--loss", "1"], &["'--loss <PERCENT>'", "`1` has no unit", "write `1%`", "from 0 to 100 and `%`"]),
    (&["--loss", "0.01"], &["'--loss <PERCENT>'", "`0.01` has no unit", "write `0.01%`", "`25%`"]),
    (&["--loss", "1/100"], &["`/100` is no unit", "`0.1%`"]),
    (&["--loss", ""], &["--loss <PERCENT>", "empty", "`0.1%`"]),
    (&["--loss"], &["a value is required for '--loss <PERCENT>'"]),
    (&["--loss", "%"], &["`%` is not a probability", "`0.1%`"]),
    (&["--loss", "some"], &["`some` is not a probability", "`0.1%`"]),
    (&["--loss", "250%"], &["`250%` is too large", "at most 100%", "from 0 to 100"]),
    (&["--loss", "100.000001%"], &["`100.000001%` is too large", "at most 100%"]),
    (&["--loss", "-1%"], &["`-1%` is negative", "`0.1%`"]),
    (&["--loss", "1e-3%"], &["`e-3%` is no unit", "`0.1%`"]),
    (&["--loss", "1,5%"], &["`,5%` is no unit", "`0.1%`"]),
    (&["--loss", "1ms"], &["`ms` is no unit", "`0.1%`"]),
    (&["--loss", "0.000000001%"], &["`0.000000001%` is too small", "0.00000002%"]),
    (&["--duplicate", "101%"], &["'--duplicate <PERCENT>'", "`101%` is too large"]),
    (&["--corrupt", "0.1"], &["'--corrupt <PERCENT>'", "`0.1` has no unit"]),
    (&["--latency", "1ms", "--reorder", "25"], &["'--reorder <PERCENT>'", "`25` has no unit"]),
    (&["--latency", "2ms", "--jitter", "1ms", "--jitter-correlation", "0.5"], &["'--jitter-correlation <PERCENT>'", "no unit"]),
    // faults of nothing, and correlations without one
    (&["--loss", "0%"], &["a loss of zero is none", "shaper clear"]),
    (&["--loss-pattern", "0000"], &["a loss of zero is none"]),
    (&["--duplicate", "0%"], &["a duplication of zero is none"]),
    (&["--corrupt", "0%", "--seed", "1"], &["a corruption of zero is none"]),
    (&["--loss-correlation", "25%"], &["loss-correlation 25%", "give loss too", "`loss 1%`"]),
    (&["--loss-gemodel", "1%", "--loss-correlation", "25%"], &["loss-correlation 25%", "give loss too"]),
    (&["--loss", "1%", "--loss-correlation", "100%"], &["loss-correlation 100% is out of range", "at most 99%"]),
    (&["--latency", "1ms", "--duplicate-correlation", "25%"], &["duplicate-correlation 25%", "give duplicate too"]),
    (&["--latency", "1ms", "--corrupt-correlation", "25%"], &["corrupt-correlation 25%", "give corrupt too"]),
    (&["--corrupt", "1%", "--corrupt-correlation", "99.5%"], &["corrupt-correlation 99.5% is out of range", "at most 99%"]),
    (&["--latency", "1ms", "--reorder-correlation", "25%"], &["reorder-correlation 25%", "give reorder too"]),
    (&["--latency", "1ms", "--jitter-correlation", "25%"], &["jitter-correlation 25%", "give jitter too", "`jitter 10ms`"]),
    // models of loss
    (&["--loss", "1%", "--loss-pattern", "0010"], &["`loss 1%` and `loss-pattern 0010` are two models of loss", "give one"]),
    (&["--loss-gemodel", "1%", "--loss-state", "1%"], &["`loss-gemodel 1%,99%,100%,0%` and `loss-state 1%,99%,0%,100%,0%`"]),
    (&["--loss-gemodel", ""], &["--loss-gemodel <P[,R[,1-H[,1-K]]]>", "empty", "`1%,10%`"]),
    (&["--loss-gemodel", "1"], &["`1` has no unit", "write `1%`"]),
    (&["--loss-gemodel", "1%,10"], &["`10` has no unit", "write `10%`"]),
    (&["--loss-gemodel", "1% 10%"], &["`% 10%` is no unit"]),
    (&["--loss-gemodel", "1%,"], &["a probability cannot be empty"]),
    (&["--loss-gemodel", "1%,2%,3%,4%,5%"], &["is not a Gilbert-Elliott loss", "one to four percentages", "`1%,10%,70%,0.1%`"]),
    (&["--loss-gemodel", "1%,110%"], &["`110%` is too large", "at most 100%"]),
    (&["--loss-state", "1%,2%,3%,4%,5%,6%"], &["is not a four-state loss", "one to five percentages"]),
    (&["--loss-state", "60%,40%,0%,100%,50%"], &["state 1 with P13 60% and P14 50%", "make one of them smaller"]),
    (&["--loss-state", "1%,70%,40%"], &["state 3 with P31 70% and P32 40%", "more than 100% together"]),
    (&["--loss-pattern", ""], &["a loss pattern cannot be empty", "`0010`"]),
    (&["--loss-pattern", "0120"], &["`0120` is not a loss pattern", "1 to 64 digits", "`0010`"]),
    (&["--loss-pattern", "50%"], &["`50%` is not a loss pattern"]),
    (&["--loss-pattern", "00000000000000000000000000000000000000000000000000000000000000001"], &["0000…` is not a loss pattern", "1 to 64 digits"]),
    // order
    (&["--reorder", "25%"], &["reorder 25%", "give a latency"]),
    (&["--bandwidth", "1mbit", "--reorder", "25%"], &["reorder 25%", "give a latency"]),
    (&["--latency", "1ms", "--reorder-gap", "5"], &["reorder-gap 5", "give a reorder"]),
    (&["--latency", "1ms", "--reorder", "1%", "--reorder-gap", "1"], &["'--reorder-gap <N>'", "\"1\" is not a gap", "from 2 to 255"]),
    (&["--latency", "1ms", "--reorder", "1%", "--reorder-gap", "256"], &["\"256\" is not a gap", "from 2 to 255"]),
    (&["--latency", "1ms", "--reorder", "1%", "--reorder-gap", "-5"], &["\"-5\" is not a gap", "`5`"]),
    (&["--latency", "1ms", "--keep-order"], &["keep-order has no jitter", "give a jitter"]),
    (&["--latency", "2ms", "--jitter", "1ms", "--keep-order", "--reorder", "1%"], &["keep-order and reorder 1% contradict", "one of them"]),
    (&["--latency", "2ms", "--jitter", "1ms", "--keep-order=no"], &["unexpected value 'no' for '--keep-order'"]),
    // what only a bottleneck has
    (&["--latency", "1ms", "--ecn", "5ms"], &["ecn 5ms", "give a bandwidth"]),
    (&["--bandwidth", "10mbit", "--ecn", "5"], &["'--ecn <TIME>'", "`5ms` or `5us`"]),
    (&["--bandwidth", "10mbit", "--ecn", "100ms"], &["ecn 100ms is not below the queue of 100ms", "less than 100ms"]),
    (&["--latency", "1ms", "--burst", "32kb"], &["burst 32Kb", "give a bandwidth"]),
    (&["--bandwidth", "10mbit", "--burst", "32"], &["'--burst <SIZE>'", "`32kb` or `32b`"]),
    (&["--bandwidth", "10mbit", "--burst", "5ms"], &["'--burst <SIZE>'", "`ms` is no unit", "`64kb`"]),
    (&["--bandwidth", "10gbit", "--burst", "2gb"], &["burst 2Gb at 10Gbit", "at most 1Gb"]),
    (&["--latency", "1ms", "--overhead", "24b"], &["overhead 24b", "give a bandwidth"]),
    (&["--bandwidth", "10mbit", "--overhead", "24"], &["'--overhead <PACKET[,CELL[,PER_CELL]]>'", "`24` has no unit", "`24b`"]),
    (&["--bandwidth", "10mbit", "--overhead", "-14"], &["`-14` has no unit", "write `-14b`"]),
    (&["--bandwidth", "10mbit", "--overhead", "24,48,5"], &["`24` has no unit", "`10b,48b,5b`"]),
    (&["--bandwidth", "10mbit", "--overhead", "2000b"], &["`2000b` is out of range for the overhead of a packet", "from -100b to 1000b"]),
    (&["--bandwidth", "10mbit", "--overhead", "-200b"], &["`-200b` is out of range", "from -100b to 1000b"]),
    (&["--bandwidth", "10mbit", "--overhead", "10b,0b"], &["`0b` is out of range for a cell", "from 1b to 65535b"]),
    (&["--bandwidth", "10mbit", "--overhead", "10b,48b,-48b"], &["`-48b` is out of range for the overhead of a cell", "from -47b"]),
    (&["--bandwidth", "10mbit", "--overhead", "1b,2b,3b,4b"], &["`1b,2b,3b,4b` is not an overhead", "`10b,48b,5b`"]),
    // words and numbers
    (&["--latency", "1ms", "--jitter", "1ms", "--distribution", "gauss"], &["'gauss'", "`uniform`, `normal`, `pareto`, `paretonormal`"]),
    (&["--latency", "1ms", "--engine", "tbf"], &["'tbf'", "auto, edt, netem, relay"]),
    (&["--latency", "1ms", "--engine", ""], &["--engine <NAME>", "auto, edt, netem, relay"]),
    (&["--latency", "1ms", "--direction", "up"], &["'up'", "egress, ingress, both"]),
    (&["--latency", "1ms", "--seed", "-1"], &["\"-1\" is not a seed", "from 0 to 18446744073709551615"]),
    (&["--latency", "1ms", "--seed", "18446744073709551616"], &["not a seed"]),
    (&["--latency", "1ms", "--seed", "lucky"], &["\"lucky\" is not a seed", "`42`"]),
    (&["--latency", "1ms", "--for", "30"], &["'--for <TIME>'", "`30ms` or `30us`"]),
    (&["--latency", "1ms", "--for", "0s"], &["`0s` is out of range", "from 1ms"]),
    (&["--latency", "1ms", "--for", "-3s"], &["`-3s` is negative"]),
    (&["--latency", "1ms", "--for", "9000h"], &["`9000h` is out of range", "8760h"]),
    // policies
    (&["--policy", "deny"], &["'deny'", "allow-all, deny-all"]),
    (&["--policy", ""], &["--policy <NAME>", "allow-all, deny-all"]),
    (&["--policy"], &["a value is required for '--policy <NAME>'"]),
    (&["--policy", "deny-all", "--policy", "allow-all"], &["'--policy <NAME>' cannot be used multiple times"]),
    (&["--latency", "1ms", "--keep", "192.0.2.7"], &["--keep", "`--policy deny-all`"]),
    (&["--policy", "allow-all", "--keep", "192.0.2.7"], &["--keep", "`--policy deny-all`"]),
    (&["--keep", "192.0.2.7"], &["--keep", "`--policy deny-all`"]),
    (&["--policy", "deny-all", "--keep", ""], &["--keep <HOST>", "`` is not an address", "`192.0.2.7`"]),
    (&["--policy", "deny-all", "--keep", "example.org"], &["'--keep <HOST>'", "`example.org` is not an address", "names are not looked up", "`2001:db8::7`"]),
    (&["--policy", "deny-all", "--keep", "192.0.2.7", "--keep", "192.0.2.8:80"], &["`192.0.2.8:80` is not an address"]),
    (&["--policy", "deny-all", "--keep", "192.0.2.0/33"], &["`192.0.2.0/33`", "from 1 to 32"]),
    (&["--policy", "deny-all", "--keep", "192.0.2.7/24"], &["bits beyond its prefix", "`192.0.2.0/24`", "`192.0.2.7`"]),
    (&["--policy", "deny-all", "--keep", "0.0.0.0/0"], &["`0.0.0.0/0` is everything", "`--policy allow-all`"]),
    (&["--policy", "deny-all", "--keep", "ff02::1"], &["`ff02::1` is a multicast address"]),
    (&["--policy", "deny-all", "--keep", "fe80::1"], &["`fe80::1` is an address of a single link"]),
    (&["--policy", "deny-all", "--for", "30s"], &["--for is the time limit of a shape", "`clear`"]),
    (&["--policy", "deny-all", "--engine", "relay"], &["--engine and --direction are of a shape", "`--latency 100ms`"]),
    (&["--policy", "allow-all", "--direction", "both"], &["--engine and --direction are of a shape"]),
    (&["--policy", "deny-all", "--seed", "4"], &["nothing to apply"]),
    (&["--policy", "deny-all", "--latency", "0ms"], &["a latency of zero is none"]),
    // destinations
    (&["--latency", "1ms", "--to", ""], &["--to <CIDR[:PORT[/PROTO]]>", "empty", "`10.0.0.5`", "`10.0.0.5:80/tcp`"]),
    (&["--latency", "1ms", "--to"], &["a value is required for '--to <CIDR[:PORT[/PROTO]]>'"]),
    (&["--latency", "1ms", "--to", "web"], &["'--to <CIDR[:PORT[/PROTO]]>'", "`web` is no IP address", "`10.0.0.0/24`"]),
    (&["--latency", "1ms", "--to", "10.0.0.5/24"], &["`10.0.0.5/24` has bits set behind the first 24", "`10.0.0.0/24` or `10.0.0.5`"]),
    (&["--latency", "1ms", "--to", "10.0.0.0/33"], &["`33` is no length of a prefix of 10.0.0.0", "from 0 to 32"]),
    (&["--latency", "1ms", "--to", "fd00::/129"], &["`129` is no length", "from 0 to 128"]),
    (&["--latency", "1ms", "--to", "10.0.0.5/tcp"], &["`tcp` is no length", "`:80/tcp`"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:0"], &["`0` is no port", "from 1 to 65535", "`*` for any"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:65536"], &["`65536` is no port", "from 1 to 65535"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:http"], &["`http` is no port"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:80/http"], &["`http` is not a protocol", "`tcp`, `udp`, `sctp`, `icmp`", "from 0 to 255"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:80/256"], &["`256` is not a protocol", "from 0 to 255"]),
    (&["--latency", "1ms", "--to", "10.0.0.5:80/icmp"], &["`icmp` has no ports", "`*` for the port", "tcp, udp and sctp"]),
    (&["--latency", "1ms", "--to", "fd00::5:80/tcp"], &["`fd00::5:80/tcp` is not a destination", "behind a port"]),
    (&["--latency", "1ms", "--to", "[fd00::5"], &["brackets hold an IPv6 address", "`[fd00::5]:80/tcp`"]),
    (&["--latency", "1ms", "--to", "[10.0.0.5]:80"], &["brackets hold an IPv6 address"]),
    (&["--latency", "1ms", "--to", "::ffff:10.0.0.5"], &["write `10.0.0.5`"]),
    (&["--latency", "1ms", "--to", "10.0.0.5,10.0.0.6"], &["`10.0.0.5,10.0.0.6` is no IP address"]),
    (&["--latency", "1ms", "--to", "10.0.0.5", "--to", "10.0.0.6"], &["'--to <CIDR[:PORT[/PROTO]]>' cannot be used multiple times"]),
    // filters
    (&["--filter", "accept"], &["nothing to apply"]),
    (&["--filter", "deny"], &["'deny'", "accept, drop, reject, reset"]),
    (&["--filter", ""], &["--filter <NAME>", "accept, drop, reject, reset"]),
    (&["--filter", "drop", "--latency", "1ms"], &["filter `drop` leaves the shape nothing to act on", "`after`"]),
    (&["--filter", "drop", "--after", "10"], &["'--after <TIME>'", "`10ms` or `10us`"]),
    (&["--filter", "drop", "--after", "-1s"], &["'--after <TIME>'", "`-1s` is negative"]),
    (&["--filter", "drop", "--after", "0s"], &["after 0ns is out of range", "from 1ms to 8760h"]),
    (&["--filter", "drop", "--after", "9000h"], &["after 32400000s is out of range", "from 1ms to 8760h"]),
    (&["--filter", "drop", "--after", "2s", "--for", "1s"], &["after 2s is not before the end of the rule at 1s", "less than 1s"]),
    (&["--latency", "1ms", "--after", "1s"], &["after 1s has no filter to begin", "`drop`"]),
    (&["--filter", "accept", "--after", "1s", "--latency", "1ms"], &["after 1s has no filter to begin"]),
    (&["--filter", "drop", "--filter", "drop"], &["'--filter <NAME>' cannot be used multiple times"]),
    // links as a whole
    (&["--fail-closed"], &["nothing to apply"]),
    (&["--shape-neighbours"], &["nothing to apply"]),
    (&["--down=yes"], &["unexpected value 'yes' for '--down'"]),
    (&["--latency", "1ms", "--fail-closed=no"], &["unexpected value 'no' for '--fail-closed'"]),
    (&["--latency", "1ms", "--shape-neighbors"], &["'--shape-neighbors'", "'--shape-neighbours'"]),
    // files
    (&["--file"], &["a value is required for '--file <FILE>'"]),
    (&["--file", ""], &["a value is required for '--file <FILE>'"]),
    (&["--file", "/nonexistent/rules.toml"], &["cannot read the rules from `/nonexistent/rules.toml`", "No such file"]),
    (&["--file", "/"], &["cannot read the rules from `/`", "directory"]),
    (&["--file", "/dev/null"], &["`/dev/null`: rules: there are none", "`rules = []`"]),
    (&["--file", "a.toml", "--to", "10.0.0.5"], &["'--file <FILE>' cannot be used with '--to"]),
    (&["--file", "a.toml", "--latency", "1ms"], &["'--file <FILE>' cannot be used with '--latency"]),
    (&["--file", "a.toml", "--down"], &["'--file <FILE>' cannot be used with '--down'"]),
    (&["--file", "a.toml", "--file", "b.toml"], &["'--file <FILE>' cannot be used multiple times"]),
    // links
    (&["--latency", "1ms", "--dev", ""], &["--dev <LINK>", "`eth0`"]),
    (&["--latency", "1ms", "--dev", "a-name-of-16-byt"], &["\"a-name-of-16-byt\" cannot be the name of a link", "15 bytes"]),
    (&["--latency", "1ms", "--dev", "eth0:1"], &["\"eth0:1\" cannot be the name of a link"]),
    (&["--latency", "1ms", "--dev", "../eth0"], &["\"../eth0\" cannot be the name of a link"]),
    // flags
    (&["--latency", "1ms", "--latency", "2ms"], &["'--latency <TIME>' cannot be used multiple times"]),
    (&["--latency", "1ms", "--delay", "2ms"], &["'--latency <TIME>' cannot be used multiple times"]),
    (&["--latencyy", "1ms"], &["'--latencyy'", "'--latency'"]),
    (&["--latency", "1ms", "--losss", "25%"], &["unexpected argument '--losss'", "'--loss'"]),
    (&["--loss", "1%", "--loss", "2%"], &["'--loss <PERCENT>' cannot be used multiple times"]),
    (&["--latency", "1ms", "--pid", "1"], &["'--ns <NAME|PATH>' cannot be used with '--pid <PID>'"]),
    (&["--latency", "1ms", "--self"], &["'--ns <NAME|PATH>' cannot be used with '--self'"]),
    (&["--latency", "1ms", "--json=yes"], &["unexpected value 'yes' for '--json'"]),
    (&["--latency", "1ms", "eth0"], &["unexpected argument 'eth0'"]),
];

/// Whole command lines, and what the message must say.
#[rustfmt::skip]
const BAD_COMMANDS: &[(&[&str], &[&str])] = &[
    (&[], &["Usage: shaper <COMMAND>"]),
    (&["aply"], &["'aply'", "'apply'"]),
    (&["--latency", "1ms"], &["'--latency'"]),
    (&["apply", "--latency", "1ms"], &["--ns <NAME|PATH>", "--pid <PID>", "--self"]),
    (&["apply", "--ns", "", "--latency", "1ms"], &["--ns <NAME|PATH>", "`inst-1`", "`/proc/4242/ns/net`"]),
    (&["apply", "--ns", "..", "--latency", "1ms"], &["\"..\" names no namespace"]),
    (&["apply", "--ns", "two words", "--latency", "1ms"], &["\"two words\" names no namespace", "ip netns"]),
    (&["apply", "--pid", "0", "--latency", "1ms"], &["\"0\" is not a process id", "`4242`"]),
    (&["apply", "--pid", "-1", "--latency", "1ms"], &["\"-1\" is not a process id"]),
    (&["apply", "--pid", "init", "--latency", "1ms"], &["\"init\" is not a process id"]),
    (&["apply", "--pid", "99999999999", "--latency", "1ms"], &["not a process id", "from 1 to 2147483647"]),
    (&["show", "--ns", "a", "--pid", "1"], &["cannot be used with"]),
    (&["show", "inst-1"], &["unexpected argument 'inst-1'"]),
    (&["trace"], &["--ns <NAME|PATH>", "--pid <PID>", "--self"]),
    (&["trace", "--self", "--fate", "late"], &["'late'", "lost, queue-full, duplicated, corrupted, reordered, marked, delayed, filtered, passed"]),
    (&["trace", "--self", "--fate", ""], &["--fate <NAME>", "lost, queue-full"]),
    (&["trace", "--self", "--count", "0"], &["'--count <N>'", "\"0\" is not a count", "`100`"]),
    (&["trace", "--self", "--count", "-1"], &["\"-1\" is not a count"]),
    (&["trace", "--self", "--count", "many"], &["\"many\" is not a count", "from 1"]),
    (&["trace", "--self", "--count", "1", "--count", "2"], &["'--count <N>' cannot be used multiple times"]),
    (&["trace", "--self", "--direction", "up"], &["'up'", "egress, ingress, both"]),
    (&["trace", "--self", "--dev", "../eth0"], &["cannot be the name of a link"]),
    (&["trace", "--self", "--ns", "a"], &["cannot be used with"]),
    (&["trace", "--self", "--pcapng"], &["a value is required for '--pcapng <FILE>'"]),
    (&["trace", "--self", "--pcapng", ""], &["a value is required for '--pcapng <FILE>'"]),
    (&["trace", "--self", "--pcapng", "-", "--json"], &["'--pcapng <FILE>' cannot be used with '--json'"]),
    (&["trace", "--self", "--pcapng", "a", "--pcapng", "b"], &["'--pcapng <FILE>' cannot be used multiple times"]),
    (&["clear"], &["--ns <NAME|PATH>", "--all"]),
    (&["clear", "--to", "10.0.0.5"], &["--ns <NAME|PATH>", "--all"]),
    (&["clear", "--all", "--to", "web"], &["'--to <CIDR[:PORT[/PROTO]]>'", "`web` is no IP address"]),
    (&["clear", "--all", "--to"], &["a value is required for '--to"]),
    (&["show", "--ns", "a", "--as", "xml"], &["'xml'", "toml, yaml, json"]),
    (&["show", "--ns", "a", "--as"], &["a value is required for '--as", "toml, yaml, json"]),
    (&["show", "--ns", "a", "--as", "json", "--json"], &["'--as <FORMAT>' cannot be used with '--json'"]),
    (&["clear", "--all", "--self"], &["'--all' cannot be used with '--self'"]),
    (&["doctor", "--ns", "a"], &["unexpected argument '--ns'"]),
    (&["demo", "--latency", "20"], &["`20` has no unit"]),
    (&["demo", "--jitter", "5ms"], &["a latency of at least 5ms"]),
    (&["demo", "--loss", "5"], &["`5` has no unit"]),
    (&["relay", "--tap-fd", "-1"], &["'--tap-fd <FD>'", "-1 is not in 0.."]),
];

/// Files on standard input, and what the message must say.
#[rustfmt::skip]
const BAD_FILES: &[(&str, &[&str])] = &[
    ("", &["rules: there are none", "`rules = []`"]),
    ("{}", &["rules: there are none"]),
    ("{\"rules\": [", &["line 1, column 11", "read as json"]),
    ("[[rules]]\nto = \"10.0.0.5\n", &["line 2", "read as toml"]),
    ("rules:\n  - to: *x\n", &["line 2", "read as yaml"]),
    ("rules = 3", &["rules: the number `3` is here", "a list of rules"]),
    (r#"{"rules": [], "rules": []}"#, &["`rules` is given twice"]),
    (r#"{"rules": [{"latancy": "1ms"}]}"#, &["rules[0].latancy: unknown key", "`latency`"]),
    (r#"{"rule": []}"#, &["rule: unknown key", "`rules`"]),
    (r#"{"rules": [{"latency": 10}]}"#, &["rules[0].latency: the number `10` is here", "such as `100ms`"]),
    (r#"{"rules": [{"latency": "10"}]}"#, &["rules[0].latency: `10` has no unit", "`10ms` or `10us`"]),
    (r#"{"rules": [{"latency": "1ms"}, {"latency": "1ms", "jitter": "2ms"}]}"#, &["rules[1]: jitter 2ms", "at most 1ms"]),
    (r#"{"rules": [{"latency": "1ms"}, {"latency": "2ms"}]}"#, &["rules[1]: rules[0] is for all peers", "one rule for each destination"]),
    (r#"{"rules": [{"to": "10.0.0.5"}, {"to": "10.0.0.5/32", "loss": "1%"}]}"#, &["rules[1]: rules[0] is for `10.0.0.5` already"]),
    (r#"{"rules": [{"to": "10.0.0.5/24", "latency": "1ms"}]}"#, &["rules[0].to: `10.0.0.5/24` has bits set behind the first 24", "`10.0.0.0/24`"]),
    (r#"{"rules": [{"to": "10.0.0.5:80/icmp", "filter": "drop"}]}"#, &["rules[0].to: `icmp` has no ports", "`*`"]),
    (r#"{"rules": [{"latency": "1ms", "direction": "up"}]}"#, &["rules[0].direction: `up` is not a direction", "`egress`, `ingress`, `both`"]),
    (r#"{"rules": [{"filter": "deny"}]}"#, &["rules[0].filter: `deny` is not a filter", "`accept`, `drop`"]),
    (r#"{"rules": [{"filter": "drop", "after": "0s"}]}"#, &["rules[0]: after 0ns is out of range", "from 1ms"]),
    (r#"{"rules": [{"filter": "drop", "for": "0s"}]}"#, &["rules[0]", "out of range", "from 1ms"]),
    (r#"{"dev": "../eth0", "rules": []}"#, &["dev: `../eth0` cannot be the name of a link", "`eth0`"]),
    (r#"{"engine": "tbf", "rules": []}"#, &["engine: `tbf` is not an engine", "`auto`, `edt`, `netem`, `relay`"]),
    (r#"{"seed": -1, "rules": []}"#, &["seed: the number `-1` is here", "from 0 to 18446744073709551615"]),
    (r#"{"down": "yes"}"#, &["down: the text `yes` is here", "`true` or `false`"]),
];

/// Exit code 2, nothing on stdout, and one message on stderr with every one of `words`; or what was different.
fn refused(args: &[&str], words: &[&str]) -> Result<(), String> {
    refused_with(args, "", words)
}

/// As [`refused`], with `input` on standard input.
fn refused_with(args: &[&str], input: &str, words: &[&str]) -> Result<(), String> {
    let output = run_fed(args, input);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let wrong = |what: String| Err(format!("shaper {args:?}: {what}\nstderr: {stderr}"));
    if output.status.code() != Some(2) {
        return wrong(format!("{}, expected exit code 2", output.status));
    }
    if !stdout.is_empty() {
        return wrong(format!("printed on stdout: {stdout}"));
    }
    if let Some(word) = words.iter().find(|word| !stderr.contains(**word)) {
        return wrong(format!("the message lacks {word:?}"));
    }
    let messages = stderr.lines().filter(|line| line.starts_with("shaper: ")).count();
    if messages != 1 && !args.is_empty() {
        return wrong(format!("{messages} messages"));
    }
    Ok(())
}

fn check_table(rows: impl Iterator<Item = (Vec<&'static str>, &'static [&'static str])>) {
    let failures: Vec<String> = rows.filter_map(|(args, words)| refused(&args, words).err()).collect();
    assert!(failures.is_empty(), "{} rows failed:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn bad_shapes_are_refused_with_the_value_and_the_legal_forms() {
    check_table(
        BAD_SHAPES.iter().map(|&(args, words)| ([&["apply", "--ns", "inst-1"], args].concat(), words)),
    );
}

#[test]
fn bad_files_are_refused_with_the_place_the_value_and_the_legal_forms() {
    let args = ["apply", "--ns", "inst-1", "--file", "-"];
    let refused = |(input, words): &(&str, &[&str])| {
        refused_with(&args, input, &[words, &["standard input"][..]].concat())
            .err()
            .map(|why| format!("{input:?}: {why}"))
    };
    let failures: Vec<String> = BAD_FILES.iter().filter_map(refused).collect();
    assert!(failures.is_empty(), "{} files failed:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn bad_commands_are_refused_with_what_would_be_right() {
    check_table(BAD_COMMANDS.iter().map(|&(args, words)| (args.to_vec(), words)));
}

#[test]
fn a_long_value_is_not_repeated_in_full() {
    let long = "9".repeat(100_000);
    let stderr = text(&run(&["apply", "--self", "--latency", &format!("1{}", "x".repeat(1000))]).stderr);
    assert!(stderr.contains("xxx…`"), "{stderr}");
    assert_eq!(run(&["apply", "--self", "--latency", &long]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let output =
        shaper().args(["apply", "--self", "--latency"]).arg(OsStr::from_bytes(b"5\xffms")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("shaper: invalid UTF-8"), "{}", text(&output.stderr));
}

#[test]
fn help_and_version_are_results() {
    for args in [
        &["--help"][..],
        &["apply", "--help"],
        &["show", "-h"],
        &["trace", "-h"],
        &["clear", "-h"],
        &["doctor", "-h"],
        &["demo", "-h"],
    ] {
        let output = run(args);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
        for word in ["Examples:\n  shaper ", "Exit codes:\n  0  done\n", "Usage: shaper"] {
            assert!(stdout.contains(word), "{args:?}: lacks {word:?}\n{stdout}");
        }
        assert!(!stdout.contains("relay  "), "the relay command is not for people\n{stdout}");
    }
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(version, format!("shaper {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = shaper()
        .arg("--help")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = shaper()
        .arg("--help")
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).starts_with("shaper: cannot write the result to stdout: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn bad_files_of_delays_are_refused_with_their_lines() {
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.delays", std::process::id()));
    let name = path.to_str().expect("a path in UTF-8");
    for (content, args, words) in [
        (&b"10ms\n12.5\n"[..], &[][..], &["line 2", "`12.5` has no unit", "`# unit: ms`"][..]),
        (b"10\n12\n", &[], &["line 1", "could be delays", "`# unit: ms`"]),
        (b"1 2\n3 99999\n", &[], &["line 2", "`99999` is no value of netem's table", "from -32768 to 32767"]),
        (b"10ms\n", &[], &["line 1", "at least 2"]),
        (b"1ms\n\xff\n", &[], &["line 2", "this is no text"]),
        (b"1ms\n2ms\n", &["--latency", "5ms"], &["latency 5ms contradicts", "the mean is 1.5ms", "leave"]),
        (b"1ms\n2ms\n", &["--jitter", "5ms"], &["jitter 5ms contradicts"]),
        (b"-1 1\n", &["--latency", "5ms"], &["table (4096 values", "give a jitter"]),
    ] {
        std::fs::write(&path, content).expect("the target directory is writable");
        let args = [&["apply", "--ns", "inst-1", "--distribution", name], args].concat();
        refused(&args, words).unwrap();
        // The same through a file of rules.
        let rule = args[3..].chunks(2).map(|pair| format!("{} = {:?}\n", &pair[0][2..], pair[1]));
        let rules = path.with_extension("toml");
        std::fs::write(&rules, format!("[[rules]]\n{}", rule.collect::<String>())).unwrap();
        refused(&["apply", "--ns", "inst-1", "-f", rules.to_str().unwrap()], words).unwrap();
        std::fs::remove_file(&rules).unwrap();
    }
    std::fs::remove_file(&path).unwrap();
}
