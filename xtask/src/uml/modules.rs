//! Which kernel objects to insert, and in which order.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// What the engines, the probes and the test worlds use.
const WANTED: &[&str] = &[
    "ipv6",
    "veth",
    "tun",
    "ifb",
    "dummy",
    "bridge",
    "macvlan",
    "sch_netem",
    "sch_fq",
    "sch_htb",
    "sch_tbf",
    "sch_prio",
    "sch_fq_codel",
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "cls_matchall",
    "act_csum",
    "act_mirred",
    "act_gact",
];

/// The objects of all wanted modules below `dir`, dependencies first, each once.
pub(crate) fn load_order(dir: &Path) -> Result<Vec<PathBuf>> {
    let path = dir.join("modules.dep");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let dependencies = Dependencies::parse(&text);
    let mut order = Vec::new();
    for name in WANTED {
        dependencies.add(name, &mut order).with_context(|| format!("in {}", path.display()))?;
    }
    Ok(order.into_iter().map(|object| dir.join(object)).collect())
}

/// Parameters to insert an object with: devices that nobody asked for are not made.
pub(crate) fn parameters(object: &Path) -> &'static CStr {
    match object.file_stem().and_then(|stem| stem.to_str()) {
        Some("ifb") => c"numifbs=0",
        Some("dummy") => c"numdummies=0",
        _ => c"",
    }
}

/// `modules.dep`: per module its object and the objects to insert before it, the first one last.
struct Dependencies<'a>(HashMap<&'a str, (&'a str, Vec<&'a str>)>);

impl<'a> Dependencies<'a> {
    fn parse(text: &'a str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(
            lines
                .filter_map(|(object, needs)| {
                    let name = Path::new(object).file_stem()?.to_str()?;
                    Some((name, (object, needs.split_whitespace().collect())))
                })
                .collect(),
        )
    }

    fn add(&self, name: &str, order: &mut Vec<&'a str>) -> Result<()> {
        let Some((object, needs)) = self.0.get(name) else { bail!("this kernel has no module `{name}`") };
        for object in needs.iter().rev().chain([object]) {
            if !order.contains(object) {
                order.push(object);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES_DEP: &str = "kernel/lib/crc-ccitt.ko:\nkernel/net/llc/llc.ko:\n\
        kernel/net/ipv6/ipv6.ko: kernel/lib/crc-ccitt.ko\n\
        kernel/net/802/stp.ko: kernel/net/llc/llc.ko\n\
        kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko kernel/net/ipv6/ipv6.ko \
        kernel/lib/crc-ccitt.ko\n";

    #[test]
    fn a_module_comes_after_all_it_needs_and_only_once() {
        let dependencies = Dependencies::parse(MODULES_DEP);
        let mut order = Vec::new();
        dependencies.add("ipv6", &mut order).unwrap();
        dependencies.add("bridge", &mut order).unwrap();
        let names: Vec<_> = order.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["crc-ccitt.ko", "ipv6.ko", "llc.ko", "stp.ko", "bridge.ko"]);
    }

    #[test]
    fn a_missing_module_is_named() {
        let error = Dependencies::parse(MODULES_DEP).add("sch_fq", &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "this kernel has no module `sch_fq`");
    }
}
