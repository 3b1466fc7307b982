//! Where wishes go: method and path, who may, and what the body must be; and the kinds of sightings.
//!
//! Bodies are JSON of the command's type, in any spelling: they are what the wallet signed. A field that the command does
//! not have is refused, so nobody signs something that is then not read. A lock is the file of its format,
//! which is laxer: what of it counts is what it hashes.

use super::calls::Answer;
use super::clusters::Cluster;
use super::governance::{Command as Governance, Motion};
use super::incidents::{Fault, Told};
use super::operators::{Announcement, Application, Command as Operators, Kind, Operator, OperatorId, Setup};
use super::seat::Seat;
use super::state::{Command, Sighting, State};
use super::{bonds, ceremonies, chain, deposits, exits, incidents, pool, reports};
use crate::request::BODY_LEN_MAX;
use crate::text::Label;
use cluster::Lock;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt::Display;
use std::str::FromStr;
use thiserror::Error;
use types::{Address, ClusterId, Generation, Root, Signature, ValidatorIndex, Wei};

/// Who may send something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Anybody: what is sent was decided before, and its time has come; or it is about what is the signer's.
    Anyone,
    /// Who is nothing in the pool yet.
    Newcomer,
    /// A key of governance.
    Governance,
    /// A guardian.
    Guardian,
    /// The manager of the operator that the path names.
    Manager,
    /// The reward address of the operator that the path names.
    Reward,
    /// The manager of an operator of the cluster that the path names.
    Member,
    /// The node of an operator of the cluster that the path names: it signs with its own key.
    Node,
    /// The manager of an operator that is asked for the cluster that the path names.
    Asked,
}

/// Why a request leads nowhere.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RouteError {
    /// No such path.
    #[error("nothing is written at {0}")]
    NoPath(String),
    /// Another method.
    #[error("{path} is not written to by {method}")]
    NoMethod {
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// A part of the path that is not what stands there.
    #[error("{have:?} in the path is no {want}")]
    Segment {
        /// What was found.
        have: String,
        /// What should be there.
        want: &'static str,
    },
    /// Not the JSON of this command.
    #[error("the body is not what is written there: {0}")]
    Body(String),
    /// Not a kind of sighting.
    #[error("nothing of kind {0} is seen")]
    NoKind(Label),
}

/// What stands in the places of a path, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places<'a>(Vec<&'a str>);

impl Places<'_> {
    fn get<T: FromStr>(&self, place: usize, want: &'static str) -> Result<T, RouteError> {
        let have = self.0.get(place).copied().unwrap_or_default();
        have.parse().map_err(|_| RouteError::Segment { have: have.to_owned(), want })
    }

    fn cluster(&self) -> Result<ClusterId, RouteError> {
        self.get(0, "cluster")
    }

    fn operator(&self) -> Result<OperatorId, RouteError> {
        self.get(0, "operator")
    }
}

/// A place to write to.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method of HTTP.
    pub method: &'static str,
    /// The path; what stands in braces is anything.
    pub path: &'static str,
    /// Who may: whoever is any of these.
    pub roles: &'static [Role],
    /// Longest body, in bytes.
    pub body_len_max: usize,
    /// Makes the command.
    read: fn(&Places<'_>, &str) -> Result<Command, RouteError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    amount: Wei,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    service: Label,
    amount: Wei,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    to: Address,
    amount: pool::Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdrawal {
    amount: pool::Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<deposits::KeyOffer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Partial {
    generation: Generation,
    signature: Signature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfValidator {
    validator: ValidatorIndex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    deposit_root: Root,
    keys_hash: Root,
}

const fn route(
    method: &'static str,
    path: &'static str,
    roles: &'static [Role],
    read: fn(&Places<'_>, &str) -> Result<Command, RouteError>,
) -> Route {
    Route { method, path, roles, body_len_max: BODY_LEN_MAX, read }
}

/// Where a cluster's lock is delivered: its file, to the byte.
pub const LOCK_PATH: &str = "/v1/clusters/{cluster}/lock";

/// All of them.
pub const ROUTES: [Route; 30] = [
    route("POST", "/v1/governance/proposals", &[Role::Governance], |_, body| {
        Ok(Command::Governance(Governance::Propose(json::<Motion>(body)?)))
    }),
    route("POST", "/v1/governance/proposals/{id}/cancel", &[Role::Governance], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Governance(Governance::Cancel(places.get(0, "id of a proposal")?)))
    }),
    route("POST", "/v1/governance/proposals/{id}/execute", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Governance(Governance::Execute(places.get(0, "id of a proposal")?)))
    }),
    route("POST", "/v1/deposits/pause", &[Role::Guardian], |_, body| {
        json::<Empty>(body)?;
        Ok(Command::Governance(Governance::PauseDeposits))
    }),
    route("POST", "/v1/operators", &[Role::Newcomer], |_, body| {
        Ok(Command::Operators(Operators::Apply(Box::new(json::<Application>(body)?))))
    }),
    route("PUT", "/v1/operators/{operator}/setup", &[Role::Manager], |places, body| {
        Ok(Command::Operators(Operators::Update(places.operator()?, json::<Setup>(body)?)))
    }),
    route("POST", "/v1/operators/{operator}/activate", &[Role::Manager], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Operators(Operators::Activate(places.operator()?)))
    }),
    route("POST", "/v1/operators/{operator}/announcements", &[Role::Manager], |places, body| {
        Ok(Command::Operators(Operators::Announce(places.operator()?, json::<Announcement>(body)?)))
    }),
    route("DELETE", "/v1/operators/{operator}/announcements/{kind}", &[Role::Manager], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Operators(Operators::CallOff(places.operator()?, kind(places)?)))
    }),
    route("POST", "/v1/operators/{operator}/announcements/{kind}/effect", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Operators(Operators::Effect(places.operator()?, kind(places)?)))
    }),
    route("POST", "/v1/operators/{operator}/depart", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Operators(Operators::Depart(places.operator()?)))
    }),
    route(
        "POST",
        "/v1/operators/{operator}/bond/withdrawals",
        &[Role::Manager, Role::Reward],
        |places, body| {
            let amount = json::<Amount>(body)?.amount;
            Ok(Command::Bonds(bonds::Command::Withdraw(places.operator()?, amount)))
        },
    ),
    route("POST", "/v1/operators/{operator}/services", &[Role::Manager], |places, body| {
        let Service { service, amount } = json(body)?;
        Ok(Command::Bonds(bonds::Command::Serve(places.operator()?, service, amount)))
    }),
    route("DELETE", "/v1/operators/{operator}/services/{service}", &[Role::Manager], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Bonds(bonds::Command::Quit(places.operator()?, places.get(1, "service")?)))
    }),
    // Whose shares they are is not said: they are the signer's.
    route("POST", "/v1/shares/transfers", &[Role::Anyone], |_, body| {
        let Transfer { to, amount } = json(body)?;
        Ok(Command::Shares(pool::Wish::Transfer { to, amount }))
    }),
    route("POST", "/v1/withdrawals", &[Role::Anyone], |_, body| {
        Ok(Command::Shares(pool::Wish::Request(json::<Withdrawal>(body)?.amount)))
    }),
    route("POST", "/v1/withdrawals/{request}/claim", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Shares(pool::Wish::Claim(places.get(0, "number of a request")?)))
    }),
    route("POST", "/v1/clusters/{cluster}/keys", &[Role::Member], |places, body| {
        let keys = json::<Keys>(body)?.keys;
        Ok(Command::Offer(places.cluster()?, keys))
    }),
    Route {
        body_len_max: ceremonies::LOCK_LEN_MAX,
        ..route("POST", LOCK_PATH, &[Role::Member, Role::Node], |places, body| {
            let lock = Lock::parse(body.as_bytes()).map_err(body_error)?;
            Ok(Command::Deliver(places.cluster()?, Box::new(lock)))
        })
    },
    route("POST", "/v1/clusters/{cluster}/accept", &[Role::Asked], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Answer(places.cluster()?, Answer::Accept))
    }),
    route("POST", "/v1/clusters/{cluster}/decline", &[Role::Asked], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Answer(places.cluster()?, Answer::Decline))
    }),
    route("POST", "/v1/clusters/{cluster}/lapse", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Answer(places.cluster()?, Answer::Lapse))
    }),
    // Whose place it is is not said: it is that of the signer's operator.
    route("POST", "/v1/clusters/{cluster}/exits/{validator}/partials", &[Role::Member], |places, body| {
        let Partial { generation, signature } = json(body)?;
        let (cluster, validator) =
            (places.cluster()?, ValidatorIndex(places.get(1, "index of a validator")?));
        Ok(Command::Exits(exits::Wish::Sign { cluster, validator, generation, signature }))
    }),
    route("POST", "/v1/clusters/{cluster}/close", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::CloseCluster(places.cluster()?))
    }),
    // Who says it is not said: it is the signer's operator. A node's own key will be a role of its own here.
    route("PUT", "/v1/clusters/{cluster}/statements", &[Role::Member], |places, body| {
        Ok(Command::Say(places.cluster()?, json::<reports::Statement>(body)?))
    }),
    route("POST", "/v1/rewards/claims", &[Role::Anyone], |_, body| {
        json::<Empty>(body)?;
        Ok(Command::ClaimRewards)
    }),
    route("POST", "/v1/incidents/{incident}/evidence", &[Role::Anyone], |places, body| {
        let (incident, conflict) = (incident(places)?, Box::new(json(body)?));
        Ok(Command::Incidents(incidents::Wish::Prove { incident, conflict }))
    }),
    route("POST", "/v1/incidents/{incident}/settle", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        Ok(Command::Incidents(incidents::Wish::Settle(incident(places)?)))
    }),
    route("POST", "/v1/incidents/missed-exits/{validator}", &[Role::Anyone], |places, body| {
        json::<Empty>(body)?;
        let validator = ValidatorIndex(places.get(0, "index of a validator")?);
        Ok(Command::Incidents(incidents::Wish::Missed(validator)))
    }),
    route("POST", "/v1/deposits/batches/{batch}/approvals", &[Role::Guardian], |places, body| {
        let Approval { deposit_root, keys_hash } = json(body)?;
        let batch = places.get(0, "number of a batch")?;
        Ok(Command::Deposits(deposits::Wish::Approve { batch, deposit_root, keys_hash }))
    }),
];

/// The route of a request, and what stands in its places. Errors: no such path; another method.
pub fn find<'a>(method: &str, path: &'a str) -> Result<(&'static Route, Places<'a>), RouteError> {
    let fits = |route: &'static Route| Some((route, matched(route.path, path)?));
    let mut fitting = ROUTES.iter().filter_map(fits).peekable();
    if fitting.peek().is_none() {
        return Err(RouteError::NoPath(path.to_owned()));
    }
    let (path, wanted) = (path.to_owned(), method.to_owned());
    fitting.find(|(route, _)| route.method == method).ok_or(RouteError::NoMethod { path, method: wanted })
}

impl Route {
    /// The command of a request. Errors: a part of the path, or the body, is not what it should be.
    pub fn command(&self, places: &Places<'_>, body: &str) -> Result<Command, RouteError> {
        (self.read)(places, body)
    }

    /// Whether a signer may write here.
    pub fn admits(&self, state: &State, places: &Places<'_>, signer: Address) -> bool {
        let operator = || places.operator().ok().and_then(|id| state.operators.get(id));
        self.roles.iter().any(|role| match role {
            Role::Anyone => true,
            Role::Newcomer => state.seat(signer).is_none(),
            Role::Governance => state.seat(signer) == Some(Seat::Governance),
            Role::Guardian => state.seat(signer) == Some(Seat::Guardian),
            Role::Manager => operator().is_some_and(|operator| operator.manager == signer),
            Role::Reward => operator().is_some_and(|operator| operator.reward == signer),
            Role::Asked => places.cluster().is_ok_and(|cluster| state.asked(cluster, signer).is_some()),
            Role::Member => members(state, places).any(|operator| operator.manager == signer),
            Role::Node => members(state, places).any(|operator| operator.node_address() == signer),
        })
    }
}

/// The operators of the cluster that a path names.
fn members<'a>(state: &'a State, places: &Places<'_>) -> impl Iterator<Item = &'a Operator> {
    let cluster = places.cluster().ok().and_then(|id| state.clusters.get(id));
    let operators = cluster.map_or(&[][..], Cluster::operators).iter();
    operators.filter_map(|id| state.operators.get(*id))
}

/// Kinds of sightings, as observations name them.
pub const KINDS: [&str; 25] = [
    "finalized",
    "network-stake",
    "executed",
    "bond-deposited",
    "bond-paid",
    "payment",
    "rewards",
    "cover",
    "reserve-paid",
    "paid-out",
    "report",
    "plan",
    "given-up",
    "sent",
    "look",
    "call",
    "seed",
    "exits-plan",
    "exits-review",
    "exit-broadcast",
    "exit-triggered",
    "slashing",
    "theft",
    "downtime",
    "slashing-look",
];

/// Most sightings of one observation.
pub const MANY_MAX: usize = 10_000;

/// What an observation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// One thing.
    One(Box<Sighting>),
    /// Many, in this order: one signature for all payments of a block.
    Many(Vec<Sighting>),
}

/// What an observation says. Of many (kind `many`) the body is a list of pairs of a kind and its sighting.
///
/// Errors: no such kind; not the JSON of it; of many, more than [`MANY_MAX`], or one that cannot be read.
pub fn seen(kind: &Label, body: &str) -> Result<Seen, RouteError> {
    if kind.as_str() != MANY {
        return Ok(Seen::One(Box::new(sighting(kind, body)?)));
    }
    let pairs = json::<Vec<(Label, &RawValue)>>(body)?;
    if pairs.len() > MANY_MAX {
        return Err(RouteError::Body(format!("{} sightings, at most {MANY_MAX}", pairs.len())));
    }
    pairs
        .into_iter()
        .map(|(kind, body)| sighting(&kind, body.get()))
        .collect::<Result<_, _>>()
        .map(Seen::Many)
}

/// The kind of many sightings in one observation.
pub const MANY: &str = "many";

/// The sighting of an observation. Errors: no such kind; not the JSON of it.
pub fn sighting(kind: &Label, body: &str) -> Result<Sighting, RouteError> {
    match kind.as_str() {
        "finalized" => Ok(Sighting::Finalized(json::<chain::Finalized>(body)?)),
        "network-stake" => Ok(Sighting::Stake(json(body)?)),
        "executed" => Ok(Sighting::Executed(json(body)?)),
        "bond-deposited" => Ok(Sighting::Bonds(bonds::Sighting::Deposited(json(body)?))),
        "bond-paid" => Ok(Sighting::Bonds(bonds::Sighting::Paid(json(body)?))),
        "payment" => Ok(Sighting::Money(pool::Seen::Payment(json(body)?))),
        "rewards" => Ok(Sighting::Money(pool::Seen::Rewards(json(body)?))),
        "cover" => Ok(Sighting::Money(pool::Seen::Cover(json(body)?))),
        "reserve-paid" => Ok(Sighting::Money(pool::Seen::Endowed(json(body)?))),
        "paid-out" => Ok(Sighting::Money(pool::Seen::PaidOut(json(body)?))),
        "report" => Ok(Sighting::Report(Box::new(json(body)?))),
        "plan" => json::<Empty>(body).map(|Empty {}| Sighting::Deposits(deposits::Seen::Plan)),
        "given-up" => Ok(Sighting::Deposits(deposits::Seen::GivenUp(json(body)?))),
        "sent" => Ok(Sighting::Deposits(deposits::Seen::Sent(json(body)?))),
        "look" => Ok(Sighting::Look(Box::new(json(body)?))),
        "call" => Ok(Sighting::Call(json(body)?)),
        "seed" => Ok(Sighting::Seed(json(body)?)),
        "exits-plan" => json::<Empty>(body).map(|Empty {}| Sighting::Exits(exits::Seen::Plan)),
        "exits-review" => json::<Empty>(body).map(|Empty {}| Sighting::Exits(exits::Seen::Review)),
        "exit-broadcast" => {
            let OfValidator { validator } = json(body)?;
            Ok(Sighting::Exits(exits::Seen::Broadcast(validator)))
        }
        "exit-triggered" => Ok(Sighting::Exits(exits::Seen::Triggered(json(body)?))),
        "slashing" => fault(json(body)?, Fault::Slashing),
        "theft" => fault(json(body)?, Fault::Theft),
        "downtime" => fault(json(body)?, Fault::Downtime),
        "slashing-look" => Ok(Sighting::Incidents(incidents::Seen::Loss(json(body)?))),
        _ => Err(RouteError::NoKind(kind.clone())),
    }
}

fn fault<T>(told: Told<T>, of: fn(T) -> Fault) -> Result<Sighting, RouteError> {
    let told = Told { fault: of(told.fault), evidence: told.evidence };
    Ok(Sighting::Incidents(incidents::Seen::Fault(Box::new(told))))
}

fn incident(places: &Places<'_>) -> Result<u64, RouteError> {
    places.get(0, "number of an incident")
}

fn kind(places: &Places<'_>) -> Result<Kind, RouteError> {
    places.get(1, "kind of announcement")
}

fn json<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, RouteError> {
    serde_json::from_str(body).map_err(body_error)
}

fn body_error(error: impl Display) -> RouteError {
    RouteError::Body(error.to_string())
}

/// What stands in the places of a pattern, if the path fits.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Places<'a>> {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    if pattern.len() != path.len() {
        return None;
    }
    let mut places = Vec::new();
    for (want, have) in pattern.into_iter().zip(path) {
        if want.starts_with('{') {
            places.push(have);
        } else if want != have {
            return None;
        }
    }
    Some(Places(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_method_lead_to_one_command() {
        let root = format!("0x{}", "11".repeat(32));
        let path = format!("/v1/governance/proposals/{root}/execute");
        let (route, places) = find("POST", &path).unwrap();
        let command = route.command(&places, " { } ").unwrap();
        assert_eq!(command, Command::Governance(Governance::Execute(root.parse().unwrap())));
        let body = route.command(&places, r#"{"id":1}"#);
        assert!(matches!(body, Err(RouteError::Body(_))), "nobody signs what is not read");
        let (route, places) = find("POST", "/v1/governance/proposals/1/execute").unwrap();
        let segment = RouteError::Segment { have: "1".to_owned(), want: "id of a proposal" };
        assert_eq!(route.command(&places, "{}"), Err(segment));
        let no_path = |path: &str| RouteError::NoPath(path.to_owned());
        for path in ["", "/", "/v1/operators/", "/v1/governance/proposals/1", "/v1/operators?x"] {
            assert_eq!(find("POST", path).err(), Some(no_path(path)));
        }
        let (path, method) = ("/v1/operators".to_owned(), "post".to_owned());
        assert_eq!(find("post", "/v1/operators").err(), Some(RouteError::NoMethod { path, method }));
    }

    #[test]
    fn no_two_routes_are_alike_and_each_has_somebody_who_may() {
        for (at, route) in ROUTES.iter().enumerate() {
            assert!(!route.roles.is_empty());
            let alike = ROUTES[at + 1..]
                .iter()
                .find(|other| other.method == route.method && matched(other.path, route.path).is_some());
            assert!(alike.is_none(), "{route:?} and {alike:?}");
        }
    }

    #[test]
    fn every_kind_of_sighting_is_read_and_no_other() {
        for kind in KINDS {
            let read = sighting(&Label::new(kind).unwrap(), "7");
            assert!(matches!(read, Err(RouteError::Body(_))), "{kind}: {read:?}");
        }
        let other = Label::new("rain").unwrap();
        assert_eq!(sighting(&other, "{}"), Err(RouteError::NoKind(other.clone())));
    }
}
