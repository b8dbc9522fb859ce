/** Base of every error of this package. `hint` says what to do next; empty where it is obvious. */
export class NeuroGridError extends Error {
  readonly hint: string = '';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** There is no coordinator to talk to, or something that is asked for needs what is not here. */
export class ConfigurationError extends NeuroGridError {}

/** The coordinator could not be reached, or the connection broke too often. */
export class ConnectionFailedError extends NeuroGridError {
  override readonly hint: string = 'Is the coordinator running, and is baseUrl its address?';
}

/** No answer in time. Whatever was asked for may have been done. */
export class RequestTimeoutError extends ConnectionFailedError {
  override readonly hint = 'Give the call a longer timeout, or ask what became of it.';
}

/** An answer is larger than what is taken whole. */
export class TooLargeError extends NeuroGridError {
  override readonly hint = 'Read it as it comes: outputStream, or client.transport.send.';
}

/** What was waited for has not ended in time. It goes on. */
export class WaitTimeoutError extends NeuroGridError {
  override readonly hint = 'It goes on: wait again, or cancel it.';
}

/** What was received does not have the hash that it should have. */
export class IntegrityError extends NeuroGridError {}

/** What an error answer says. */
export interface ErrorAnswer {
  /** The API's word for it, in capitals, such as `INVALID_REQUEST`. */
  readonly code: string;
  readonly message: string;
  /** HTTP status. */
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>>;
  /** Names the request in the coordinator's log; empty where none was given. */
  readonly requestId: string;
  /** Seconds to wait, where the answer says so. */
  readonly retryAfter?: number | undefined;
}

/** The coordinator answered with an error. */
export class ApiError extends NeuroGridError implements ErrorAnswer {
  readonly code: string;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string;
  readonly retryAfter: number | undefined;

  constructor(answer: ErrorAnswer) {
    super(answer.message);
    this.code = answer.code;
    this.status = answer.status;
    this.details = answer.details;
    this.requestId = answer.requestId;
    this.retryAfter = answer.retryAfter;
  }
}

/** The request breaks a rule; `field` names the culprit, where it is one field. */
export class InvalidRequestError extends ApiError {
  get field(): string | null {
    const field = this.details['field'];
    return typeof field === 'string' ? field : null;
  }
}

/** No key, an unknown key, or one that has ended; or a signature of the wallet is wanted. */
export class AuthenticationError extends ApiError {
  override readonly hint = 'Give apiKey, or set NEUROGRID_API_KEY.';
}

/** The key is good, but may not do this. */
export class PermissionDeniedError extends ApiError {}

/** There is no such thing, or it belongs to somebody else. */
export class NotFoundError extends ApiError {}

/** The request does not fit the present state. */
export class ConflictError extends ApiError {}

/** The receipt is not complete yet; `missing` says what it lacks. */
export class NotSettledError extends ConflictError {
  override readonly hint = 'Ask again in a few seconds.';

  get missing(): string[] {
    const missing = this.details['missing'];
    return Array.isArray(missing) ? missing.map(String) : [];
  }
}

/** What the account can spend does not cover what this may cost. `needed` and `available` are USDC. */
export class InsufficientFundsError extends ApiError {
  override readonly hint = 'Deposit USDC, or lower the price, the time limit or the total cost.';

  get needed(): string {
    return words(this.details['needed']);
  }

  get available(): string {
    return words(this.details['available']);
  }
}

/** No node can serve this; `details.explanation` says which condition to relax. */
export class ProviderUnavailableError extends ApiError {
  override readonly hint =
    'Relax what details.explanation names, or submit with wait_for_node to queue until a node comes.';
}

/** A task that was waited for has failed or was cancelled; the coordinator is well. */
export class TaskFailedError extends ApiError {
  override readonly hint = 'client.tasks.logs(error.taskId) shows what its program printed.';

  get taskId(): string {
    return words(this.details['task_id'] ?? this.details['taskId']);
  }

}

/** Too many requests. `retryAfter` is how many seconds to wait; `code` is always `RATE_LIMIT_EXCEEDED`. */
export class RateLimitError extends ApiError {
  declare readonly retryAfter: number;

  constructor(answer: ErrorAnswer) {
    super({ ...answer, code: 'RATE_LIMIT_EXCEEDED', retryAfter: answer.retryAfter ?? 1 });
  }
}

/** The coordinator failed; nothing is wrong with the request. */
export class ServerError extends ApiError {
  override readonly hint = "Try again; if it repeats, the coordinator's log says why under requestId.";
}

type Kind = new (answer: ErrorAnswer) => ApiError;

const BY_CODE: Readonly<Record<string, Kind>> = {
  UNAUTHORIZED: AuthenticationError,
  KEY_EXPIRED: AuthenticationError,
  SIGNATURE_REQUIRED: AuthenticationError,
  SIGNATURE_INVALID: AuthenticationError,
  SIGNATURE_EXPIRED: AuthenticationError,
  SIGNATURE_REPLAYED: AuthenticationError,
  FORBIDDEN: PermissionDeniedError,
  NOT_FOUND: NotFoundError,
  EXPIRED: NotFoundError,
  BATCH_NOT_FOUND: NotFoundError,
  MODEL_UNAVAILABLE: NotFoundError,
  SCHEDULED_TASK_NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  IDEMPOTENCY_MISMATCH: ConflictError,
  DEPENDENCY_UNMET: ConflictError,
  NOT_SETTLED: NotSettledError,
  INSUFFICIENT_CREDITS: InsufficientFundsError,
  NODE_UNAVAILABLE: ProviderUnavailableError,
  TASK_FAILED: TaskFailedError,
};

/** The error for an answer. */
export function apiError(answer: ErrorAnswer): ApiError {
  if (answer.status === 429) return new RateLimitError(answer);
  const kind = Object.hasOwn(BY_CODE, answer.code) ? BY_CODE[answer.code] : undefined;
  return new (kind ?? (answer.status >= 500 ? ServerError : InvalidRequestError))(answer);
}

function words(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
