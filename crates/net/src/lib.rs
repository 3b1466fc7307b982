//! libp2p: the authenticated private wire of one cluster.
