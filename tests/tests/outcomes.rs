//! `docs/outcomes.md` is the code's list of endings, in its order and words.
//!
//! `UPDATE_OUTCOMES=1 cargo test -p tests --test outcomes` writes it anew; do that on purpose only.

use std::fmt::Write as _;
use std::path::Path;
use symbolon_core::Ending;
use symbolon_core::node::ACCOUNT_EPOCHS;

const HEAD: &str = "\
# How duties end

*Written by a test from the code (`crates/core/src/ending`); changes here are lost.*

Every duty of every slot ends at each node in one of the words below. The word is in the log line of the duty, in the
metric `symbolon_duties_total{kind,ending}`, and in the answer of the monitoring port (`dvt-node run --metrics ADDR`):

```
curl http://ADDR/symbolon/v1/duties/SLOT         # each duty: its ending, whose fault it was, who said what when
curl 'http://ADDR/symbolon/v1/duties?from=A&to=B' # the same in short, for some slots
curl http://ADDR/symbolon/v1/peers               # the other operators: connected, by which route, how far away
curl http://ADDR/symbolon/v1/beacon-nodes        # the own beacon nodes: set aside, and why
```

`blame` answers \"was it me?\": `part` is the part of this operator's set-up that failed, `operators` names the others and
what each did not give, `sentence` says it in words. It is what this node saw. Somebody who is named may have spoken and
not been heard, and its own node's answer for the same slot is the other half.

Times in the answer are milliseconds from the slot's start, by this host's clock. `missing` lists the operators whose
partial signatures did not come, also where a duty was done without them; where nothing was agreed on, those that said
nothing at all. How often an operator's partials did not come is counted in `symbolon_partials_missing_total{peer}`, and
how long they took in `symbolon_partial_latency_seconds{peer}`, both an epoch after the slot. Until `is_final`, a duty
may still end otherwise.

Accounts of `randao`, `selection` and `sync_selection` are of steps on the way to a duty. They end in the same words, and
are in no log line and no metric.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    let kept = format!("\nThe accounts of a slot are kept for {ACCOUNT_EPOCHS} epochs, in memory only.\n");
    text.push_str(&kept);
    for ending in Ending::ALL {
        let mut headline = ending.headline().chars();
        let first = headline.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        let (name, paragraph) = (ending.name(), ending.paragraph());
        write!(text, "\n## `{name}`\n\n**{first}{}.**\n{paragraph}\n", headline.as_str()).unwrap();
    }
    text
}

#[test]
fn the_handbook_of_outcomes_is_the_codes_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/outcomes.md");
    if std::env::var_os("UPDATE_OUTCOMES").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, document(), "write it anew, on purpose: see the head of this test");
}
