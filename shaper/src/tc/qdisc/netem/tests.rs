use proptest::prelude::*;

use super::*;

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        any::<u32>().prop_map(Loss::Random),
        any::<[u32; 4]>().prop_map(|[p, r, one_minus_h, one_minus_k]| {
            Loss::GilbertElliott { p, r, one_minus_h, one_minus_k }
        }),
        any::<[u32; 5]>().prop_map(|[p13, p31, p32, p23, p14]| Loss::FourState { p13, p31, p32, p23, p14 }),
    ]
}

fn chances() -> impl Strategy<Value = Option<Chance>> {
    any::<Option<(u32, u32)>>()
        .prop_map(|chance| chance.map(|(probability, correlation)| Chance { probability, correlation }))
}

fn correlations() -> impl Strategy<Value = Option<Correlation>> {
    any::<Option<(u32, u32, u32)>>().prop_map(|correlation| {
        correlation.map(|(delay, loss, duplicate)| Correlation { delay, loss, duplicate })
    })
}

fn rates() -> impl Strategy<Value = Option<Rate>> {
    any::<Option<(u64, i32, u32, i32)>>().prop_map(|rate| {
        rate.map(|(bytes_per_sec, packet_overhead_bytes, cell_bytes, cell_overhead_bytes)| Rate {
            bytes_per_sec,
            packet_overhead_bytes,
            cell_bytes,
            cell_overhead_bytes,
        })
    })
}

prop_compose! {
    fn options()(
        (limit_packets, duplicate, gap, seed) in any::<(u32, u32, u32, Option<u64>)>(),
        (delay_ns, jitter_ns) in (0..i64::MAX as u64, 0..i64::MAX as u64),
        loss in losses(),
        (corrupt, reorder) in (chances(), chances()),
        correlation in correlations(),
        rate in rates(),
    ) -> Options {
        Options {
            limit_packets, delay_ns, jitter_ns, distribution: None, correlation, loss, duplicate, corrupt, reorder, gap,
            rate, seed,
        }
    }
}

fn written(options: &Options) -> Vec<u8> {
    let mut out = Writer::new();
    options.write(&mut out);
    out.as_bytes().to_vec()
}

proptest! {
    #[test]
    fn what_is_written_is_read(options in options()) {
        prop_assert_eq!(Options::parse(&written(&options)), Some(options));
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Options::parse(&bytes);
    }

    #[test]
    fn no_cut_makes_the_reader_stumble(options in options(), len in 0usize..300) {
        let bytes = written(&options);
        let cut = &bytes[..len.min(bytes.len())];
        prop_assert_eq!(Options::parse(cut).is_some(), cut.len() >= QOPT_LEN);
    }
}

#[test]
fn a_time_in_whole_ticks_needs_no_wide_attribute() {
    let options = Options { delay_ns: 20_000_000, ..Options::default() };
    assert_eq!(written(&options).len(), QOPT_LEN);
}

#[test]
fn nothing_but_what_is_sent_is_printed() {
    assert_eq!(Options::default().words(), " limit 1000");
    let zeros = Options {
        correlation: Some(Correlation::default()),
        corrupt: Some(Chance::default()),
        reorder: Some(Chance::default()),
        rate: Some(Rate::default()),
        ..Options::default()
    };
    assert_eq!(zeros.words(), " limit 1000 loss random 0% 0% corrupt 0% 0% reorder 0% 0% rate 0bit");
}
