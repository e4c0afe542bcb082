//! Tests in namespaces.

fn main() {}
