//! Every vector of the shared folder, by its kind: `cargo test -p tests --test vectors`.
//!
//! Each module walks every file of its subfolder; what it does not know fails. An absent subfolder is a printed
//! skip, see [`folder::subfolder`].

mod folder;
mod signing_roots;
mod ssz;
