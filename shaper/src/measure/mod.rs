//! Instruments that demo, bench and the tests measure a link with.
