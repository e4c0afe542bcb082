//! The command line as a user types it: what is refused before anything is tried, and where the output goes.

use std::process::{Command, Output, Stdio};

fn shaper() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shaper"));
    command.stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    shaper().args(args).output().expect("the binary under test starts")
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
    // words and numbers
    (&["--latency", "1ms", "--jitter", "1ms", "--distribution", "gauss"], &["'gauss'", "uniform, normal, pareto, paretonormal"]),
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
    // links
    (&["--latency", "1ms", "--dev", ""], &["--dev <LINK>", "`eth0`"]),
    (&["--latency", "1ms", "--dev", "a-name-of-16-byt"], &["\"a-name-of-16-byt\" cannot be the name of a link", "15 bytes"]),
    (&["--latency", "1ms", "--dev", "eth0:1"], &["\"eth0:1\" cannot be the name of a link"]),
    (&["--latency", "1ms", "--dev", "../eth0"], &["\"../eth0\" cannot be the name of a link"]),
    // flags
    (&["--latency", "1ms", "--latency", "2ms"], &["'--latency <TIME>' cannot be used multiple times"]),
    (&["--latency", "1ms", "--delay", "2ms"], &["'--latency <TIME>' cannot be used multiple times"]),
    (&["--latencyy", "1ms"], &["'--latencyy'", "'--latency'"]),
    (&["--latency", "1ms", "--loss", "250%"], &["unexpected argument '--loss'"]),
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
    (&["clear"], &["--ns <NAME|PATH>", "--all"]),
    (&["clear", "--all", "--self"], &["'--all' cannot be used with '--self'"]),
    (&["doctor", "--ns", "a"], &["unexpected argument '--ns'"]),
    (&["demo", "--latency", "20"], &["`20` has no unit"]),
    (&["demo", "--jitter", "5ms"], &["a latency of at least 5ms"]),
    (&["relay", "--tap-fd", "-1"], &["'--tap-fd <FD>'", "-1 is not in 0.."]),
];

/// Exit code 2, nothing on stdout, and one message on stderr with every one of `words`; or what was different.
fn refused(args: &[&str], words: &[&str]) -> Result<(), String> {
    let output = run(args);
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
