//! Which kernel this is.

use std::fs;

/// Says whether this is User-mode Linux: one processor, no JIT, its own sense of time.
pub fn is_user_mode() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

/// Returns the kernel's release, as uname(1) prints it.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}
