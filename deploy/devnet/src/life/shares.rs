//! What operators can sign with their shares, alone and together: each has its client's half and its node's.

use super::cluster::Cluster;
use anyhow::Context as _;
use cluster::folder;
use keys::NodeStore;
use keys::keystores::{Passwords, read_folder};
use secrecy::SecretString;
use std::collections::BTreeMap;
use types::{Generation, PublicKey, ShareIndex, Signature, SigningRoot};

/// An operator's partial signature for a validator's key.
///
/// - `place`: of the operator in the cluster, from 1.
pub(super) fn partial(
    cluster: &Cluster,
    place: usize,
    key: &PublicKey,
    root: &SigningRoot,
) -> anyhow::Result<Signature> {
    let operator = cluster.operators.get(place - 1).with_context(|| format!("no operator {place}"))?;
    let at = cluster.keys.iter().position(|one| one == key).context("a validator of another cluster")?;
    let keystores = read_folder(&operator.client_dir.join(folder::KEYSTORES), &Passwords::Beside)?;
    let keystore = keystores.into_iter().nth(at).context("the client has no such half")?;
    let client = keystore.secret.into_imported_half();
    let password = std::fs::read_to_string(operator.data_dir.join(folder::NODE_PASSWORD))?;
    let password = SecretString::from(password.trim_end().to_owned());
    let path = operator.data_dir.join(NodeStore::file_name(Generation(0)));
    let store = NodeStore::load(&path, &password)?;
    let node = store.halves.iter().find(|one| one.group_key == *key).context("the node has no such half")?;
    Ok(client.join(&node.half)?.sign(root))
}

/// Partial signatures of the operators at the first places, as many as sign together.
pub(super) fn partials(
    cluster: &Cluster,
    key: &PublicKey,
    root: &SigningRoot,
) -> anyhow::Result<BTreeMap<ShareIndex, Signature>> {
    let of = |place: u8| {
        let index = ShareIndex::new(place).context("places begin with 1")?;
        Ok((index, partial(cluster, place.into(), key, root)?))
    };
    (1..=super::people::THRESHOLD).map(of).collect()
}
