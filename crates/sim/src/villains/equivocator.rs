//! Shows each half of the others another face.
//!
//! Two whole nodes run under one operator's keys, each with a journal of its own and a beacon node that sees another
//! head. Each talks with one half of the honest operators, and with the same face of every other equivocator: so
//! all of them collude. Every double vote, commit, proposal and partial signature follows from that by itself, and
//! each face alone is beyond reproach.

use crate::person::{Person, Side};
use types::Millis;

/// Makes the second face of a person, and turns the first to the left.
///
/// - `late`: how long after the first's its beacon node learns of things: so long that it sees another head, or another
///   pool.
/// - `loud`: both faces speak to everybody, so that everybody gets evidence.
pub fn second_face(first: &mut Person, late: Millis, loud: bool) -> Person {
    first.honest = false;
    first.side = if loud { Side::Both } else { Side::Left };
    first.stands = Side::Left;
    let side = if loud { Side::Both } else { Side::Right };
    let client = crate::client::Client::new(first.operator, first.client.selecting());
    let second = Person::new(first.operator, client);
    Person { side, stands: Side::Right, honest: false, head_delay: late, clock: first.clock, ..second }
}
