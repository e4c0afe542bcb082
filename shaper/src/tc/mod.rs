//! Traffic control objects, named and printed as iproute2 does.
