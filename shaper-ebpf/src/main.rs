//! The kernel programs of `shaper`: entry points, one for each hook.
//!
//! What happens to a packet is decided in `shaper_common`; here is only how a packet is looked at ([`packet`]), where
//! state is kept ([`maps`]), which rule it meets ([`rules`]), what the engines have in common ([`shape`]), how that is told ([`trace`]), and who holds the
//! packet until its departure ([`edt`], [`netem`], [`relay`], [`ifb`]) or sends an answer ([`answer`]). On any other target than BPF this is an empty
//! program, so that plain cargo commands work without the eBPF toolchain.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// The BPF target says that it has no compare-and-swap, because its first instruction set had none; cpu v3 has.
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics), allow(internal_features, reason = "see above"))]

#[cfg(target_arch = "bpf")]
mod answer;
#[cfg(target_arch = "bpf")]
mod edt;
#[cfg(target_arch = "bpf")]
mod ifb;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod netem;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod relay;
#[cfg(target_arch = "bpf")]
mod rules;
#[cfg(target_arch = "bpf")]
mod shape;
#[cfg(target_arch = "bpf")]
mod trace;

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::macros::classifier;
    use aya_ebpf::programs::TcContext;

    /// Link egress, or egress of the ifb for an ingress shape.
    #[classifier]
    pub(crate) fn shaper_edt(ctx: TcContext) -> i32 {
        crate::shape::shape::<crate::edt::Fq>(&ctx)
    }

    /// Link egress, or egress of the ifb for an ingress shape.
    #[classifier]
    pub(crate) fn shaper_netem(ctx: TcContext) -> i32 {
        crate::netem::egress(&ctx)
    }

    /// Where `shaper_edt` is, in front of it and of the csum action; not direct-action.
    #[classifier]
    pub(crate) fn shaper_finish(ctx: TcContext) -> i32 {
        crate::edt::finish(&ctx)
    }

    /// Link ingress, in front of a redirect to the ifb; not direct-action.
    #[classifier]
    pub(crate) fn shaper_divert(ctx: TcContext) -> i32 {
        crate::ifb::ingress(&ctx)
    }

    /// Link egress or ingress.
    #[classifier]
    pub(crate) fn shaper_steer(ctx: TcContext) -> i32 {
        crate::shape::shape::<crate::relay::Tap>(&ctx)
    }

    /// TAP egress: towards the relay.
    #[classifier]
    pub(crate) fn shaper_stamp(ctx: TcContext) -> i32 {
        crate::relay::stamp(&ctx)
    }

    /// TAP ingress: back from the relay.
    #[classifier]
    pub(crate) fn shaper_return(ctx: TcContext) -> i32 {
        crate::relay::give_back(&ctx)
    }

    /// Behind any of the programs that decide.
    #[classifier]
    pub(crate) fn shaper_answer(ctx: TcContext) -> i32 {
        crate::answer::answer(&ctx)
    }

    /// Where answers come back.
    #[classifier]
    pub(crate) fn shaper_forget(ctx: TcContext) -> i32 {
        crate::answer::forget(&ctx)
    }

    /// Some of the helpers are for programs of a GPL-compatible licence only.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "license")]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    /// Digest of the sources this object was built from, which `cargo xtask ebpf --check` reads.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "shaper.sources")]
    static SOURCES: [u8; 86] =
        match concat!("shaper-sources-sha256:", env!("SHAPER_SOURCES_SHA256")).as_bytes().first_chunk() {
            Some(bytes) => *bytes,
            None => panic!("a SHA-256 digest has 64 hexadecimal digits"),
        };

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
