//! The command line's client: what a person does to a project's services, over the API, as any other client does it.

use std::io::{self, IsTerminal as _, Write as _};

use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::config::client::{ActionArgs, ClientArgs, ClientCommand};

mod backups;
mod connect;
mod environment;
mod print;
mod remote;

use print::Output;
use remote::{ClientError, Remote};

const LIST: &str = "query ($project: ID!, $after: String) { services(projectId: $project, first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id name kind version state hostname port externalHost externalPort createdAt tier { tier }
        operation { kind phase progressPercent } error { code message } } } }";
const PROVISION: &str = "mutation ($input: ProvisionServiceInput!) {
    answer: provisionService(input: $input) { service { id name } } }";
const RESIZE: &str = "mutation ($input: ResizeServiceInput!) {
    answer: resizeService(input: $input) { service { operation { kind } } } }";
const UPGRADE: &str = "mutation ($input: UpgradeServiceInput!) {
    answer: upgradeService(input: $input) { service { operation { kind } } } }";
const PROTECT: &str = "mutation ($input: SetDeletionProtectionInput!) {
    answer: setDeletionProtection(input: $input) { event { message } } }";
const EXPIRE: &str = "mutation ($input: SetExpiryInput!) {
    answer: setExpiry(input: $input) { event { message } } }";
const SERVICE: &str = "query ($id: ID!) { service(id: $id) { id name kind version state hostname port externalHost
    externalPort operation { kind } error { code message } } }";
const REVEAL: &str = "mutation ($id: ID!) { revealCredentials(input: { id: $id }) { credentials { key value } } }";
const CURSOR: &str = "query ($project: ID!) { services(projectId: $project, first: 1) { eventCursor } }";
const VIEWER: &str = "{ viewer { projects } }";
const EVENTS: &str =
    "subscription ($project: ID!, $after: String) { serviceEvents(projectId: $project, after: $after) {
    cursor occurredAt serviceId previousState state message actor operation { kind } } }";
const LOGS: &str = "subscription ($id: ID!, $tail: Int, $since: DateTime) {
    serviceLogs(id: $id, tail: $tail, since: $since) { occurredAt stream text } }";

/// Where a stream goes on after a break: the variable, and the field of what came last that it takes.
const AFTER: (&str, &str) = ("after", "cursor");
const SINCE: (&str, &str) = ("since", "occurredAt");

/// How a command ended, where it was not a failure to talk to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// The service is not as it was to be, or what was run ended so.
    With(u8),
}

/// Runs a client's command with the `token` that it shows to the server.
///
/// # Errors
/// Where the server can't be reached, or refuses what is asked.
pub async fn run(command: &ClientCommand, token: &SecretString) -> Result<Ended, ClientError> {
    let at = command.at();
    let client = Client { remote: Remote::new(&at.server, token)?, at, out: Output { json: at.json } };
    match command {
        ClientCommand::List { .. } => client.list().await,
        ClientCommand::Provision { kind, version, tier, name, no_wait, .. } => {
            let input = json!({"kind": kind, "version": version, "tier": tier, "name": name});
            client.provision(input, !no_wait).await
        }
        ClientCommand::Env { service, outside, .. } => client.env(service, *outside).await,
        ClientCommand::Connect { service, arguments, .. } => client.connect(service, arguments).await,
        ClientCommand::Logs { service, tail, .. } => client.logs(service, *tail).await,
        ClientCommand::Events { after, .. } => client.events(after.clone()).await,
        ClientCommand::Start(action) => client.act("startService", action, "RUNNING").await,
        ClientCommand::Stop(action) => client.act("stopService", action, "STOPPED").await,
        ClientCommand::Restart(action) => client.act("restartService", action, "RUNNING").await,
        ClientCommand::Repair(action) => client.act("repairService", action, "RUNNING").await,
        ClientCommand::Resize { action, tier, at_next_restart } => {
            client.resize(action, tier.as_str(), *at_next_restart).await
        }
        ClientCommand::Upgrade { action, to } => client.upgrade(action, to).await,
        ClientCommand::Revert(action) => client.change("revertService", action).await,
        ClientCommand::UpdateImage(action) => client.change("updateImage", action).await,
        ClientCommand::Protect { service, off, .. } => client.set(PROTECT, service, json!({"enabled": !off})).await,
        ClientCommand::Expire { service, time, .. } => client.set(EXPIRE, service, json!({"expiresAt": time})).await,
        ClientCommand::Backup(command) => client.backup(command).await,
        ClientCommand::Destroy { action, yes } => {
            if !yes && !confirmed(&format!("{} and its data", action.service), &action.service)? {
                return Ok(Ended::With(1));
            }
            client.act("destroyService", action, "DESTROYED").await
        }
    }
}

/// Asks a person to type `name`, by which `what` is given; nobody else is asked.
fn confirmed(what: &str, name: &str) -> Result<bool, ClientError> {
    if !io::stdin().is_terminal() {
        return Err(ClientError::Usage("nobody can be asked whether to destroy it: give --yes".to_owned()));
    }
    let mut terminal = io::stderr();
    write!(terminal, "This removes {what} for good. Type {name} to go on: ")?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == name)
}

struct Client<'a> {
    remote: Remote,
    at: &'a ClientArgs,
    out: Output,
}

impl Client<'_> {
    /// The project that is given, or else the only one that the token is good for.
    async fn project(&self) -> Result<String, ClientError> {
        if let Some(project) = &self.at.project {
            return Ok(project.to_string());
        }
        let viewer = self.remote.ask(VIEWER, json!({})).await?;
        match viewer["viewer"]["projects"].as_array().map(Vec::as_slice) {
            Some([Value::String(only)]) if only != "*" => Ok(only.clone()),
            _ => Err(ClientError::Usage("the token is good for several projects: give --project".to_owned())),
        }
    }

    async fn services(&self) -> Result<Vec<Value>, ClientError> {
        let project = self.project().await?;
        let (mut services, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut page = self.remote.ask(LIST, json!({"project": project, "after": after})).await?;
            let page = page["services"].take();
            services.extend(page["nodes"].as_array().cloned().unwrap_or_default());
            if page["pageInfo"]["hasNextPage"] != true {
                return Ok(services);
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }

    /// The id of the service that is named so, or has that id.
    async fn id(&self, service: &str) -> Result<String, ClientError> {
        if service.starts_with("svc_") {
            return Ok(service.to_owned());
        }
        let services = self.services().await?;
        let found = services.iter().find(|known| known["name"] == service).and_then(|known| known["id"].as_str());
        found.map(str::to_owned).ok_or_else(|| ClientError::Usage(format!("there is no service {service}")))
    }

    async fn list(&self) -> Result<Ended, ClientError> {
        self.out.services(&self.services().await?)?;
        Ok(Ended::Well)
    }

    async fn provision(&self, mut input: Value, wait: bool) -> Result<Ended, ClientError> {
        let project = self.project().await?;
        input["projectId"] = project.clone().into();
        let cursor = self.cursor(&project).await?;
        let answer = self.remote.ask(PROVISION, json!({"input": input})).await?;
        let id = answer["answer"]["service"]["id"].as_str().unwrap_or_default().to_owned();
        self.arrive(&project, cursor, &id, wait.then_some("RUNNING")).await
    }

    async fn act(&self, mutation: &str, action: &ActionArgs, state: &str) -> Result<Ended, ClientError> {
        let project = self.project().await?;
        let id = self.id(&action.service).await?;
        let cursor = self.cursor(&project).await?;
        let document = format!("mutation ($id: ID!) {{ {mutation}(input: {{ id: $id }}) {{ service {{ id }} }} }}");
        self.remote.ask(&document, json!({"id": id})).await?;
        self.arrive(&project, cursor, &id, (!action.no_wait).then_some(state)).await
    }

    async fn resize(&self, action: &ActionArgs, tier: &str, at_next_restart: bool) -> Result<Ended, ClientError> {
        let project = self.project().await?;
        let id = self.id(&action.service).await?;
        let cursor = self.cursor(&project).await?;
        let apply = if at_next_restart { "AT_NEXT_RESTART" } else { "NOW" };
        let answer = self.remote.ask(RESIZE, json!({"input": {"id": id, "tier": tier, "apply": apply}})).await?;
        // One that is stopped, or is to take it later, is where it was.
        let goes_on = !answer["answer"]["service"]["operation"].is_null();
        self.arrive(&project, cursor, &id, (goes_on && !action.no_wait).then_some("RUNNING")).await
    }

    async fn upgrade(&self, action: &ActionArgs, version: &str) -> Result<Ended, ClientError> {
        let id = self.id(&action.service).await?;
        self.bring(action, &id, UPGRADE, json!({"input": {"id": id, "version": version}})).await
    }

    /// Sets what is done at once, and shows the service. What was so already has no event to tell of.
    async fn set(&self, document: &str, service: &str, mut input: Value) -> Result<Ended, ClientError> {
        let id = self.id(service).await?;
        input["id"] = id.clone().into();
        let answer = self.remote.ask(document, json!({"input": input})).await?;
        let event = &answer["answer"]["event"];
        if !event.is_null() {
            self.out.progress(event)?;
        }
        let service = self.remote.ask(SERVICE, json!({"id": id})).await?;
        self.out.service(&service["service"])?;
        Ok(Ended::Well)
    }

    async fn change(&self, mutation: &str, action: &ActionArgs) -> Result<Ended, ClientError> {
        let id = self.id(&action.service).await?;
        let document = format!(
            "mutation ($id: ID!) {{ answer: {mutation}(input: {{ id: $id }}) {{ service {{ operation {{ kind }} }} }} }}"
        );
        self.bring(action, &id, &document, json!({"id": id})).await
    }

    /// Waits for a change of what a service runs. One that fails leaves the service running, with an error beside it.
    async fn bring(&self, action: &ActionArgs, id: &str, document: &str, input: Value) -> Result<Ended, ClientError> {
        let project = self.project().await?;
        let cursor = self.cursor(&project).await?;
        let answer = self.remote.ask(document, input).await?;
        let goes_on = !answer["answer"]["service"]["operation"].is_null();
        let waits = goes_on && !action.no_wait;
        let ended = self.arrive(&project, cursor, id, waits.then_some("RUNNING")).await?;
        let service = self.remote.ask(SERVICE, json!({"id": id})).await?;
        Ok(if waits && !service["service"]["error"].is_null() { Ended::With(1) } else { ended })
    }

    async fn cursor(&self, project: &str) -> Result<String, ClientError> {
        let answer = self.remote.ask(CURSOR, json!({"project": project})).await?;
        Ok(answer["services"]["eventCursor"].as_str().unwrap_or_default().to_owned())
    }

    /// Tells how the service gets to `state`, if that is waited for, and shows it as it is then.
    async fn arrive(&self, project: &str, cursor: String, id: &str, state: Option<&str>) -> Result<Ended, ClientError> {
        let mut ended = Ended::Well;
        if let Some(state) = state {
            let mut events =
                std::pin::pin!(self.remote.follow(EVENTS, AFTER, json!({"project": project, "after": cursor})));
            let mut under_way = false;
            while let Some(event) = events.next().await {
                let event = event?;
                if event["serviceId"] != id {
                    continue;
                }
                self.out.progress(&event)?;
                // What others do meanwhile, such as a reveal, is an event in the state of before.
                under_way |= !event["operation"].is_null();
                let settled = event["operation"].is_null() && (under_way || event["previousState"] != event["state"]);
                if settled && (event["state"] == state || event["state"] == "ERROR") {
                    if event["state"] != state {
                        ended = Ended::With(1);
                    }
                    break;
                }
            }
        }
        let service = self.remote.ask(SERVICE, json!({"id": id})).await?;
        self.out.service(&service["service"])?;
        Ok(ended)
    }

    async fn env(&self, service: &str, outside: bool) -> Result<Ended, ClientError> {
        let (service, credentials) = self.reveal(service).await?;
        let variables = if outside { environment::outside(&service, credentials)? } else { credentials };
        self.out.environment(&variables)?;
        Ok(Ended::Well)
    }

    async fn connect(&self, service: &str, arguments: &[String]) -> Result<Ended, ClientError> {
        let (service, credentials) = self.reveal(service).await?;
        let outside = environment::outside(&service, credentials)?;
        connect::run(&outside, arguments).await
    }

    async fn reveal(&self, service: &str) -> Result<(Value, Vec<(String, String)>), ClientError> {
        let id = self.id(service).await?;
        let mut service = self.remote.ask(SERVICE, json!({"id": id})).await?;
        let answer = self.remote.ask(REVEAL, json!({"id": id})).await?;
        let credentials = answer["revealCredentials"]["credentials"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = credentials.iter().map(|one| (text(&one["key"]), text(&one["value"]))).collect();
        Ok((service["service"].take(), pairs))
    }

    async fn logs(&self, service: &str, tail: u16) -> Result<Ended, ClientError> {
        let variables = json!({"id": self.id(service).await?, "tail": tail});
        let mut lines = std::pin::pin!(self.remote.follow(LOGS, SINCE, variables));
        let mut last = Value::Null;
        while let Some(line) = lines.next().await {
            let line = line?;
            // The last one comes again after a break.
            if line != last {
                self.out.line(&line)?;
                last = line;
            }
        }
        Ok(Ended::Well)
    }

    async fn events(&self, after: Option<String>) -> Result<Ended, ClientError> {
        let project = self.project().await?;
        let after = match after {
            Some(cursor) => cursor,
            None => self.cursor(&project).await?,
        };
        let mut events = std::pin::pin!(self.remote.follow(EVENTS, AFTER, json!({"project": project, "after": after})));
        while let Some(event) = events.next().await {
            self.out.event(&event?)?;
        }
        Ok(Ended::Well)
    }
}
