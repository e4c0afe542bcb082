use proptest::prelude::*;
use shaper_common::jitter::TABLE_LEN;

use super::*;

/// As many values as there are texts of them in the tests, for each table is kept for good.
fn values(seed: i16) -> [i16; TABLE_LEN] {
    std::array::from_fn(|nth| (nth as i16).wrapping_mul(seed).wrapping_sub(i16::MAX))
}

#[test]
fn tables_of_the_same_values_are_one() {
    let (one, same, other) = (Table::of(&values(3)), Table::of(&values(3)), Table::of(&values(5)));
    assert!(std::ptr::eq(one, same));
    assert_ne!(one, other);
    assert_eq!(Table::numbered(one.number()), Some(one));
    assert_eq!(Table::numbered(u32::MAX), None);
    assert!(format!("{:?}", Distribution::Table(one)).len() < 40);
}

#[test]
fn a_distribution_goes_through_its_text_and_through_the_kernel() {
    let table = Distribution::Table(Table::of(&values(7)));
    for distribution in Distribution::ALL.iter().copied().chain([table]) {
        assert_eq!(distribution.to_string().parse(), Ok(distribution));
        let json = serde_json::to_string(&distribution).unwrap();
        assert_eq!(serde_json::from_str::<Distribution>(&json).unwrap(), distribution);
        let (kind, table) = distribution.to_kernel();
        assert_eq!(Distribution::from_kernel(kind as u32, table), Some(distribution));
    }
    assert_eq!(Distribution::from_kernel(5, 0), None);
    assert_eq!("NORMAL".parse(), Ok(Distribution::Normal));
}

#[test]
fn what_is_no_distribution_is_refused() {
    let whole = Table::of(&values(9)).text().to_owned();
    let shorter = &whole[..whole.len() - 4];
    for text in ["table:", "table:AAAA", shorter, &format!("{whole}AAAA"), &whole.replace('=', "A")] {
        let error = text.parse::<Distribution>().unwrap_err().to_string();
        assert!(error.contains("is no table") && error.contains("10924 characters"), "{error}");
        assert!(error.len() < 300, "{error}");
    }
    for text in ["./lan.dist", "lan.dist", "/", "a/b"] {
        let error = text.parse::<Distribution>().unwrap_err().to_string();
        assert!(error.contains("no file is read here"), "{error}");
    }
    let error = "gauss".parse::<Distribution>().unwrap_err().to_string();
    assert!(error.contains("`normal`"), "{error}");
}

#[test]
fn a_table_is_told_by_its_moments() {
    assert_eq!(Distribution::Normal.words(), "normal");
    let table = Table::of(&std::array::from_fn(|nth| if nth % 2 == 0 { 8_192 } else { -8_192 }));
    assert_eq!(Distribution::Table(table).words(), "table (4096 values, mean 0.000, deviation 1.000)");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(table:|\\./)?\\PC{0,40}") {
        let _ = text.parse::<Distribution>();
    }
}
