// What the operations' variables can be filled in from: the viewer's projects, and the services of one.

const endpoint = new URL("graphql", document.baseURI);

export interface Named {
  id: string;
  name: string;
}

async function ask<T>(token: string, query: string, variables: object = {}): Promise<T | null> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  }).catch(() => null);
  const answer = await response?.json().catch(() => null);
  return answer?.data ?? null;
}

/** Of the viewer; `*` stands for all there are. None where the token is refused, which each operation says itself. */
export async function projectsOf(token: string): Promise<string[]> {
  const answer = await ask<{ viewer: { projects: string[] } }>(token, "{ viewer { projects } }");
  return answer?.viewer.projects ?? [];
}

/** The latest first. */
export async function servicesOf(token: string, project: string): Promise<Named[]> {
  const answer = await ask<{ services: { nodes: Named[] } }>(
    token,
    "query ($project: ID!) { services(projectId: $project, last: 100) { nodes { id name } } }",
    { project },
  );
  return answer?.services.nodes.toReversed() ?? [];
}
