//! What operators read of each ending: a word, a line, a paragraph. Pure tables.

use super::Ending;

impl Ending {
    /// In a word: the label of metrics and the value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partly => "partly",
            Self::NotTaken => "not_taken",
            Self::PartlyTaken => "partly_taken",
            Self::TooFewPartials => "too_few_partials",
            Self::ClientSilent => "client_silent",
            Self::ClientLate => "client_late",
            Self::ClientNoHalf => "client_no_half",
            Self::ClientBadHalf => "client_bad_half",
            Self::NotDistributed => "not_distributed",
            Self::AgreedLate => "agreed_late",
            Self::Refused => "refused",
            Self::JournalFailed => "journal_failed",
            Self::Stopped => "stopped",
            Self::OnlyFollowed => "only_followed",
            Self::NoVote => "no_vote",
            Self::NoReveal => "no_reveal",
            Self::TooFewPresent => "too_few_present",
            Self::NoValue => "no_value",
            Self::ValueRefused => "value_refused",
            Self::ViewsSplit => "views_split",
            Self::LeaderSilent => "leader_silent",
            Self::TooFewVotes => "too_few_votes",
            Self::NotAgreed => "not_agreed",
        }
    }

    /// In a line of a log: what was missing, without a full stop.
    pub const fn headline(self) -> &'static str {
        match self {
            Self::Done => "signed and handed in",
            Self::Partly => "only some of the validators were signed for",
            Self::NotTaken => "signed, but no beacon node took it",
            Self::PartlyTaken => "signed, but the beacon nodes took only a part of it",
            Self::TooFewPartials => "signed here, but too few other operators sent good partial signatures",
            Self::ClientSilent => "agreed, but this operator's validator client never asked",
            Self::ClientLate => {
                "agreed, but this operator's validator client asked only after the slot was over"
            }
            Self::ClientNoHalf => "agreed, and this operator's validator client asked, but it signed nothing",
            Self::ClientBadHalf => "agreed, but what this operator's validator client signed did not fit",
            Self::NotDistributed => "this operator's validator client is not in distributed mode",
            Self::AgreedLate => "the operators agreed only after the slot was over",
            Self::Refused => "the slashing-protection journal refused every validator",
            Self::JournalFailed => "the slashing-protection journal could not be written",
            Self::Stopped => "a stop is in force, so this node signs nothing",
            Self::OnlyFollowed => {
                "this node was started too late for the slot, and the others did not agree without it"
            }
            Self::NoVote => "the slot's vote, on which this stands, was not agreed on",
            Self::NoReveal => "too few operators' validator clients asked for a block, so none could be made",
            Self::TooFewPresent => "fewer operators than a quorum were connected",
            Self::NoValue => "this operator's beacon nodes had nothing to vote for or to propose in time",
            Self::ValueRefused => "what was offered breaks a rule that is never waived",
            Self::ViewsSplit => "the operators' beacon nodes saw different chains, and no view had a quorum",
            Self::LeaderSilent => "the operators whose turn it was proposed nothing",
            Self::TooFewVotes => "fewer operators than a quorum voted",
            Self::NotAgreed => "a quorum voted, but the result did not get around in time",
        }
    }

    /// In a paragraph for operators: what happened, how to tell whose fault it was, what to do.
    pub const fn paragraph(self) -> &'static str {
        match self {
            Self::Done => DONE,
            Self::Partly => PARTLY,
            Self::NotTaken => NOT_TAKEN,
            Self::PartlyTaken => PARTLY_TAKEN,
            Self::TooFewPartials => TOO_FEW_PARTIALS,
            Self::ClientSilent => CLIENT_SILENT,
            Self::ClientLate => CLIENT_LATE,
            Self::ClientNoHalf => CLIENT_NO_HALF,
            Self::ClientBadHalf => CLIENT_BAD_HALF,
            Self::NotDistributed => NOT_DISTRIBUTED,
            Self::AgreedLate => AGREED_LATE,
            Self::Refused => REFUSED,
            Self::JournalFailed => JOURNAL_FAILED,
            Self::Stopped => STOPPED,
            Self::OnlyFollowed => ONLY_FOLLOWED,
            Self::NoVote => NO_VOTE,
            Self::NoReveal => NO_REVEAL,
            Self::TooFewPresent => TOO_FEW_PRESENT,
            Self::NoValue => NO_VALUE,
            Self::ValueRefused => VALUE_REFUSED,
            Self::ViewsSplit => VIEWS_SPLIT,
            Self::LeaderSilent => LEADER_SILENT,
            Self::TooFewVotes => TOO_FEW_VOTES,
            Self::NotAgreed => NOT_AGREED,
        }
    }
}

const DONE: &str = "\
    Every signature due was combined and at least one beacon node took it. Nothing has to be done. Operators \
    under `missing` were not needed this time; one that is there again and again lives on the others' \
    reserve, and should hear of it before somebody else is down too.";

const PARTLY: &str = "\
    The operators agreed, and signed for some validators and not for others. If `refused` is above zero, \
    this node's journal forbade the rest; if this operator's own partials are fewer than were due, its \
    validator client lacks keystores that the others' have. Otherwise the operators under `missing` sent \
    partials for some of the validators only. Compare the lists of keys that the validator clients have \
    loaded.";

const NOT_TAKEN: &str = "\
    The validators' signatures are there, but none of this operator's beacon nodes accepted them, or none \
    answered. The duty itself may still be in the chain, for every operator hands in what it combined: look \
    there. Here, the log has the beacon nodes' own words; a node that is out of sync, or of another fork \
    schedule, refuses what others accept. Add a second beacon node of another make.";

const PARTLY_TAKEN: &str = "\
    Signatures were handed in as they combined, and the beacon nodes took some of these and not the others. \
    Late ones are refused once their time is over; then the slow operators are those with the latest \
    partials. Otherwise the log says why, in the beacon node's words.";

const TOO_FEW_PARTIALS: &str = "\
    This operator did its part: it voted, its validator client signed, its partial signatures went out. \
    Fewer operators than the threshold did. Under `missing` stands who sent none or too few; `bad_partial` \
    beside an operator means that what it sent does not verify, so its keystores or its node's halves are of \
    another cluster or generation. Ask those operators whether their validator client runs and is set to its \
    own node.";

const CLIENT_SILENT: &str = "\
    The operators agreed in time, and this operator's validator client did not ask for the result. It is \
    down, it does not know that its validators are due (wrong keystores, or it has not fetched its duties), \
    or it talks to a beacon node directly and not to this node. Set its beacon-node address to this node's \
    validator API, and no other. That too few of the others signed is the second half of the story: they \
    stand under `missing`.";

const CLIENT_LATE: &str = "\
    The validator client asked, but after the slot had ended, when a signature helps nobody. Its host's \
    clock is behind, or the host is overloaded or was asleep. Compare both hosts' clocks (`chronyc \
    tracking`, `timedatectl`) and the client's own log around that time.";

const CLIENT_NO_HALF: &str = "\
    The validator client was given what the cluster agreed on and did not come back with a signature. Most \
    often its own slashing protection refused, for example after its database was restored or taken from \
    elsewhere; its log says so. It also happens when it stops at that moment, or when it sends signatures to \
    another address.";

const CLIENT_BAD_HALF: &str = "\
    The validator client signed something else than the cluster agreed on, or with a key that is not this \
    operator's half. The first means that it takes data from another beacon node beside this one; remove \
    that. The second means that its keystores are not those that the ceremony, or the last `dvt-node \
    resplit`, wrote for this operator. The answer that the client got, and hence its log, names which of the \
    two it was.";

const NOT_DISTRIBUTED: &str = "\
    Aggregators are chosen by a signature of the whole validator, which only the operators together can \
    make. The validator client has to ask this node for it, and does so only when it is started with its \
    flag for distributed validators (`--distributed` in most clients). Without that flag attestations and \
    blocks work, and aggregation duties are lost.";

const AGREED_LATE: &str = "\
    A decision came, too late to be of use. Look at the times of the votes: one that is late alone belongs \
    to an operator whose beacon node or clock is slow; if all of them are late, the block itself came late, \
    or the links between the operators were bad. Many rounds mean that leaders were silent or views \
    differed.";

const REFUSED: &str = "\
    What was agreed on, or offered, could be slashed in the light of what this node's journal has for these \
    validators, so this node signed nothing. That is the journal's work, and not a fault to be switched off. \
    It is expected right after a move, when an imported history ends later than the present slot, and for an \
    epoch after a journal was found rolled back (`docs/protection.md`). If it goes \
    on, the same keys may be running elsewhere: find out before anything else. Never delete the journal.";

const JOURNAL_FAILED: &str = "\
    Promises could not be made durable, so nothing was signed. The disk is full, read-only, or broken. The \
    log of that moment has the system's error. Mend the disk and start the node again; a journal that was \
    damaged does not open, and `docs/moving.md` says how a history is brought back.";

const STOPPED: &str = "\
    Signing is suspended on this node on purpose, as a protection: the log says which and since when. Other \
    operators go on without it as long as they are enough. Remove the cause that the log names; the \
    suspension is not to be worked around by starting the node with other data.";

const ONLY_FOLLOWED: &str = "\
    After a start a node does not vote in slots that may have begun before, for it cannot know what it said \
    then. It could only take over what the others decided, and they did not decide. So this operator's \
    restart counted as one fault, and there was at least one more. Restart operators one after the other, \
    some slots apart.";

const NO_VOTE: &str = "\
    Sync committee messages, aggregates and contributions are about the head that the slot's attestation \
    vote names. There was no agreed vote, so there was nothing to sign. The account of `attest` in the same \
    slot tells why, and the blame shown here is taken from it.";

const NO_REVEAL: &str = "\
    A block needs the validator's RANDAO reveal, which is combined from halves that the operators' validator \
    clients send when they ask for a block. Fewer than the threshold asked in time. The account of `randao` \
    in the same slot lists who did not; the blame shown here is taken from it. A client that does not ask \
    does not know of the proposal, or is down.";

const TOO_FEW_PRESENT: &str = "\
    Agreement needs a quorum of connected operators, and during this slot there were fewer. If this node was \
    connected to nobody, it is this operator's own network, firewall or address that is to be looked at. If \
    single operators are missing, they are down or unreachable: `/symbolon/v1/peers` shows who is connected \
    now, and by which route.";

const NO_VALUE: &str = "\
    The beacon nodes of this operator were asked and gave nothing: no head with a vote, no block, no \
    aggregate. They are down, syncing, or their execution client is. `/symbolon/v1/beacon-nodes` shows which \
    is set aside and why. With a working one here there would have been one vote more, or a proposal; \
    whether that would have been enough, the others' votes show.";

const VALUE_REFUSED: &str = "\
    A value was offered that this node must not sign, whatever others say: a block that pays somebody else \
    than the cluster's fee recipient or lacks its relay's bid, another slot or fork, a target or source that \
    contradicts finality. The operator that offered it stands under the faults. If it was this operator's \
    own beacon node, its fee recipient or its fork schedule is set wrongly.";

const VIEWS_SPLIT: &str = "\
    A quorum of operators voted, but for different heads or checkpoints, and the rounds that follow did not \
    bring them together in time. Now and then that is the chain's doing: a late block, a reorganisation. If \
    it is always the same operator that stands alone, its beacon nodes lag or are on another fork. The short \
    hashes beside the votes show who saw what.";

const LEADER_SILENT: &str = "\
    Blocks and aggregates are proposed by one operator after the other, round by round. Those whose turn it \
    was in the rounds of this slot said nothing: they are down, or their beacon node gave them no block. The \
    leader of a round is fixed by slot and round, so the blame names them. One silent leader costs a \
    fraction of a second; it takes several, or a quorum that is barely there, to lose the duty.";

const TOO_FEW_VOTES: &str = "\
    Enough operators were connected, and too few of them voted. A node that is up and does not vote has no \
    value from its beacon nodes, or its checks forbid the one that is offered (an unknown parent, a payload \
    that has not come, another source). Those without a vote are named; their own node's account of the slot \
    says which of these it was.";

const NOT_AGREED: &str = "\
    There were votes enough, but commits or later proposals were lost or slow until time had run out. That \
    points at the links between operators: packet loss, a relay that is far away, an overloaded host. \
    Compare the times of votes and commits of the same operator, and the round-trip times on \
    `/symbolon/v1/peers`.";
