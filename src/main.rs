//! The command line: serve, migrate, schema, token, rotate-keys, recover.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where a command answers")]

use std::process::ExitCode;

use clap::Parser as _;
use jiff::{SignedDuration, Timestamp};
use project_services::app::key_ring;
use project_services::app::key_rotation::{rotate, rotate_manifests};
use project_services::auth::{self, KeySource, TokenSettings};
use project_services::cli::{self, Ended};
use project_services::config::client::ClientCommand;
use project_services::config::{self, Cli, Command, RecoverArgs, ServeArgs, StoreArgs, TokenArgs};
use project_services::domain::permission::{Permission, Principal};
use project_services::server::{self, BoxError, Recovered};
use project_services::{api, audit, causes, telemetry};
use secrecy::{ExposeSecret as _, SecretString};

/// How long the token that a development server prints is valid.
const DEVELOPMENT_TOKEN: SignedDuration = SignedDuration::from_hours(24);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = telemetry::init(cli.log.log_format, &cli.log.log_filter) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let outcome = match cli.command {
        Command::Serve(args) => serve(&args).await,
        Command::Migrate(args) => migrate(&args).await,
        Command::Schema => {
            print!("{}", api::sdl());
            Ok(())
        }
        Command::Token(args) => token(&args),
        Command::RotateKeys(args) => rotate_keys(&args).await,
        Command::Recover(args) => recover(&args).await,
        Command::Client(command) => match client(&command).await {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::With(code)) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            causes::of(&*error).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &ServeArgs) -> Result<(), BoxError> {
    let keys = config::keys(&args.store.data_dir, args.dev)?;
    let tokens = keys.tokens.clone();
    let traces = telemetry::traces::init(config::traces()?.as_ref())?;
    let server = server::start(args, keys, &config::backups(&args.store)?).await?;
    if args.dev {
        println!("Dashboard: http://{}/", server.address());
        println!("GraphiQL:  http://{}/graphql", server.address());
        if let KeySource::Secret(_) = tokens.keys {
            let token = development_token(&tokens)?;
            println!("Token:     {}", token.expose_secret());
            println!("The token is good for the project \"demo\", with all permissions, for 24 hours.");
        }
    }
    let ended = server.run_until_signal().await;
    traces.end().await;
    ended
}

fn development_token(settings: &TokenSettings) -> Result<SecretString, BoxError> {
    let principal = Principal {
        subject: "developer".to_owned(),
        projects: "demo".parse()?,
        permissions: Permission::ALL.iter().map(ToString::to_string).collect(),
        expires_at: Timestamp::now() + DEVELOPMENT_TOKEN,
    };
    Ok(auth::sign(settings, &principal)?)
}

fn token(args: &TokenArgs) -> Result<(), BoxError> {
    let settings = config::token_settings(&args.data_dir)?;
    let principal = Principal {
        subject: args.subject.clone(),
        projects: args.projects.iter().cloned().collect(),
        permissions: args.permissions.iter().map(ToString::to_string).collect(),
        expires_at: Timestamp::now() + SignedDuration::from_secs(i64::from(args.ttl)),
    };
    println!("{}", auth::sign(&settings, &principal)?.expose_secret());
    Ok(())
}

async fn client(command: &ClientCommand) -> Result<Ended, BoxError> {
    Ok(cli::run(command, &config::client::token()?).await?)
}

async fn migrate(args: &StoreArgs) -> Result<(), BoxError> {
    // It needs neither, but for a backup of what is there before.
    let sealer = config::key_ring(&args.data_dir).ok();
    let backups = config::backups(args)?;
    server::open_store(args, sealer.as_ref().map(|sealer| (&backups, sealer))).await?;
    Ok(())
}

async fn recover(args: &RecoverArgs) -> Result<(), BoxError> {
    let sealer = config::key_ring(&args.store.data_dir)?;
    match server::recover(args, &sealer).await? {
        Recovered::Told(found) => {
            print!("{found}");
            println!("Nothing was changed. With --yes it is brought back.");
            Ok(())
        }
        Recovered::Done(report) => {
            print!("{report}");
            match report.lost() {
                0 => Ok(()),
                lost => Err(format!("services that are not recovered: {lost}; they are named above").into()),
            }
        }
    }
}

async fn rotate_keys(args: &StoreArgs) -> Result<(), BoxError> {
    let sealer = config::key_ring(&args.data_dir)?;
    let backups = config::backups(args)?;
    let store = server::open_store(args, Some((&backups, &sealer))).await?;
    key_ring::check(store.as_ref(), &sealer).await?;
    let rotated = rotate(store.as_ref(), &sealer).await?;
    audit::keys_rotated(sealer.primary_key_id(), rotated.resealed, rotated.unreadable);
    println!("{} resealed with {}, {} unreadable", rotated.resealed, sealer.primary_key_id(), rotated.unreadable);
    let repository = server::open_repository(&backups)?;
    let manifests = rotate_manifests(&repository, &sealer).await?;
    audit::manifests_rotated(sealer.primary_key_id(), manifests.resealed, manifests.unreadable);
    let (resealed, key, unreadable) = (manifests.resealed, sealer.primary_key_id(), manifests.unreadable);
    println!("{resealed} manifests of backups resealed with {key}, {unreadable} unreadable");
    match (rotated.unreadable, manifests.unreadable) {
        (0, 0) => {}
        (0, _) => return Err("some manifests of backups open with no key of the ring; see the log".into()),
        _ => return Err("some credentials open with no key of the ring; see the log".into()),
    }
    Ok(())
}
