//! `image BINARY FOLDER`: lays out the image's root file system in FOLDER. `image/build` calls it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, root] = &arguments[..] else {
        eprintln!("usage: image BINARY FOLDER");
        return ExitCode::from(2);
    };
    let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned());
    let Ok(epoch) = epoch.parse() else {
        eprintln!("SOURCE_DATE_EPOCH is {epoch:?}; it has to be a number of seconds since 1970");
        return ExitCode::from(2);
    };
    match image::lay_out(Path::new(root), Path::new(binary), epoch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
