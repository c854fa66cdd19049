/** An error as the API tells it. */
export interface GraphQLError {
  message: string;
  path?: (string | number)[];
  extensions?: { code?: string; field?: string; retryAfter?: number; [key: string]: unknown };
}

/** Why the server did not do what was asked. Decide by `code`, which is one of the schema's `ErrorCode`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;
  /** The argument or input field that is wrong. */
  readonly field: string | undefined;
  /** In how many seconds it is worth another try. */
  readonly retryAfter: number | undefined;
  readonly errors: readonly GraphQLError[];

  constructor(errors: readonly GraphQLError[]) {
    super(errors[0]?.message ?? "The server gave no reason");
    const extensions = errors[0]?.extensions;
    this.code = extensions?.code ?? "UNKNOWN";
    this.field = extensions?.field;
    this.retryAfter = extensions?.retryAfter;
    this.errors = errors;
  }
}

/** There was no answer, or none of this server's; what a mutation asks for may have happened. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}
