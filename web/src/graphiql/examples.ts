/** The tabs of a first visit, in the order of a walk through the API. Each is called as its operation is. */

const service = JSON.stringify({ id: "svc_…" }, null, 2);
const project = JSON.stringify({ projectId: "demo" }, null, 2);

export const examples = [
  {
    query: `# What can be provisioned. This needs a token:
# paste yours into the field above.
query Catalog {
  serviceCatalog {
    kind
    name
    availability
    versions
    tiers {
      tier
      memoryMib
      cpus
      storageMib
    }
    credentialKeys
  }
}
`,
  },
  {
    query: `# The latest change of the project's services.
# It ends when you go to another tab here: open
# this page twice to watch what you do there.
subscription Watch($projectId: ID!) {
  serviceEvents(projectId: $projectId) {
    occurredAt
    state
    message
    operation { kind phase progressPercent }
    serviceId
    cursor
  }
}
`,
    variables: project,
  },
  {
    query: `# Answers at once, in PENDING; the work goes on
# behind it.
mutation Provision($input: ProvisionServiceInput!) {
  provisionService(input: $input) {
    service {
      id
      name
      state
      hostname
      port
      externalHost
      externalPort
      viewerActions
    }
  }
}
`,
    variables: JSON.stringify({ input: { projectId: "demo", kind: "REDIS", tier: "DEV" } }, null, 2),
  },
  {
    query: `# The project's services. The tabs from here on
# need the id of one, among the variables.
query Services($projectId: ID!) {
  services(projectId: $projectId) {
    totalCount
    eventCursor
    nodes {
      id
      name
      kind
      version
      state
      operation { kind phase }
      error { code message }
      viewerActions
      credentials { key value mode }
    }
  }
}
`,
    variables: project,
  },
  {
    query: `# The credentials in clear. That you revealed
# them becomes an event.
mutation Reveal($id: ID!) {
  revealCredentials(input: { id: $id }) {
    credentials { key value }
  }
}
`,
    variables: service,
  },
  {
    query: `# A clean shutdown; the data is kept.
mutation Stop($id: ID!) {
  stopService(input: { id: $id }) {
    service { state operation { kind phase } }
  }
}
`,
    variables: service,
  },
  {
    query: `# Starts a stopped service with the data it had.
mutation Start($id: ID!) {
  startService(input: { id: $id }) {
    service { state operation { kind phase } }
  }
}
`,
    variables: service,
  },
  {
    query: `# Removes the service and its data for good.
mutation Destroy($id: ID!) {
  destroyService(input: { id: $id }) {
    service { state operation { kind phase } }
  }
}
`,
    variables: service,
  },
];
