//! Faults as the command line has them.

use super::links::Weather;
use super::{Fault, Strike};
use anyhow::ensure;
use clap::Args;
use std::time::Duration;

/// Flags for what happens to a pool on the toy chain.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Faults, on the toy chain")]
pub struct FaultFlags {
    /// Kill each node in turn (SIGKILL), start it again at once, and go on to the next when it has done a duty.
    #[arg(long)]
    pub rolling: bool,
    /// Kill these operators' nodes before the first slot and start them again with the second: OPERATOR,...@SLOT..SLOT.
    /// Repeat for more, as all of these.
    #[arg(long, value_parser = Strike::down)]
    down: Vec<Strike>,
    /// Divide the operators: OPERATOR,.../OPERATOR,...@SLOT..SLOT.
    #[arg(long, value_parser = Strike::partition)]
    partition: Vec<Strike>,
    /// Put a program in the place of an operator's node that sends garbage under its key: OPERATOR@SLOT..SLOT.
    #[arg(long, value_parser = Strike::flood)]
    flood: Vec<Strike>,
    /// Hold requests that never end at these operators' validator APIs: OPERATOR,...@SLOT..SLOT.
    #[arg(long, value_parser = Strike::loris)]
    loris: Vec<Strike>,
    /// Let an operator's node write no file: OPERATOR@SLOT..SLOT. Its node is started again then.
    #[arg(long, value_parser = Strike::full_disk)]
    full_disk: Vec<Strike>,
    /// Damage an operator's journal while its node is down, which must not start then: OPERATOR@SLOT..SLOT.
    #[arg(long, value_parser = Strike::broken_journal)]
    broken_journal: Vec<Strike>,
    /// Round trips between operators, in milliseconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=2_000))]
    rtt_ms: u64,
    /// Reset so many percent of the lines between operators in every slot.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    drop_links: u8,
}

impl FaultFlags {
    /// All that begin and end.
    pub fn strikes(&self) -> Vec<Strike> {
        let Self { down, partition, flood, loris, full_disk, broken_journal, .. } = self;
        [down, partition, flood, loris, full_disk, broken_journal].into_iter().flatten().cloned().collect()
    }

    /// What happens to lines, if they are not to be direct.
    pub fn weather(&self) -> Option<Weather> {
        let divided = !self.partition.is_empty();
        let wanted = divided || self.rtt_ms > 0 || self.drop_links > 0;
        let rtt = Duration::from_millis(self.rtt_ms);
        wanted.then_some(Weather { rtt, resets_percent: self.drop_links })
    }

    /// Whether an operator's disk will be full.
    pub fn fills_disk_of(&self, operator: usize) -> bool {
        self.full_disk.iter().any(|strike| strike.fault == Fault::FullDisk(operator))
    }

    /// Whether any is given.
    pub fn any(&self) -> bool {
        self.rolling || self.weather().is_some() || !self.strikes().is_empty()
    }

    /// Looks whether they can happen in a pool of so many operators, in so many slots.
    pub fn check(&self, operators: usize, slots: u64) -> anyhow::Result<()> {
        let strikes = self.strikes();
        ensure!(!self.rolling || strikes.is_empty(), "--rolling goes with no other fault of operators");
        for Strike { fault, span } in &strikes {
            let stranger = fault.operators().into_iter().find(|one| !(1..=operators).contains(one));
            ensure!(stranger.is_none(), "{fault}: there is no operator {}", stranger.unwrap_or(0));
            ensure!(
                span.from > 0 && span.to <= slots,
                "{fault} from slot {} to {}: a fault begins after slot 0 and is over by slot {slots}",
                span.from,
                span.to
            );
        }
        for (at, one) in strikes.iter().enumerate() {
            let same = strikes[..at].iter().find(|other| {
                let together = other.span.from <= one.span.to && one.span.from <= other.span.to;
                let shared = other.fault.impaired().iter().any(|who| one.fault.impaired().contains(who));
                let divided =
                    matches!((&one.fault, &other.fault), (Fault::Partition(_), Fault::Partition(_)));
                together && (shared || divided)
            });
            ensure!(same.is_none(), "{one:?} and {same:?} would happen to the same at once");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(down: &[&str], partition: &[&str]) -> FaultFlags {
        FaultFlags {
            down: down.iter().map(|text| Strike::down(text).unwrap()).collect(),
            partition: partition.iter().map(|text| Strike::partition(text).unwrap()).collect(),
            ..FaultFlags::default()
        }
    }

    #[test]
    fn faults_of_strangers_outside_the_run_or_twice_at_once_are_refused() {
        let good =
            [(flags(&["3,4@8..14"], &[])), (flags(&["3@8..14", "4@8..14", "3@15..16"], &["1,2/3,4@9..20"]))];
        assert!(good.iter().all(|flags| flags.check(4, 20).is_ok()));
        let wrong = [
            flags(&["5@8..14"], &[]),
            flags(&["0@8..14"], &[]),
            flags(&["3@8..21"], &[]),
            flags(&["3@0..2"], &[]),
            flags(&["3@8..14", "3,4@12..15"], &[]),
            flags(&["3@8..14", "3@14..15"], &[]),
            flags(&[], &["1,2/3,4@8..14", "1,3/2,4@12..15"]),
        ];
        assert!(wrong.iter().all(|flags| flags.check(4, 20).is_err()));
    }

    #[test]
    fn lines_are_direct_unless_something_happens_to_them() {
        assert_eq!(flags(&["3,4@8..14"], &[]).weather(), None);
        assert_eq!(flags(&[], &["1/2@8..14"]).weather(), Some(Weather::default()));
    }
}
