// The read side of the API as one would write it in Node: mercurius with its JIT on fastify, and better-sqlite3.
// `node mercurius.js DATABASE`; its address is the first line that it prints.
import Database from 'better-sqlite3'
import Fastify from 'fastify'
import mercurius from 'mercurius'

const schema = `
  type Query {
    services(projectId: ID!, filter: ServiceFilter, first: Int): ServiceConnection!
    viewer: Viewer!
  }
  input ServiceFilter { includeDestroyed: Boolean }
  type ServiceConnection { nodes: [Service!]! }
  type Service {
    id: ID!
    projectId: ID!
    name: String!
    kind: ServiceKind!
    version: String!
    state: ServiceState!
    hostname: String!
    port: Int!
    externalHost: String
    externalPort: Int
    revision: Int!
    createdAt: String!
    updatedAt: String!
  }
  enum ServiceKind { POSTGRESQL REDIS }
  enum ServiceState { RUNNING DESTROYED }
  type Viewer { subject: String! projects: [ID!]! permissions: [String!]! expiresAt: String! }
`

const database = new Database(process.argv[2], { readonly: true })
const all = database.prepare('SELECT * FROM services WHERE projectId = ? ORDER BY id LIMIT ?')
const kept = database.prepare('SELECT * FROM services WHERE projectId = ? AND destroyedAt IS NULL ORDER BY id LIMIT ?')

const resolvers = {
  Query: {
    services: (_, { projectId, filter, first }) => ({
      nodes: (filter?.includeDestroyed ? all : kept).all(projectId, first ?? 20)
    }),
    viewer: () => ({ subject: 'bench', projects: ['bench'], permissions: [], expiresAt: '2027-01-01T00:00:00Z' })
  }
}

const server = Fastify()
server.register(mercurius, { schema, resolvers, jit: 1 })
console.log(await server.listen({ host: '127.0.0.1', port: 0 }))
