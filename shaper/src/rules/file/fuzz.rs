//! Valid files, broken in every way that comes to mind: reading them is an error or a file, never a panic.

use std::time::{Duration, Instant};

use nix::time::ClockId;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::tests::{TEXTS, any_file};
use super::{File, Format};
use crate::rules::To;
use crate::shape::Named as _;

/// How long to go on, in seconds; 2 unless it is set.
const SECONDS: &str = "SHAPER_FUZZ_SECONDS";
/// The number of the first trial, to begin with one that failed; 0 unless it is set.
const FIRST: &str = "SHAPER_FUZZ_FIRST";
/// The longest text made, in bytes: twice any of those it is made of.
const LENGTH_MAX: usize = 8_192;

/// What means something in one format or another.
const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    ":",
    "=",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "#",
    "&a",
    "*a",
    "!!binary ",
    "!!str ",
    "!<x> ",
    "|",
    ">",
    "|2-",
    "---",
    "...",
    "%YAML 1.2\n",
    "%TAG ! x\n",
    "<<",
    "- ",
    "? ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\\u",
    "\\U",
    "\\x",
    "\\ud800",
    "\u{feff}",
    "\0",
    "\u{85}",
    "\u{2028}",
    "null",
    "~",
    "true",
    "no",
    ".nan",
    ".inf",
    "-.inf",
    "nan",
    "1e999",
    "-0",
    "0x",
    "0o8",
    "0b2",
    "1_0",
    "1__0",
    "18446744073709551616",
    "-9223372036854775809",
    "340282366920938463463374607431768211456",
    "1979-05-27T07:32:00Z",
    "07:32",
    "rules",
    "to",
    "for",
    "10.0.0.5",
    "::ffff:1.2.3.4",
    "/",
    "/129",
    "*",
    "%",
    "100%",
    "ü",
    "\u{10ffff}",
];

/// Numbers from a trial's number alone, so that a trial can be made again.
struct Dice {
    trial: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.thrown += 1;
        let number = mix(mix(self.trial) ^ self.thrown);
        usize::try_from(number % bound.max(1) as u64).expect("below a usize")
    }
}

/// What this thread has had of a CPU: others may have them all.
fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("a clock of Linux").into()
}

/// A number in which every bit of `x` is in every bit (the finish of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Says which trial it was, should it panic.
struct Trial(u64);

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was trial {}: {FIRST}={} begins with it", self.0, self.0);
        }
    }
}

/// `text` with something wrong.
fn broken(text: &mut Vec<u8>, corpus: &[String], dice: &mut Dice) {
    let at = dice.below(text.len() + 1);
    let end = at + dice.below((text.len() - at).min(64) + 1);
    match dice.below(9) {
        0 if at < text.len() => text[at] ^= 1 << dice.below(8),
        1 if at < text.len() => text[at] = u8::try_from(dice.below(256)).expect("a byte"),
        2 => text.truncate(at),
        3 => drop(text.drain(at..end)),
        4 => {
            let piece = text[at..end].repeat(1 + dice.below(8));
            text.splice(at..at, piece);
        }
        5 => text.extend_from_within(..),
        6 => {
            let other = corpus[dice.below(corpus.len())].as_bytes();
            let from = dice.below(other.len());
            let to = from + dice.below(other.len() - from + 1);
            text.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let word = WORDS[dice.below(WORDS.len())].as_bytes();
            text.splice(at..if dice.below(2) == 0 { at } else { end }, word.iter().copied());
        }
    }
    text.truncate(LENGTH_MAX);
}

#[test]
fn broken_files_are_refused_or_read_and_nothing_else() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (seconds, first) = (number(SECONDS).unwrap_or(2), number(FIRST).unwrap_or(0));
    let mut runner = TestRunner::deterministic();
    let any = any_file();
    let mut corpus: Vec<String> = TEXTS.iter().map(|(_, text)| (*text).to_owned()).collect();
    for _ in 0..20 {
        let file = any.new_tree(&mut runner).expect("a file").current();
        corpus.extend(Format::ALL.iter().map(|format| file.to_text(*format)));
    }

    let begin = Instant::now();
    let (mut trial, mut read, mut longest) = (first, 0_u64, (Duration::ZERO, first));
    while begin.elapsed() < Duration::from_secs(seconds) {
        let _trial = Trial(trial);
        let mut dice = Dice { trial, thrown: 0 };
        let mut text = corpus[dice.below(corpus.len())].clone().into_bytes();
        for _ in 0..=dice.below(6) {
            broken(&mut text, &corpus, &mut dice);
        }
        let text = String::from_utf8_lossy(&text);
        let start = cpu_time();
        let _ = text.parse::<To>();
        let _ = Format::guess(&text);
        for format in Format::ALL {
            if let Ok(file) = File::parse(&text, *format) {
                read += 1;
                let again = File::parse(&file.to_text(*format), *format);
                assert_eq!(again.as_ref(), Ok(&file), "{text}");
            }
        }
        longest = longest.max((cpu_time().saturating_sub(start), trial));
        trial += 1;
    }
    println!(
        "{} trials in {seconds} s, in three formats each; {read} were files; the longest took {:?} of CPU (trial {})",
        trial - first,
        longest.0,
        longest.1
    );
    assert!(trial > first, "there was no time for a trial");
}
