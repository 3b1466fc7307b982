//! Says nothing: a crashed operator, or one that withholds everything. It has no node at all.

use crate::person::Person;

/// Silences a person for ever.
pub fn silence(person: &mut Person) {
    person.honest = false;
    person.node = None;
}
