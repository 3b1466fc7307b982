//! The duties that run, and when each wants to be woken: a tick goes to those whose time has come, not to all.

use super::Duty;
use std::collections::{BTreeMap, BTreeSet};
use types::wire::Instance;
use types::{ChainSpec, Millis};

#[derive(Debug)]
struct Running {
    duty: Duty,
    /// Its entry among the alarms.
    alarm: Option<Millis>,
}

/// Duties by instance.
#[derive(Debug, Default)]
pub(super) struct Duties {
    running: BTreeMap<Instance, Running>,
    alarms: BTreeSet<(Millis, Instance)>,
}

impl Duties {
    pub(super) fn contains(&self, instance: &Instance) -> bool {
        self.running.contains_key(instance)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.running.keys()
    }

    /// A duty, for what changes nothing about when it is woken; after anything else its alarm is set ([`Duties::set_alarm`]).
    pub(super) fn get_mut(&mut self, instance: &Instance) -> Option<&mut Duty> {
        self.running.get_mut(instance).map(|running| &mut running.duty)
    }

    /// All of them, in order, under the same condition.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Instance, &mut Duty)> {
        self.running.iter_mut().map(|(instance, running)| (instance, &mut running.duty))
    }

    /// Adds one, or replaces it.
    pub(super) fn insert(&mut self, spec: &ChainSpec, instance: Instance, duty: Duty) {
        self.remove_alarm(&instance);
        self.running.insert(instance, Running { duty, alarm: None });
        self.set_alarm(spec, &instance);
    }

    /// Something happened to a duty: its alarm is set anew.
    pub(super) fn set_alarm(&mut self, spec: &ChainSpec, instance: &Instance) {
        self.remove_alarm(instance);
        let Some(running) = self.running.get_mut(instance) else { return };
        running.alarm = running.duty.wake_at(spec);
        self.alarms.extend(running.alarm.map(|alarm| (alarm, *instance)));
    }

    fn remove_alarm(&mut self, instance: &Instance) {
        if let Some(alarm) = self.running.get_mut(instance).and_then(|running| running.alarm.take()) {
            self.alarms.remove(&(alarm, *instance));
        }
    }

    /// Those that wanted to be woken by now, the earliest first.
    pub(super) fn due(&self, now: Millis) -> Vec<Instance> {
        let due = self.alarms.iter().take_while(|(alarm, _)| *alarm <= now);
        due.map(|(_, instance)| *instance).collect()
    }

    /// When the next of them wants to be woken.
    pub(super) fn wake_at(&self) -> Option<Millis> {
        self.alarms.first().map(|(alarm, _)| *alarm)
    }

    /// Takes out those before an instance.
    pub(super) fn take_before(&mut self, first_kept: &Instance) -> Vec<Duty> {
        let kept = self.running.split_off(first_kept);
        let over = std::mem::replace(&mut self.running, kept);
        for (instance, running) in &over {
            if let Some(alarm) = running.alarm {
                self.alarms.remove(&(alarm, *instance));
            }
        }
        over.into_values().map(|running| running.duty).collect()
    }
}
