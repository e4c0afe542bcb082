//! What Testground's SDKs expect of the network that they run in.
