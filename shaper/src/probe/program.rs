//! Programs of a few instructions: what they need from the kernel is all they are about.

use aya_obj::generated::{bpf_func_id, bpf_insn};

// linux/bpf_common.h and linux/bpf.h.
const BPF_ALU64_MOV_K: u8 = 0xb7;
const BPF_JMP_CALL: u8 = 0x85;
const BPF_JMP_EXIT: u8 = 0x95;
/// `TC_ACT_OK`, and in a classifier that is not direct-action: no match.
const ZERO: i32 = 0;

/// Returns 0.
pub(super) fn pass() -> [bpf_insn; 2] {
    [mov(0, ZERO), instruction(BPF_JMP_EXIT, 0, 0)]
}

/// Takes a packet's departure time away with the helper in question; never run.
pub(super) fn set_tstamp() -> [bpf_insn; 4] {
    let helper = bpf_func_id::BPF_FUNC_skb_set_tstamp as i32;
    let (time_ns, kind) = (mov(2, 0), mov(3, 0));
    [time_ns, kind, instruction(BPF_JMP_CALL, 0, helper), instruction(BPF_JMP_EXIT, 0, 0)]
}

fn mov(register: u8, value: i32) -> bpf_insn {
    instruction(BPF_ALU64_MOV_K, register, value)
}

fn instruction(code: u8, destination: u8, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(destination, 0),
        off: 0,
        imm,
    }
}
