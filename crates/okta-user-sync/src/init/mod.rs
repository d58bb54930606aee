//! Guided enrolment (`okta-user-sync init`): from an organisation's address to manifests that were looked at on both
//! sides. Every question has a flag that answers it, so it runs unattended as well.
//!
//! [`ask`] asks, [`key`] takes or makes the key (unless the operator is to make it), [`okta`] waits for Okta and reads its apps, [`connector`] finds
//! the app's connector in Teleport, [`manifests`] and [`apply`] write down what was answered.

mod apply;
mod ask;
mod connector;
mod key;
mod manifests;
mod okta;

use std::path::PathBuf;

use ::okta::OrgUrl;
use api::spec::Mode;

use self::ask::{Asker, Question};
use self::manifests::Answers;
use crate::command::check::{self, Look};
use crate::command::init::Arguments;
use crate::command::sync;
use crate::exit::{Exit, Stop};
use crate::manifest::{Manifests, Pick};
use crate::{outcome, terminal};

/// Namespace of the resource, as the chart's own.
const NAMESPACE: &str = "okta-user-sync";

const CLIENT: &str = "
In Okta's Admin Console open Applications > Applications > Create App Integration > API Services, give it a name, and save.
Its General tab shows the Client ID.";

const SCOPES: &str = "Then, on the tab \"Okta API Scopes\", grant okta.apps.read and okta.users.read (and okta.logs.read, so that \
                      leavers are locked within seconds); on the tab \"Admin roles\", assign Read-Only Administrator.";

/// Leads through it.
///
/// # Errors
/// An answer that cannot be used, a side that stands against it, a file that cannot be written.
pub async fn run(mut arguments: Arguments) -> Result<Exit, Stop> {
    let ask = Asker::new(arguments.yes);
    let org_url = ask.text(
        Question {
            flag: "--org-url",
            words: "Okta organisation (https://…)",
            given: arguments.org_url.clone(),
            default: None,
        },
        |text| OrgUrl::parse(text).map(drop).map_err(|error| error.to_string()),
    )?;
    let org = OrgUrl::parse(&org_url).map_err(|e| Stop::bad_input(e.to_string(), "give the organisation's address"))?;
    let name = name(&ask, &arguments, &org)?;
    if arguments.client_id.is_none() && ask.is_interactive() {
        ask.say(CLIENT);
    }
    let client_id = ask.text(
        Question {
            flag: "--client-id", words: "Client ID (0oa…)", given: arguments.client_id.clone(), default: None
        },
        okta_id,
    )?;
    if arguments.keyless {
        return keyless(&ask, arguments, Organisation { name, org_url, client_id }).await;
    }
    let key = private_key(&ask, &mut arguments, &name)?;
    let organisation = okta::Okta::new(&ask, org, client_id.clone(), key, &arguments)?;
    organisation.wait_until_accepted().await?;
    let app_id = organisation.choose_app(arguments.app_id.clone()).await?;
    let answers = teleport(&ask, &mut arguments, Organisation { name, org_url, client_id }, app_id).await?;
    confirm_overwriting(&ask, &arguments, &answers)?;
    if !look(&ask, &arguments, &answers).await? {
        return Ok(Exit::Undone);
    }
    preview(&arguments, &answers).await?;
    finish(&ask, &arguments, &answers).await
}

/// What was answered about the organisation.
struct Organisation {
    name: String,
    org_url: String,
    client_id: String,
}

/// The way without a key: Okta is told of the operator's own once that is made.
async fn keyless(ask: &Asker, mut arguments: Arguments, organisation: Organisation) -> Result<Exit, Stop> {
    ask.say(&format!("\n{SCOPES}\n"));
    let words = "SAML app that people use to sign in to Teleport (0oa…, in the address of its page)";
    let app_id =
        ask.text(Question { flag: "--app-id", words, given: arguments.app_id.clone(), default: None }, okta_id)?;
    let answers = teleport(ask, &mut arguments, organisation, app_id).await?;
    confirm_overwriting(ask, &arguments, &answers)?;
    if !look(ask, &arguments, &answers).await? {
        return Ok(Exit::Undone);
    }
    let exit = finish(ask, &arguments, &answers).await?;
    if exit == Exit::Done {
        let Answers { name, namespace, .. } = &answers;
        ask.say(&format!(
            "\nThen tell Okta of the key that the operator has made, on the app's General tab > Client Credentials > Edit > Public \
             key / Private key. Either paste it (Save keys in Okta > Add key):\n\n  kubectl get ous {name} -n {namespace} -o \
             jsonpath='{{.status.publicKey.jwk}}'\n\nor let Okta fetch it (Use a URL to fetch keys dynamically) from where you \
             publish the operator's /.well-known/{namespace}/{name}/jwks.json; docs/keys.md shows the Ingress. By the URL keys \
             can be changed without a hand in Okta."
        ));
    }
    Ok(exit)
}

fn name(ask: &Asker, arguments: &Arguments, org: &OrgUrl) -> Result<String, Stop> {
    let first: String = org.host().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let default = if is_name(&first).is_ok() { first } else { "okta".to_owned() };
    // An address of numbers makes no name worth proposing.
    let default = if default.bytes().all(|byte| byte.is_ascii_digit()) { "okta".to_owned() } else { default };
    let words = "Name of the OktaUserSync";
    ask.text(Question { flag: "--name", words, given: arguments.name.clone(), default: Some(default) }, is_name)
}

/// A name that Kubernetes takes, with room for what is put behind it.
fn is_name(text: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits { Ok(()) } else { Err("at most 40 lower-case letters, digits and dashes".to_owned()) }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(()) }
}

fn okta_id(text: &str) -> Result<(), String> {
    let fits = text.starts_with("0oa") && text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err("an id of an app has 20 letters and digits and begins with 0oa".to_owned()) }
}

fn private_key(ask: &Asker, arguments: &mut Arguments, name: &str) -> Result<::okta::key::PrivateKey, Stop> {
    let file = arguments.okta.okta_key.clone().unwrap_or_else(|| PathBuf::from(format!("{name}-okta-key.pem")));
    let (key, made) = key::take_or_make(&file)?;
    let jwk = serde_json::to_string(&key.public_jwk()).unwrap_or_default();
    ask.say(&format!(
        "\n{} the private key {} (kid {}).",
        if made { "Made" } else { "Using" },
        file.display(),
        key.kid()
    ));
    ask.say(
        "Its public half goes to the app's General tab > Client Credentials > Edit > Public key / Private key > Save keys in \
         Okta > Add key:\n",
    );
    ask.say(&jwk);
    ask.say(&format!(
        "\nOr, under \"Use a URL to fetch keys dynamically\" there, the URL at which you serve what `okta-user-sync key jwks {}` prints.",
        file.display()
    ));
    ask.say(&format!("\n{SCOPES}\n"));
    arguments.okta.okta_key = Some(file);
    Ok(key)
}

/// The questions about Teleport; all answers together.
async fn teleport(
    ask: &Asker,
    arguments: &mut Arguments,
    organisation: Organisation,
    app_id: String,
) -> Result<Answers, Stop> {
    let Organisation { name, org_url, client_id } = organisation;
    let read = |file: &str| {
        std::fs::read_to_string(file)
            .map_err(|e| Stop::bad_input(format!("{file}: {e}"), "name a file that can be read"))
    };
    let address = ask.text(
        Question {
            flag: "--teleport-address",
            words: "Teleport cluster (host:port)",
            given: arguments.teleport.teleport_address.clone(),
            default: None,
        },
        |text| ::teleport::address::Address::parse(text).map(drop).map_err(|error| error.to_string()),
    )?;
    let identity_file = ask.text(
        Question {
            flag: "--teleport-identity",
            words: "Identity file (tctl auth sign --format=file, or tbot's)",
            given: arguments.teleport.teleport_identity.as_ref().map(|file| file.display().to_string()),
            default: None,
        },
        |file| std::fs::metadata(file).map(drop).map_err(|error| error.to_string()),
    )?;
    let identity = read(&identity_file)?;
    let connector = connector::choose(ask, arguments.connector.clone(), &address, &identity, &app_id).await?;
    let roles = if arguments.role.is_empty() {
        let default = arguments.teleport.allowed_role.first().filter(|role| !role.contains(['*', '?'])).cloned();
        let roles = ask.text(
            Question { flag: "--role", words: "Roles for everybody (comma separated)", given: None, default },
            not_empty,
        )?;
        roles.split(',').map(|role| role.trim().to_owned()).filter(|role| !role.is_empty()).collect()
    } else {
        arguments.role.clone()
    };
    let key_file = arguments.okta.okta_key.as_ref().map(|file| file.display().to_string());
    arguments.teleport.teleport_identity = Some(PathBuf::from(identity_file));
    Ok(Answers {
        name,
        namespace: arguments.cluster.named().unwrap_or(NAMESPACE).to_owned(),
        mode: arguments.mode.as_str(),
        org_url,
        client_id,
        key: key_file.as_deref().map(read).transpose()?,
        app_id,
        address,
        connector,
        identity,
        roles,
    })
}

/// Nothing that is there is written over unless somebody says so.
fn confirm_overwriting(ask: &Asker, arguments: &Arguments, answers: &Answers) -> Result<(), Stop> {
    if arguments.apply || arguments.overwrite || arguments.out.as_os_str() == "-" {
        return Ok(());
    }
    for file in answers.files(&arguments.out).iter().filter(|file| file.exists()) {
        if !ask.agree(&format!("{} is there. Write over it?", file.display()), false, false)? {
            return Err(Stop::bad_input(
                format!("{} is there, and is not written over", file.display()),
                "name another folder with --out, or say --overwrite",
            ));
        }
    }
    Ok(())
}

fn read(answers: &Answers) -> Result<Manifests, Stop> {
    Manifests::read("the answers", &answers.all(), Pick { name: None, namespace: NAMESPACE })
}

/// Looks at both sides, as often as somebody wants to mend something. Whether nothing stands against it.
async fn look(ask: &Asker, arguments: &Arguments, answers: &Answers) -> Result<bool, Stop> {
    let look = Look { okta: &arguments.okta, teleport: &arguments.teleport, known: None };
    loop {
        let Manifests { resource, secrets, .. } = read(answers)?;
        let told = look.at(&resource, None, &secrets).await?;
        let told = if answers.key.is_none() { told.of_teleport() } else { told };
        ask.say(&format!("\n{}", check::text(&told)));
        if told.ok {
            return Ok(true);
        }
        if !ask.agree("Look again, once that is mended?", true, false)? {
            ask.say("Nothing was written. Run it again when that is mended.");
            return Ok(false);
        }
    }
}

async fn preview(arguments: &Arguments, answers: &Answers) -> Result<(), Stop> {
    let Manifests { mut resource, secrets, .. } = read(answers)?;
    resource.spec.mode = Mode::Preview;
    let began = std::time::Instant::now();
    let owner = format!("{}/{}", answers.namespace, answers.name);
    let report = sync::preview(&arguments.okta, &arguments.teleport, &owner, &resource, &secrets).await?;
    eprintln!("The first pass:\n\n{}", outcome::tables(&owner, &report, began.elapsed()));
    Ok(())
}

/// Writes or applies the manifests, and says what comes next.
async fn finish(ask: &Asker, arguments: &Arguments, answers: &Answers) -> Result<Exit, Stop> {
    let Answers { name, namespace, .. } = answers;
    if arguments.out.as_os_str() == "-" {
        terminal::print(&answers.all())?;
        return Ok(Exit::Done);
    }
    if arguments.apply {
        if !ask.agree("Apply the manifests to the cluster?", true, true)? {
            ask.say("Nothing was applied.");
            return Ok(Exit::Undone);
        }
        let cluster = arguments.cluster.connect().await?;
        for object in apply::apply(&cluster, &answers.all()).await? {
            terminal::print(&format!("{object} applied\n"))?;
        }
        ask.say(&format!("\nNext: kubectl get ous {name} -n {namespace} --watch"));
        return Ok(Exit::Done);
    }
    let [public, secret] = answers.write(&arguments.out)?;
    terminal::print(&format!("{}\n{}\n", public.display(), secret.display()))?;
    let private = if answers.key.is_some() { "the second, and the key," } else { "the second" };
    ask.say(&format!(
        "\nNext: kubectl apply -f {} -f {}\nCommit the first; keep {private} out of Git.",
        public.display(),
        secret.display()
    ));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_looked_at_before_anything_is_asked_of_okta() {
        for (name, good) in [("acme", true), ("a-1", true), ("", false), ("Acme", false), ("-a", false), ("a.b", false)]
        {
            assert_eq!(is_name(name).is_ok(), good, "{name}");
        }
        for (id, good) in [("0oa1api2services3app", true), ("0oa1", false), ("00u1api2services3app", false)] {
            assert_eq!(okta_id(id).is_ok(), good, "{id}");
        }
    }
}
