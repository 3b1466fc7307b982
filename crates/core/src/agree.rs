//! Agreement of one instance.
