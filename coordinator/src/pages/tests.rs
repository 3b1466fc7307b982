//! Pages as text.

use super::digest::{MOVES_MAX, Move};
use super::scenes::{HOSTILE, NOBODY, Scene, shown};
use super::*;
use crate::formulas::shares::Shares;
use crate::ledger::Sealed;
use crate::ledger::charter::tests::charter;
use crate::ledger::log::tests::STORY;
use crate::ledger::testbed::{Pool, START, address, faults};
use alloy_primitives::U256;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use types::{Address, Epoch, Millis, Root, ValidatorIndex, Wei};

static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::since(START));

fn document(place: Place) -> String {
    SCENE.page(place).unwrap_or_else(|why| panic!("{place}: {why}")).document("Meadow")
}

/// What people read, without the elements around it.
fn words(document: &str) -> String {
    let mut text = String::new();
    for part in document.split('<').skip(1) {
        let (element, words) = part.split_once('>').unwrap();
        // Parts of one line follow one another without a space.
        if !["span", "/span", "strong", "/strong", "code", "/code"]
            .iter()
            .any(|name| element.starts_with(name))
        {
            text.push(' ');
        }
        text.push_str(words);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every element is closed in its order, and nothing of an attribute is open.
fn well_formed(document: &str) {
    const VOID: [&str; 6] = ["!DOCTYPE", "meta", "link", "input", "br", "hr"];
    let mut open = Vec::new();
    for part in document.split('<').skip(1) {
        let (element, words) = part.split_once('>').unwrap_or_else(|| panic!("not closed: {part}"));
        assert!(!words.contains('>'), "{part}");
        assert_eq!(element.matches('"').count() % 2, 0, "{element}");
        let name = element.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{part}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// What every page keeps to.
fn sound(document: &str) {
    well_formed(document);
    assert_eq!(document.matches("<h1").count(), 1);
    for no in [HOSTILE, "<script>", "<style", " style=", " onerror=x>", "javascript:", "<img"] {
        assert!(!document.contains(no), "{no}: {document}");
    }
    let mut ids: Vec<_> =
        document.split(" id=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id is one element's");
}

#[test]
fn every_page_is_well_formed_escapes_what_it_is_told_and_is_the_same_again() {
    for place in SCENE.places() {
        let text = document(place);
        sound(&text);
        assert_eq!(text, document(place));
        assert!(text.contains(&format!("<body data-page=\"{place}\">")));
    }
    let hostile = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;&lt;img src=x onerror=x&gt;";
    let named = [Place::Operators, Place::Operator(address(141)), Place::Incidents];
    for place in named {
        assert!(document(place).contains(hostile), "{place} names it all the same");
    }
    sound(&missing(HOSTILE).document(HOSTILE));
    sound(&failed(HOSTILE).document(HOSTILE));
}

#[test]
fn a_pool_with_nothing_has_all_its_lists_and_says_that_they_are_empty() {
    let pool = Pool::of(charter());
    let empty = |place| shown(&pool, &Strips::default(), place).unwrap().document("Meadow");
    for (place, said) in [
        (Place::Overview, "The pool has no validators yet."),
        (Place::Overview, "Nobody waits."),
        (Place::Overview, "No head was signed yet"),
        (Place::Clusters, "The pool has no clusters yet."),
        (Place::Operators, "Nobody has applied yet."),
        (Place::Reports, "The first report has not come yet."),
        (Place::Incidents, "Nothing has gone wrong yet."),
        (Place::Delegator(address(71)), "The log has nothing of it."),
    ] {
        let text = empty(place);
        sound(&text);
        assert!(words(&text).contains(said), "{place}: {}", words(&text));
    }
    let nothing = |place| shown(&pool, &Strips::default(), place).unwrap_err();
    assert!(nothing(Place::Cluster(NOBODY)).contains("no cluster"));
    assert!(nothing(Place::Ceremony(NOBODY)).contains("asks for none"));
    assert!(nothing(Place::Operator(address(71))).contains("is no operator"));
    assert_eq!(nothing(Place::Report(0)), "There is no report 0.");
}

#[test]
fn the_pool_is_told_in_numbers_of_the_state() {
    let (text, state) = (words(&document(Place::Overview)), SCENE.pool.state());
    let eth = |wei| format!("{} ETH", show::eth_text(wei, 4));
    let newest = SCENE.pool.state().money.rate().pooled;
    for said in [
        format!("Pooled {}", eth(newest)),
        format!("In validators {}", eth(state.money.books().validators)),
        format!("Reserve for losses {}", eth(state.money.reserve())),
        format!("Requests that wait {}", state.money.queue().waiting()),
        format!("They would get {}", eth(state.money.queued().unwrap())),
        "active 4 100.00 %".to_owned(),
        "Clusters 2 Operators 10".to_owned(),
        "hosting network 2 3 3 0.2500 AS".to_owned(),
        format!("Entries {}", SCENE.pool.log.len()),
    ] {
        assert!(text.contains(&said), "{said}: {text}");
    }
    assert!(document(Place::Overview).contains(&format!("title=\"{newest} wei\"")), "to the wei");
}

#[test]
fn a_cluster_is_told_with_operators_validators_exits_and_who_has_signed() {
    let Scene { pool, cluster, .. } = &*SCENE;
    let text = words(&document(Place::Cluster(*cluster)));
    for said in
        ["Sign 3 of 4", "Validators 4 of 4", "governance collecting 2 of 3 Reiter 101", "It was not drawn"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    for secret in 1..=4 {
        assert!(text.contains(&pool.index(secret).to_string()), "{text}");
    }
    for (manager, country) in [(101_u8, "NZ"), (102, "DE")] {
        assert!(text.contains(&format!("Reiter {manager}")) && text.contains(country), "{text}");
    }
    assert!(
        document(Place::Cluster(SCENE.ceremony)).contains("It has no keys yet."),
        "another's are not its own"
    );
    // Whoever was dark for some frames was not in the last.
    assert!(text.contains("100.00 %"), "{text}");
}

#[test]
fn a_drawn_cluster_is_proven_rule_by_rule_with_the_numbers_of_the_draw() {
    let Scene { pool, asked, .. } = &*SCENE;
    let text = words(&document(Place::Ceremony(*asked)));
    let proposal = pool.state().calls.proposal.as_ref().unwrap();
    assert!(text.contains(&proposal.seed.mix.to_string()) && text.contains(&proposal.commitment.to_string()));
    let checks = &proposal.clusters[0].checks;
    assert!(text.contains(&format!("All {} rules", checks.len())));
    for check in checks {
        assert!(text.contains(&check.rule.to_string()), "{}: {text}", check.rule);
    }
    assert!(text.contains("free bond") && !text.contains(" no "), "all hold: {text}");
    assert!(text.contains("Not heard of late: 1, 2, 3, 4."));
    assert_eq!(text.matches("has not answered").count(), 3);
}

#[test]
fn a_call_in_the_log_is_found_after_another() {
    // The state keeps the last proposal only; clusters of earlier ones are proven by the log.
    let mut pool = SCENE.pool.clone();
    let asked = SCENE.asked;
    pool.now += pool.state().policy.terms().formation.answer_s - 10;
    let epoch = pool.state().epoch_at(pool.now).max(pool.state().chain.finalized.epoch);
    pool.drawn(1, epoch.0 + 1);
    let text = shown(&pool, &Strips::default(), Place::Ceremony(asked)).unwrap().document("Meadow");
    assert!(text.contains("Drawn by lot"), "{text}");
}

#[test]
fn an_operator_is_told_with_bond_participation_and_what_it_announces() {
    let text = words(&document(Place::Operator(address(102))));
    for said in
        ["Reiter 102", "oracle service", "announced another reward address", "keys", "Execution client"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (account, state) = (SCENE.pool.state().bonds.account(address(102)), SCENE.pool.state());
    assert!(text.contains(&format!("Bond {} ETH", show::eth_text(account.bond, 4))), "{text}");
    let free = state.free_bond(address(102)).unwrap();
    assert!(text.contains(&format!("Free {} ETH", show::eth_text(free, 4))), "{text}");
    let owed = state.incidents.owed(address(102)).unwrap();
    assert!(owed > Wei::ZERO && text.contains(&format!("Owes {} ETH", show::eth_text(owed, 4))), "{text}");
    assert!(!text.contains("paused") && !text.contains("delinquent"), "{text}");
    assert!(words(&document(Place::Operator(address(141)))).contains("active paused Paused: "));
    // By who manages it, also after that has changed: the page is that of its name.
    let managed = state.operators.get(address(104)).unwrap().manager;
    assert_eq!(document(Place::Operator(managed)), document(Place::Operator(address(104))));
    // Dark in two frames, more of it in the first.
    let dark = SCENE_DIGEST.frames().filter_map(|frame| frame.operators.get(&address(104))?.participation);
    let dark: Vec<_> = dark.filter(|part| *part < 10_000).collect();
    assert_eq!(dark, [3333, 6666], "300 and 600 of 900");
    let shown = words(&document(Place::Reports));
    assert!(shown.contains(&format!("worst of 15: {}", show::basis_points(dark[0].into()))), "{shown}");
}

static SCENE_DIGEST: LazyLock<Digest> = LazyLock::new(|| digest(&SCENE.pool));

fn digest(pool: &Pool) -> Digest {
    let mut digest = Digest::default();
    for entry in &pool.log {
        digest.take(&Sealed::read(entry).unwrap().entry);
    }
    digest
}

#[test]
fn a_delegator_s_history_is_all_that_moved_its_shares() {
    let after = |pool: &Pool, account: Address| {
        let moves = digest(pool).moves(account).map(|moved| moved.what).collect::<Vec<_>>();
        assert!(moves.len() < MOVES_MAX);
        let (came, went) = moves.iter().fold((U256::ZERO, U256::ZERO), |(came, went), what| match what {
            Move::Bought { shares, .. } | Move::Got { shares, .. } => (came + shares.0, went),
            Move::Gave { shares, .. } | Move::Asked { shares, .. } => (came, went + shares.0),
            Move::Served { .. }
            | Move::Claimed { .. }
            | Move::PaidOut { .. }
            | Move::BondClaimed { .. }
            | Move::Earned { .. } => (came, went),
        });
        Shares(came - went)
    };
    for pool in [&SCENE.pool, &*STORY] {
        for account in [71, 72, 73, 74, 111].map(address) {
            assert_eq!(after(pool, account), pool.state().money.shares().shares(account), "{account}");
        }
    }
    let text = words(&document(Place::Delegator(address(71))));
    for said in
        ["paid 96.0000 ETH for", "request 0 was served", "claimed request 0", "payout 0 was seen", "gave"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    // Too little to buy a share: it is owed back.
    let text = words(&document(Place::Delegator(address(73))));
    assert!(text.contains("are owed back") && text.contains("back, of payment"), "{text}");
    let text = words(&document(Place::Delegator(address(72))));
    assert!(text.contains("waits, gets at most this 40.0000 ETH"), "{text}");
}

#[test]
fn reports_are_told_with_their_numbers_and_how_to_make_them_again() {
    let text = words(&document(Place::Report(10)));
    let frame = SCENE_DIGEST.frames().nth(10).unwrap();
    assert_eq!(frame.frame, 10);
    let told = crate::ledger::frames::replay(&SCENE.pool.log).unwrap().1.swap_remove(10);
    for said in [
        told.reported.claims.unwrap().to_string(),
        told.reported.block_root.to_string(),
        told.reported.evidence.to_string(),
        "report verify --file pool.jsonl".to_owned(),
        "--frame 10".to_owned(),
        format!("Delegators +{} ETH", show::eth_text(told.reported.parts.delegators.sides().0, 6)),
    ] {
        assert!(text.contains(&said), "{said}: {text}");
    }
    let list = words(&document(Place::Reports));
    for frame in SCENE_DIGEST.frames() {
        assert!(list.contains(&overview::share_rate(frame.share_rate)), "{list}");
    }
    // A frame in which it lost is a rate below nothing.
    let frames: Vec<_> = SCENE_DIGEST.frames().collect();
    let rates: Vec<_> = frames.windows(2).map(|pair| pair[1].apr_since(pair[0]).unwrap()).collect();
    assert!(rates.iter().any(|rate| *rate < 0) && rates.iter().any(|rate| *rate > 0), "{rates:?}");
    assert_eq!(frames[1].apr_since(frames[1]), None, "no time has passed");
}

#[test]
fn a_year_at_a_pace_is_what_the_pace_comes_to_in_a_year() {
    let frame = |at, share_rate: u64| digest::Frame {
        at,
        share_rate: U256::from(share_rate),
        ..SCENE_DIGEST.frames().next().unwrap().clone()
    };
    // A ten-thousandth in a tenth of a year.
    let day = 31_557_600 / 10;
    assert_eq!(frame(day, 1_000_100).apr_since(&frame(0, 1_000_000)), Some(10));
    assert_eq!(frame(day, 999_900).apr_since(&frame(0, 1_000_000)), Some(-10));
    assert_eq!(frame(0, 1).apr_since(&frame(1, 1)), None, "the other way round");
    assert_eq!(frame(9, 1).apr_since(&frame(1, 0)), None, "of nothing");
}

#[test]
fn incidents_are_told_from_the_beginning_to_the_end() {
    let text = words(&document(Place::Incidents));
    for said in ["0 block of slot", "paid, and owed for", "owes", "open", "dismissed", "down from epoch"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(SCENE_DIGEST.incidents().len(), 3);
    assert_eq!(SCENE.pool.state().incidents.incidents().len(), 2, "one was none: the log knows it still");
    // A slashing stops withdrawals, and everybody is told where.
    let mut pool = SCENE.pool.clone();
    let fault = faults::slashing(pool.index(1), pool.state().chain.finalized.epoch.0 - 1);
    let (kind, body) = faults::told(fault);
    pool.see(kind, &body).unwrap();
    let shown = |place| words(&shown(&pool, &SCENE.strips, place).unwrap().document("Meadow"));
    assert!(shown(Place::Incidents).contains("Withdrawals are held"));
    assert!(shown(Place::Overview).contains("No withdrawal is served"));
    assert!(shown(Place::Cluster(SCENE.cluster)).contains("frozen"));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let mut sent = BTreeMap::new();
    let page = SCENE.page(Place::Overview).unwrap();
    let all = page.changed(&mut sent).unwrap();
    assert_eq!(all.len(), page.sections.len());
    assert_eq!(page.changed(&mut sent), None);
    let mut pool = SCENE.pool.clone();
    pool.finalize(pool.state().chain.finalized.epoch.0 + 400);
    pool.now = SCENE.pool.now;
    let later = shown(&pool, &SCENE.strips, Place::Overview).unwrap();
    let changed: Vec<_> = later.changed(&mut sent).unwrap().into_keys().collect();
    assert_eq!(changed, ["log"]);
}

#[test]
fn paths_and_places_are_one_to_one() {
    for place in SCENE.places() {
        assert_eq!(Place::of(&place.to_string()), Some(place));
    }
    for no in [
        "",
        "clusters",
        "//",
        "/clusters/",
        "/clusters/0x",
        "/reports/-1",
        "/reports/+1",
        "/reports/01",
        "/a/b/c",
    ] {
        assert_eq!(Place::of(no), None, "{no}");
    }
}

#[test]
fn amounts_and_times_are_shown_as_people_read_them() {
    let eth = |text| Wei::from_eth(text).unwrap();
    for (wei, digits, want) in [
        ("0", 4, "0"),
        ("1", 4, "1.0000"),
        ("0.00004", 4, "< 0.0001"),
        ("0.00005", 4, "0.0001"),
        ("1.99994", 4, "1.9999"),
        ("39.999999999999999999", 4, "40.0000"),
        ("1234567.5", 4, "1\u{202f}234\u{202f}567.5000"),
        ("123456.4", 0, "123\u{202f}456"),
    ] {
        assert_eq!(show::eth_text(eth(wei), digits), want);
    }
    for (at, want) in [
        (1_000_000, "just now"),
        (999_941, "just now"),
        (999_940, "1 minute ago"),
        (992_800, "2 hours ago"),
        (1_086_400, "in 1 day"),
        (0, "11 days ago"),
    ] {
        assert_eq!(show::ago(at, 1_000_000), want);
    }
    let text = show::time(1_800_000_000, 1_800_000_000).into_string();
    assert!(
        text.contains("datetime=\"2027-01-15T08:00:00Z\"") && text.contains("15 Jan 2027, 08:00 UTC"),
        "{text}"
    );
    assert_eq!(show::time(u64::MAX, 0).into_string(), u64::MAX.to_string(), "of no year");
    assert_eq!(show::percent(U256::from(1), U256::from(3)), "33.33 %");
    assert_eq!(show::percent(U256::from(1), U256::ZERO), "-");
    assert_eq!(show::basis_points(-250), "\u{2212}2.50 %");
    assert_eq!(show::shortened(&Root([0xab; 32]).to_string()), "0xababab…ababab");
    assert_eq!(show::shortened("short"), "short");
}

#[test]
fn pictures_are_drawn_to_scale() {
    let line = |points: &[(u64, i128)]| chart::line(points, "a line").into_string();
    assert!(line(&[(10, 0), (20, 5), (30, 10)]).contains("points=\"0,192 500,100 1000,8\""));
    assert!(line(&[(10, 7), (30, 7)]).contains("points=\"0,100 1000,100\""), "all are the same");
    assert!(
        line(&[(0, -5), (9, 5)]).contains("<line class=\"zero\" x1=\"0\" x2=\"1000\" y1=\"100\" y2=\"100\">")
    );
    let parts = |points: &[(u64, i128)]| chart::parts(points, "parts").into_string();
    assert!(
        parts(&[(0, 10_000), (1, 0), (2, 5_000)]).contains("points=\"0,8 500,192 1000,100\""),
        "of the whole"
    );
    assert_eq!(line(&[(1, 1)]), "");
    assert_eq!(line(&[]), "");
    line(&[(0, i128::MIN), (u64::MAX, i128::MAX)]);
}

#[test]
fn a_strip_has_the_last_epochs_and_what_nobody_said_is_unknown() {
    let [a, b] = [[1; 32], [2; 32]].map(Root);
    let asked: BTreeMap<_, _> =
        [(1, a), (2, a), (3, a), (4, b)].map(|(index, id)| (ValidatorIndex(index), id)).into();
    let said = [(1, true), (2, false), (4, false)].map(|(index, live)| (ValidatorIndex(index), live)).into();
    let mut strips = Strips::default();
    for epoch in 10..10 + 2 * strip::EPOCHS_MAX {
        strips.record(Epoch(epoch), &asked, &said);
    }
    let newest = 9 + 2 * strip::EPOCHS_MAX;
    let cells = strips.cells(a, Epoch(0));
    assert_eq!((cells.len() as u64, cells.last().unwrap().0), (strip::EPOCHS_MAX, Epoch(newest)));
    assert!(cells.iter().all(|(_, cell)| *cell == Some(strip::Cell { live: 1, dark: 1, unknown: 1 })));
    assert!(!strips.has(Epoch(newest - strip::EPOCHS_MAX)), "older ones are forgotten");
    // A node that is silent since: what it did not say is not what it said last.
    let later = strips.cells(b, Epoch(newest + 2));
    assert_eq!(later.len() as u64, strip::EPOCHS_MAX);
    assert_eq!(
        later.iter().rev().map(|(_, cell)| cell.is_some()).take(3).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(strips.cells(NOBODY, Epoch(0)).iter().filter(|(_, cell)| cell.is_some()).count(), 0);

    let drawn = chart::strip(&later[later.len() - 3..], "a strip").into_string();
    assert!(drawn.contains("class=\"none\"") && drawn.matches("class=\"unknown\"").count() == 2, "{drawn}");
    assert!(drawn.contains("0 of 1 live") && drawn.contains(": unknown"), "{drawn}");
    let drawn = chart::strip(&cells[..1], "a strip").into_string();
    assert!(
        drawn.contains("class=\"part\"") && drawn.contains("height=\"20\""),
        "half of those that are known: {drawn}"
    );

    let unwatched = shown(&SCENE.pool, &Strips::default(), Place::Cluster(SCENE.cluster)).unwrap();
    assert!(unwatched.document("Meadow").contains("Nothing is watched"));
    let text = words(&document(Place::Cluster(SCENE.cluster)));
    assert!(text.contains("3 with some") || text.contains("4 with some"), "{text}");
}

#[test]
fn who_has_duties_is_asked_for_when_its_epoch_is_over_and_half_of_the_next() {
    let state = SCENE.pool.state();
    let last = state.epoch_at(SCENE.pool.now);
    let on_duty = |epoch| strip::on_duty(state, epoch);
    assert_eq!(on_duty(last).values().filter(|id| **id == SCENE.cluster).count(), 4);
    let activation = state.deposits.validators().values().filter_map(|one| one.activation).min().unwrap();
    assert!(on_duty(Epoch(activation.0 - 1)).is_empty());
    // Whoever exits has duties until then.
    let (mut pool, mut jar) = (SCENE.pool.clone(), SCENE.jar.clone());
    let leaves = pool.index(3);
    jar.go_on(|index| index == leaves);
    pool.look(&jar).unwrap();
    let [exit, _] = pool.state().exits.exits()[&leaves].epochs.unwrap();
    let still = |epoch| strip::on_duty(pool.state(), epoch).contains_key(&leaves);
    assert!(still(Epoch(exit.0 - 1)) && !still(exit));
    let at = |slot: u64| Millis(state.network.slot_start(types::Slot(slot)).0);
    assert_eq!(strip::due(state, at(32 * 9 + 15)), None);
    assert_eq!(strip::due(state, at(32 * 9 + 16)), Some(Epoch(8)));
    assert_eq!(strip::due(state, at(32 * 9 + 31)), Some(Epoch(8)));
    assert_eq!(strip::due(state, at(32 * 10)), None);
    assert_eq!(strip::due(state, at(16)), None, "nothing was before");
    assert_eq!(strip::due(state, Millis(0)), None, "nor before genesis");
    assert_eq!(strip::last(state, at(32 * 9)), Epoch(7));
}

#[test]
fn a_log_is_read_once_and_in_its_order() {
    let mut digest = Digest::default();
    let entries: Vec<_> = SCENE.pool.log.iter().map(|entry| Sealed::read(entry).unwrap().entry).collect();
    digest.take(&entries[5]);
    assert_eq!(digest, Digest::default(), "not its turn");
    for entry in &entries {
        digest.take(entry);
        digest.take(entry);
    }
    assert_eq!(digest, *SCENE_DIGEST);
    assert_eq!(digest.entries(), entries.len() as u64);
    assert_eq!(digest.report(14).map(|entry| entries[entry as usize].seq), digest.report(14));
    assert_eq!(digest.report(99), None);
}

#[test]
fn sums_are_counted_of_all_validators_and_no_account() {
    let (sums, state) = (Sums::of(SCENE.pool.state()), SCENE.pool.state());
    assert_eq!(sums.validators(), 4);
    assert_eq!(sums.of[&SCENE.cluster].balance, state.deposits.balance());
    assert_eq!(sums.queued, state.money.queued().ok());
    assert_eq!((sums.held, sums.claimable), (0, 1));
    let counts = [sums.clusters.values().sum::<u64>(), sums.operators.values().sum()];
    assert_eq!(counts, [2, 10]);
}
