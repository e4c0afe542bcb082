//! What a program says of itself in its ELF headers (elf(5)).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

const PT_INTERP: u32 = 3;

/// Says whether a 64-bit program runs without a dynamic linker: it names no interpreter.
pub(crate) fn is_static(program: &Path) -> Result<bool> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let types = segment_types(&bytes).with_context(|| program.display().to_string())?;
    Ok(!types.contains(&PT_INTERP))
}

fn segment_types(bytes: &[u8]) -> Result<Vec<u32>> {
    ensure!(bytes.starts_with(b"\x7fELF\x02"), "not a 64-bit ELF file");
    let is_little = bytes.get(5) == Some(&1);
    // e_phoff, e_phentsize and e_phnum; p_type is first in each.
    let at = number(bytes, 32, 8, is_little)?;
    let (size, count) = (number(bytes, 54, 2, is_little)?, number(bytes, 56, 2, is_little)?);
    let segment = |index| Ok(u32::try_from(number(bytes, at + index * size, 4, is_little)?)?);
    (0..count).map(segment).collect()
}

fn number(bytes: &[u8], at: u64, size: usize, is_little: bool) -> Result<u64> {
    let at = usize::try_from(at)?;
    let Some(field) = at.checked_add(size).and_then(|end| bytes.get(at..end)) else {
        bail!("an ELF header leads beyond the end");
    };
    let push = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Ok(if is_little { field.iter().rev().fold(0, push) } else { field.iter().fold(0, push) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(types: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(types.len()).unwrap();
        for each in types {
            bytes.push(*each);
            bytes.extend([0; 55]);
        }
        bytes
    }

    #[test]
    fn segments_are_found_by_the_headers() {
        assert_eq!(segment_types(&program(&[6, 3, 1])).unwrap(), [6, 3, 1]);
        assert!(segment_types(&program(&[])).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(segment_types(b"#!/bin/sh").is_err());
        assert!(segment_types(&program(&[6, 3, 1])[..100]).is_err());
    }

    #[test]
    fn this_program_has_segments() {
        assert!(is_static(&std::env::current_exe().unwrap()).is_ok());
    }
}
