//! Every route of the beacon API, asked of a distributed validator's node and of the beacon node behind it.

use super::site::Site;
use crate::operators::Operator;
use crate::process::{Process, ProcessError};
use anyhow::Context as _;
use cluster::folder;
use keys::keystores::{Passwords, read_folder};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use types::PublicKey;

/// Longest run: some 170 questions, one slot to wait for, and a few heads.
const ORACLE_MAX: Duration = Duration::from_secs(180);

/// What a validator's key is on either side of a node.
#[derive(Clone, Copy, Debug, Serialize)]
struct KeyPair {
    /// To the chain.
    group: PublicKey,
    /// To the validator client.
    client: PublicKey,
}

/// One answer of the program.
#[derive(Debug, Deserialize)]
struct Line {
    route: String,
    format: String,
    outcome: String,
    good: bool,
}

/// The program while it asks.
#[derive(Debug)]
pub struct Oracle(Process);

impl Oracle {
    /// Starts asking an operator's node, whose client's keys are in its folder, and the beacon node at `beacon_url`.
    ///
    /// - `groups`: the validators' keys in the lock's order, which is that of the keystores.
    /// - Errors: keystores that cannot be read, files that cannot be written, no Node.
    pub fn start(
        site: &Site,
        operator: &Operator,
        groups: &[PublicKey],
        beacon_url: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let keystores = read_folder(&operator.client_dir.join(folder::KEYSTORES), &Passwords::Beside)?;
        let clients = keystores.iter().map(|one| one.secret.public());
        let pairs = groups.iter().copied().zip(clients).map(|(group, client)| KeyPair { group, client });
        let keys = site.dir().join("oracle-keys.json");
        std::fs::write(&keys, serde_json::to_vec_pretty(&pairs.collect::<Vec<_>>())?)?;
        let mut command = site.node("oracle.mjs");
        command.arg("--json").arg("--node").arg(operator.api_url()).arg("--beacon-node").arg(beacon_url);
        command.arg("--keys").arg(keys);
        Ok(Self(Process::start("oracle", command, log)?))
    }

    /// Waits for its end; the routes that differ, in words.
    ///
    /// - Errors: an oracle that did not get to its end.
    pub async fn differing(self) -> anyhow::Result<Vec<String>> {
        let log = self.0.log().to_owned();
        match self.0.finished(ORACLE_MAX).await {
            // Its status says whether anything differs; what, is in its lines.
            Ok(()) | Err(ProcessError::Ended { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let text = std::fs::read_to_string(&log)?;
        let ended = text.lines().last().is_some_and(|line| line.starts_with("{\"counts\""));
        anyhow::ensure!(ended, "the oracle broke off; its log is {}", log.display());
        differing(&text).context("the oracle's log")
    }
}

fn differing(log: &str) -> serde_json::Result<Vec<String>> {
    let answers = log.lines().filter(|line| line.starts_with("{\"route\""));
    let lines: Vec<Line> = answers.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let words = |line: Line| format!("{} ({}): {}", line.route, line.format, line.outcome);
    Ok(lines.into_iter().filter(|line| !line.good).map(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_are_not_good_are_told() {
        let log = concat!(
            "a warning of Node\n",
            r#"{"route":"beacon.getGenesis","format":"ssz","outcome":"equal","good":true,"status":200}"#,
            "\n",
            r#"{"route":"node.getPeers","format":"json","outcome":"not served (501)","good":false,"status":501}"#,
            "\n",
            r#"{"counts":{"equal":1,"differs":1}}"#,
        );
        assert_eq!(differing(log).unwrap(), ["node.getPeers (json): not served (501)"]);
        assert!(differing(r#"{"route":7}"#).is_err());
    }
}
