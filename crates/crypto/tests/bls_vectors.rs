//! Ethereum's BLS vectors, and threshold vectors made by code that is not ours.
//!
//! Folders are those of ethereum/bls12-381-tests; every file found in a folder is run, and a folder that is not known
//! here fails. Vectors lie in `$SYMBOLON_VECTORS`, else in `shared/vectors` beside the workspace; an absent folder
//! is a printed skip.

mod vectors;

use vectors::{bls, find_folder, threshold};

#[test]
fn every_bls_vector_has_its_outcome() {
    let Some(folder) = find_folder("bls") else { return };
    let ran = bls::run(&folder).unwrap_or_else(|failures| panic!("{}", failures.join("\n")));
    assert!(ran > 0, "no vector in {}", folder.display());
}

#[test]
fn every_subset_of_t_partial_signatures_makes_the_signature() {
    let Some(folder) = find_folder("obol/synthetic") else { return };
    let ran = threshold::run(&folder).unwrap_or_else(|failures| panic!("{}", failures.join("\n")));
    assert!(ran > 0, "no cluster with its exits in {}", folder.display());
}
