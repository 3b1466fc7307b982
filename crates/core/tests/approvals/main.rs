//! What operators approve beside duties: exits and registrations, by four machines that talk to each other.

mod exits;
mod registrations;
mod world;
