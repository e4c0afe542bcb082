//! The process that holds packets until their departure time.
