//! A pool's book under test: rules that can be changed, a count of the ETH itself, and short words for commands.

use alloy_primitives::U256;
use coordinator::formulas::ratio::BasisPoints;
use coordinator::formulas::rebase::Bounds;
use coordinator::formulas::wide;
use coordinator::ledger::chain::Reference;
use coordinator::ledger::pool::{
    Amount, Command, Event, Fees, OPERATORS_HOLDER, Payment, RESERVE_HOLDER, Refusal, Report, Rules, State,
    apply, decide,
};
use std::collections::BTreeSet;
use types::{Address, Epoch, Gwei, Root, Wei};

pub(crate) fn eth(text: &str) -> Wei {
    Wei::from_eth(text).unwrap()
}

pub(crate) fn gwei(text: &str) -> Gwei {
    Gwei((eth(text).0 / wide::GWEI_WEI).to())
}

pub(crate) fn bp(number: u16) -> BasisPoints {
    BasisPoints::new(number).unwrap()
}

pub(crate) fn account(no: u8) -> Address {
    Address([no + 1; 20])
}

pub(crate) fn reference(no: u32) -> Reference {
    let mut hash = [0xaa; 32];
    hash[..4].copy_from_slice(&no.to_be_bytes());
    Reference { hash: Root(hash), index: 0 }
}

/// A tenth of the rewards is fee: half of it the operators', a tenth the reserve's, the rest the treasury's.
pub(crate) fn rules() -> Rules<'static> {
    Rules {
        intake_room: gwei("1000000000"),
        payment_min: Wei::ZERO,
        named: None,
        request_min: Wei(U256::from(100)),
        request_max: eth("1000000"),
        request_age_min_s: 0,
        reserve: BasisPoints::ZERO,
        fees: Fees {
            operators: (bp(500), OPERATORS_HOLDER),
            treasury: (bp(400), account(21)),
            reserve: (bp(100), RESERVE_HOLDER),
        },
        bounds: Bounds { positive_rebase_max_ppb: 100_000_000, cl_decrease_max: bp(3500) },
        incident_open: false,
    }
}

/// The ETH itself, counted by what is observed: at the pool's addresses, at the deposit contract, in validators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    here: U256,
    sent: U256,
    staked: U256,
}

impl Counted {
    fn count(&mut self, command: &Command) {
        let wei = |gwei: Gwei| wide::wei(gwei).0;
        match command {
            Command::Payment(paid) | Command::Rewards(paid) | Command::Cover(paid) => self.here += paid.eth.0,
            Command::PaidOut { eth, .. } => self.here -= eth.0,
            Command::Send(amount) => {
                (self.here, self.sent) = (self.here - wei(*amount), self.sent + wei(*amount))
            }
            Command::Report(report) => {
                self.here += wei(report.withdrawn);
                self.sent -= wei(report.arrived);
                self.staked = wei(report.balance);
            }
            Command::Transfer { .. }
            | Command::Request { .. }
            | Command::Claim { .. }
            | Command::Give { .. } => {}
            Command::Plan(_) | Command::Unplan(_) => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) state: State,
    pub(crate) now: u64,
    /// Commands that were tried: names payments.
    pub(crate) steps: u32,
    pub(crate) incident: bool,
    pub(crate) bounds: Bounds,
    pub(crate) intake_room: Gwei,
    pub(crate) payment_min: Wei,
    pub(crate) named: Option<BTreeSet<Address>>,
    pub(crate) request_min: Wei,
    pub(crate) request_max: Wei,
    pub(crate) request_age_min_s: u64,
    pub(crate) reserve: BasisPoints,
    /// The operators' part.
    pub(crate) fee: BasisPoints,
    counted: Counted,
}

impl Default for Book {
    fn default() -> Self {
        let rules = rules();
        Self {
            state: State::default(),
            now: 1_800_000_000,
            steps: 0,
            incident: false,
            bounds: rules.bounds,
            intake_room: rules.intake_room,
            payment_min: rules.payment_min,
            named: None,
            request_min: rules.request_min,
            request_max: rules.request_max,
            request_age_min_s: rules.request_age_min_s,
            reserve: rules.reserve,
            fee: rules.fees.operators.0,
            counted: Counted::default(),
        }
    }
}

#[allow(dead_code, reason = "each test program uses its part")]
impl Book {
    /// A book with these payments, in ETH, by these accounts.
    pub(crate) fn funded<const N: usize>(payments: [(&str, u8); N]) -> Self {
        let mut book = Self::default();
        for (amount, payer) in payments {
            book.pay(account(payer), eth(amount));
        }
        book
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        let rules = rules();
        let fees = Fees { operators: (self.fee, OPERATORS_HOLDER), ..rules.fees };
        Rules {
            intake_room: self.intake_room,
            payment_min: self.payment_min,
            named: self.named.as_ref(),
            request_min: self.request_min,
            request_max: self.request_max,
            request_age_min_s: self.request_age_min_s,
            reserve: self.reserve,
            fees,
            bounds: self.bounds,
            incident_open: self.incident,
        }
    }

    /// Decides and applies. What is decided must apply; the state must audit, hold the ETH that was counted, and come
    /// back out of its text.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        self.steps += 1;
        self.now += 1;
        let events = decide(&self.state, &self.rules(), self.now, command)?;
        for event in &events {
            apply(&mut self.state, event).expect("what is decided applies");
        }
        self.counted.count(command);
        self.state.audit().unwrap();
        let books = self.state.books();
        let here = [
            books.buffer,
            books.planned,
            books.locked,
            books.payable,
            books.refunds,
            books.rewards,
            books.cover,
        ];
        assert_eq!(wide::total(here).unwrap().0, self.counted.here, "what lies at the pool's addresses");
        assert_eq!((books.transient.0, books.validators.0), (self.counted.sent, self.counted.staked));
        let text = serde_json::to_string(&self.state).unwrap();
        let back: State = serde_json::from_str(&text).unwrap();
        assert_eq!(back, self.state);
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        Ok(events)
    }

    pub(crate) fn pay(&mut self, payer: Address, eth: Wei) {
        let payment = Payment { reference: reference(self.steps), payer, eth };
        self.run(&Command::Payment(payment)).unwrap();
    }

    pub(crate) fn rewards(&mut self, eth: Wei) {
        let payment = Payment { reference: reference(self.steps), payer: account(9), eth };
        self.run(&Command::Rewards(payment)).unwrap();
    }

    pub(crate) fn cover(&mut self, eth: Wei) {
        let payment = Payment { reference: reference(self.steps), payer: account(9), eth };
        self.run(&Command::Cover(payment)).unwrap();
    }

    pub(crate) fn request(&mut self, owner: u8, amount: &str) {
        let amount = Amount::Eth(eth(amount));
        self.run(&Command::Request { owner: account(owner), amount }).unwrap();
    }

    pub(crate) fn paid_out(&mut self, payout: u64) -> Result<Vec<Event>, Refusal> {
        let due = self.state.payouts().get(&payout).map(|due| (due.to, due.eth)).unwrap_or_default();
        let payment = reference(self.steps);
        self.run(&Command::PaidOut { payout, payment, to: due.0, eth: due.1 })
    }

    /// Sends deposits out of the buffer.
    pub(crate) fn stake(&mut self, amount: &str) {
        self.run(&Command::Plan(gwei(amount))).unwrap();
        self.run(&Command::Send(gwei(amount))).unwrap();
    }

    pub(crate) fn next_report(&self, balance: u64, arrived: u64, withdrawn: u64) -> Command {
        let epoch = Epoch(self.state.reported().map_or(1, |last| last.0 + 1));
        let [balance, arrived, withdrawn] = [balance, arrived, withdrawn].map(Gwei);
        Command::Report(Report { epoch, at: self.now, balance, arrived, withdrawn })
    }

    /// The next report, in gwei.
    pub(crate) fn report(
        &mut self,
        balance: u64,
        arrived: u64,
        withdrawn: u64,
    ) -> Result<Vec<Event>, Refusal> {
        self.run(&self.next_report(balance, arrived, withdrawn))
    }

    pub(crate) fn balances<const N: usize>(&self, accounts: [u8; N]) -> [Wei; N] {
        accounts.map(|no| self.state.shares().balance(account(no)))
    }

    /// What accounts 0 to 4 have: balance, what waits, what is served, what is to be paid.
    pub(crate) fn worths(&self) -> [U256; 5] {
        let rate = self.state.rate();
        [0, 1, 2, 3, 4].map(|no| {
            let owner = account(no);
            let queue = self.state.queue();
            let waits = queue.open().filter(|(_, request)| request.owner == owner);
            let served = queue.claimable().filter(|(_, request)| request.owner == owner);
            let due = self.state.payouts().values().filter(|due| due.to == owner);
            let parts = waits.map(|(_, request)| request.worth(rate).unwrap());
            let parts = parts.chain(served.map(|(_, request)| request.eth)).chain(due.map(|due| due.eth));
            wide::total(parts.chain([self.state.shares().balance(owner)])).unwrap().0
        })
    }
}
