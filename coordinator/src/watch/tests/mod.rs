//! What is asked, what is made of answers, and when: on answers made by hand, and on a chain in a jar.

mod answers;
mod chain;
mod exits;
mod frames;
mod logs;
mod paid;
mod recounts;
mod rounds;
mod seeds;
mod slashed;
