//! A world in a jar: chain, clock, network, disk, villains, judges.
