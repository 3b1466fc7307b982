//! The command-line flags of builder mode, and what they say.

use clap::Args;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::time::Duration;
use types::Wei;

/// What builder mode is told.
#[derive(Clone, Debug)]
pub struct BuilderConfig {
    /// Addresses of relays, each with the relay's key; they may hold secrets.
    pub relays: Vec<SecretString>,
    /// Where the beacon node connects.
    pub listen: SocketAddr,
    /// Bids below it are not handed out.
    pub min_bid: Wei,
    /// How long relays are waited for.
    pub header_wait: Duration,
    /// What the beacon node multiplies a builder's value with, in percent, before it compares it with its own payload's.
    pub boost_factor: u64,
}

/// Blocks of builders; off unless a relay is named.
#[derive(Clone, Debug, Args)]
pub struct BuilderFlags {
    /// A relay's URL with its key, https://0xKEY@HOST: blocks of builders, with this relay's signed bid. Repeat for more.
    ///
    /// These keys are also the list that other operators' proposals are held against.
    #[arg(
        long = "builder-relay",
        value_name = "URL",
        env = "SYMBOLON_BUILDER_RELAYS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    builder_relays: Vec<SecretString>,
    /// Where the beacon node finds its builder: this node, which asks the relays.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3602")]
    builder_listen: SocketAddr,
    /// Bids of relays below it are passed over.
    #[arg(long, value_name = "ETH", default_value = "0", value_parser = Wei::from_eth)]
    builder_min_bid: Wei,
    /// How long relays are waited for. Beacon nodes wait a second, and then build their own block.
    #[arg(long, value_name = "MS", default_value_t = 950, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    builder_timeout_ms: u64,
    /// Percent of a builder's value that counts against the beacon node's own payload: 0 never takes it, 100 is even.
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    builder_boost_factor: u64,
}

impl BuilderFlags {
    /// What was said, if a relay was named.
    pub fn config(self) -> Option<BuilderConfig> {
        (!self.builder_relays.is_empty()).then_some(BuilderConfig {
            relays: self.builder_relays,
            listen: self.builder_listen,
            min_bid: self.builder_min_bid,
            header_wait: Duration::from_millis(self.builder_timeout_ms),
            boost_factor: self.builder_boost_factor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        builder: BuilderFlags,
    }

    fn parse(args: &[&str]) -> Result<Option<BuilderConfig>, clap::Error> {
        let args = [&["dvt-node"], args].concat();
        Ok(Cli::try_parse_from(args)?.builder.config())
    }

    #[test]
    fn builder_mode_is_off_until_a_relay_is_named() {
        assert!(parse(&["--builder-min-bid", "1", "--builder-timeout-ms", "900"]).unwrap().is_none());
        let config =
            parse(&["--builder-relay", "https://a", "--builder-relay", "https://b"]).unwrap().unwrap();
        let relays: Vec<&str> = config.relays.iter().map(|relay| relay.expose_secret()).collect();
        assert_eq!(relays, ["https://a", "https://b"]);
        assert_eq!(config.listen, "127.0.0.1:3602".parse().unwrap());
        assert_eq!(config.min_bid, Wei::ZERO);
        assert_eq!((config.header_wait, config.boost_factor), (Duration::from_millis(950), 100));
    }

    #[test]
    fn amounts_and_times_out_of_range_are_refused() {
        let relay = ["--builder-relay", "https://a"];
        let config = parse(&[&relay[..], &["--builder-min-bid", "0.05"]].concat()).unwrap().unwrap();
        assert_eq!(config.min_bid.to_string(), "50000000000000000");
        for wrong in
            [["--builder-min-bid", "-1"], ["--builder-timeout-ms", "0"], ["--builder-timeout-ms", "3001"]]
        {
            assert!(parse(&[&relay[..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_printed_of_the_flags_shows_no_address() {
        let config = parse(&["--builder-relay", "https://relay/secret-1"]).unwrap();
        assert!(!format!("{config:?}").contains("secret-1"));
    }
}
