//! An org of some people, until Ctrl-C: `cargo run -p okta-sim --example serve -- 250 7`.

use okta_sim::{OktaSim, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let people = numbers.next().transpose()?.unwrap_or(250);
    let seed = numbers.next().transpose()?.unwrap_or(1);
    let sim = OktaSim::start(Options::with_people(usize::try_from(people)?, seed)).await?;
    println!("{}", serde_json::to_string(&sim.ready())?);
    tokio::signal::ctrl_c().await?;
    Ok(())
}
