//! Compiles `proto/` with protox, so that no protoc is needed, into client, server and descriptor set.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message as _;

const FILES: [&str; 5] = [
    "teleport/legacy/wrappers.proto",
    "teleport/legacy/types.proto",
    "teleport/legacy/auth_service.proto",
    "teleport/users/v1/users_service.proto",
    "teleport/join/v1/join_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(true).bytes(".").btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
