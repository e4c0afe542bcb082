//! Route netlink: the only sockets that change kernel state.
