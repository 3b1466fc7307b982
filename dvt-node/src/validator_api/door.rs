//! Core's loop as the one who decides what the client may sign.

use super::Duties;
use crate::engine::Door;
use symbolon_core::{Answer, Ask};

impl Duties for Door {
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        Self::ask(self, ask).await
    }
}
