//! bpf(2), one function for each command that is used.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_insn, bpf_map_info, bpf_prog_info, bpf_prog_type};

/// Room for the verifier's log, of which [`LOG_LINES`] are kept: the last lines say what it did not like.
const LOG_LEN: usize = 1 << 20;
const LOG_LINES: usize = 4;

/// What a map is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*` flags of the map.
    pub flags: u32,
}

/// What one run of a program by [`prog_test_run`] did.
#[derive(Debug)]
pub struct TestRun {
    /// The program's return value, as `TC_ACT_*`.
    pub verdict: i32,
    /// Mean time of one repetition.
    pub duration_ns: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The `struct __sk_buff` afterwards, as long as the one given.
    pub ctx: Vec<u8>,
}

fn attr() -> bpf_attr {
    // SAFETY: the kernel requires unused bytes of this union of integers to be zero; all-zero is a valid value of each.
    unsafe { mem::zeroed() }
}

fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: `attr` is valid for the size given, and each caller keeps what its pointers point to alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, cmd, &raw mut *attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn bpf_fd(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = bpf(cmd, attr)?;
    // SAFETY: the commands that come here return a new descriptor, close-on-exec, that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

/// Object names as the kernel keeps them: at most 15 bytes (`BPF_OBJ_NAME_LEN`).
fn object_name(name: &str) -> [libc::c_char; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().take(15).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    out
}

fn name_of(name: &[libc::c_char; 16]) -> String {
    let bytes: Vec<u8> = name.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `BPF_MAP_CREATE`.
pub fn map_create(name: &str, def: &MapDef) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_1.map_type = def.map_type;
    attr.__bindgen_anon_1.key_size = def.key_size;
    attr.__bindgen_anon_1.value_size = def.value_size;
    attr.__bindgen_anon_1.max_entries = def.max_entries;
    attr.__bindgen_anon_1.map_flags = def.flags;
    attr.__bindgen_anon_1.map_name = object_name(name);
    bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)
}

/// `BPF_MAP_UPDATE_ELEM`; the slices are as long as the map's keys and values.
pub fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = attr();
    // SAFETY: both union members are plain integers; writing one member of a zeroed union is always valid.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = raw(map);
    element.key = key.as_ptr() as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// `BPF_MAP_LOOKUP_ELEM`; `None` when there is no such key.
pub fn map_lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<Option<()>> {
    let mut attr = attr();
    // SAFETY: as in `map_update`.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = raw(map);
    element.key = key.as_ptr() as u64;
    element.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) {
        Ok(_) => Ok(Some(())),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `BPF_MAP_UPDATE_BATCH` (Linux 5.6): `count` keys and values, one behind the other.
pub fn map_update_batch(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: u32) -> io::Result<()> {
    let mut attr = attr();
    attr.batch.map_fd = raw(map);
    attr.batch.keys = keys.as_ptr() as u64;
    attr.batch.values = values.as_ptr() as u64;
    attr.batch.count = count;
    bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr).map(drop)
}

/// `BPF_MAP_LOOKUP_BATCH` (Linux 5.6) of a hash with keys of four bytes: returns how many entries were read, and whether there
/// are more behind `cursor`, which is `None` to begin with.
pub fn map_lookup_batch(
    map: BorrowedFd<'_>,
    cursor: &mut Option<u32>,
    keys: &mut [u32],
    values: &mut [u8],
) -> io::Result<(usize, bool)> {
    let mut attr = attr();
    let mut next = 0u32;
    attr.batch.map_fd = raw(map);
    attr.batch.in_batch = cursor.as_ref().map_or(0, |cursor| &raw const *cursor as u64);
    attr.batch.out_batch = &raw mut next as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = keys.len() as u32;
    let result = bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr);
    // SAFETY: the command wrote this member, whose fields are integers.
    let count = unsafe { attr.batch.count } as usize;
    *cursor = Some(next);
    match result {
        Ok(_) => Ok((count, true)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, false)),
        Err(error) => Err(error),
    }
}

/// `BPF_MAP_FREEZE`: user space can no longer write the map (Linux 5.2).
pub fn map_freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = raw(map);
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
}

/// Why the kernel refused a program.
#[derive(Debug)]
pub struct LoadError {
    /// The error number.
    pub source: io::Error,
    /// The last lines of the verifier's log; empty when it had nothing to say.
    pub log: String,
}

/// `BPF_PROG_LOAD` of a classifier.
pub fn prog_load(name: &str, license: &CStr, instructions: &[bpf_insn]) -> Result<OwnedFd, LoadError> {
    let load = |log: &mut [u8]| {
        let mut attr = attr();
        // SAFETY: as in `map_update`.
        let program = unsafe { &mut attr.__bindgen_anon_3 };
        program.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
        program.insns = instructions.as_ptr() as u64;
        program.insn_cnt = instructions.len() as u32;
        program.license = license.as_ptr() as u64;
        program.prog_name = object_name(name);
        if !log.is_empty() {
            program.log_level = 1;
            program.log_size = log.len() as u32;
            program.log_buf = log.as_mut_ptr() as u64;
        }
        bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr)
    };
    load(&mut []).map_err(|source| {
        // A missing right needs no log; for the rest, the verifier writes one only when asked, since it takes time.
        if source.raw_os_error() == Some(libc::EPERM) {
            return LoadError { source, log: String::new() };
        }
        let mut log = vec![0; LOG_LEN];
        if load(&mut log).is_ok() {
            return LoadError { source, log: String::new() };
        }
        let text = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        LoadError { source, log: last.join(" | ") }
    })
}

/// `BPF_PROG_QUERY` of a link of the caller's namespace: `EINVAL` when the kernel has no such place for programs.
pub fn prog_query(attach_type: u32, ifindex: u32) -> io::Result<()> {
    let mut attr = attr();
    attr.query.__bindgen_anon_1.target_ifindex = ifindex;
    attr.query.attach_type = attach_type;
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr).map(drop)
}

/// `BPF_PROG_GET_FD_BY_ID`.
pub fn prog_fd_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    bpf_fd(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr)
}

/// `BPF_MAP_GET_FD_BY_ID`.
pub fn map_fd_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.map_id = id;
    bpf_fd(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attr)
}

fn object_info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = attr();
    attr.info.bpf_fd = raw(fd);
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = &raw mut *info as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// What a map is, by `BPF_OBJ_GET_INFO_BY_FD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Its number, which no other map has until it is gone.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Bytes in a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
}

/// Says what a map is.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    // SAFETY: a struct of integers.
    let mut info: bpf_map_info = unsafe { mem::zeroed() };
    object_info(map, &mut info)?;
    Ok(MapInfo {
        id: info.id,
        name: name_of(&info.name),
        value_size: info.value_size,
        max_entries: info.max_entries,
    })
}

/// The number of a loaded program.
pub fn prog_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: a struct of integers.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    object_info(program, &mut info)?;
    Ok(info.id)
}

/// Ids of the maps that a program uses, by `BPF_OBJ_GET_INFO_BY_FD`.
pub fn prog_map_ids(program: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; 64];
    // SAFETY: a struct of integers.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info.nr_map_ids = ids.len() as u32;
    info.map_ids = ids.as_mut_ptr() as u64;
    object_info(program, &mut info)?;
    ids.truncate(info.nr_map_ids as usize);
    Ok(ids)
}

/// `BPF_PROG_TEST_RUN`: runs a classifier on `frame`, `repeat` times.
///
/// `ctx` is a `struct __sk_buff`, or empty.
pub fn prog_test_run(program: BorrowedFd<'_>, frame: &[u8], ctx: &[u8], repeat: u32) -> io::Result<TestRun> {
    let mut data = vec![0; frame.len() + 256];
    let mut ctx_out = vec![0; ctx.len()];
    let mut attr = attr();
    attr.test.prog_fd = raw(program);
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.data_out = data.as_mut_ptr() as u64;
    attr.test.data_size_out = data.len() as u32;
    attr.test.repeat = repeat;
    if !ctx.is_empty() {
        attr.test.ctx_in = ctx.as_ptr() as u64;
        attr.test.ctx_size_in = ctx.len() as u32;
        attr.test.ctx_out = ctx_out.as_mut_ptr() as u64;
        attr.test.ctx_size_out = ctx_out.len() as u32;
    }
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)?;
    // SAFETY: the command wrote this member, whose fields are integers.
    let test = unsafe { attr.test };
    data.truncate(test.data_size_out as usize);
    Ok(TestRun { verdict: test.retval as i32, duration_ns: test.duration, data, ctx: ctx_out })
}
