//! What the eBPF object was built from: a listing that `sha256sum -c` reads too.
//!
//! ```text
//! # aya-ebpf 0.2.1                                   a dependency of the kernel program: compared
//! # built by rustc 1.96.0                            for the reader: not compared
//! 7d86...  shaper-common/src/abi.rs                  every source
//! 0b1f...  shaper/src/bpf/shaper.bpf.o               the object
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Crates whose sources end up in the object.
const CRATES: &[&str] = &["shaper-common", "shaper-ebpf"];

const HEADER: &str = "# The eBPF object and what it was built from: `cargo xtask ebpf` writes this file, \
                      `cargo xtask ebpf --check` and `sha256sum -c` verify it.";

/// The sources of the eBPF object as they are in the tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// `name version` of each locked dependency of the kernel program.
    dependencies: Vec<String>,
    /// Path from the workspace's root, with `/`, to the file's sha256 in hex.
    files: BTreeMap<String, String>,
}

impl Sources {
    /// Reads and hashes them.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for name in CRATES {
            let mut paths = vec![root.join(name).join("Cargo.toml")];
            rust_files(&root.join(name).join("src"), &mut paths)?;
            for path in paths {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let relative = path.strip_prefix(root)?.to_string_lossy().into_owned();
                files.insert(relative, hex(&bytes));
            }
        }
        let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
        Ok(Self { dependencies: locked_aya_ebpf(&lock), files })
    }

    /// One number for all of it: the sha256 of the listing's lines without the object.
    pub(crate) fn digest(&self) -> String {
        hex(self.compared().collect::<Vec<_>>().join("\n").as_bytes())
    }

    /// The text of the listing.
    pub(crate) fn listing(&self, versions: &str, object_path: &str, object: &[u8]) -> String {
        let mut text = format!("{HEADER}\n# built by {versions}\n");
        for line in self.compared() {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&format!("{}  {object_path}\n", hex(object)));
        text
    }

    /// How a committed listing and object differ from the tree; empty when they belong together.
    pub(crate) fn differences(&self, committed: &str, object_path: &str, object: &[u8]) -> Vec<String> {
        let mut differences = Vec::new();
        let mut listed: BTreeMap<&str, &str> = committed
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once("  "))
            .map(|(sum, path)| (path, sum))
            .collect();
        match listed.remove(object_path) {
            Some(sum) if sum == hex(object) => {}
            Some(_) => differences.push(format!("{object_path} was altered after it was built")),
            None => differences.push(format!("{object_path} is not listed")),
        }
        for (path, sum) in &self.files {
            match listed.remove(path.as_str()) {
                Some(listed_sum) if listed_sum == sum => {}
                Some(_) => differences.push(format!("{path} changed since")),
                None => differences.push(format!("{path} is new")),
            }
        }
        differences.extend(listed.keys().map(|path| format!("{path} is gone")));
        for dependency in &self.dependencies {
            if !committed.lines().any(|line| line.strip_prefix("# ") == Some(dependency)) {
                differences.push(format!("{dependency} is what Cargo.lock says now"));
            }
        }
        let digest = self.digest();
        if differences.is_empty() && embedded(object).is_some_and(|embedded| embedded != digest.as_bytes()) {
            differences.push(format!("{object_path} says of itself that it was built from other sources"));
        }
        differences
    }

    fn compared(&self) -> impl Iterator<Item = String> {
        let dependencies = self.dependencies.iter().map(|dependency| format!("# {dependency}"));
        dependencies.chain(self.files.iter().map(|(path, sum)| format!("{sum}  {path}")))
    }
}

/// Text in front of the digest where an object carries it itself.
const MARKER: &[u8] = b"shaper-sources-sha256:";

fn embedded(object: &[u8]) -> Option<&[u8]> {
    let start = object.windows(MARKER.len()).position(|window| window == MARKER)? + MARKER.len();
    object.get(start..start + 64)
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// `name version` of each package of `Cargo.lock` that aya-ebpf consists of.
fn locked_aya_ebpf(lock: &str) -> Vec<String> {
    let mut dependencies = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = quoted(line, "name = ").filter(|name| name.starts_with("aya-ebpf")) else {
            continue;
        };
        if let Some(version) = lines.next().and_then(|line| quoted(line, "version = ")) {
            dependencies.push(format!("{name} {version}"));
        }
    }
    dependencies
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "shaper/src/bpf/shaper.bpf.o";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"aya\"\nversion = \"0.14.0\"\n\n[[package]]\nname = \
                        \"aya-ebpf\"\nversion = \"0.2.1\"\n";

    /// A workspace in a directory of its own, gone with the value.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            for member in CRATES {
                fs::create_dir_all(root.join(member).join("src/deep")).unwrap();
                fs::write(root.join(member).join("Cargo.toml"), *member).unwrap();
                fs::write(root.join(member).join("src/deep/mod.rs"), "// deep").unwrap();
            }
            fs::write(root.join("Cargo.lock"), LOCK).unwrap();
            Self(root)
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.join(path), text).unwrap();
        }

        fn differences(&self, listing: &str, object: &[u8]) -> Vec<String> {
            Sources::read(&self.0).unwrap().differences(listing, OBJECT, object)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_fresh_listing_matches_its_tree_whatever_built_it() {
        let tree = Tree::new("fresh");
        let sources = Sources::read(&tree.0).unwrap();
        let listing = sources.listing("rustc 1.96.0", OBJECT, b"elf");
        assert!(listing.contains("# aya-ebpf 0.2.1\n"), "{listing}");
        assert!(!listing.contains("# aya 0.14.0"), "{listing}");
        assert_eq!(tree.differences(&listing, b"elf"), Vec::<String>::new());
        let elsewhere = listing.replace("rustc 1.96.0", "rustc 1.99.0-nightly");
        assert_eq!(tree.differences(&elsewhere, b"elf"), Vec::<String>::new());
        // Files that are not Rust, such as an editor's, do not count.
        tree.write("shaper-ebpf/src/.main.rs.swp", "noise");
        assert_eq!(tree.differences(&listing, b"elf"), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let tree = Tree::new("changes");
        let listing = Sources::read(&tree.0).unwrap().listing("rustc", OBJECT, b"elf");
        assert_eq!(tree.differences(&listing, b"ELF"), [format!("{OBJECT} was altered after it was built")]);
        tree.write("shaper-ebpf/src/main.rs", "fn main() {}");
        tree.write("shaper-common/Cargo.toml", "changed");
        fs::remove_file(tree.0.join("shaper-common/src/deep/mod.rs")).unwrap();
        tree.write("Cargo.lock", &LOCK.replace("0.2.1", "0.2.2"));
        assert_eq!(
            tree.differences(&listing, b"elf"),
            [
                "shaper-common/Cargo.toml changed since",
                "shaper-ebpf/src/main.rs is new",
                "shaper-common/src/deep/mod.rs is gone",
                "aya-ebpf 0.2.2 is what Cargo.lock says now",
            ]
        );
    }

    #[test]
    fn an_object_that_carries_a_digest_must_carry_the_right_one() {
        let tree = Tree::new("embedded");
        let sources = Sources::read(&tree.0).unwrap();
        let right = format!("\u{7f}ELF..shaper-sources-sha256:{}..", sources.digest());
        let listing = sources.listing("rustc", OBJECT, right.as_bytes());
        assert_eq!(tree.differences(&listing, right.as_bytes()), Vec::<String>::new());
        let wrong = right.replace(&sources.digest(), &"0".repeat(64));
        let listing = sources.listing("rustc", OBJECT, wrong.as_bytes());
        assert_eq!(tree.differences(&listing, wrong.as_bytes()).len(), 1);
    }
}
