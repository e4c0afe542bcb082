//! Harness of the namespace tests.
