//! The reasons of conditions are a closed list (`crates/api/src/reason.rs`): the definition shows it, `docs/reasons.md` is
//! made from it, and here the sources are searched for words that are not in it, and for entries that nobody uses.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Crates whose failures end in a condition.
const CRATES: [&str; 4] = ["engine", "okta", "teleport", "operator"];

/// Words in `PascalCase` in these crates that are no reasons: what others call things, and words of status and logs.
const OTHER_WORDS: &[&str] = &[
    // Classes, outcomes, kinds of people, sides and modes, as status and logs say them.
    "Conflict",
    "Waiting",
    "Configuration",
    "Credential",
    "Permission",
    "Budget",
    "Transient",
    "Bug",
    "Succeeded",
    "Held",
    "Partial",
    "Refused",
    "Bot",
    "Okta",
    "User",
    "Identity",
    "Auth",
    "Proxy",
    // A person who was dealt with by the fast path while a full pass ran; said nowhere.
    "DealtWith",
    // Statuses and types of conditions.
    "True",
    "False",
    "Unknown",
    // Events that are no conditions.
    "Recovered",
    "CleanedUp",
    "LeftBehind",
    "ApprovalUsed",
    "ApprovalNotFitting",
    "Sync",
    "CleanUp",
    "LeaversLocked",
    "SuspendedLocked",
    "RotateKey",
    "KeyMade",
    "KeyAccepted",
    "KeyLost",
    "KeyRotationBegun",
    "KeyRotated",
    "KeyRotationReverted",
    "KeyRetired",
    // gRPC codes.
    "Ok",
    "Cancelled",
    "InvalidArgument",
    "DeadlineExceeded",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
    "Unreached",
    // Methods of Teleport.
    "Ping",
    "GetCurrentUser",
    "GetUser",
    "ListUsers",
    "CreateUser",
    "UpdateUser",
    "DeleteUser",
    "GetLocks",
    "UpsertLock",
    "DeleteLock",
    "GetRoles",
    "ListRoles",
    "GetSAMLConnector",
    "GetSAMLConnectors",
    "GenerateUserCerts",
    "GetClusterCACert",
    "Join",
    "RegisterUsingToken",
    // Words of HTTP, TLS, SAML, Okta and Rust.
    "Auto",
    "Upgrade",
    "Bearer",
    "DPoP",
    "AppInstance",
    "EntityDescriptor",
    "CaUsedAsEndEntity",
    "UnknownIssuer",
    "InconsistentComponents",
    "TooLarge",
    "TooSmall",
    "Claim",
    "Clients",
    "PassClients",
    "Resolver",
    "HttpProxy",
    "Metrics",
    "PrivateKey",
    "Journal",
    "String",
    "Enterprise",
];

/// Source files of the product, without its tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// `text` without comments and without the module of tests at its end.
fn product(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every string literal that looks like a reason.
fn words(text: &str) -> BTreeSet<String> {
    let pieces: Vec<&str> = text.split('"').collect();
    let pascal_case = |word: &&str| {
        word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphabetic())
            && word.chars().any(|c| c.is_ascii_lowercase())
    };
    // Whether a piece lies inside or outside of quotes does not matter: outside, something else than a word stands there.
    pieces.into_iter().filter(pascal_case).map(str::to_owned).collect()
}

fn used() -> BTreeMap<String, PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for name in CRATES {
        sources(&crates.join(name).join("src"), &mut files);
    }
    let mut used = BTreeMap::new();
    for file in files {
        let text = product(&fs::read_to_string(&file).unwrap());
        used.extend(words(&text).into_iter().map(|word| (word, file.clone())));
    }
    used
}

#[test]
fn every_reason_in_the_code_is_in_the_list_and_every_entry_is_used() {
    let used = used();
    let known: BTreeSet<&str> = api::reason::all().map(|reason| reason.word).collect();
    let others: BTreeSet<&str> = OTHER_WORDS.iter().copied().collect();
    let strangers: Vec<_> =
        used.iter().filter(|(word, _)| !known.contains(word.as_str()) && !others.contains(word.as_str())).collect();
    assert!(
        strangers.is_empty(),
        "reasons belong into crates/api/src/reason.rs, other words into OTHER_WORDS of this test: {strangers:#?}"
    );
    let unused: Vec<_> = known.iter().chain(&others).filter(|word| !used.contains_key(**word)).collect();
    assert!(unused.is_empty(), "nobody uses: {unused:?}");
    assert_eq!(known.intersection(&others).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_definition_describes_each_reason_and_type() {
    let definition = serde_json::to_value(api::crd()).unwrap();
    let condition = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        ["conditions"]["items"]["properties"];
    let told = |field: &str| condition[field]["description"].as_str().unwrap().to_owned();
    let (reasons, types) = (told("reason"), told("type"));
    for reason in api::reason::all() {
        assert!(reasons.contains(&format!("* {}: {}", reason.word, reason.means)), "{}", reason.word);
    }
    for (type_, means) in api::condition::TYPES {
        assert!(types.contains(&format!("* {type_}: {means}")), "{type_}");
    }
}

/// `docs/reasons.md`; written anew with `UPDATE=1`.
#[test]
fn the_page_of_reasons_is_made_from_the_list() {
    let mut page = String::from(
        "# Reasons\n\nEvery word that a condition of an OktaUserSync can carry as its reason. The condition's message says what\n\
         happened in the case at hand, and what to do. Made from `crates/api/src/reason.rs`; write anew with\n\
         `UPDATE=1 cargo test -p suites --test reasons`.\n",
    );
    page.push_str("\n## Types of conditions\n\n| type | True means |\n|---|---|\n");
    for (type_, means) in api::condition::TYPES {
        writeln!(page, "| `{type_}` | {means} |").unwrap();
    }
    for group in api::reason::GROUPS {
        write!(page, "\n## {}\n\n| reason | means |\n|---|---|\n", group.title).unwrap();
        for reason in group.reasons {
            writeln!(page, "| `{}` | {} |", reason.word, reason.means).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == page,
        "docs/reasons.md is not that of the list; see its head"
    );
}
