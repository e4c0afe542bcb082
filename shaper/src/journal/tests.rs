use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Error, Journal};
use crate::scratch::Directory;

fn read(path: &Path) -> (Journal, Vec<u32>) {
    let mut records = Vec::new();
    let journal = Journal::open(path, |record| {
        records.push(record);
        Ok(())
    });
    (journal.unwrap(), records)
}

#[test]
fn what_was_appended_is_there_when_it_is_opened_again() {
    let directory = Directory::new();
    let path = directory.file("made/journal");
    let (mut journal, records) = read(&path);
    assert!(records.is_empty());
    for record in [1, 22, 333] {
        journal.append(&record).unwrap();
    }
    journal.take_back().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(journal);
    let (mut journal, records) = read(&path);
    assert_eq!(records, [1, 22]);
    journal.append(&4).unwrap();
    drop(journal);
    assert_eq!(read(&path).1, [1, 22, 4]);
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let directory = Directory::new();
    let path = directory.file("journal");
    fs::write(&path, "1\n2\n3").unwrap();
    let (mut journal, records) = read(&path);
    assert_eq!(records, [1, 2]);
    journal.append(&4).unwrap();
    drop(journal);
    assert_eq!(read(&path).1, [1, 2, 4]);
}

#[test]
fn a_line_that_is_no_record_is_named_and_left() {
    let directory = Directory::new();
    let path = directory.file("journal");
    fs::write(&path, "1\nx\n3\n").unwrap();
    let error = Journal::open(&path, |_: u32| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Broken { line: 2, .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\nx\n3\n");
    fs::write(&path, "1\n").unwrap();
    let error = Journal::open(&path, |_: u32| Err("odd".to_owned())).unwrap_err();
    assert!(error.to_string().contains("line 1") && error.to_string().contains("odd"), "{error}");
}

#[test]
fn one_at_a_time_has_it_open_also_after_it_was_rewritten() {
    let directory = Directory::new();
    let path = directory.file("journal");
    let (mut journal, _) = read(&path);
    let second = || Journal::open(&path, |_: u32| Ok(()));
    assert!(matches!(second(), Err(Error::InUse { .. })));
    for record in 0..100 {
        journal.append(&record).unwrap();
    }
    // Of one who was killed in between.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.file("journal.new"))
        .unwrap()
        .write_all(b"7")
        .unwrap();
    journal.rewrite([7, 8]).unwrap();
    assert!(matches!(second(), Err(Error::InUse { .. })));
    journal.append(&9).unwrap();
    drop(journal);
    assert_eq!(read(&path).1, [7, 8, 9]);
    assert!(!directory.file("journal.new").exists());
}
