//! Starts a simulator, prints its ready line and serves until it is interrupted:
//! `cargo run -p teleport-sim --example auth-service -- V17 Enterprise`.

use teleport_sim::{Edition, Options, TeleportSim, Version};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let version = match arguments.next().as_deref() {
        Some("V15") => Version::V15,
        Some("V18") => Version::V18,
        Some("V19") => Version::V19,
        _ => Version::V17,
    };
    let edition =
        if arguments.next().as_deref() == Some("Community") { Edition::Community } else { Edition::Enterprise };
    let okta_app_id = "0oa9saml8app7teleport".to_owned();
    let sim = TeleportSim::start(Options { version, edition, okta_app_id, ..Options::default() }).await?;
    println!("{}", serde_json::to_string(sim.ready())?);
    tokio::signal::ctrl_c().await?;
    Ok(())
}
