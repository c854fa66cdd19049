/** The tabs of a first visit, in the order of a walk through the API. Each is called as its operation is. */

/** What stands in the variables until it is known what is meant. */
export const PROJECT = "demo";
export const SERVICE = "svc_…";

const service = JSON.stringify({ id: SERVICE }, null, 2);
const project = JSON.stringify({ projectId: PROJECT }, null, 2);

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
    query: `# Each change of the project's services. It ends
# when you go to another tab here: open this page
# twice to watch what you do there.
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
    variables: JSON.stringify({ input: { projectId: PROJECT, kind: "REDIS", tier: "DEV" } }, null, 2),
  },
  {
    query: `# The project's services. The tabs from here on are
# about one: choose it above.
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
    query: `# The service now, and again after each change.
subscription Changed($id: ID!) {
  serviceChanged(id: $id) {
    name
    state
    operation { kind phase progressPercent }
    error { code message }
  }
}
`,
    variables: service,
  },
  {
    query: `# What its server writes: the last lines, and then
# each as it comes.
subscription Logs($id: ID!) {
  serviceLogs(id: $id, tail: 20) {
    occurredAt
    stream
    text
  }
}
`,
    variables: service,
  },
  {
    query: `# What it takes and holds, about once a second.
subscription Metrics($id: ID!) {
  serviceMetrics(id: $id) {
    measuredAt
    cpuMillis
    cpuLimitMillis
    memoryMib
    memoryLimitMib
    storageMib
    storageLimitMib
    connections
  }
}
`,
    variables: service,
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
    query: `# Another password. Connections that are open stay
# open; new ones need it.
mutation Rotate($id: ID!) {
  rotateCredentials(input: { id: $id }) {
    service { state operation { kind phase } }
  }
}
`,
    variables: service,
  },
  {
    query: `# Stops it and starts it again with the data it had.
mutation Restart($id: ID!) {
  restartService(input: { id: $id }) {
    service { state operation { kind phase } }
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
