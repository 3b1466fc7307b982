//! The beacon API: a client with fallback, and the JSON both sides share.
