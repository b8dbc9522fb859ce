// Written by scripts/schema.mjs from the coordinator's OpenAPI document: change it there.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description What an account says of itself. */
        AccountChange: {
            /** @description Whether the wallet has to sign every request that changes something, not only what moves money. */
            signs_writes: boolean;
        };
        /** @description Limits that the account sets itself; null or left out: none. They replace those before. */
        AccountLimitsRequest: {
            /** @default null */
            monthly_budget?: (string | number) | null;
            /** @default null */
            monthly_tasks?: number | null;
            /** @default null */
            task_budget?: (string | number) | null;
        };
        /** @description What the account may do. ``monthly_*`` and ``task_budget`` are its own to set. */
        AccountLimitsView: {
            tier: string;
            /** @description null: no limit. */
            requests_per_minute: number | null;
            monthly_budget: string | null;
            monthly_tasks: number | null;
            /** @description What one task may cost at most. */
            task_budget: string | null;
            used: components["schemas"]["UsedView"];
        };
        /** @description Some accounts; ``total`` counts all. */
        AccountListView: {
            accounts: components["schemas"]["AccountSummary"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description An account as the operator sees it. */
        AccountSummary: {
            id: string;
            name: string;
            wallet: string;
            roles: string[];
            /** @description UTC. */
            created_at: string;
        };
        /** @description Who the key belongs to, and its money. */
        AccountView: {
            id: string;
            name: string;
            wallet: string;
            /** @description What its keys may act as at most. */
            roles: string[];
            /** @description Whether all that it changes has to be signed by its wallet. */
            signs_writes: boolean;
            /** @enum {unknown} */
            currency: "USDC";
            balance: components["schemas"]["BalanceView"];
        };
        /** @description Of your tasks that ended within the period. ``average_wait_time``: seconds from submission to start. */
        AllTasksMetricsView: {
            /** @enum {unknown} */
            period: "day" | "hour" | "month" | "week";
            total: number;
            completed: number;
            failed: number;
            cancelled: number;
            average_execution_time: number;
            average_wait_time: number;
            success_rate: number;
            throughput: number;
            /** @description USDC. */
            total_cost: number;
        };
        /** @description Some of the account's keys; ``total`` counts all that were asked for. */
        ApiKeyListView: {
            api_keys: components["schemas"]["ApiKeyView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description A key that is wanted. Without an end it lives as long as the key that asks. */
        ApiKeyRequest: {
            /** @description What it is for; for people. */
            name: string;
            /** @description `read`: GET. `write`: everything else but keys. `keys`: make, rotate and revoke keys. None that the key that asks lacks. */
            scopes: ("keys" | "read" | "write")[];
            /**
             * @description When it ends, with a time zone; no later than the key that asks.
             * @default null
             */
            expires_at?: string | null;
            /**
             * @description The same counted from now, in place of `expires_at`.
             * @default null
             */
            expires_in_seconds?: number | null;
            /**
             * @description What it acts as; none that the key that asks is not. By default as that key, but never as operator.
             * @default null
             */
            roles?: ("client" | "operator" | "provider")[] | null;
        };
        /**
         * @description How a key is replaced. Without an end the new one ends when the old one would have, or the key
         *         that asks if that is sooner.
         */
        ApiKeyRotation: {
            /**
             * @description How long the old key goes on. Revoke it to end it at once.
             * @default 86400
             */
            grace_seconds?: number;
            /**
             * @description When it ends, with a time zone; no later than the key that asks.
             * @default null
             */
            expires_at?: string | null;
            /**
             * @description The same counted from now, in place of `expires_at`.
             * @default null
             */
            expires_in_seconds?: number | null;
        };
        /** @description An API key without its secret. */
        ApiKeyView: {
            id: string;
            name: string;
            /** @description Its first characters. */
            hint: string;
            /**
             * @description `sign_in`: somebody signed in with the account's wallet. `application`: a token of an application's, by OAuth.
             * @enum {unknown}
             */
            kind: "application" | "key" | "sign_in";
            scopes: string[];
            /** @description What it acts as, as far as its account still does. */
            roles: string[];
            /** @enum {unknown} */
            state: "active" | "expired" | "revoked";
            /** @description Whether it is the key that asks. */
            current: boolean;
            /** @description UTC. */
            created_at: string;
            expires_at: string | null;
            revoked_at: string | null;
            /** @description To the minute. */
            last_used_at: string | null;
        };
        /** @description Some of the account's applications; ``total`` counts all. */
        ApplicationListView: {
            clients: components["schemas"]["ApplicationView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description An application that is wanted. */
        ApplicationRequest: {
            /** @description What owners of accounts are shown. */
            name: string;
            /** @description What it may have at most. */
            scopes: ("keys" | "read" | "write")[];
            /**
             * @description Where answers may be sent, to the byte: https, this machine by http, or an app's own scheme. None for an application that only acts for your own account.
             * @default []
             */
            redirect_uris?: string[];
            /**
             * @description It runs where nobody else can read its secret; a page or an app does not.
             * @default true
             */
            confidential?: boolean;
        };
        /** @description An application without its secret. */
        ApplicationView: {
            client_id: string;
            name: string;
            redirect_uris: string[];
            scopes: string[];
            /** @description What its tokens act as at most. */
            roles: string[];
            confidential: boolean;
            /** @description UTC. */
            created_at: string;
            /** @description When it ends, with the key that registered it. */
            expires_at: string | null;
        };
        /** @description A file that the account no longer has. */
        ArtifactDeleted: {
            sha256: string;
        };
        /** @description A stored file; ``created`` is false where it was there already. */
        ArtifactView: {
            sha256: string;
            size: number;
            created: boolean;
        };
        /** @description A try to deliver. */
        AttemptView: {
            number: number;
            /** @description UTC. */
            at: string;
            /** @description Null while it lasts, and where the coordinator was ended meanwhile. */
            took_ms: number | null;
            /** @description The receiver's; null where it did not answer. */
            status: number | null;
            /** @description What was wrong; empty for nothing. */
            error: string;
            /** @description The beginning of what the receiver said. */
            answer: string;
        };
        /** @description The attributes of the constraint language. */
        AttributeListView: {
            attributes: components["schemas"]["AttributeView"][];
        };
        /** @description Something that constraints may name. */
        AttributeView: {
            name: string;
            /** @description node, gpu (each one), standing or price. */
            about: string;
            type: string;
            operators: string[];
            /** @description In texts; empty where there are none. */
            units: string[];
            /** @description What an integer counts in clauses. */
            base_unit: string;
            example: string;
            meaning: string;
        };
        /** @description One for each lease of the task, oldest first. */
        AuctionListView: {
            task_id: string;
            auctions: components["schemas"]["AuctionView"][];
        };
        /**
         * @description One auction of the task.
         *
         *         ``price_per_hour`` is what the winner is paid: the lowest score of another owner's node less the
         *         winner's own waiting part, so that nobody gains by asking for more than the work is worth to
         *         him. ``expected_start_seconds`` is what counted for the winner, ``started_after_seconds`` what
         *         the coordinator's clock saw from the open escrow on; null where it did not start, or could not
         *         be seen.
         */
        AuctionView: {
            lease_id: string;
            /** @description UTC. */
            held_at: string;
            max_price_per_hour: string | null;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            price_per_hour: string;
            winner: string;
            expected_start_seconds: number | null;
            started_after_seconds: number | null;
            /** @description Nodes had committed to their bids before the first was shown. */
            sealed_bids: boolean;
            /** @description Nodes that had committed and showed no bid that counts. */
            unrevealed: string[];
            /** @description Best first. */
            bids: components["schemas"]["BidView"][];
        };
        /** @description Changes, newest first. */
        AuditLogView: {
            logs: components["schemas"]["AuditRowView"][];
            metadata: components["schemas"]["AuditMetadata"];
            limit: number;
            offset: number;
        };
        /** @description ``total`` counts all, ``filtered`` those that fit. */
        AuditMetadata: {
            total: number;
            filtered: number;
            /** @description Two times with a slash between; `..` is open. */
            time_range: string;
        };
        /** @description A change. ``hash`` covers all of it and ``previous``, the hash of the change before. */
        AuditRowView: {
            id: number;
            /** @description UTC. */
            timestamp: string;
            /** @enum {unknown} */
            type: "api" | "system" | "task";
            /** @enum {unknown} */
            level: "error" | "info" | "warning";
            message: string;
            account_id: string | null;
            /** @description `key_id`, `address`, `request_id` of a request. */
            details: Record<string, unknown>;
            previous: string;
            hash: string;
        };
        /** @description Nodes and owners where a task must not run. */
        AvoidRequest: {
            /** @default [] */
            nodes?: string[];
            /** @default [] */
            wallets?: string[];
        };
        /**
         * @description An account's money in USDC.
         *
         *         ``available`` is what new tasks can spend; ``held`` is promised to tasks without an escrow;
         *         ``escrowed`` is locked on the chain; ``wallet`` is the owner's own, not deposited;
         *         ``operator_limit`` is what this coordinator may still open escrows for.
         */
        BalanceView: {
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            available: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            held: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            wallet: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            operator_limit: string;
        };
        /** @description What was done: ``result`` is "cancelled", "cancelling" or "deleted". */
        BatchEndView: {
            id: string;
            result: string;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
        };
        /** @description A page of batches; ``total`` counts all that match. */
        BatchListView: {
            batches: components["schemas"]["BatchView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description How many tasks are in each status; ``pending``: wait here or for a node. */
        BatchProgress: {
            total: number;
            completed: number;
            failed: number;
            cancelled: number;
            pending: number;
            running: number;
        };
        /** @description Tasks, in one of three ways, and how they are run. */
        BatchRequest: {
            /**
             * @description Yours, once in your account; routes take it beside ours.
             * @default null
             */
            id?: string | null;
            /** @default  */
            name?: string;
            /** @default  */
            description?: string;
            /**
             * @description At most 10000; more come as CSV.
             * @default null
             */
            tasks?: Record<string, unknown>[] | null;
            /** @default null */
            csv?: components["schemas"]["CsvRequest"] | null;
            /**
             * @description A CSV file in your folder on the coordinator, where its operator has one.
             * @default null
             */
            input_file?: string | null;
            /**
             * @description Fields of `POST /tasks`, of every task that does not have them itself.
             * @default {}
             */
            defaults?: Record<string, unknown>;
            /**
             * @description How many of its tasks may wait or run at a time.
             * @default 16
             */
            max_concurrency?: number;
            /**
             * @description false: one after the other, whatever `max_concurrency` says.
             * @default true
             */
            parallel?: boolean;
            /**
             * @description How often a task that fails is tried again.
             * @default 0
             */
            retries?: number;
            /**
             * @description USDC, of all tasks together. What does not fit any more fails.
             * @default null
             */
            max_cost?: (string | number) | null;
            /**
             * @description false: it waits for `POST /batches/{batch_id}/execute`.
             * @default true
             */
            execute?: boolean;
        };
        /** @description Why it failed or was cancelled. */
        BatchTaskFailure: {
            code: string;
            message: string;
        };
        /** @description A page of a batch's tasks, in its order; ``total`` counts all that match. */
        BatchTaskListView: {
            batch_id: string;
            tasks: components["schemas"]["BatchTaskView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description A task of a batch. */
        BatchTaskView: {
            /** @description Yours; its number where you gave none. */
            id: string;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description Of its task; null before it has one. */
            phase: string | null;
            /** @description For `GET /tasks/{task_id}`: the newest. */
            task_id: string | null;
            node_id: string | null;
            /** @description How many tasks it has had. */
            attempts: number;
            /**
             * Format: decimal
             * @description Of all of them that have ended.
             */
            cost_usdc: string;
            error: components["schemas"]["BatchTaskFailure"] | null;
            completed_at: string | null;
        };
        /** @description A batch. */
        BatchView: {
            id: string;
            /** @description Your own id for it. */
            client_id: string | null;
            name: string;
            description: string;
            /**
             * @description `pending`: not started. Ended, it is `failed` when a task failed, else `cancelled` when one was cancelled, else `completed`.
             * @enum {unknown}
             */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description Nothing of it begins any more. */
            cancelling: boolean;
            progress: components["schemas"]["BatchProgress"];
            /**
             * Format: decimal
             * @description Of its tasks that have ended.
             */
            cost_usdc: string;
            /**
             * Format: decimal
             * @description What all could cost, each tried once.
             */
            most_usdc: string;
            /** @description Its budget. */
            max_cost: string | null;
            max_concurrency: number;
            retries: number;
            defaults: Record<string, unknown>;
            /** @description What keeps it from going on, in words. */
            waits_for: string | null;
            /** @description UTC. */
            created_at: string;
            started_at: string | null;
            completed_at: string | null;
        };
        /** @description One node's offer. */
        BidView: {
            node_id: string;
            wallet: string;
            /**
             * Format: decimal
             * @description What the node asked.
             */
            price_per_hour: string;
            /** @description How soon the job would run, as it said: in half of all cases. */
            start_seconds: number;
            /** @description In 19 of 20 cases; null where it did not say. */
            start_seconds_p95: number | null;
            /** @description How much longer than it said its last starts took; `start_seconds` counts so many times. 1: it starts as fast as it says. */
            start_factor: number;
            /** @description Of the image and the inputs, what it has already, 10^9 bytes. */
            cached_gb: number;
            /**
             * Format: decimal
             * @description The price, and for each second of waiting (`start_seconds` times `start_factor`) a thousandth of the task's highest price. The lowest wins.
             */
            score: string;
            won: boolean;
        };
        /** @description What an account can spend. */
        BillingBalanceView: {
            /**
             * Format: decimal
             * @description What new tasks can spend.
             */
            balance: string;
            /** @enum {unknown} */
            currency: "USDC";
            /**
             * Format: decimal
             * @description Promised to tasks that have no escrow yet.
             */
            held: string;
            /**
             * Format: decimal
             * @description Locked on the chain for tasks.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description Paid since the month began, UTC.
             */
            spent_this_month: string;
        };
        /** @description Of all charges of the time, not of the page alone. */
        BillingTotalsView: {
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description By escrows that are closed.
             */
            paid: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            refunded: string;
            /**
             * Format: decimal
             * @description Locked in escrows that are open.
             */
            open: string;
        };
        /** @description What goes beyond the GPUs themselves. */
        BoltAdvanced: {
            /** @description Of the processors beside the GPUs, mean over their nodes. */
            averageLoad: number;
            /** @description Seconds that the node which is connected longest has been. */
            uptime: number;
            processes: components["schemas"]["BoltProcess"][];
            performance: components["schemas"]["BoltPerformance"];
        };
        /** @description A batch that is stored. */
        BoltBatch: {
            /** @description For `GET /api/v1/batches/{batch_id}`. */
            batchId: string;
            /** @description Of its tasks, in their order: good at once, before their turn comes. */
            taskIds: string[];
            total: number;
            /** @enum {unknown} */
            status: "complete" | "error" | "pending" | "running";
        };
        /** @description How a batch is carried out. */
        BoltBatchOptions: {
            /**
             * @description false: one after the other.
             * @default true
             */
            parallel?: boolean;
            /**
             * @description So many may wait or run at a time.
             * @default 16
             */
            maxConcurrent?: number;
            /**
             * @description Milliseconds, of tasks that say nothing themselves.
             * @default null
             */
            timeoutPerTask?: number | null;
        };
        /** @description Requests to models, sent together. */
        BoltBatchRequest: {
            tasks: components["schemas"]["BoltTaskRequest"][];
            /**
             * @default {
             *       "parallel": true,
             *       "maxConcurrent": 16,
             *       "timeoutPerTask": null
             *     }
             */
            batchOptions?: components["schemas"]["BoltBatchOptions"];
        };
        /** @description Every error of document 000 but that of too many requests. */
        BoltError: {
            /** @description The native code in small letters. */
            error: string;
            message: string;
            /** @description As natively. */
            details: Record<string, unknown>;
        };
        /** @description Something that failed. */
        BoltErrorEntry: {
            id: string;
            /** @description UTC. */
            timestamp: string;
            /** @description `taskId`, `severity`, `code`, `message`, and what is known. */
            context: Record<string, unknown>;
            /** @description Where, line by line; empty for tasks. */
            stack: string;
            /** @description What somebody did about it; empty while nobody has said. */
            resolution: string;
        };
        /** @description Failures, newest first; ``total`` counts all that fit. */
        BoltErrorLog: {
            errors: components["schemas"]["BoltErrorEntry"][];
            total: number;
        };
        /** @description Why there is no result. */
        BoltFailure: {
            code: string;
            message: string;
        };
        /** @description All GPUs that connected nodes offer, as one. */
        BoltGpu: {
            /** @description Share of all GPUs that jobs have. */
            utilization: number;
            memory: components["schemas"]["BoltGpuMemory"];
            /** @description Degrees Celsius, mean of those that tell; 0: none does. */
            temperature: number;
            /** @description Watts, of those that tell together; 0: none does. */
            powerUsage: number;
            advanced: components["schemas"]["BoltAdvanced"];
        };
        /** @description Of all GPUs, bytes. A GPU that a job has is used whole. */
        BoltGpuMemory: {
            total: number;
            used: number;
            free: number;
        };
        /** @description The headers by which a receiver knows who sent a delivery; the texts are the receiver's own. */
        BoltHeaders: {
            /** @default  */
            "X-Signature"?: string;
            /** @default  */
            "X-Timestamp"?: string;
        };
        /** @description A key that was made. */
        BoltKey: {
            id: string;
            name: string;
            /** @description What to send as `Authorization: Bearer`. Shown this once; null where the request is repeated with its idempotency key and the key has been used. */
            key: string | null;
            permissions: string[];
            expiry: string | null;
            /** @description UTC. */
            createdAt: string;
        };
        /** @description A key that is wanted. */
        BoltKeyRequest: {
            name: string;
            /** @description `read`, `write`, `keys`: none that the key or token that asks lacks. */
            permissions: ("keys" | "read" | "write")[];
            /**
             * @description When it ends: ISO 8601, in UTC where it names no zone. Empty: with the key that asks.
             * @default
             */
            expiry?: string;
        };
        /** @description How many requests may come in a minute, how many still may, and when all may again. */
        BoltLimit: {
            limit: number;
            remaining: number;
            reset: string;
        };
        /**
         * @description Too many requests. ``limits``: ``user`` and ``ip``, as far as the operator limits them and they were
         *         looked at.
         */
        BoltLimited: {
            error: string;
            message: string;
            /** @description Seconds. */
            retryAfter: number;
            limits: {
                [key: string]: components["schemas"]["BoltLimit"];
            };
        };
        /** @description A change. */
        BoltLogEntry: {
            /** @description UTC. */
            timestamp: string;
            type: string;
            level: string;
            message: string;
            /** @description `id`, and `key_id`, `address`, `request_id` of a request. */
            details: Record<string, unknown>;
        };
        /** @description ``total`` counts all of the account's, ``filtered`` those that fit. */
        BoltLogMetadata: {
            total: number;
            filtered: number;
            /** @description Two times with a slash between; `..` is open. */
            timeRange: string;
        };
        /** @description Changes, newest first. */
        BoltLogs: {
            logs: components["schemas"]["BoltLogEntry"][];
            metadata: components["schemas"]["BoltLogMetadata"];
        };
        /** @description As in `TaskProgress` (docs/events.md). */
        BoltMetrics: {
            /** @description The score of its node, 0 to 1. */
            quality: number;
            /** @description Milliseconds from submission to start. */
            latency: number;
            /** @description Most memory of what it asked for. */
            resourceUsage: number;
            prediction: components["schemas"]["BoltPrediction"];
        };
        /** @description How it is carried out. */
        BoltOptions: {
            /**
             * @description Of text: 1 always takes the likeliest token (`temperature` is 1 less this). Of images: 40 steps at 1. Others have one quality. The model's own, if left out.
             * @default null
             */
            quality?: number | null;
            /** @default null */
            timeout?: number | null;
            /**
             * @description Tasks that must have completed before.
             * @default []
             */
            dependencies?: string[];
            /**
             * @default {
             *       "level": null,
             *       "reason": "",
             *       "deadline": null
             *     }
             */
            customPriority?: components["schemas"]["BoltPriority"];
        };
        /** @description Of the tasks of all accounts that ended in the last 24 hours. */
        BoltPerformance: {
            /** @description How many ended in a minute. */
            throughput: number;
            /** @description Milliseconds from submission to start, mean of those that ran. */
            latency: number;
            /** @description Completed of completed and failed; 1 of none. */
            efficiency: number;
        };
        /** @description What is still to come. */
        BoltPrediction: {
            /** @description Seconds. */
            timeRemaining: number;
            /** @description Bytes of memory. */
            resourceNeeded: number;
        };
        /** @description How urgent it is, and why. ``level`` goes before `priority`. */
        BoltPriority: {
            /** @default null */
            level?: number | null;
            /**
             * @description For people; kept and shown.
             * @default
             */
            reason?: string;
            /**
             * @description When it has to have ended, UTC where it names no zone; it is not begun where that can't be kept any more.
             * @default null
             */
            deadline?: string | null;
        };
        /** @description A running task of the account that has GPUs. */
        BoltProcess: {
            /** @description In its own container, where its program is the first. */
            pid: number;
            /** @description Bytes of main memory: the most that it has had at once. */
            memory: number;
            /** @description Seconds since its container started. */
            runtime: number;
            taskId: string;
            nodeId: string;
        };
        /** @description Where a task is: `TaskProgress`, and `pending` before it has begun. */
        BoltProgress: {
            taskId: string;
            /** @description As it was asked for; null: it asks none. */
            model: string | null;
            /** @enum {unknown} */
            status: "complete" | "error" | "pending" | "running";
            /** @description 0 to 100, as its program says. */
            progress: number;
            metrics: components["schemas"]["BoltMetrics"];
            priority: number;
            error: components["schemas"]["BoltFailure"] | null;
            /** @description UTC. */
            createdAt: string;
            startedAt: string | null;
            /** @description When it ended, however it ended. */
            completedAt: string | null;
        };
        /** @description How often a delivery is tried. */
        BoltRetries: {
            /** @default 8 */
            maxAttempts?: number;
            /**
             * @description Doubled before each further attempt.
             * @default 10
             */
            backoffSeconds?: number;
        };
        /** @description How deliveries are signed: HMAC-SHA256 of the body alone, in hex. */
        BoltSecurity: {
            /**
             * @default sha256
             * @enum {unknown}
             */
            signatureAlgorithm?: "sha256";
            /**
             * @default {
             *       "X-Signature": "",
             *       "X-Timestamp": ""
             *     }
             */
            headers?: components["schemas"]["BoltHeaders"];
        };
        /** @description Where tasks are, in the order in which they were asked for. */
        BoltStatuses: {
            statuses: components["schemas"]["BoltProgress"][];
            /** @description Ids that are no tasks, or somebody else's. */
            notFound: string[];
        };
        /** @description A task with what came of it. */
        BoltTask: {
            taskId: string;
            /** @description As it was asked for; null: it asks none. */
            model: string | null;
            /** @enum {unknown} */
            status: "complete" | "error" | "pending" | "running";
            /** @description 0 to 100, as its program says. */
            progress: number;
            metrics: components["schemas"]["BoltMetrics"];
            priority: number;
            error: components["schemas"]["BoltFailure"] | null;
            /** @description UTC. */
            createdAt: string;
            startedAt: string | null;
            /** @description When it ended, however it ended. */
            completedAt: string | null;
            /** @description The text; of an image its path on this host; of an embedding its numbers as JSON. Null before it is complete, and of a task that asks no model. */
            result: string | null;
            /** @description Read and written, by its program's word; of text. */
            tokensUsed: number | null;
        };
        /** @description A request to a model. */
        BoltTaskRequest: {
            /** @description Its id or an alias; `GET /api/v1/models` lists them. */
            model: string;
            /** @description The prompt; of an embedding the text; of speech the SHA-256 of an artifact with the recording. */
            input: string;
            /**
             * @description 10 is the most urgent.
             * @default 5
             */
            priority?: number;
            /**
             * @default {
             *       "quality": null,
             *       "timeout": null,
             *       "dependencies": [],
             *       "customPriority": {
             *         "level": null,
             *         "reason": "",
             *         "deadline": null
             *       }
             *     }
             */
            options?: components["schemas"]["BoltOptions"];
        };
        /** @description A webhook. */
        BoltWebhook: {
            id: string;
            url: string;
            /** @description By their native names. */
            events: string[];
            security: components["schemas"]["BoltSecurity"];
            retries: components["schemas"]["BoltRetries"];
            /** @enum {unknown} */
            state: "active" | "disabled" | "paused";
            /** @description Where it was made here, this once; null else. */
            secret: string | null;
        };
        /** @description Where to be told of what. */
        BoltWebhookRequest: {
            /** @description `https://` or `http://`, with a name and never an address. It has to be on the public internet, unless the operator allows it by name. */
            url: string;
            /** @description Names of events; `GET /webhook-events` lists them. */
            events: ("task.created" | "task.updated" | "task.started" | "task.progress" | "task.ready" | "task.completed" | "task.failed" | "task.cancelled" | "task.settled" | "task.needs_key" | "task.reclaimed" | "task.verdict" | "batch.created" | "batch.started" | "batch.completed" | "batch.failed" | "batch.cancelled" | "scheduled_task.executed" | "node.status" | "system.alert" | "task.complete" | "batch.finished")[];
            /**
             * @description What deliveries are signed with. Without one it is made here.
             * @default null
             */
            secret?: string | null;
            /**
             * @default {
             *       "signatureAlgorithm": "sha256",
             *       "headers": {
             *         "X-Signature": "",
             *         "X-Timestamp": ""
             *       }
             *     }
             */
            security?: components["schemas"]["BoltSecurity"];
            /**
             * @default {
             *       "maxAttempts": 8,
             *       "backoffSeconds": 10
             *     }
             */
            retries?: components["schemas"]["BoltRetries"];
        };
        /** @description What DELETE did. */
        CancelView: {
            id: string;
            /**
             * @description `cancelling`: its node is being told.
             * @enum {unknown}
             */
            result: "cancelled" | "cancelling" | "deleted";
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
        };
        /** @description Who wants to sign in. */
        ChallengeRequest: {
            /** @description The account's wallet: a Solana address. */
            wallet: string;
        };
        /** @description What the wallet has to sign. */
        ChallengeView: {
            /** @description Sign its UTF-8 bytes, exactly. */
            message: string;
            /** @description UTC. */
            expires_at: string;
        };
        /** @description The money of one run of a task; a task that was tried again has several. */
        ChargeView: {
            task_id: string;
            task_name: string;
            lease_id: string;
            node_id: string;
            /** @description The wallet that earns. */
            provider: string;
            /**
             * @description `settled` once the escrow is closed.
             * @enum {unknown}
             */
            status: "escrowed" | "settled";
            /**
             * Format: decimal
             * @description Locked for it: the most that it could cost.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description Out of the escrow; while it is open: what is promised so far.
             */
            paid: string;
            /** @description Came back; null while it is open. */
            refunded: string | null;
            /** @enum {unknown} */
            currency: "USDC";
            /** @description When the task was awarded. */
            created_at: string;
            settled_at: string | null;
            /** @description Opened the escrow. */
            escrow_transaction: string | null;
            /** @description Paid and closed it. */
            payment_transaction: string | null;
        };
        /** @description A turn of a conversation. */
        ChatMessage: {
            /** @enum {unknown} */
            role: "assistant" | "developer" | "function" | "system" | "tool" | "user";
            /** @default null */
            content?: string | components["schemas"]["Part"][] | null;
            name?: string | null;
            tool_calls?: Record<string, unknown>[] | null;
            tool_call_id?: string | null;
            function_call?: Record<string, unknown> | null;
            refusal?: string | null;
            audio?: Record<string, unknown> | null;
            annotations?: Record<string, unknown>[] | null;
        };
        /** @description `POST /v1/chat/completions`. */
        ChatRequest: {
            /** @description Its id or an alias: GET /v1/models. */
            model: string;
            frequency_penalty?: number | null;
            logit_bias?: {
                [key: string]: number;
            } | null;
            max_tokens?: number | null;
            n?: number | null;
            presence_penalty?: number | null;
            provider?: components["schemas"]["ProviderPreferences"] | null;
            seed?: number | null;
            stop?: string | string[] | null;
            stream?: boolean | null;
            stream_options?: components["schemas"]["StreamOptions"] | null;
            temperature?: number | null;
            top_p?: number | null;
            user?: string | null;
            min_p?: number | null;
            repetition_penalty?: number | null;
            top_k?: number | null;
            messages: components["schemas"]["ChatMessage"][];
            audio?: Record<string, unknown> | null;
            function_call?: string | Record<string, unknown> | null;
            functions?: Record<string, unknown>[] | null;
            logprobs?: boolean | null;
            max_completion_tokens?: number | null;
            metadata?: {
                [key: string]: string;
            } | null;
            modalities?: string[] | null;
            moderation?: Record<string, unknown> | null;
            parallel_tool_calls?: boolean | null;
            prediction?: Record<string, unknown> | null;
            prompt_cache_key?: string | null;
            prompt_cache_options?: Record<string, unknown> | null;
            prompt_cache_retention?: ("24h" | "in-memory" | "in_memory") | null;
            reasoning_effort?: string | null;
            response_format?: Record<string, unknown> | null;
            safety_identifier?: string | null;
            service_tier?: string | null;
            store?: boolean | null;
            tool_choice?: string | Record<string, unknown> | null;
            tools?: Record<string, unknown>[] | null;
            top_logprobs?: number | null;
            verbosity?: string | null;
            web_search_options?: Record<string, unknown> | null;
        };
        /** @description The files of one, sorted by path. */
        CheckpointFilesView: {
            task_id: string;
            checkpoint: components["schemas"]["CheckpointView"];
            files: components["schemas"]["OutputView"][];
        };
        /** @description Those of a task that are kept, oldest first. */
        CheckpointListView: {
            task_id: string;
            checkpoints: components["schemas"]["CheckpointView"][];
        };
        /** @description What is kept of the job's work while it runs; docs/checkpoints.md says what the job has to do. */
        CheckpointRequest: {
            /**
             * @description Of a writable folder in the container.
             * @default /checkpoint
             */
            path?: string;
            /**
             * @description Of running time. The job asks for one sooner by `NEUROGRID_CHECKPOINT`.
             * @default 300
             */
            interval_seconds?: number;
            /**
             * @description How many, the newest.
             * @default 1
             */
            keep?: number;
        };
        /** @description What is kept of a task's work; ``size`` in bytes. */
        CheckpointView: {
            sequence: number;
            /** @description Whose run has left it; null: the task began from it. */
            lease_id: string | null;
            /** @description UTC. */
            kept_at: string;
            files: number;
            size: number;
            /** @description As its node has signed it. */
            manifest_sha256: string;
        };
        /** @description What awards cleared at, per unit and hour: for a GPU task by GPU, else by core. */
        ClassPricesView: {
            /** @description A GPU's model; `cpu` for tasks without one. */
            name: string;
            /** @enum {unknown} */
            unit: "GPU" | "core";
            awards: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            lowest: string;
            /**
             * Format: decimal
             * @description Within 3 %, as `high` is.
             */
            median: string;
            /**
             * Format: decimal
             * @description Nine of ten awards were no dearer.
             */
            high: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            highest: string;
            /** @description Half of the awards expected to start no later. */
            start_seconds: number;
            /** @description Oldest first; only where one class is asked for. */
            hours: components["schemas"]["PriceHourView"][];
        };
        /** @description Alternatives: it is met when one of them is. */
        Clause: {
            alternatives: components["schemas"]["Condition"][];
        };
        /** @description Of the last month and the coming week. */
        CommitmentListView: {
            days: components["schemas"]["CommitmentView"][];
        };
        /** @description One day's secret of the spot checks. */
        CommitmentView: {
            /** @description UTC. */
            day: string;
            /** @description SHA-256 of "neurogrid spot checks:" and the secret. */
            commitment: string;
            /** @description Hexadecimal, two days after. */
            secret: string | null;
        };
        /**
         * @description By what two results are compared.
         * @enum {unknown}
         */
        ComparatorKind: "exact" | "image" | "numeric";
        /** @description What makes two results the same. */
        ComparatorRequest: {
            /**
             * @description `exact`: every byte. `numeric`: numbers within a tolerance, and the same beside them. `image`: your own, which is shown all results and says which are the same.
             * @default exact
             */
            kind?: components["schemas"]["ComparatorKind"];
            /**
             * @description Of the larger number's size; below 1.
             * @default 0
             */
            relative?: string;
            /**
             * @description Or so much, whichever is more.
             * @default 0
             */
            absolute?: string;
            /**
             * @description Of a numeric one: the first that fits a file counts; any other file is compared by its bytes. JSON, CSV, TSV, text, .npy and .npz if left out.
             * @default null
             */
            files?: components["schemas"]["FileRuleRequest"][] | null;
            /**
             * @description Of `image`: its name.
             * @default null
             */
            image?: string | null;
            /**
             * @description Of `image`: what it runs. Empty: the image's own.
             * @default []
             */
            command?: string[];
            /**
             * @description Of `image`: the longest it may take; 600 if left out. Held and paid.
             * @default null
             */
            timeout_seconds?: number | null;
        };
        /** @description `POST /v1/completions`. */
        CompletionRequest: {
            /** @description Its id or an alias: GET /v1/models. */
            model: string;
            frequency_penalty?: number | null;
            logit_bias?: {
                [key: string]: number;
            } | null;
            max_tokens?: number | null;
            n?: number | null;
            presence_penalty?: number | null;
            provider?: components["schemas"]["ProviderPreferences"] | null;
            seed?: number | null;
            stop?: string | string[] | null;
            stream?: boolean | null;
            stream_options?: components["schemas"]["StreamOptions"] | null;
            temperature?: number | null;
            top_p?: number | null;
            user?: string | null;
            min_p?: number | null;
            repetition_penalty?: number | null;
            top_k?: number | null;
            prompt: string | (string | number | number[])[];
            best_of?: number | null;
            echo?: boolean | null;
            logprobs?: number | null;
            suffix?: string | null;
        };
        /**
         * @description One comparison.
         *
         *         Attributes:
         *             values: one; with ``in`` and ``not in`` any number. Numbers in the attribute's base unit:
         *                 bytes, micro-USDC, thousandths of a core, thousandths of a score, seconds.
         */
        Condition: {
            attribute: string;
            operator: components["schemas"]["Operator"];
            values: (number | string)[];
        };
        /** @description Credits to be added. */
        CreditsRequest: {
            /**
             * Format: decimal
             * @description USDC.
             */
            amount: string | number;
            /** @description `usdc`: a deposit from the account's wallet. There is no other here. */
            payment_method: string;
        };
        /** @description An artifact that is a CSV file: a task a row, a field a column (docs/batches.md). */
        CsvRequest: {
            sha256: string;
        };
        /** @description A webhook that is gone. */
        DeletedWebhookView: {
            id: string;
            /** @enum {unknown} */
            deleted: true;
        };
        /** @description A delivery with its attempts, oldest first. */
        DeliveryDetailView: {
            id: string;
            webhook_id: string;
            event: string;
            /** @description The task, or what else it is about. */
            subject_id: string;
            /** @enum {unknown} */
            state: "delivered" | "failed" | "pending";
            attempts: number;
            attempts_max: number;
            /** @description UTC. */
            created_at: string;
            /** @description Null where it has ended. */
            next_attempt_at: string | null;
            ended_at: string | null;
            log: components["schemas"]["AttemptView"][];
            /** @description What is sent; null before the first attempt. */
            body: Record<string, unknown> | null;
        };
        /** @description Some deliveries of a webhook; ``total`` counts all that were asked for. */
        DeliveryListView: {
            deliveries: components["schemas"]["DeliveryView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /**
         * @description How far a delivery is.
         * @enum {string}
         */
        DeliveryState: "pending" | "delivered" | "failed";
        /** @description An event that is to be told, or was. Its id is the same at every attempt. */
        DeliveryView: {
            id: string;
            webhook_id: string;
            event: string;
            /** @description The task, or what else it is about. */
            subject_id: string;
            /** @enum {unknown} */
            state: "delivered" | "failed" | "pending";
            attempts: number;
            attempts_max: number;
            /** @description UTC. */
            created_at: string;
            /** @description Null where it has ended. */
            next_attempt_at: string | null;
            ended_at: string | null;
        };
        /** @description Some of the account's deposits; ``total`` counts all. */
        DepositListView: {
            deposits: components["schemas"]["TransferView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description Money to be moved from the wallet into the deposit, from which tasks are paid. */
        DepositRequest: {
            /**
             * Format: decimal
             * @description At most six decimals.
             */
            amount: string | number;
            /**
             * @description What the market is paid in: USDC.
             * @default USDC
             */
            currency?: string;
            /**
             * @description Let the coordinator open escrows for so much in all, in the same transaction: tasks can't be paid without. Left out, what the wallet allowed before stays.
             * @default null
             */
            operator_limit?: (string | number) | null;
            /**
             * @description For so long.
             * @default 30
             */
            operator_days?: number;
        };
        /** @description What a node was paid through this coordinator. */
        Earnings: {
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            total: string;
            /** @enum {unknown} */
            currency: "USDC";
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            last_30_days: string;
        };
        /** @description What your machines earned through this coordinator, by when they were paid. */
        EarningsSummaryView: {
            start_date: string;
            /** @description Its last day. */
            end_date: string;
            /** @enum {unknown} */
            currency: "USDC";
            /**
             * Format: decimal
             * @description Out of escrows; the market's fee, which the program takes, included.
             */
            paid: string;
            /** @description Runs that paid something. */
            jobs: number;
            /** @description Those that earned most first, 100 at most. */
            nodes: components["schemas"]["NodeEarningsView"][];
            open: components["schemas"]["OpenEarningsView"];
        };
        /** @description `POST /v1/embeddings`. */
        EmbeddingRequest: {
            /** @description Its id or an alias: GET /v1/models. */
            model: string;
            input: string | (string | number | number[])[];
            dimensions?: number | null;
            encoding_format?: ("base64" | "float") | null;
            provider?: components["schemas"]["ProviderPreferences"] | null;
            user?: string | null;
        };
        /** @description Every error looks like this. */
        ErrorAnswer: {
            /** @enum {unknown} */
            success: false;
            error: components["schemas"]["ErrorBody"];
        };
        /** @description What went wrong; ``code`` and ``details`` are for programs. */
        ErrorBody: {
            code: string;
            message: string;
            type: string;
            details: Record<string, unknown>;
        };
        /** @description Every error of document 004. */
        ErrorEnvelope: {
            /** @enum {unknown} */
            status: "error";
            /** @description `code` and `details`, as natively. */
            data: Record<string, unknown>;
            error: string;
            /** @description UTC. */
            timestamp: string;
        };
        /** @description Whether the account can pay: ``needed`` is held until the task ends. */
        EstimateBalanceView: {
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            available: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            needed: string;
            enough: boolean;
        };
        /** @description What a task would likely cost and when it would start. */
        EstimateView: {
            summary: string;
            /** @description Connected now. */
            nodes: number;
            /** @description Nodes at once: one, or as many as a gang has members. */
            wanted: number;
            /** @description That could take it now. */
            matching: number;
            /** @description That could take it at some price, now or when they are idle. */
            suitable: number;
            /** @description Null where no node fits at its maximum. */
            price_per_hour: components["schemas"]["RangeView"] | null;
            /** @description For the whole time limit. */
            total: components["schemas"]["RangeView"] | null;
            /** @description Also where it is above the maximum. */
            lowest_ask_per_hour: string | null;
            /** @description Null where nobody is free, or nothing is known. */
            start_seconds: number | null;
            /**
             * Format: decimal
             * @description For the whole time limit at the highest price.
             */
            max_cost: string;
            balance: components["schemas"]["EstimateBalanceView"];
            /** @description Of such tasks in the last seven days. */
            history: components["schemas"]["ClassPricesView"] | null;
        };
        /** @description Some of the account's events, oldest first; ``next_after``: ask for what comes after it. */
        EventListView: {
            events: Record<string, unknown>[];
            next_after: number;
            /** @description `after` is of an event that there is not (any more): begin anew. */
            reset: boolean;
        };
        /** @description Facts about a node's hardware. */
        EvidenceListView: {
            node_id: string;
            evidence: components["schemas"]["EvidenceView"][];
        };
        /** @description A fact about a node's hardware. */
        EvidenceView: {
            /** @description UTC. */
            at: string;
            /** @description gpu_shared: another node offers the same GPU. */
            kind: string;
            details: Record<string, unknown>;
        };
        /** @description How a task would meet the nodes that are connected now. */
        ExplanationView: {
            summary: string;
            nodes: number;
            /** @description Nodes at once: one, or as many as a gang has members. */
            wanted: number;
            matching: number;
            /** @description In the order in which constraints are applied. */
            survivors: components["schemas"]["SurvivorsView"][];
            /** @description Fewest misses first. */
            nearest: components["schemas"]["NearMissView"][];
            /** @description The lowest ask of nodes that meet all but the price. */
            clearing_price_per_hour: string | null;
            relaxation: components["schemas"]["RelaxationView"] | null;
            declines: {
                [key: string]: number;
            };
            /**
             * Format: decimal
             * @description As it would be held: for the whole time limit at the highest price.
             */
            max_cost: string;
        };
        /** @description Failures, newest first. */
        FailureListView: {
            errors: components["schemas"]["FailureView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description Something that failed. ``stack`` says where, as far as is known. */
        FailureView: {
            id: string;
            /** @description UTC. */
            timestamp: string;
            /** @enum {unknown} */
            severity: "high" | "low" | "medium";
            code: string;
            message: string;
            account_id: string | null;
            task_id: string | null;
            context: Record<string, unknown>;
            stack: string;
            resolution: string | null;
            resolved_at: string | null;
        };
        /**
         * @description How numbers are found in a file.
         *
         *         ``f32`` and ``f64``: nothing but little-endian IEEE 754 numbers of 4 or 8 bytes.
         * @enum {unknown}
         */
        FileFormat: "f32" | "f64" | "json" | "npy" | "npz" | "text";
        /** @description Files that are compared by their numbers. */
        FileRuleRequest: {
            /** @description Of the path below /outputs; `*` stands for anything, `?` for one character. */
            pattern: string;
            /**
             * @description What the name's end says if left out, else text. `f32` and `f64`: nothing but little-endian numbers.
             * @default null
             */
            format?: components["schemas"]["FileFormat"] | null;
        };
        /** @description Something that the coordinator has seen a node do. */
        FindingView: {
            /** @description UTC. */
            at: string;
            /** @description verified, refuted, failed, challenge_passed, challenge_failed, gpu_shared or model_false. */
            kind: string;
            /** @description Of a failed run. */
            outcome: string | null;
            reason: string;
            /** @description 1 when it happened; halves with time. */
            remembered: number;
            /** @description The score less what it would be without this. */
            effect: number;
            /** @description False: it is recorded and does not count. */
            scored: boolean;
        };
        /** @description A run that verifies a task: a task of its own, with receipt and log, that is in no list. */
        FurtherRunView: {
            id: string;
            phase: string;
            /** @description Of a run of the client's own comparator: the runs whose results it sees. */
            compares: string[];
            node_id: string | null;
            /** @description agreed, refuted, outvoted or undecided. */
            verdict: string | null;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            error: components["schemas"]["TaskFailure"] | null;
        };
        /** @description A member of a gang: a task of its own, with receipt and log, that is in no list. */
        GangMemberView: {
            rank: number;
            /** @description Rank 0's is the task's own. */
            id: string;
            /** @description waiting: it has no seat now. */
            phase: string;
            node_id: string | null;
            progress: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            error: components["schemas"]["TaskFailure"] | null;
        };
        /** @description So many nodes at once, or none; docs/kinds-of-tasks.md says what each member is told. */
        GangRequest: {
            size: number;
            /**
             * @description What members do not share: a node never, and with `wallet` no owner.
             * @default node
             * @enum {unknown}
             */
            apart?: "node" | "wallet";
            /**
             * @description How often all may begin where a lost node ends an attempt that has cost something. Money is held for each.
             * @default 1
             */
            tries?: number;
        };
        /** @description Nodes that run a task at once. */
        GangView: {
            size: number;
            /** @enum {unknown} */
            apart: "node" | "wallet";
            /** @description How often it may still begin, this attempt included. */
            tries: number;
            /** @description How often all seats were taken so far. */
            attempt: number;
            rank: number;
            /** @description Of a further rank: rank 0. */
            belongs_to: string | null;
            /** @description By rank; none before an attempt. */
            members: components["schemas"]["GangMemberView"][];
            /**
             * Format: decimal
             * @description Of all members; `cost` is rank 0's.
             */
            total_cost_usdc: string;
        };
        /** @description All GPUs that connected nodes offer. */
        GpuStatusView: {
            total: number;
            /** @description That jobs have. */
            taken: number;
            /** @description Share of them that jobs have. */
            utilization: number;
            memory_bytes: number;
            /** @description A GPU that a job has is taken whole. */
            memory_taken_bytes: number;
            /** @description How much of their nodes' processors jobs have, mean over the nodes. */
            cpu_load: number;
            /** @description How busy those are that tell, mean; null, here and below: none tells. */
            busy: number | null;
            /** @description Degrees Celsius. */
            temperature_mean: number | null;
            /** @description Of the hottest. */
            temperature_max: number | null;
            /** @description Of all that tell together. */
            power_watts: number | null;
            /** @description Since when the node that is connected longest is. */
            connected_since: string | null;
            /** @description Your own, newest first. */
            tasks: components["schemas"]["GpuTaskView"][];
        };
        /** @description A running task of yours that has GPUs. */
        GpuTaskView: {
            task_id: string;
            node_id: string;
            running_seconds: number;
            /** @description Of main memory: the most that it has had at once. */
            memory_peak_bytes: number;
        };
        /** @description One of the job's GPUs. null: it does not tell. */
        GpuUseView: {
            id: string;
            /** @description Percent of the last second or so. */
            utilization: number | null;
            memory_used_bytes: number | null;
            /** @description Degrees Celsius. */
            temperature: number | null;
            power_watts: number | null;
        };
        /** @description A node's GPUs of its first model. */
        GpuView: {
            model: string;
            memory: string;
            compute_capability: string;
            count: number;
        };
        /** @description What is not allowed any more. */
        GrantEndView: {
            id: string;
        };
        /** @description Some of what the account allows now; ``total`` counts all. */
        GrantListView: {
            grants: components["schemas"]["GrantView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What the account allows an application. */
        GrantView: {
            id: string;
            client_id: string;
            /** @description What the application calls itself. */
            name: string;
            scopes: string[];
            roles: string[];
            /** @description UTC. */
            created_at: string;
            /** @description UTC. */
            expires_at: string;
        };
        /** @description Whether the coordinator is well. */
        Health: {
            /** @enum {unknown} */
            status: "degraded" | "healthy";
            /** @description UTC. */
            timestamp: string;
            service: string;
            version: string;
            devices: number;
            metrics: components["schemas"]["HealthFigures"];
        };
        /** @description How much of the market is taken. */
        HealthFigures: {
            /** @description Share of all offered GPUs that jobs have; 0 where there are none. */
            gpu_utilization: number;
            /** @description The same of main memory. */
            memory_usage: number;
            /** @description That have a node, of all accounts. */
            active_tasks: number;
            ai_tasks_processed: number;
        };
        /** @description Some charges, newest first; ``total`` counts all of the time. */
        HistoryView: {
            history: components["schemas"]["ChargeView"][];
            totals: components["schemas"]["BillingTotalsView"];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What a job did with one host. */
        HostUseView: {
            host: string;
            port: number;
            connections: number;
            sent_bytes: number;
            received_bytes: number;
        };
        /** @description An image that was made. */
        ImageAnswer: {
            /** @description The task's: its receipt, log and files are there. Where a server that stays has answered, it is the lease for use that pays for the account's requests to it. */
            id: string;
            /** @description Of this very answer; a task's is its `id`. */
            request_id: string;
            /** @description Its id, also where it was asked for by an alias. */
            model: string;
            node_id: string | null;
            /** @description Seconds of the model alone, as its program measured them; of a server that stays, until all was here. */
            execution_time: number;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            /** @description On this host; asked for with the account's key, as any output or artifact. */
            image_url: string;
            parameters_used: components["schemas"]["ImageParametersUsed"];
        };
        /** @description An image to be made. */
        ImageGeneration: {
            model: string;
            prompt: string;
            /**
             * @description Of text: `max_tokens`, `temperature`, `top_p`, `stop_sequences`, `seed`. Of images: `width`, `height`, `steps`, `guidance_scale`, `seed`. Of audio: `language`. Those left out have defaults (docs/models.md).
             * @default {}
             */
            parameters?: Record<string, unknown>;
            /** @default  */
            negative_prompt?: string;
            /**
             * @default {
             *       "region": null,
             *       "min_performance_score": 0
             *     }
             */
            node_preferences?: components["schemas"]["NodePreferences"];
        };
        /** @description How an image was made, by its program's word. */
        ImageParametersUsed: {
            width: number;
            height: number;
            /** @description 0: its server does not say. */
            steps: number;
            seed: number | null;
        };
        /** @description `POST /v1/images/generations`; from ``negative_prompt`` on not OpenAI's, but usual with open models. */
        ImageRequest: {
            /** @description Its id or an alias: GET /v1/models. */
            model: string;
            prompt: string;
            background?: ("auto" | "opaque" | "transparent") | null;
            complexity?: string | null;
            frame_count?: number | null;
            frame_duration_ms?: number | null;
            moderation?: ("auto" | "low") | null;
            n?: number | null;
            output_compression?: number | null;
            output_format?: ("gif" | "jpeg" | "png" | "svg" | "webp") | null;
            partial_images?: number | null;
            provider?: components["schemas"]["ProviderPreferences"] | null;
            quality?: string | null;
            response_format?: ("b64_json" | "url") | null;
            safety_identifier?: string | null;
            size?: string | null;
            stream?: boolean | null;
            style?: ("natural" | "vivid") | null;
            svg?: Record<string, unknown> | null;
            user?: string | null;
            negative_prompt?: string | null;
            seed?: number | null;
            steps?: number | null;
            guidance_scale?: number | null;
        };
        /**
         * @description A file for the job: an artifact that was uploaded before, a file on the web, or an output of
         *         another task; and where the job finds it.
         */
        InputReference: {
            /** @description Below /inputs, read-only. */
            path: string;
            /**
             * @description Of an artifact of this account; with `url`: that the file shall have.
             * @default null
             */
            sha256?: string | null;
            /**
             * @description Fetched by the coordinator before it answers, once: `https://`, or `http://`. docs/inputs.md has the limits.
             * @default null
             */
            url?: string | null;
            /**
             * @description The task that will leave the file; this one then depends on it.
             * @default null
             */
            from_task?: string | null;
            /**
             * @description The artifact is a sealed file; the task then waits after its award for the key (`POST /tasks/{id}/key`). Not with `from_task` in the same task.
             * @default false
             */
            sealed?: boolean;
            /**
             * @description With `from_task`: below /outputs there; the same as `path` if left out.
             * @default null
             */
            output?: string | null;
        };
        /**
         * @description An input; ``size`` in bytes. Of another task's output hash and size are known once it has
         *         completed.
         */
        InputView: {
            path: string;
            sha256: string | null;
            size: number | null;
            /** @default false */
            sealed?: boolean;
            /**
             * @description Who leaves it.
             * @default null
             */
            from_task?: string | null;
            /**
             * @description Its path below /outputs there.
             * @default null
             */
            output?: string | null;
            /**
             * @description Where it was fetched from.
             * @default null
             */
            url?: string | null;
        };
        /** @description RFC 7662, 2.2; only `active` where it is not. */
        Introspection: {
            active: boolean;
            /** @default  */
            client_id?: string;
            /** @default  */
            token_type?: string;
            /** @default  */
            scope?: string;
            /**
             * @description The account.
             * @default
             */
            sub?: string;
            /** @default 0 */
            iat?: number;
            /** @default 0 */
            exp?: number;
        };
        /** @description An invoice with some of its lines. */
        InvoiceDetailView: {
            id: string;
            /** @description Counts the account's invoices, without gaps. */
            number: number;
            period_start: string;
            /** @description Its last day. */
            period_end: string;
            /** @description UTC. */
            issued_at: string;
            account_id: string;
            account_name: string;
            wallet: string;
            /**
             * Format: decimal
             * @description The sum of its lines: what the chain paid.
             */
            total: string;
            /** @enum {unknown} */
            currency: "USDC";
            line_count: number;
            /** @description Where it is as a PDF. */
            pdf: string;
            /** @description In the order of their payment. */
            lines: components["schemas"]["ChargeView"][];
            limit: number;
            offset: number;
        };
        /** @description Some invoices, newest first; ``total`` counts all. */
        InvoiceListView: {
            invoices: components["schemas"]["InvoiceView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What an account's tasks paid in a month. It never changes. */
        InvoiceView: {
            id: string;
            /** @description Counts the account's invoices, without gaps. */
            number: number;
            period_start: string;
            /** @description Its last day. */
            period_end: string;
            /** @description UTC. */
            issued_at: string;
            account_id: string;
            account_name: string;
            wallet: string;
            /**
             * Format: decimal
             * @description The sum of its lines: what the chain paid.
             */
            total: string;
            /** @enum {unknown} */
            currency: "USDC";
            line_count: number;
            /** @description Where it is as a PDF. */
            pdf: string;
        };
        /** @description Some of them; ``total`` counts all that were asked for. */
        JobEarningsListView: {
            jobs: components["schemas"]["JobEarningsView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description One run of somebody's task on a machine of yours. */
        JobEarningsView: {
            lease_id: string;
            node_id: string;
            /** @enum {unknown} */
            status: "open" | "settled";
            /**
             * Format: decimal
             * @description The most that it could pay.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description While it is open: what is signed so far.
             */
            paid: string;
            /** @enum {unknown} */
            currency: "USDC";
            /** @description When it was awarded. */
            created_at: string;
            settled_at: string | null;
            /** @description The escrow's address on the chain. */
            escrow: string;
            /** @description Opened the escrow. */
            escrow_transaction: string | null;
            /** @description Paid and closed it. */
            payment_transaction: string | null;
        };
        /** @description The content key, wrapped to the node's sealing key for this lease. */
        KeyRequest: {
            lease_id: string;
            /** @description HPKE (RFC 9180) output, hex. */
            wrapped_key: string;
        };
        /** @description The key is taken. */
        KeySentView: {
            task_id: string;
            lease_id: string;
        };
        /**
         * @description What a key is good for now.
         * @enum {string}
         */
        KeyState: "active" | "expired" | "revoked";
        /** @description Whom the key has to be wrapped to, as signed by coordinator and node. */
        KeyWantedView: {
            task_id: string;
            lease_id: string;
            node_id: string;
            /** @description Envelope; names the hash of the job. */
            award: Record<string, unknown>;
            /** @description Envelope; the node's signature covers its sealing key. */
            accept: Record<string, unknown>;
            /** @description Without the key the task fails then. */
            until: string;
        };
        /** @description One attempt to run the task on one node, and its money. */
        LeaseView: {
            id: string;
            node_id: string;
            wallet: string;
            /** @description UTC. */
            created_at: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            price_per_hour: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            max_cost: string;
            /** @description From the open escrow to a running container, as its bid said. */
            expected_start_seconds: number;
            /** @description What it took by the coordinator's clock; null where it can't say. */
            started_after_seconds: number | null;
            /** @description The checkpoint that its run began from; null: from nothing. */
            resumed_from: number | null;
            /** @description Its escrow: none, opening, open, final, releasing or closed. */
            settlement: string;
            /** @description Known when the escrow is closed. */
            paid: string | null;
            escrow: string | null;
            /** @description Of the Solana transaction that closed the escrow. */
            transaction: string | null;
        };
        /** @description Something that the coordinator says to the node. */
        LetterView: {
            /** @description Ask for what comes `after` it next. */
            number: number;
            stream: string;
            /** @description Signed, as docs/protocol.md has it; null where the stream is over. */
            envelope: Record<string, unknown> | null;
        };
        /** @description What was said, in its order. */
        LettersView: {
            letters: components["schemas"]["LetterView"][];
            /** @description The mailbox is, after these: open another. */
            over: boolean;
        };
        /** @description A piece of the log; offsets count UTF-8 bytes of the lease's log. */
        LogView: {
            task_id: string;
            lease_id: string | null;
            text: string;
            offset: number;
            next_offset: number;
            total_bytes: number;
            /** @description Nothing will come after ``next_offset``. */
            complete: boolean;
        };
        /** @description A node that wants to speak by HTTPS. */
        MailboxRequest: {
            /** @description Its peer id; it signs with that key. */
            node_id: string;
        };
        /** @description A node's connection. */
        MailboxView: {
            id: string;
            node_id: string;
            /** @description The market's tag, in every envelope. */
            network: string;
            /** @description Its first stream, on which it says hello. */
            stream: string;
        };
        /** @description The classes with most awards first, 100 at most. */
        MarketPricesView: {
            hours: number;
            /** @enum {unknown} */
            currency: "USDC";
            classes: components["schemas"]["ClassPricesView"][];
        };
        /**
         * @description The most that is paid; what is left out has no cap of its client's.
         *
         *         Attributes:
         *             prompt, completion: USDC for a million tokens that are read, or written.
         *             image: USDC for one.
         *             request: USDC for all of one request.
         */
        MaxPrice: {
            /** @default null */
            prompt?: (string | number) | null;
            /** @default null */
            completion?: (string | number) | null;
            /** @default null */
            image?: (string | number) | null;
            /** @default null */
            request?: (string | number) | null;
        };
        /** @description A turn of a conversation. */
        Message: {
            /** @enum {unknown} */
            role: "assistant" | "system" | "user";
            content: string;
        };
        /** @description Of tasks that ended within the timeframe. A metric that was not asked for is left out. */
        MetricsOfTime: {
            tasks_completed?: number;
            tasks_failed?: number;
            /** @description Completed of completed and failed; 1 of none. */
            success_rate?: number;
            /** @description Seconds from submission to start, mean. */
            response_time?: number;
            /** @description Seconds from start to end, mean. */
            execution_time?: number;
            /** @description Tasks that ended, per minute. */
            throughput?: number;
        };
        /** @description Your tasks, and the machine that serves you. ``performance`` is of the last 24 hours. */
        MetricsView: {
            tasks: components["schemas"]["TaskCountsView"];
            performance: components["schemas"]["TaskPerformanceView"];
            system: components["schemas"]["SystemView"];
        };
        /**
         * @description What becomes of due times that passed while nobody looked.
         * @enum {unknown}
         */
        Missed: "all" | "once" | "skip";
        /** @description A recording: an artifact that was uploaded before, or an output of another task. */
        ModelFile: {
            /**
             * @description Of an artifact of this account.
             * @default null
             */
            sha256?: string | null;
            /**
             * @description The task that will leave it; this one then depends on it.
             * @default null
             */
            from_task?: string | null;
            /**
             * @description With `from_task`: below /outputs there; the same as `path` if left out.
             * @default null
             */
            output?: string | null;
            /**
             * @description Its name; the end says what it is.
             * @default recording
             */
            path?: string;
        };
        /** @description Models, in the catalogue's order. */
        ModelListView: {
            models: components["schemas"]["ModelView"][];
            total: number;
        };
        /** @description What a request takes of its node; a GB is 10^9 bytes. */
        ModelNeedsView: {
            cpu_cores: number;
            ram_gb: number;
            storage_gb: number;
            /** @description 0: it computes on processors. */
            gpu_memory_gb: number;
        };
        /** @description What its makers say of a model. */
        ModelParametersView: {
            size: string;
            /** @description Tokens that it sees at once. */
            context_length: number | null;
            languages: string[];
        };
        /**
         * @description What a model costs. A task's node is paid by the time; a unit's price is what that comes to at the highest price
         *         and the speed that was measured: to compare by, not what is charged. `units` is for what a model's server does.
         */
        ModelPricing: {
            /** @description USDC, where the unit is a token. */
            per_token: number | null;
            /** @enum {unknown} */
            unit: "image" | "request" | "second" | "token";
            /** @description USDC. */
            per_unit: number;
            /** @description USDC, exact: paid for a node at most. */
            max_per_hour: string;
            /** @enum {unknown} */
            currency: "USDC";
            /** @description The most that nodes ask for what its server does, USDC, exact: `input_per_million`, `cached_input_per_million`, `output_per_million` (tokens), `per_image`, `per_audio_second`, `per_request`. Empty: no server. */
            units: {
                [key: string]: string;
            };
        };
        /** @description Warm servers of a model; they come and go with what is asked. */
        ModelReplicasView: {
            /** @description So many take requests. */
            ready: number;
            starting: number;
            /** @description There are never more that serve. */
            most: number;
            /** @description Requests that no replica works at yet. */
            waiting: number;
            at_work: number;
            /** @description How long a request that comes now waits until one is ready: 0 where one is; null: nobody knows. */
            expected_start_ms: number | null;
            /** @description Why there are fewer than are wanted, as why no node took one. */
            problem: string;
        };
        /** @description A request to a model of the catalogue, which says what computes it and what it needs. */
        ModelRequest: {
            /** @enum {unknown} */
            kind: "model";
            /** @description Its id or an alias. */
            model: string;
            /**
             * @description Of text and images.
             * @default
             */
            prompt?: string;
            /**
             * @description Of text, instead of a prompt.
             * @default []
             */
            messages?: components["schemas"]["Message"][];
            /**
             * @description What shall not be in an image.
             * @default
             */
            negative_prompt?: string;
            /**
             * @description To embed.
             * @default []
             */
            texts?: string[];
            /**
             * @description To transcribe.
             * @default null
             */
            file?: components["schemas"]["ModelFile"] | null;
            /**
             * @description By names of yours: where `{{name}}` stands in the prompt, the messages or the texts, words come that other tasks will leave.
             * @default {}
             */
            prompt_from?: {
                [key: string]: components["schemas"]["PromptFrom"];
            };
            /**
             * @description Of text: `max_tokens`, `temperature`, `top_p`, `stop_sequences`, `seed`. Of images: `width`, `height`, `steps`, `guidance_scale`, `seed`. Of audio: `language`. Those left out have defaults (docs/models.md).
             * @default {}
             */
            parameters?: Record<string, unknown>;
            /**
             * @description The model's id, if left out.
             * @default
             */
            name?: string;
            /** @default normal */
            priority?: ("high" | "low" | "normal") | number;
            /**
             * @description Why, for people; kept and shown.
             * @default
             */
            priority_reason?: string;
            /**
             * @description It has to have ended by then. Among tasks of a priority the earliest deadline goes first, and nodes that could not keep it do not bid.
             * @default null
             */
            deadline?: string | null;
            /**
             * @description What happens when the whole time limit does not fit before the deadline any more and the task has not begun: it ends with `DEADLINE_MISSED` and has cost nothing, or it goes on without one.
             * @default end
             * @enum {unknown}
             */
            deadline_policy?: "end" | "run";
            /**
             * @description Tasks that must have completed before this one is queued. If one of them fails or is cancelled, this one fails with it.
             * @default []
             */
            depends_on?: string[];
            /**
             * @description USDC; the catalogue's, if left out.
             * @default null
             */
            max_price_per_hour?: (string | number) | null;
            /**
             * @description USDC: lowers the price so far that it costs no more.
             * @default null
             */
            max_total_cost?: (string | number) | null;
            /**
             * @description The longest it may run; the catalogue's, if left out.
             * @default null
             */
            timeout_seconds?: number | null;
            /** @default null */
            queue_timeout_seconds?: number | null;
            /** @default [] */
            regions?: string[];
            /**
             * @description Conditions on nodes, as of a container job.
             * @default
             */
            constraints?: string | components["schemas"]["Clause"][];
            /** @default false */
            wait_for_node?: boolean;
            /**
             * @default {
             *       "mode": "none",
             *       "runs": null,
             *       "comparator": {
             *         "kind": "exact",
             *         "relative": "0",
             *         "absolute": "0",
             *         "files": null,
             *         "image": null,
             *         "command": [],
             *         "timeout_seconds": null
             *       }
             *     }
             */
            verification?: components["schemas"]["VerificationRequest"];
        };
        /** @description How a model is served by containers that stay. */
        ModelServerView: {
            /** @description OpenAI's, that it may be asked at. */
            routes: string[];
            /** @description What is passed on to it, beside the plain fields. */
            features: string[];
            /** @description Requests that a replica is at, at once. */
            concurrency: number;
            replicas_max: number;
        };
        /** @description Which model a task of kind `model` asks, and where its answer is. */
        ModelTaskView: {
            id: string;
            /** @description As it was asked for; may be an alias. */
            name: string;
            /** @enum {unknown} */
            type: "audio" | "embedding" | "image" | "text";
            category: string;
            /** @description All, with defaults. */
            parameters: Record<string, unknown>;
            /** @description Of its answer on this host, as docs/models.md has it; null before. */
            result_path: string | null;
        };
        /** @description What your requests to a model came to this month. */
        ModelUsageView: {
            model: string;
            /** @description That were answered, by tasks or replicas. */
            requests: number;
            input_tokens: number;
            cached_input_tokens: number;
            output_tokens: number;
            images: number;
            audio_seconds: number;
            /** @description USDC, of the tasks that have ended. */
            cost: number;
        };
        /** @description A model of the catalogue. */
        ModelView: {
            id: string;
            name: string;
            /** @enum {unknown} */
            type: "audio" | "embedding" | "image" | "text";
            category: string;
            description: string;
            parameters: components["schemas"]["ModelParametersView"];
            pricing: components["schemas"]["ModelPricing"];
            /** @description Other names for it. */
            aliases: string[];
            licence: string;
            docker_image: string;
            resource_requirements: components["schemas"]["ModelNeedsView"];
            timeout_seconds: number;
            /** @description Requests of an account at once; 0: as many as you like. */
            concurrency: number;
            /** @description Whether tasks may ask it; else its server alone does. */
            tasks: boolean;
            /** @description Null: tasks alone. */
            server: components["schemas"]["ModelServerView"] | null;
            /** @description Null where this coordinator keeps none of it. */
            replicas: components["schemas"]["ModelReplicasView"] | null;
        };
        /** @description Your month so far, UTC. */
        MonthView: {
            tasks_completed: number;
            /** @description USDC, of the tasks that have ended. */
            total_cost: number;
            compute_time: string;
            /** @description That models have written, by the `usage` of their answers. */
            tokens_generated: number;
        };
        /** @description A node that fails few constraints, and how. */
        NearMissView: {
            node_id: string;
            reasons: string[];
        };
        /** @description Hosts that the job may reach, by HTTP and TLS; docs/egress.md says what it finds. */
        NetworkRequest: {
            /** @description Names, `*.` before one for all below it, `:port` behind it for another than 443 and 80. */
            allow: string[];
        };
        /** @description What its last run did with its network, as its node says in the signed result. */
        NetworkUseView: {
            connections: number;
            sent_bytes: number;
            received_bytes: number;
            refused: number;
            /** @description The first that it reached. */
            hosts: components["schemas"]["HostUseView"][];
            /** @description The first that there were. */
            refusals: components["schemas"]["RefusalView"][];
        };
        /** @description What a job may reach, and once it has ended what it did. */
        NetworkView: {
            allow: string[];
            use: components["schemas"]["NetworkUseView"] | null;
        };
        /** @description An API key that was made. */
        NewApiKeyView: {
            id: string;
            name: string;
            /** @description Its first characters. */
            hint: string;
            /**
             * @description `sign_in`: somebody signed in with the account's wallet. `application`: a token of an application's, by OAuth.
             * @enum {unknown}
             */
            kind: "application" | "key" | "sign_in";
            scopes: string[];
            /** @description What it acts as, as far as its account still does. */
            roles: string[];
            /** @enum {unknown} */
            state: "active" | "expired" | "revoked";
            /** @description Whether it is the key that asks. */
            current: boolean;
            /** @description UTC. */
            created_at: string;
            expires_at: string | null;
            revoked_at: string | null;
            /** @description To the minute. */
            last_used_at: string | null;
            /** @description What to send as `Authorization: Bearer`. Shown this once. Where a request is repeated with its idempotency key: another one, if nobody has used the key yet; else null. */
            secret: string | null;
        };
        /** @description An application with its secret. */
        NewApplicationView: {
            client_id: string;
            name: string;
            redirect_uris: string[];
            scopes: string[];
            /** @description What its tokens act as at most. */
            roles: string[];
            confidential: boolean;
            /** @description UTC. */
            created_at: string;
            /** @description When it ends, with the key that registered it. */
            expires_at: string | null;
            /** @description Shown this once; null where it can keep none. */
            client_secret: string | null;
        };
        /** @description A webhook with its secret. */
        NewWebhookView: {
            id: string;
            url: string;
            description: string;
            events: string[];
            filter: components["schemas"]["WebhookFilter"];
            /**
             * @description What `X-Signature` is the HMAC-SHA256 of: `timestamped`: the value of `X-Timestamp`, a dot, and the body. `payload`: the body alone, which who has seen a delivery can send again at any time.
             * @enum {unknown}
             */
            signature: "payload" | "timestamped";
            retries: components["schemas"]["WebhookRetries"];
            /**
             * @description `paused`: events are kept for it, and go out when it is resumed. `disabled`: it has failed for too long, and nothing is kept for it until it is resumed.
             * @enum {unknown}
             */
            state: "active" | "disabled" | "paused";
            /** @description Why it is disabled. */
            reason: string;
            /** @description Since when no attempt has succeeded; null while all is well. */
            failing_since: string | null;
            last_delivered_at: string | null;
            /** @description UTC. */
            created_at: string;
            /** @description UTC. */
            updated_at: string;
            /** @description What deliveries are signed with. Shown this once. */
            secret: string;
        };
        /** @description When it runs next. */
        NextRunsView: {
            id: string;
            next_runs: string[];
        };
        /** @description A node with its record here. */
        NodeDetailView: {
            /** @description Its libp2p peer id. */
            id: string;
            /** @enum {unknown} */
            status: "busy" | "offline" | "online";
            region: string;
            capabilities: string[];
            gpu_info: components["schemas"]["GpuView"] | null;
            /** @description 0 to 100, from verified work; 50 for a newcomer; null of a node that left. */
            performance_score: number | null;
            /** @description What its word on how soon a job would run is multiplied by in auctions: its last starts took so many times as long. 1: it is taken at its word. */
            start_factor: number | null;
            last_seen: string | null;
            wallet: string;
            software: string;
            summary: string;
            /** @description Of its processors, as their maker names them. Empty: it is not known, or the node is several machines. */
            cpu_model: string;
            cpu_cores: number;
            cpu_cores_free: number;
            ram_gb: number;
            ram_gb_free: number;
            storage_gb: number;
            storage_gb_free: number;
            gpu_count: number;
            gpu_count_free: number;
            /**
             * Format: decimal
             * @description Its ask for one core, 0.5 GB of memory and no GPU.
             */
            price_per_hour: string;
            accepting: boolean;
            enforcement: string;
            /** @description The wallet that owns its provider account. */
            owner: string;
            /** @description 0 to 1: the part of its cores in use. */
            current_load: number;
            total_tasks_completed: number;
            /** @description Of its connection. */
            uptime: string;
            earnings: components["schemas"]["Earnings"];
        };
        /** @description What one machine earned. */
        NodeEarningsView: {
            node_id: string;
            jobs: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            paid: string;
        };
        /** @description A page of nodes; ``total`` counts all that match. */
        NodeListView: {
            nodes: components["schemas"]["NodeView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description On which nodes. */
        NodePreferences: {
            /**
             * @description Null: anywhere.
             * @default null
             */
            region?: string | null;
            /**
             * @description As `performance_score` of `GET /nodes`, percent.
             * @default 0
             */
            min_performance_score?: number;
        };
        /**
         * @description Document 002's words.
         * @enum {string}
         */
        NodeStatus: "online" | "offline" | "busy";
        /** @description A provider's machine as the market knows it. */
        NodeView: {
            /** @description Its libp2p peer id. */
            id: string;
            /** @enum {unknown} */
            status: "busy" | "offline" | "online";
            region: string;
            capabilities: string[];
            gpu_info: components["schemas"]["GpuView"] | null;
            /** @description 0 to 100, from verified work; 50 for a newcomer; null of a node that left. */
            performance_score: number | null;
            /** @description What its word on how soon a job would run is multiplied by in auctions: its last starts took so many times as long. 1: it is taken at its word. */
            start_factor: number | null;
            last_seen: string | null;
            wallet: string;
            software: string;
            summary: string;
            /** @description Of its processors, as their maker names them. Empty: it is not known, or the node is several machines. */
            cpu_model: string;
            cpu_cores: number;
            cpu_cores_free: number;
            ram_gb: number;
            ram_gb_free: number;
            storage_gb: number;
            storage_gb_free: number;
            gpu_count: number;
            gpu_count_free: number;
            /**
             * Format: decimal
             * @description Its ask for one core, 0.5 GB of memory and no GPU.
             */
            price_per_hour: string;
            accepting: boolean;
            enforcement: string;
        };
        /** @description RFC 6749, 5.2. */
        OAuthError: {
            error: string;
            /** @default  */
            error_description?: string;
        };
        /** @description How long the recording is, to the end of its last words. */
        OpenAiAudioUsage: {
            /** @enum {unknown} */
            type: "duration";
            seconds: number;
            /** @description USDC. Not OpenAI's, as `cost_micro_usdc`, which is exact. */
            cost: number;
            cost_micro_usdc: number;
        };
        /** @description Why it failed as a whole. */
        OpenAiBatchError: {
            code: string;
            message: string;
            line: number | null;
            param: string | null;
        };
        /** @description All of them. */
        OpenAiBatchErrors: {
            /** @enum {unknown} */
            object: "list";
            data: components["schemas"]["OpenAiBatchError"][];
        };
        /** @description Some batches, newest first. */
        OpenAiBatchList: {
            /** @enum {unknown} */
            object: "list";
            data: components["schemas"]["OpenAiBatchView"][];
            first_id: string | null;
            last_id: string | null;
            has_more: boolean;
        };
        /** @description Not OpenAI's: what all of it has cost so far, USDC, and why nothing goes on; "": it does. */
        OpenAiBatchOrigin: {
            cost: number;
            cost_micro_usdc: number;
            waits_for: string;
        };
        /** @description A file of requests, and where all of them go. */
        OpenAiBatchRequest: {
            input_file_id: string;
            /** @enum {unknown} */
            endpoint: "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/images/generations";
            /** @enum {unknown} */
            completion_window: "24h";
            /** @default null */
            metadata?: {
                [key: string]: string;
            } | null;
        };
        /** @description A batch. */
        OpenAiBatchView: {
            id: string;
            /** @enum {unknown} */
            object: "batch";
            endpoint: string;
            errors: components["schemas"]["OpenAiBatchErrors"] | null;
            input_file_id: string;
            /** @enum {unknown} */
            completion_window: "24h";
            /** @enum {unknown} */
            status: "cancelled" | "cancelling" | "completed" | "expired" | "failed" | "finalizing" | "in_progress" | "validating";
            output_file_id: string | null;
            error_file_id: string | null;
            created_at: number;
            in_progress_at: number | null;
            expires_at: number;
            finalizing_at: number | null;
            completed_at: number | null;
            failed_at: number | null;
            expired_at: number | null;
            cancelling_at: number | null;
            cancelled_at: number | null;
            request_counts: components["schemas"]["OpenAiRequestCounts"];
            metadata: {
                [key: string]: string;
            } | null;
            neurogrid: components["schemas"]["OpenAiBatchOrigin"];
        };
        /** @description An answer in a conversation. */
        OpenAiChatCompletion: {
            id: string;
            /** @enum {unknown} */
            object: "chat.completion";
            created: number;
            model: string;
            /** @description Of the image that computes the model. */
            system_fingerprint: string;
            choices: components["schemas"]["OpenAiChoice"][];
            usage: components["schemas"]["OpenAiUsage"];
            neurogrid: components["schemas"]["OpenAiOrigin"];
        };
        /** @description One answer. */
        OpenAiChoice: {
            index: number;
            message: components["schemas"]["OpenAiMessage"];
            logprobs: Record<string, unknown> | null;
            /** @enum {unknown} */
            finish_reason: "content_filter" | "function_call" | "length" | "stop" | "tool_calls";
        };
        /** @description A text that goes on after a prompt. */
        OpenAiCompletion: {
            id: string;
            /** @enum {unknown} */
            object: "text_completion";
            created: number;
            model: string;
            system_fingerprint: string;
            choices: components["schemas"]["OpenAiTextChoice"][];
            usage: components["schemas"]["OpenAiUsage"];
            neurogrid: components["schemas"]["OpenAiOrigin"];
        };
        /** @description Of one text. */
        OpenAiEmbedding: {
            /** @enum {unknown} */
            object: "embedding";
            index: number;
            /** @description With `encoding_format` base64: 32-bit numbers, lowest byte first. */
            embedding: number[] | string;
        };
        /** @description One for each text, in order. */
        OpenAiEmbeddings: {
            /** @enum {unknown} */
            object: "list";
            data: components["schemas"]["OpenAiEmbedding"][];
            model: string;
            usage: components["schemas"]["OpenAiUsage"];
            neurogrid: components["schemas"]["OpenAiOrigin"];
        };
        /**
         * @description What went wrong.
         *
         *         Attributes:
         *             type: a kind of error, as OpenAI's.
         *             param: the field that is at fault.
         *             code: for programs.
         */
        OpenAiError: {
            message: string;
            type: string;
            param: string | null;
            code: string | null;
            neurogrid: components["schemas"]["OpenAiNativeError"];
        };
        /** @description Every error of ``/v1``. */
        OpenAiErrorAnswer: {
            error: components["schemas"]["OpenAiError"];
        };
        /** @description A file. */
        OpenAiFile: {
            id: string;
            /** @enum {unknown} */
            object: "file";
            bytes: number;
            created_at: number;
            filename: string;
            purpose: string;
            /** @enum {unknown} */
            status: "processed";
        };
        /** @description It is forgotten. */
        OpenAiFileDeleted: {
            id: string;
            /** @enum {unknown} */
            object: "file";
            /** @enum {unknown} */
            deleted: true;
        };
        /** @description Some files. */
        OpenAiFileList: {
            /** @enum {unknown} */
            object: "list";
            data: components["schemas"]["OpenAiFile"][];
            first_id: string | null;
            last_id: string | null;
            has_more: boolean;
        };
        /** @description An image: its bytes, or where they are, which the same key may read. */
        OpenAiImage: {
            b64_json?: string;
            url?: string;
        };
        /** @description Images are counted in no tokens here. */
        OpenAiImageUsage: {
            /** @description USDC. Not OpenAI's, as `cost_micro_usdc`, which is exact. */
            cost: number;
            cost_micro_usdc: number;
        };
        /** @description Images that were made. */
        OpenAiImages: {
            created: number;
            data: components["schemas"]["OpenAiImage"][];
            output_format: string;
            size: string;
            usage: components["schemas"]["OpenAiImageUsage"];
            neurogrid: components["schemas"]["OpenAiOrigin"];
        };
        /** @description What the model says. */
        OpenAiMessage: {
            /** @enum {unknown} */
            role: "assistant";
            content: string | null;
            refusal: string | null;
        };
        /**
         * @description A model that may be asked.
         *
         *         Attributes:
         *             created: 0: the catalogue does not say.
         */
        OpenAiModel: {
            id: string;
            /** @enum {unknown} */
            object: "model";
            created: number;
            /** @description The part of its id before a slash, else `neurogrid`. */
            owned_by: string;
            neurogrid: components["schemas"]["OpenAiModelFacts"];
        };
        /** @description Not OpenAI's: what the catalogue says. */
        OpenAiModelFacts: {
            name: string;
            /** @enum {unknown} */
            type: "audio" | "embedding" | "image" | "text";
            category: string;
            description: string;
            licence: string;
            context_length: number | null;
            aliases: string[];
            /** @description As `GET /api/v1/models` has it. */
            pricing: Record<string, unknown>;
            /** @description As `GET /api/v1/models` has it; null: none are kept, and tasks answer. */
            replicas: components["schemas"]["ModelReplicasView"] | null;
        };
        /** @description All of the catalogue, in its order. */
        OpenAiModels: {
            /** @enum {unknown} */
            object: "list";
            data: components["schemas"]["OpenAiModel"][];
        };
        /** @description Not OpenAI's: the same as the native API has it. */
        OpenAiNativeError: {
            code: string;
            details: Record<string, unknown>;
        };
        /**
         * @description Not OpenAI's: who computed it, and what it cost.
         *
         *         Attributes:
         *             request_id: of this one.
         *             task_id: `GET /api/v1/tasks/{task_id}` has the receipt; of a lease for use, with the other requests that it paid for.
         *             seed: that was used, where one was.
         */
        OpenAiOrigin: {
            request_id: string;
            task_id: string;
            node_id: string | null;
            model: string;
            cost_micro_usdc: number;
            seed?: number | null;
        };
        /** @description How far it is. */
        OpenAiRequestCounts: {
            total: number;
            completed: number;
            failed: number;
        };
        /** @description A piece of it: seconds from the start. */
        OpenAiSegment: {
            id: number;
            start: number;
            end: number;
            text: string;
        };
        /** @description One text. */
        OpenAiTextChoice: {
            text: string;
            index: number;
            logprobs: Record<string, unknown> | null;
            /** @enum {unknown} */
            finish_reason: "content_filter" | "length" | "stop";
        };
        /** @description What was said; all but text, usage and origin with `response_format` verbose_json alone. */
        OpenAiTranscription: {
            text: string;
            usage: components["schemas"]["OpenAiAudioUsage"];
            neurogrid: components["schemas"]["OpenAiOrigin"];
            /** @enum {unknown} */
            task?: "transcribe";
            language?: string;
            duration?: number;
            segments?: components["schemas"]["OpenAiSegment"][];
        };
        /** @description The model's own tokens, by its program's word. */
        OpenAiUsage: {
            prompt_tokens: number;
            total_tokens: number;
            /** @description USDC. Not OpenAI's, as `cost_micro_usdc`, which is exact. */
            cost: number;
            cost_micro_usdc: number;
            completion_tokens?: number;
        };
        /** @description What open escrows hold for you now. */
        OpenEarningsView: {
            jobs: number;
            /**
             * Format: decimal
             * @description The most that they can pay.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description Signed so far.
             */
            promised: string;
        };
        /**
         * @description Document 004's words.
         * @enum {unknown}
         */
        Operation: "compute" | "matrix_multiply" | "memory_bandwidth" | "mlx_operation" | "vector_operations";
        /** @description All operations. */
        OperationListView: {
            operations: components["schemas"]["OperationTermsView"][];
            total: number;
        };
        /** @description A computation of ours, by name. Its image, command and memory follow from it. */
        OperationRequest: {
            /** @enum {unknown} */
            kind: "operation";
            /** @description `mlx_operation` needs a node whose jobs reach Apple's MLX. */
            operation: components["schemas"]["Operation"];
            /**
             * @description `GET /api/v1/operations` has each operation's; those left out have defaults.
             * @default {}
             */
            parameters?: Record<string, unknown>;
            /**
             * @description `auto`; `gpu`: preferred, where an operation has a program for it (none has one yet, so that it runs on a CPU, and the result says so); `cpu`; a node's id; or a node's CPU: its id and `:cpu`.
             * @default auto
             */
            device_preference?: string;
            /**
             * @description The operation's, if left out.
             * @default
             */
            name?: string;
            /** @default normal */
            priority?: ("high" | "low" | "normal") | number;
            /** @default 1 */
            cpu_cores?: number;
            /**
             * @description USDC; the coordinator's, if left out.
             * @default null
             */
            max_price_per_hour?: (string | number) | null;
            /**
             * @description The longest it may run; the coordinator's, if left out.
             * @default null
             */
            timeout_seconds?: number | null;
            /** @default null */
            queue_timeout_seconds?: number | null;
            /** @default [] */
            regions?: string[];
            /**
             * @description Conditions on nodes, as of a container job.
             * @default
             */
            constraints?: string | components["schemas"]["Clause"][];
            /** @default false */
            wait_for_node?: boolean;
            /**
             * @description Its result has no times then: they differ, and results are compared.
             * @default {
             *       "mode": "none",
             *       "runs": null,
             *       "comparator": {
             *         "kind": "exact",
             *         "relative": "0",
             *         "absolute": "0",
             *         "files": null,
             *         "image": null,
             *         "command": [],
             *         "timeout_seconds": null
             *       }
             *     }
             */
            verification?: components["schemas"]["VerificationRequest"];
        };
        /** @description An operation. */
        OperationTermsView: {
            name: string;
            description: string;
            parameters: components["schemas"]["ParameterView"][];
            throughput_unit: string;
            /** @description What its program computes on. */
            devices: string[];
            /** @description What its node has to say of itself; empty: nothing. */
            requires: string;
            /** @description With the defaults, 10^9 bytes. */
            default_memory_gb: number;
        };
        /** @description What a task of kind `operation` computes. `result.json` among its outputs has what came of it. */
        OperationView: {
            name: string;
            /** @description All, with defaults. */
            parameters: Record<string, unknown>;
            device_preference: string;
        };
        /**
         * @description How an attribute is compared; which ones it takes depends on what it is.
         * @enum {unknown}
         */
        Operator: "!=" | "!~" | "<" | "<=" | "=" | ">" | ">=" | "has" | "in" | "lacks" | "not in" | "~";
        /** @description What the coordinator may open escrows for in the wallet's name. 0 ends it. */
        OperatorRequest: {
            /**
             * Format: decimal
             * @description At most six decimals.
             */
            limit: string | number;
            /** @default 30 */
            days?: number;
        };
        /** @description All output files, sorted by path. */
        OutputListView: {
            task_id: string;
            outputs: components["schemas"]["OutputView"][];
            total: number;
        };
        /** @description A file that the job left under /outputs; ``size`` in bytes, ``url`` on this host. */
        OutputView: {
            path: string;
            sha256: string;
            size: number;
            url: string;
        };
        /**
         * @description What becomes of a run that is due while an earlier one goes on.
         * @enum {unknown}
         */
        Overlap: "allow" | "queue" | "skip";
        /** @description A parameter of an operation. */
        ParameterView: {
            name: string;
            description: string;
            /** @enum {unknown} */
            type: "integer" | "string";
            default: number | string;
            minimum: number | null;
            maximum: number | null;
            choices: string[];
        };
        /** @description A part of a message's content: text, or what only some models take (an image, a sound, a file). */
        Part: {
            type: string;
            text?: string;
            image_url?: unknown;
            input_audio?: unknown;
            file?: unknown;
            refusal?: string;
            prompt_cache_breakpoint?: unknown;
        };
        /** @description Some of the account's payouts; ``total`` counts all. */
        PayoutListView: {
            payouts: components["schemas"]["TransferView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description Earned money to be sent on to a wallet. */
        PayoutRequest: {
            /**
             * Format: decimal
             * @description At most six decimals.
             */
            amount: string | number;
            wallet_address: string;
            /**
             * @description What the market is paid in: USDC.
             * @default USDC
             */
            currency?: string;
        };
        /** @description How the market has performed. */
        PerformanceView: {
            /** @enum {unknown} */
            timeframe: "1h" | "24h" | "30d" | "7d";
            metrics: components["schemas"]["MetricsOfTime"];
        };
        /** @description One hour's awards, per unit and hour. */
        PriceHourView: {
            /** @description UTC. */
            at: string;
            awards: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            lowest: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            median: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            highest: string;
        };
        /** @description What a machine asks, USDC per hour; the parts add up. */
        PricingView: {
            /**
             * Format: decimal
             * @description For one core, 0.5 GB of memory, and a GPU if it has any.
             */
            per_hour: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            base: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            per_cpu_core: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            per_memory_gib: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            per_gpu: string;
        };
        /** @description Words that another task will leave. */
        PromptFrom: {
            /** @description The task that will leave them; this one then depends on it. */
            from_task: string;
            /**
             * @description Below /outputs there; a model's `result.json`, if left out.
             * @default null
             */
            output?: string | null;
            /**
             * @description Of a JSON object, with points between names: a text, a number, true or false. Without it the whole file, in UTF-8; of `result.json`, if `output` is left out too, `text`.
             * @default null
             */
            field?: string | null;
            /**
             * @description What is longer is cut off there.
             * @default 262144
             */
            max_chars?: number;
        };
        /** @description A provider with its machines and its record here. */
        ProviderDetailView: {
            /** @description Its wallet, which owns the machines and is paid. */
            id: string;
            /**
             * @description Of its readiest machine.
             * @enum {unknown}
             */
            status: "busy" | "offline" | "online";
            locations: string[];
            /**
             * Format: decimal
             * @description What its cheapest machine asks for what was looked for.
             */
            price_per_hour: string;
            /** @description 0 to 100: its worst machine's; null of those that left. */
            performance_score: number | null;
            /** @description At risk on the chain; null while it is not known. */
            stake: string | null;
            node_count: number;
            /** @description How many take work now and have free what was looked for. */
            nodes_available: number;
            gpus: components["schemas"]["ProviderGpuView"][];
            /** @description Of its largest machine, as the next two. */
            cpu_cores: number;
            ram_gb: number;
            storage_gb: number;
            /** @description UTC. */
            last_seen: string;
            /** @description Runs that it was paid for here. */
            jobs_paid: number;
            earnings: components["schemas"]["Earnings"];
            /** @description In the order of their ids, 100 at most. */
            nodes: components["schemas"]["NodeView"][];
        };
        /** @description A provider's GPUs of one model. */
        ProviderGpuView: {
            model: string;
            /** @description Of the smallest of them. */
            memory_gb: number;
            count: number;
            free: number;
        };
        /** @description Some providers; ``total`` counts all that fit. */
        ProviderListView: {
            providers: components["schemas"]["ProviderView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /**
         * @description What a client says of providers.
         *
         *         Attributes:
         *             order: asked one after the other, before all others.
         *             only: nobody else.
         *             ignore: none of these.
         *             sort: what decides among the rest; None: price together with the time until it begins, as always.
         *             allow_fallbacks: whether others than those in ``order`` may be asked.
         */
        ProviderPreferences: {
            /** @default [] */
            order?: string[];
            /** @default [] */
            only?: string[];
            /** @default [] */
            ignore?: string[];
            /** @default null */
            sort?: ("latency" | "price" | "throughput") | null;
            /** @default null */
            max_price?: components["schemas"]["MaxPrice"] | null;
            /**
             * @description As "eu-west"; null: anywhere.
             * @default null
             */
            region?: string | null;
            /** @default true */
            allow_fallbacks?: boolean;
        };
        /** @description Some of them, newest first; ``total`` counts all. */
        ProviderTaskListView: {
            tasks: components["schemas"]["ProviderTaskView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What a machine of yours does for somebody, or has not been paid for yet. */
        ProviderTaskView: {
            lease_id: string;
            resource_id: string;
            /** @description By its machine's latest word: accepted, preparing, running, paused, stopping, collecting, reported, claiming or closed; null while it says nothing of it. */
            status: string | null;
            /** @description Per cent, as the program itself says. */
            progress: number | null;
            /** @description What it has run. */
            metered_seconds: number | null;
            /**
             * Format: decimal
             * @description The most that it can pay.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description Signed so far.
             */
            promised: string;
            /** @description When it was awarded. */
            created_at: string;
        };
        /** @description A wallet with machines in the market. What is said of machines is said of those that fit. */
        ProviderView: {
            /** @description Its wallet, which owns the machines and is paid. */
            id: string;
            /**
             * @description Of its readiest machine.
             * @enum {unknown}
             */
            status: "busy" | "offline" | "online";
            locations: string[];
            /**
             * Format: decimal
             * @description What its cheapest machine asks for what was looked for.
             */
            price_per_hour: string;
            /** @description 0 to 100: its worst machine's; null of those that left. */
            performance_score: number | null;
            /** @description At risk on the chain; null while it is not known. */
            stake: string | null;
            node_count: number;
            /** @description How many take work now and have free what was looked for. */
            nodes_available: number;
            gpus: components["schemas"]["ProviderGpuView"][];
            /** @description Of its largest machine, as the next two. */
            cpu_cores: number;
            ram_gb: number;
            storage_gb: number;
        };
        /** @description What is expected, and where it may come to lie. */
        RangeView: {
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            low: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            expected: string;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            high: string;
        };
        /** @description What a job was not let do. */
        RefusalView: {
            host: string;
            port: number;
            reason: string;
            meaning: string;
            count: number;
        };
        /** @description How many nodes come in when the constraint is this instead. */
        RelaxationStepView: {
            constraint: string;
            nodes: number;
        };
        /** @description The one constraint whose removal would let most nodes in, and how far one may go instead. */
        RelaxationView: {
            constraint: string;
            nodes: number;
            /** @description What it could be instead: the nearest first, or what brings most. */
            steps: components["schemas"]["RelaxationStepView"][];
        };
        /** @description A node's score and what it is made of. */
        ReputationView: {
            node_id: string;
            /** @description 0 to 1000; 0 while it is suspended. */
            score: number;
            /** @description What a newcomer has. */
            neutral_score: number;
            /** @description The same, 0 to 100. */
            performance_score: number;
            /** @description Proven wrong twice within a short time: asked for nothing. */
            suspended: boolean;
            /** @description At risk on the chain; null while it is not known. */
            stake: string | null;
            half_life_days: number;
            tasks_completed: number;
            /** @description Of its completed runs; null before any. */
            verified_share: number | null;
            /** @description Findings by kind, forgotten ones too. */
            counts: {
                [key: string]: number;
            };
            /** @description Newest first. */
            findings: components["schemas"]["FindingView"][];
            /** @description Of all findings. */
            total: number;
        };
        /** @description What was found out, or done; null takes that back. */
        ResolutionRequest: {
            resolution: string | null;
        };
        /** @description What the job needs otherwise; the rest stays. A GB is 10^9 bytes. */
        ResourceChanges: {
            cpu_cores?: number;
            ram_gb?: number;
            storage_gb?: number;
            /** @description 0: none, whatever was asked of them. */
            gpu_count?: number;
            gpu_memory_gb?: number;
            gpu_model?: string;
            gpu_compute_capability?: string;
        };
        /** @description Some of them; ``total`` counts all that fit. */
        ResourceListView: {
            resources: components["schemas"]["ResourceView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What the job needs of one machine; what is left out is "any" or a small default. */
        ResourceRequirements: {
            /**
             * @description Cores; a fraction is a share of one.
             * @default 1
             */
            cpu_cores?: number;
            /**
             * @description Memory limit of the container, 10^9 bytes.
             * @default 0.5
             */
            ram_gb?: number;
            /**
             * @description What it may write to disk in all, 10^9 bytes.
             * @default 1
             */
            storage_gb?: number;
            /**
             * @description GPUs of one machine.
             * @default 0
             */
            gpu_count?: number;
            /**
             * @description Least memory of each GPU, 10^9 bytes.
             * @default 0
             */
            gpu_memory_gb?: number;
            /**
             * @description Text that occurs in the GPU's model name.
             * @default
             */
            gpu_model?: string;
            /**
             * @description Least CUDA compute capability.
             * @default
             */
            gpu_compute_capability?: string;
        };
        /**
         * @description Whether a machine takes work.
         *
         *     AVAILABLE: it does. BUSY: it has nothing left. PAUSED: its owner has said so. OFFLINE: it is not connected.
         * @enum {string}
         */
        ResourceStatus: "available" | "busy" | "paused" | "offline";
        /**
         * @description Document 003's words: a machine with GPUs is one of those.
         * @enum {string}
         */
        ResourceType: "gpu" | "cpu";
        /** @description A machine of yours. */
        ResourceView: {
            /** @description Its node's id. */
            id: string;
            /** @enum {unknown} */
            resource_type: "cpu" | "gpu";
            /**
             * @description `paused`: its owner lets it take no new work.
             * @enum {unknown}
             */
            status: "available" | "busy" | "offline" | "paused";
            specifications: components["schemas"]["SpecificationsView"];
            pricing: components["schemas"]["PricingView"];
            location: string;
            performance_score: number | null;
            /** @description By its latest word. */
            running_tasks: number;
            /** @description UTC. */
            last_seen: string;
        };
        /** @description A checkpoint of another task of yours. */
        ResumeRequest: {
            /** @description Its id; it may have ended. */
            task: string;
            /**
             * @description Which one; the newest if left out.
             * @default null
             */
            sequence?: number | null;
        };
        /** @description What is tried again. */
        RetryRequest: {
            /**
             * @description What was cancelled, too.
             * @default false
             */
            cancelled?: boolean;
            /**
             * @description USDC: another budget, for all of the batch.
             * @default null
             */
            max_cost?: (string | number) | null;
        };
        /** @description An API key that takes the place of another. */
        RotatedApiKeyView: {
            id: string;
            name: string;
            /** @description Its first characters. */
            hint: string;
            /**
             * @description `sign_in`: somebody signed in with the account's wallet. `application`: a token of an application's, by OAuth.
             * @enum {unknown}
             */
            kind: "application" | "key" | "sign_in";
            scopes: string[];
            /** @description What it acts as, as far as its account still does. */
            roles: string[];
            /** @enum {unknown} */
            state: "active" | "expired" | "revoked";
            /** @description Whether it is the key that asks. */
            current: boolean;
            /** @description UTC. */
            created_at: string;
            expires_at: string | null;
            revoked_at: string | null;
            /** @description To the minute. */
            last_used_at: string | null;
            /** @description What to send as `Authorization: Bearer`. Shown this once. Where a request is repeated with its idempotency key: another one, if nobody has used the key yet; else null. */
            secret: string | null;
            /** @description The old key, with its new end. */
            replaces: components["schemas"]["ApiKeyView"];
        };
        /** @description A page of runs, the latest first; ``total`` counts those that are remembered. */
        RunListView: {
            runs: components["schemas"]["RunView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description A run of a scheduled task. */
        RunView: {
            id: string;
            schedule_id: string;
            /** @description UTC. */
            due_at: string;
            by_hand: boolean;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "dry_run" | "failed" | "pending" | "running" | "skipped";
            /** @description For `GET /batches/{batch_id}`. */
            batch_id: string | null;
            /** @description Of its tasks that have ended. */
            cost_usdc: string | null;
            /** @description Why it was skipped or failed; what a dry run would do. */
            message: string | null;
            /** @description Of its results: an artifact of yours. */
            output_sha256: string | null;
            started_at: string | null;
            ended_at: string | null;
        };
        /** @description How far a stream is. */
        SaidView: {
            stream: string;
            /** @description Of the envelope that comes next; those before were handed on. */
            next_sequence: number;
        };
        /** @description What the node says on one of its streams. */
        SayRequest: {
            stream: string;
            envelopes: Record<string, unknown>[];
        };
        /** @description What was done: ``result`` is "deleted". */
        ScheduleEndView: {
            id: string;
            result: string;
        };
        /** @description A page of scheduled tasks; ``total`` counts all that match. */
        ScheduleListView: {
            scheduled_tasks: components["schemas"]["ScheduleView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What is changed; the rest stays. */
        SchedulePatch: {
            name?: string;
            /** @description Minute, hour, day of the month, month, day of the week, as cron has them. */
            schedule?: string;
            /** @description Of the IANA database. */
            time_zone?: string;
            /** @description Fields of `POST /tasks`: one task each time. */
            task?: Record<string, unknown>;
            batch?: components["schemas"]["BatchRequest"];
            /** @description Where each run's results are written as CSV, in your folder on the coordinator, if its operator lets you; the newest takes the place of the one before. */
            output_file?: string;
            output_artifact?: boolean;
            dry_run?: boolean;
            /** @description What becomes of times that passed while the coordinator was away: none, the last one, or all (at most 100) are made up for. */
            missed?: components["schemas"]["Missed"];
            /** @description What becomes of a run that is due while an earlier one has not ended. */
            overlap?: components["schemas"]["Overlap"];
            is_active?: boolean;
            ends_at?: string | null;
        };
        /** @description What a scheduled task would do. */
        SchedulePreview: {
            next_runs: string[];
            /** @description Each time, by its file as it is now. */
            tasks: number;
            /**
             * Format: decimal
             * @description What those could cost each time at most.
             */
            most_usdc: string;
        };
        /** @description One task, or a batch, that is run again and again. */
        ScheduleRequest: {
            name: string;
            /** @description Minute, hour, day of the month, month, day of the week, as cron has them. */
            schedule: string;
            /**
             * @description Of the IANA database.
             * @default UTC
             */
            time_zone?: string;
            /** @default null */
            task?: Record<string, unknown> | null;
            /**
             * @description As for `POST /batches`; its file is read anew each time.
             * @default null
             */
            batch?: components["schemas"]["BatchRequest"] | null;
            /**
             * @description Where each run's results are written as CSV, in your folder on the coordinator, if its operator lets you; the newest takes the place of the one before.
             * @default
             */
            output_file?: string;
            /**
             * @description Keep each run's results as CSV among your artifacts.
             * @default false
             */
            output_artifact?: boolean;
            /**
             * @description Say in the history what would have run; nothing is started.
             * @default false
             */
            dry_run?: boolean;
            /**
             * @description What becomes of times that passed while the coordinator was away: none, the last one, or all (at most 100) are made up for.
             * @default once
             */
            missed?: components["schemas"]["Missed"];
            /**
             * @description What becomes of a run that is due while an earlier one has not ended.
             * @default skip
             */
            overlap?: components["schemas"]["Overlap"];
            /** @default true */
            is_active?: boolean;
            /** @default null */
            ends_at?: string | null;
        };
        /** @description A scheduled task. */
        ScheduleView: {
            id: string;
            name: string;
            schedule: string;
            time_zone: string;
            is_active: boolean;
            dry_run: boolean;
            missed: components["schemas"]["Missed"];
            overlap: components["schemas"]["Overlap"];
            /** @description What each run is; one task is a batch of one. */
            batch: Record<string, unknown>;
            output_file: string;
            output_artifact: boolean;
            ends_at: string | null;
            /** @description The last time that was due and run. */
            last_run: string | null;
            /** @description null where none comes. */
            next_run: string | null;
            /** @description UTC. */
            created_at: string;
        };
        /** @description Another secret; without one it is made here. */
        SecretRotation: {
            /** @default null */
            secret?: string | null;
        };
        /** @description A piece of a recording: seconds from its start. */
        SegmentView: {
            start: number;
            end: number;
            text: string;
        };
        /** @description A job that serves; docs/services.md. */
        ServiceRequest: {
            /** @description TCP, at 127.0.0.1 or all addresses. */
            port: number;
            /**
             * @description A path that it answers with less than 400 while it is well. One that is not for a minute is ended, as a program that failed. Without it, it is ready once it takes connections.
             * @default
             */
            health?: string;
            /**
             * @description With `health`: how long it may take to become ready.
             * @default 600
             */
            start_seconds?: number;
        };
        /** @description How a part of the coordinator is. ``details`` are its own: what was measured, and its last error. */
        ServiceStatusView: {
            service: string;
            /** @enum {unknown} */
            status: "degraded" | "healthy" | "unhealthy";
            details: Record<string, unknown>;
            /** @description UTC. */
            last_health_check: string;
        };
        /** @description A job that serves. */
        ServiceView: {
            port: number;
            health: string;
            start_seconds: number;
            /** @description Whether it was well when its node looked last, seconds ago. */
            ready: boolean;
        };
        /** @description A message that the wallet has signed. */
        SignInRequest: {
            /** @description As the challenge had it. */
            message: string;
            /** @description Base64 of its 64 bytes. */
            signature: string;
            /** @description What the token may do. */
            scopes?: ("keys" | "read" | "write")[];
        };
        /** @description What a machine has in all, and what is free of it. */
        SpecificationsView: {
            /** @description Of its first GPU; null without one. */
            model: string | null;
            /** @description Of that GPU. */
            memory_gb: number | null;
            gpu_count: number;
            gpu_count_free: number;
            cpu_cores: number;
            cpu_cores_free: number;
            ram_gb: number;
            ram_gb_free: number;
            storage_gb: number;
            storage_gb_free: number;
        };
        /** @description Which other tasks of the account this one keeps apart from while they run. */
        SpreadRequest: {
            /** @description Tasks with the same one. */
            group: string;
            /**
             * @description What they do not share.
             * @default node
             * @enum {unknown}
             */
            by?: "node" | "region" | "wallet";
        };
        /** @description Stake to be added, or to be taken out. */
        StakeRequest: {
            /**
             * Format: decimal
             * @description At most six decimals.
             */
            amount: string | number;
            /**
             * @description What the market is paid in: USDC.
             * @default USDC
             */
            currency?: string;
        };
        /** @description What a provider has in the market's program. */
        StakeView: {
            wallet: string;
            /** @description False: it has never staked. */
            registered: boolean;
            /**
             * Format: decimal
             * @description Counts towards `minimum`.
             */
            staked: string;
            /**
             * Format: decimal
             * @description Of it: what can be taken out.
             */
            free: string;
            /**
             * Format: decimal
             * @description Of it: what your own disputes hold.
             */
            bonded: string;
            /**
             * Format: decimal
             * @description Being taken out; slashable until then.
             */
            unbonding: string;
            /** @description When `unbonding` can be withdrawn; null where it is 0. */
            withdrawable_at: string | null;
            /**
             * Format: decimal
             * @description Ever.
             */
            slashed: string;
            /**
             * Format: decimal
             * @description With less, its machines get no new jobs.
             */
            minimum: string;
            /** @description How long taking out lasts. */
            unbonding_days: number;
            /**
             * Format: decimal
             * @description Ever, by any coordinator, less the market's fee.
             */
            earned: string;
            jobs_completed: number;
            open_escrows: number;
            /** @description Who is paid what its machines earn; it can't be changed. */
            payout_wallet: string | null;
            /**
             * Format: decimal
             * @description The wallet's own, not staked.
             */
            in_wallet: string;
            /** @enum {unknown} */
            currency: "USDC";
        };
        /** @description The market as a whole. */
        StatsView: {
            /** @description That this coordinator knows. */
            total_nodes: number;
            /** @description Of those, connected now. */
            active_nodes: number;
            /** @description Submitted since midnight, UTC. */
            total_tasks_today: number;
            /** @description Seconds from submission to start, of the tasks that ended in the last 24 hours. */
            average_response_time: number;
            /** @description Per cent of the last 30 days' leases whose node did not fail them; 100 where there is none. */
            network_uptime: number;
            /** @description That jobs have run, by their nodes' meters. */
            total_compute_hours: number;
        };
        /** @description How the coordinator is. */
        StatusView: {
            /** @enum {unknown} */
            status: "degraded" | "ok";
            version: string;
            network: string;
            /**
             * @description The process that holds auctions.
             * @enum {unknown}
             */
            market: "down" | "up";
            /** @description Connected now. */
            nodes: number | null;
            /** @description Of nodes and strangers, those in their handshake included. */
            connections: number;
            /** @description Open streams of leases. */
            lease_streams: number;
            /** @description Connections refused or cut off since the market process began, by reason. */
            refused: {
                [key: string]: number;
            };
            tasks: {
                [key: string]: number;
            };
            /** @description Between the coordinator's books and the chain, unresolved. */
            differences: number;
            uptime_seconds: number;
            services: {
                [key: string]: "degraded" | "healthy" | "unhealthy";
            };
            /** @description UTC. */
            last_health_check: string;
        };
        /** @description Of an answer that is streamed. */
        StreamOptions: {
            /** @default null */
            include_usage?: boolean | null;
            /** @default null */
            include_obfuscation?: boolean | null;
        };
        /** @description A stream for one lease. */
        StreamView: {
            stream: string;
        };
        /** @description A signed transaction. */
        SubmitRequest: {
            /** @description The whole transaction, base64: `transaction` of the answer, unchanged, with the wallet's signature in it. */
            signed_transaction: string;
        };
        /** @description How many nodes are left after this constraint. */
        SurvivorsView: {
            constraint: string;
            left: number;
        };
        /**
         * @description The coordinator's machine: busy share of its cores over a minute, used share of its memory, and
         *         connections to the API.
         */
        SystemView: {
            cpu_usage: number;
            memory_usage: number;
            active_connections: number;
        };
        /** @description What is asked for otherwise; the rest stays. What the job does is not changed: image, command, inputs. */
        TaskChange: {
            name?: string;
            /**
             * Format: decimal
             * @description Bids above are not considered, USDC.
             */
            max_price_per_hour?: string | number;
            /** @description USDC; null for no limit of its own. */
            max_total_cost?: (string | number) | null;
            timeout_seconds?: number;
            priority?: ("high" | "low" | "normal") | number;
            priority_reason?: string;
            /** @description null for none. */
            deadline?: string | null;
            /** @enum {unknown} */
            deadline_policy?: "end" | "run";
            /** @description Counted from when it was queued; null for the coordinator's. */
            queue_timeout_seconds?: number | null;
            resource_requirements?: components["schemas"]["ResourceChanges"];
            /** @description Any of these; empty: anywhere. */
            regions?: string[];
            /** @description In place of all conditions before, as in `POST /tasks`. */
            constraints?: string | components["schemas"]["Clause"][];
            wait_for_node?: boolean;
        };
        /** @description Your tasks that are not deleted, by status. */
        TaskCountsView: {
            total: number;
            completed: number;
            failed: number;
            cancelled: number;
            pending: number;
            running: number;
        };
        /** @description Why a task failed, and what to change. */
        TaskFailure: {
            code: string;
            message: string;
            advice: string;
        };
        /** @description A page of tasks; ``total`` counts all that match. */
        TaskListView: {
            tasks: components["schemas"]["TaskSummary"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description What a task's job uses, by its nodes' word. */
        TaskMetricsView: {
            task_id: string;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            progress: number;
            summary: components["schemas"]["UsageSummaryView"];
            /** @description The newest, oldest first. */
            samples: components["schemas"]["UsageSampleView"][];
        };
        /**
         * @description Of tasks that ended within the time: seconds from start to end, completed of completed and failed,
         *         and how many ended in a minute.
         */
        TaskPerformanceView: {
            average_execution_time: number;
            success_rate: number;
            throughput: number;
        };
        /** @description A container job. Document 003's arguments, and ours after ``priority``. */
        TaskRequest: {
            /** @description Best by digest. */
            docker_image: string;
            /**
             * Format: decimal
             * @description Bids above are not considered, USDC.
             */
            max_price_per_hour: string | number;
            /**
             * @description An `operation` has other fields: it is a kind of task of its own.
             * @default container
             * @enum {unknown}
             */
            kind?: "container";
            /** @default  */
            name?: string;
            /**
             * @description `gpu` asks for at least one GPU. Follows from the resources if left out.
             * @default null
             */
            type?: ("cpu" | "gpu") | null;
            resource_requirements?: components["schemas"]["ResourceRequirements"];
            /**
             * @description Empty: the image's own.
             * @default []
             */
            command?: string[];
            /**
             * @description The longest it may run, once started.
             * @default 3600
             */
            timeout_seconds?: number;
            /**
             * @description Order among your own waiting tasks; 10 is the most urgent.
             * @default normal
             */
            priority?: ("high" | "low" | "normal") | number;
            /**
             * @description Why, for people; kept and shown.
             * @default
             */
            priority_reason?: string;
            /**
             * @description It has to have ended by then. Among tasks of a priority the earliest deadline goes first, and nodes that could not keep it do not bid.
             * @default null
             */
            deadline?: string | null;
            /**
             * @description What happens when the whole time limit does not fit before the deadline any more and the task has not begun: it ends with `DEADLINE_MISSED` and has cost nothing, or it goes on without one.
             * @default end
             * @enum {unknown}
             */
            deadline_policy?: "end" | "run";
            /** @default {} */
            env?: {
                [key: string]: string;
            };
            /** @default [] */
            inputs?: components["schemas"]["InputReference"][];
            /**
             * @description Share no node, wallet or region with other tasks of a group.
             * @default null
             */
            spread?: components["schemas"]["SpreadRequest"] | null;
            /** @description Where it must not run. */
            avoid?: components["schemas"]["AvoidRequest"];
            /**
             * @description Tasks that must have completed before this one is queued. If one of them fails or is cancelled, this one fails with it.
             * @default []
             */
            depends_on?: string[];
            /**
             * @description Any of these; empty: anywhere.
             * @default []
             */
            regions?: string[];
            /**
             * @description How long it may wait for a node; default: the coordinator's.
             * @default null
             */
            queue_timeout_seconds?: number | null;
            /**
             * @description USDC. Lowers the price until the whole time limit costs no more.
             * @default null
             */
            max_total_cost?: (string | number) | null;
            /**
             * @description Conditions on nodes: a text, or clauses with integers in base units. `GET /constraints` lists what they may name.
             * @default
             */
            constraints?: string | components["schemas"]["Clause"][];
            /**
             * @description Run it on several nodes at once, each with a rank.
             * @default null
             */
            gang?: components["schemas"]["GangRequest"] | null;
            /**
             * @description Keep its work while it runs, so that another node goes on from there where one is lost or takes its machine back. Not with `gang` or sealed inputs.
             * @default null
             */
            checkpoint?: components["schemas"]["CheckpointRequest"] | null;
            /**
             * @description Begin from what another task has kept. Not with `verification`.
             * @default null
             */
            resume_from?: components["schemas"]["ResumeRequest"] | null;
            /**
             * @description What the job may reach; nothing if left out.
             * @default null
             */
            network?: components["schemas"]["NetworkRequest"] | null;
            /**
             * @description Nodes commit to their bids before anybody sees one, the coordinator included. The auction takes up to a second longer.
             * @default false
             */
            sealed_bids?: boolean;
            /**
             * @description Its node may take the machine back after a warning, and asks less for that. It is then paid for what it ran, and the task starts anew elsewhere. All runs together cost at most what one could.
             * @default false
             */
            preemptible?: boolean;
            /**
             * @description Of a preemptible task: how long the warning has to be at least.
             * @default 0
             */
            reclaim_window_seconds?: number;
            /**
             * @description Let the nodes that are asked know who pays; some take nobody else.
             * @default false
             */
            reveal_wallet?: boolean;
            /**
             * @description It listens, and its owner may connect (`/tasks/{id}/port`). Only nodes whose owners allow that are asked. Not with verification, sealed inputs or a gang.
             * @default null
             */
            service?: components["schemas"]["ServiceRequest"] | null;
            /**
             * @description You may run commands beside it while it runs (`/tasks/{task_id}/exec`). Only nodes whose owners allow that are asked. Not with verification or sealed inputs.
             * @default false
             */
            interactive?: boolean;
            /**
             * @description Queue even if no node that is known could ever serve it.
             * @default false
             */
            wait_for_node?: boolean;
            /**
             * @description Money is held for every run that may come before it is accepted: a quorum's, and one check.
             * @default {
             *       "mode": "none",
             *       "runs": null,
             *       "comparator": {
             *         "kind": "exact",
             *         "relative": "0",
             *         "absolute": "0",
             *         "files": null,
             *         "image": null,
             *         "command": [],
             *         "timeout_seconds": null
             *       }
             *     }
             */
            verification?: components["schemas"]["VerificationRequest"];
        };
        /** @description A task in a list. */
        TaskSummary: {
            id: string;
            name: string;
            /**
             * @description What was asked for: an image of its own, or a computation or a model by name. A `replica` is a warm server of a model, which the coordinator keeps; by a `use` a client pays for asking one.
             * @enum {unknown}
             */
            kind: "container" | "model" | "operation" | "replica" | "use";
            /** @description `cpu` or `gpu`; of a model as `text-generation`. */
            type: string;
            /** @description Of kind `model`: its id. */
            model: string | null;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description waiting, queued, matching, awarded, starting, running, verifying, completed, failed, cancelled or expired. */
            phase: string;
            docker_image: string;
            /** @description UTC. */
            created_at: string;
            started_at: string | null;
            /** @description When it ended, however it ended. */
            completed_at: string | null;
            node_id: string | null;
            /** @description Percent, as the program itself says. */
            progress: number;
            progress_note: string;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            error: components["schemas"]["TaskFailure"] | null;
        };
        /** @description A task with everything its owner may know. */
        TaskView: {
            id: string;
            name: string;
            /**
             * @description What was asked for: an image of its own, or a computation or a model by name. A `replica` is a warm server of a model, which the coordinator keeps; by a `use` a client pays for asking one.
             * @enum {unknown}
             */
            kind: "container" | "model" | "operation" | "replica" | "use";
            /** @description `cpu` or `gpu`; of a model as `text-generation`. */
            type: string;
            /** @description Of kind `model`: its id. */
            model: string | null;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description waiting, queued, matching, awarded, starting, running, verifying, completed, failed, cancelled or expired. */
            phase: string;
            docker_image: string;
            /** @description UTC. */
            created_at: string;
            started_at: string | null;
            /** @description When it ended, however it ended. */
            completed_at: string | null;
            node_id: string | null;
            /** @description Percent, as the program itself says. */
            progress: number;
            progress_note: string;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            error: components["schemas"]["TaskFailure"] | null;
            /** @description Of kind `operation`. */
            operation: components["schemas"]["OperationView"] | null;
            /** @description Of kind `model`. */
            model_request: components["schemas"]["ModelTaskView"] | null;
            command: string[];
            env: {
                [key: string]: string;
            };
            inputs: components["schemas"]["InputView"][];
            /** @description Tasks that must have completed before. */
            depends_on: string[];
            workflow_id: string | null;
            /** @description The task that this one is a further execution of. */
            execution_of: string | null;
            resource_requirements: components["schemas"]["ResourceRequirements"];
            regions: string[];
            /** @description Its conditions on nodes, as text. */
            constraints: string;
            /** @description The same as they are signed, in base units. */
            constraint_clauses: components["schemas"]["Clause"][];
            reveal_wallet: boolean;
            sealed_bids: boolean;
            preemptible: boolean;
            reclaim_window_seconds: number;
            /** @description Runs whose node took its machine back. */
            preemptions: number;
            /** @description When the run is stopped; null unless it was warned. */
            stops_at: string | null;
            checkpoint: components["schemas"]["CheckpointRequest"] | null;
            /** @description That are kept, oldest first. */
            checkpoints: components["schemas"]["CheckpointView"][];
            interactive: boolean;
            /** @description Where it listens, if it serves. */
            service: components["schemas"]["ServiceView"] | null;
            spread: components["schemas"]["SpreadRequest"] | null;
            avoid: components["schemas"]["AvoidRequest"];
            timeout_seconds: number;
            queue_timeout_seconds: number;
            priority: ("high" | "low" | "normal") | number;
            priority_reason: string;
            deadline: string | null;
            deadline_policy: ("end" | "run") | null;
            /** @description Null without a deadline, and while it may still be met. */
            deadline_met: boolean | null;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            max_price_per_hour: string;
            /**
             * Format: decimal
             * @description For the whole time limit at the highest price, of every run that money is held for.
             */
            max_cost: string;
            /** @description Agreed with its node. */
            price_per_hour: string | null;
            /** @enum {unknown} */
            currency: "USDC";
            exit_code: number | null;
            /** @description Why it waits, while it waits. */
            explanation: string | null;
            /** @description It has inputs that only its node can read. */
            sealed: boolean;
            /** @description It waits for `POST /tasks/{id}/key`: see `GET` there. */
            needs_key: boolean;
            /** @description The money has moved; the receipt is complete. */
            settled: boolean;
            verification: components["schemas"]["VerificationView"];
            gang: components["schemas"]["GangView"] | null;
            network: components["schemas"]["NetworkView"] | null;
            leases: components["schemas"]["LeaseView"][];
            timeline: components["schemas"]["TimelineView"][];
        };
        /** @description A text that was written. */
        TextAnswer: {
            /** @description The task's: its receipt, log and files are there. Where a server that stays has answered, it is the lease for use that pays for the account's requests to it. */
            id: string;
            /** @description Of this very answer; a task's is its `id`. */
            request_id: string;
            /** @description Its id, also where it was asked for by an alias. */
            model: string;
            node_id: string | null;
            /** @description Seconds of the model alone, as its program measured them; of a server that stays, until all was here. */
            execution_time: number;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            generated_text: string;
            /** @enum {unknown} */
            finish_reason: "length" | "stop";
            usage: components["schemas"]["TokenUsage"];
            seed: number | null;
        };
        /** @description A text to be written. */
        TextGeneration: {
            model: string;
            /** @default  */
            prompt?: string;
            /**
             * @description Instead of a prompt.
             * @default []
             */
            messages?: components["schemas"]["Message"][];
            /**
             * @description Of text: `max_tokens`, `temperature`, `top_p`, `stop_sequences`, `seed`. Of images: `width`, `height`, `steps`, `guidance_scale`, `seed`. Of audio: `language`. Those left out have defaults (docs/models.md).
             * @default {}
             */
            parameters?: Record<string, unknown>;
            /**
             * @default {
             *       "region": null,
             *       "min_performance_score": 0
             *     }
             */
            node_preferences?: components["schemas"]["NodePreferences"];
            /**
             * @description Server-sent events, piece by piece as the model writes.
             * @default false
             */
            stream?: boolean;
        };
        /** @description Something that happened to the task. */
        TimelineView: {
            /** @description UTC. */
            at: string;
            event: string;
            data: Record<string, unknown>;
        };
        /** @description Tokens, as document 000 has them. */
        TokenAnswer: {
            /** @description What to send as `Authorization: Bearer`. */
            access_token: string;
            token_type: string;
            /** @description Seconds. */
            expires_in: number;
            /** @description Scopes with spaces between. */
            scope: string;
            /**
             * @description Not for `client_credentials`; good once, gives the next.
             * @default
             */
            refresh_token?: string;
        };
        /** @description The model's own tokens, by its program's word. */
        TokenUsage: {
            prompt_tokens: number;
            completion_tokens: number;
            total_tokens: number;
        };
        /** @description A token that lives an hour. */
        TokenView: {
            /** @description What to send as `Authorization: Bearer`. */
            access_token: string;
            /** @enum {unknown} */
            token_type: "Bearer";
            /** @description Seconds. */
            expires_in: number;
            /** @description Scopes with spaces between. */
            scope: string;
        };
        /** @description What was said. */
        TranscriptionAnswer: {
            /** @description The task's: its receipt, log and files are there. Where a server that stays has answered, it is the lease for use that pays for the account's requests to it. */
            id: string;
            /** @description Of this very answer; a task's is its `id`. */
            request_id: string;
            /** @description Its id, also where it was asked for by an alias. */
            model: string;
            node_id: string | null;
            /** @description Seconds of the model alone, as its program measured them; of a server that stays, until all was here. */
            execution_time: number;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            transcription: string;
            /** @description As `en`; empty: not known. */
            language: string;
            /** @description 0 to 1, by its program's word. */
            confidence: number | null;
            segments: components["schemas"]["SegmentView"][];
        };
        /**
         * @description What a transfer is for.
         * @enum {string}
         */
        TransferKind: "deposit" | "withdrawal" | "operator" | "payout" | "stake" | "unstake" | "rebond" | "stake_withdrawal" | "close" | "claim";
        /** @description Some of the account's transfers; ``total`` counts all that were asked for. */
        TransferListView: {
            transfers: components["schemas"]["TransferView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description A transaction of the account's wallet, from the asking to its end. */
        TransferView: {
            id: string;
            /** @enum {unknown} */
            kind: "claim" | "close" | "deposit" | "operator" | "payout" | "rebond" | "stake" | "stake_withdrawal" | "unstake" | "withdrawal";
            /**
             * @description `completed` is final. `failed` and `expired` moved nothing and never will.
             * @enum {unknown}
             */
            status: "awaiting_signature" | "completed" | "confirmed" | "expired" | "failed" | "submitted";
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            amount: string;
            currency: string;
            /** @description Who signs and pays the fee. */
            wallet: string;
            /** @description Who gets it, of withdrawals and payouts. */
            wallet_address: string | null;
            /** @description What the transaction does, in words. */
            does: string[];
            /** @description The chain's fee, rent of new accounts aside. */
            fee_sol: string;
            /** @description To be signed, base64, as Solana's wallets take it; null once it is signed or expired. */
            transaction: string | null;
            /** @description The part of it that an Ed25519 key signs, base64; null likewise. */
            message: string | null;
            /** @description The transaction's name on the chain. */
            signature: string | null;
            /** @description Why it moved nothing. */
            failure: string | null;
            /** @description UTC. */
            created_at: string;
            /** @description About when it can't be sent any more. */
            expires_at: string;
            /** @description UTC. */
            updated_at: string;
        };
        /** @description Your account's own limits; null: none. */
        UsageLimitsView: {
            monthly_tasks: number | null;
            /** @description USDC. */
            monthly_budget: number | null;
        };
        /** @description What the job had used at a moment; sums count from the start of its container. */
        UsageSampleView: {
            /** @description UTC. */
            timestamp: string;
            lease_id: string;
            /** @description Of the processor time that it asked for, since the sample before; more than 100 where it had more. null of a run's first. */
            cpu_usage: number | null;
            cpu_seconds: number;
            memory_bytes: number;
            /** @description Of its limit. */
            memory_usage: number;
            disk_read_bytes: number | null;
            disk_written_bytes: number | null;
            network_received_bytes: number | null;
            network_sent_bytes: number | null;
            /** @description Of its GPUs, mean; null without any. */
            gpu_usage: number | null;
            gpus: components["schemas"]["GpuUseView"][];
        };
        /** @description What all runs of the task came to. null: nobody could tell. */
        UsageSummaryView: {
            /** @description How many there are. 0: nothing was measured yet. */
            samples: number;
            cpu_seconds: number;
            /** @description As of the last sample. */
            memory_bytes: number;
            memory_peak_bytes: number;
            memory_limit_bytes: number;
            disk_read_bytes: number | null;
            disk_written_bytes: number | null;
            network_received_bytes: number | null;
            network_sent_bytes: number | null;
            /** @description Percent, of the samples kept. */
            gpu_usage_mean: number | null;
            gpu_usage_max: number | null;
            /** @description Of all its GPUs together. */
            gpu_memory_peak_bytes: number | null;
            gpu_temperature_max: number | null;
            /** @description Of all its GPUs together. */
            gpu_power_max_watts: number | null;
        };
        /** @description What you have used. */
        UsageView: {
            current_month: components["schemas"]["MonthView"];
            limits: components["schemas"]["UsageLimitsView"];
            /** @description Each that was asked this month, by its id. */
            models: components["schemas"]["ModelUsageView"][];
        };
        /** @description What of it is used in this month: ``budget`` is spent, or promised to tasks that have not ended. */
        UsedView: {
            tasks: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            budget: string;
            /** @description The month's end, when it begins anew. */
            until: string;
        };
        /** @description How the result is verified; docs/verification.md says what each mode costs and proves. */
        VerificationRequest: {
            /**
             * @description `quorum`: several nodes of different owners run it at once, and none is paid its last voucher before they agree. `spot_check`: it is paid at once, and an unpredictable share is run once more. Both need a job that always gives the same result.
             * @default none
             */
            mode?: components["schemas"]["VerifyMode"];
            /**
             * @description Of a quorum: how many nodes. 2 if left out.
             * @default null
             */
            runs?: number | null;
            /**
             * @description Every node that is asked to run it is told.
             * @default {
             *       "kind": "exact",
             *       "relative": "0",
             *       "absolute": "0",
             *       "files": null,
             *       "image": null,
             *       "command": [],
             *       "timeout_seconds": null
             *     }
             */
            comparator?: components["schemas"]["ComparatorRequest"];
        };
        /** @description How a task's result is verified, and what came of it. */
        VerificationView: {
            /** @enum {unknown} */
            mode: "none" | "quorum" | "spot_check";
            /** @description That a quorum began with. */
            runs: number;
            comparator: components["schemas"]["ComparatorRequest"];
            /** @description due, pending, agreed, refuted (other runs agree on another result), outvoted (the same, by the client's own image), undecided, or spared: not drawn for a check. */
            verdict: string | null;
            /** @description The run whose result it has, where its own was refuted. */
            result_of: string | null;
            /** @description Of a further run: its task. */
            belongs_to: string | null;
            further_runs: components["schemas"]["FurtherRunView"][];
            /**
             * Format: decimal
             * @description Of the task's own run, which `cost` is, and of all further runs.
             */
            total_cost_usdc: string;
        };
        /**
         * @description How a result is verified: not at all, by chance after it was paid, or before it is paid.
         * @enum {unknown}
         */
        VerifyMode: "none" | "quorum" | "spot_check";
        /** @description What a client has. ``usdc_balance`` is free + held + escrowed. */
        WalletBalanceView: {
            /**
             * Format: decimal
             * @description The deposit, what is locked included.
             */
            usdc_balance: string;
            /**
             * Format: decimal
             * @description In the wallet; "0" where the market knows no USDT.
             */
            usdt_balance: string;
            /**
             * Format: decimal
             * @description Can be withdrawn.
             */
            free: string;
            /**
             * Format: decimal
             * @description Promised to tasks that have no escrow yet.
             */
            held: string;
            /**
             * Format: decimal
             * @description Locked on the chain for tasks.
             */
            escrowed: string;
            /**
             * Format: decimal
             * @description What new tasks can spend: `free` within `operator_limit`.
             */
            available: string;
            /**
             * Format: decimal
             * @description What the coordinator may still open escrows for.
             */
            operator_limit: string;
            /**
             * Format: decimal
             * @description The wallet's own USDC, not deposited.
             */
            in_wallet: string;
            wallet: string;
        };
        /** @description All of them. */
        WebhookEventListView: {
            events: components["schemas"]["WebhookEventView"][];
        };
        /** @description An event that may be asked for. */
        WebhookEventView: {
            name: string;
            description: string;
        };
        /** @description Which of these events: all that is said has to hold. */
        WebhookFilter: {
            /**
             * @description Ids of tasks, workflows, batches, schedules or nodes, one of which the event has to be about; empty: any. `node.status` needs the nodes named here, or is told of the nodes that have one of your tasks.
             * @default []
             */
            about?: string[];
            /**
             * @description What the name of the event's task begins with.
             * @default
             */
            task_name_prefix?: string;
        };
        /** @description Some of the account's webhooks; ``total`` counts all that were asked for. */
        WebhookListView: {
            webhooks: components["schemas"]["WebhookView"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description A webhook that is wanted. */
        WebhookRequest: {
            /** @description `https://` or `http://`, with a name and never an address. It has to be on the public internet, unless the operator allows it by name. */
            url: string;
            /** @description Names of events; `GET /webhook-events` lists them. */
            events: ("task.created" | "task.updated" | "task.started" | "task.progress" | "task.ready" | "task.completed" | "task.failed" | "task.cancelled" | "task.settled" | "task.needs_key" | "task.reclaimed" | "task.verdict" | "batch.created" | "batch.started" | "batch.completed" | "batch.failed" | "batch.cancelled" | "scheduled_task.executed" | "node.status" | "system.alert" | "task.complete" | "batch.finished")[];
            /**
             * @description For people.
             * @default
             */
            description?: string;
            /**
             * @default {
             *       "about": [],
             *       "task_name_prefix": ""
             *     }
             */
            filter?: components["schemas"]["WebhookFilter"];
            /** @default null */
            secret?: string | null;
            /**
             * @description What `X-Signature` is the HMAC-SHA256 of: `timestamped`: the value of `X-Timestamp`, a dot, and the body. `payload`: the body alone, which who has seen a delivery can send again at any time.
             * @default timestamped
             * @enum {unknown}
             */
            signature?: "payload" | "timestamped";
            /**
             * @default {
             *       "max_attempts": 8,
             *       "backoff_seconds": 10
             *     }
             */
            retries?: components["schemas"]["WebhookRetries"];
        };
        /** @description How often a delivery is tried. */
        WebhookRetries: {
            /** @default 8 */
            max_attempts?: number;
            /**
             * @description Before the second attempt; twice as long before each further one, six hours at most.
             * @default 10
             */
            backoff_seconds?: number;
        };
        /**
         * @description Whether a webhook is told of events.
         * @enum {string}
         */
        WebhookState: "active" | "paused" | "disabled" | "deleted";
        /** @description A made-up event to be sent. */
        WebhookTest: {
            /**
             * @default task.completed
             * @enum {string}
             */
            event?: "task.created" | "task.updated" | "task.started" | "task.progress" | "task.ready" | "task.completed" | "task.failed" | "task.cancelled" | "task.settled" | "task.needs_key" | "task.reclaimed" | "task.verdict" | "batch.created" | "batch.started" | "batch.completed" | "batch.failed" | "batch.cancelled" | "scheduled_task.executed" | "node.status" | "system.alert" | "task.complete" | "batch.finished";
        };
        /** @description What is to be another than before; what is left out stays. */
        WebhookUpdate: {
            /** @description `https://` or `http://`, with a name and never an address. It has to be on the public internet, unless the operator allows it by name. */
            url?: string;
            /** @description Names of events; `GET /webhook-events` lists them. */
            events?: ("task.created" | "task.updated" | "task.started" | "task.progress" | "task.ready" | "task.completed" | "task.failed" | "task.cancelled" | "task.settled" | "task.needs_key" | "task.reclaimed" | "task.verdict" | "batch.created" | "batch.started" | "batch.completed" | "batch.failed" | "batch.cancelled" | "scheduled_task.executed" | "node.status" | "system.alert" | "task.complete" | "batch.finished")[];
            /** @description For people. */
            description?: string;
            filter?: components["schemas"]["WebhookFilter"];
            /**
             * @description What `X-Signature` is the HMAC-SHA256 of: `timestamped`: the value of `X-Timestamp`, a dot, and the body. `payload`: the body alone, which who has seen a delivery can send again at any time.
             * @enum {unknown}
             */
            signature?: "payload" | "timestamped";
            retries?: components["schemas"]["WebhookRetries"];
        };
        /** @description A webhook without its secret. */
        WebhookView: {
            id: string;
            url: string;
            description: string;
            events: string[];
            filter: components["schemas"]["WebhookFilter"];
            /**
             * @description What `X-Signature` is the HMAC-SHA256 of: `timestamped`: the value of `X-Timestamp`, a dot, and the body. `payload`: the body alone, which who has seen a delivery can send again at any time.
             * @enum {unknown}
             */
            signature: "payload" | "timestamped";
            retries: components["schemas"]["WebhookRetries"];
            /**
             * @description `paused`: events are kept for it, and go out when it is resumed. `disabled`: it has failed for too long, and nothing is kept for it until it is resumed.
             * @enum {unknown}
             */
            state: "active" | "disabled" | "paused";
            /** @description Why it is disabled. */
            reason: string;
            /** @description Since when no attempt has succeeded; null while all is well. */
            failing_since: string | null;
            last_delivered_at: string | null;
            /** @description UTC. */
            created_at: string;
            /** @description UTC. */
            updated_at: string;
        };
        /** @description Money to be taken out of the deposit. */
        WithdrawalRequest: {
            /**
             * Format: decimal
             * @description At most six decimals.
             */
            amount: string | number;
            /**
             * @description What the market is paid in: USDC.
             * @default USDC
             */
            currency?: string;
            /**
             * @description Who gets it; left out: the account's own wallet.
             * @default null
             */
            wallet_address?: string | null;
        };
        /** @description A page of workflows; ``total`` counts all of them. */
        WorkflowListView: {
            workflows: components["schemas"]["WorkflowSummary"][];
            total: number;
            limit: number;
            offset: number;
        };
        /** @description Tasks that are stored together, all or none. */
        WorkflowRequest: {
            /** @description By names of yours, which `depends_on` and `from_task` may use; each as `POST /tasks` takes it. */
            tasks: {
                [key: string]: unknown;
            };
            /** @default  */
            name?: string;
        };
        /** @description A workflow in a list; ``counts``: status -> how many of its tasks are in it. */
        WorkflowSummary: {
            id: string;
            name: string;
            /**
             * @description `failed` when all tasks have ended and one failed; else `cancelled` when one was cancelled; `completed` when all completed.
             * @enum {unknown}
             */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description UTC. */
            created_at: string;
            completed_at: string | null;
            counts: {
                [key: string]: number;
            };
            /**
             * Format: decimal
             * @description Of its tasks that have ended.
             */
            cost_usdc: string;
        };
        /** @description A task of a workflow; ``key``: its name there. */
        WorkflowTaskView: {
            id: string;
            name: string;
            /**
             * @description What was asked for: an image of its own, or a computation or a model by name. A `replica` is a warm server of a model, which the coordinator keeps; by a `use` a client pays for asking one.
             * @enum {unknown}
             */
            kind: "container" | "model" | "operation" | "replica" | "use";
            /** @description `cpu` or `gpu`; of a model as `text-generation`. */
            type: string;
            /** @description Of kind `model`: its id. */
            model: string | null;
            /** @enum {unknown} */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description waiting, queued, matching, awarded, starting, running, verifying, completed, failed, cancelled or expired. */
            phase: string;
            docker_image: string;
            /** @description UTC. */
            created_at: string;
            started_at: string | null;
            /** @description When it ended, however it ended. */
            completed_at: string | null;
            node_id: string | null;
            /** @description Percent, as the program itself says. */
            progress: number;
            progress_note: string;
            /** @description USDC as a number; `cost_usdc` is exact. */
            cost: number;
            /**
             * Format: decimal
             * @description USDC, at most six decimals.
             */
            cost_usdc: string;
            error: components["schemas"]["TaskFailure"] | null;
            key: string;
            depends_on: string[];
        };
        /** @description A workflow with its tasks, each after those that it depends on. */
        WorkflowView: {
            id: string;
            name: string;
            /**
             * @description `failed` when all tasks have ended and one failed; else `cancelled` when one was cancelled; `completed` when all completed.
             * @enum {unknown}
             */
            status: "cancelled" | "completed" | "failed" | "pending" | "running";
            /** @description UTC. */
            created_at: string;
            completed_at: string | null;
            counts: {
                [key: string]: number;
            };
            /**
             * Format: decimal
             * @description Of its tasks that have ended.
             */
            cost_usdc: string;
            tasks: components["schemas"]["WorkflowTaskView"][];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type AccountChange = components['schemas']['AccountChange'];
export type AccountLimitsRequest = components['schemas']['AccountLimitsRequest'];
export type AccountLimitsView = components['schemas']['AccountLimitsView'];
export type AccountListView = components['schemas']['AccountListView'];
export type AccountSummary = components['schemas']['AccountSummary'];
export type AccountView = components['schemas']['AccountView'];
export type AllTasksMetricsView = components['schemas']['AllTasksMetricsView'];
export type ApiKeyListView = components['schemas']['ApiKeyListView'];
export type ApiKeyRequest = components['schemas']['ApiKeyRequest'];
export type ApiKeyRotation = components['schemas']['ApiKeyRotation'];
export type ApiKeyView = components['schemas']['ApiKeyView'];
export type ApplicationListView = components['schemas']['ApplicationListView'];
export type ApplicationRequest = components['schemas']['ApplicationRequest'];
export type ApplicationView = components['schemas']['ApplicationView'];
export type ArtifactDeleted = components['schemas']['ArtifactDeleted'];
export type ArtifactView = components['schemas']['ArtifactView'];
export type AttemptView = components['schemas']['AttemptView'];
export type AttributeListView = components['schemas']['AttributeListView'];
export type AttributeView = components['schemas']['AttributeView'];
export type AuctionListView = components['schemas']['AuctionListView'];
export type AuctionView = components['schemas']['AuctionView'];
export type AuditLogView = components['schemas']['AuditLogView'];
export type AuditMetadata = components['schemas']['AuditMetadata'];
export type AuditRowView = components['schemas']['AuditRowView'];
export type AvoidRequest = components['schemas']['AvoidRequest'];
export type BalanceView = components['schemas']['BalanceView'];
export type BatchEndView = components['schemas']['BatchEndView'];
export type BatchListView = components['schemas']['BatchListView'];
export type BatchProgress = components['schemas']['BatchProgress'];
export type BatchRequest = components['schemas']['BatchRequest'];
export type BatchTaskFailure = components['schemas']['BatchTaskFailure'];
export type BatchTaskListView = components['schemas']['BatchTaskListView'];
export type BatchTaskView = components['schemas']['BatchTaskView'];
export type BatchView = components['schemas']['BatchView'];
export type BidView = components['schemas']['BidView'];
export type BillingBalanceView = components['schemas']['BillingBalanceView'];
export type BillingTotalsView = components['schemas']['BillingTotalsView'];
export type BoltAdvanced = components['schemas']['BoltAdvanced'];
export type BoltBatch = components['schemas']['BoltBatch'];
export type BoltBatchOptions = components['schemas']['BoltBatchOptions'];
export type BoltBatchRequest = components['schemas']['BoltBatchRequest'];
export type BoltError = components['schemas']['BoltError'];
export type BoltErrorEntry = components['schemas']['BoltErrorEntry'];
export type BoltErrorLog = components['schemas']['BoltErrorLog'];
export type BoltFailure = components['schemas']['BoltFailure'];
export type BoltGpu = components['schemas']['BoltGpu'];
export type BoltGpuMemory = components['schemas']['BoltGpuMemory'];
export type BoltHeaders = components['schemas']['BoltHeaders'];
export type BoltKey = components['schemas']['BoltKey'];
export type BoltKeyRequest = components['schemas']['BoltKeyRequest'];
export type BoltLimit = components['schemas']['BoltLimit'];
export type BoltLimited = components['schemas']['BoltLimited'];
export type BoltLogEntry = components['schemas']['BoltLogEntry'];
export type BoltLogMetadata = components['schemas']['BoltLogMetadata'];
export type BoltLogs = components['schemas']['BoltLogs'];
export type BoltMetrics = components['schemas']['BoltMetrics'];
export type BoltOptions = components['schemas']['BoltOptions'];
export type BoltPerformance = components['schemas']['BoltPerformance'];
export type BoltPrediction = components['schemas']['BoltPrediction'];
export type BoltPriority = components['schemas']['BoltPriority'];
export type BoltProcess = components['schemas']['BoltProcess'];
export type BoltProgress = components['schemas']['BoltProgress'];
export type BoltRetries = components['schemas']['BoltRetries'];
export type BoltSecurity = components['schemas']['BoltSecurity'];
export type BoltStatuses = components['schemas']['BoltStatuses'];
export type BoltTask = components['schemas']['BoltTask'];
export type BoltTaskRequest = components['schemas']['BoltTaskRequest'];
export type BoltWebhook = components['schemas']['BoltWebhook'];
export type BoltWebhookRequest = components['schemas']['BoltWebhookRequest'];
export type CancelView = components['schemas']['CancelView'];
export type ChallengeRequest = components['schemas']['ChallengeRequest'];
export type ChallengeView = components['schemas']['ChallengeView'];
export type ChargeView = components['schemas']['ChargeView'];
export type ChatMessage = components['schemas']['ChatMessage'];
export type ChatRequest = components['schemas']['ChatRequest'];
export type CheckpointFilesView = components['schemas']['CheckpointFilesView'];
export type CheckpointListView = components['schemas']['CheckpointListView'];
export type CheckpointRequest = components['schemas']['CheckpointRequest'];
export type CheckpointView = components['schemas']['CheckpointView'];
export type ClassPricesView = components['schemas']['ClassPricesView'];
export type Clause = components['schemas']['Clause'];
export type CommitmentListView = components['schemas']['CommitmentListView'];
export type CommitmentView = components['schemas']['CommitmentView'];
export type ComparatorKind = components['schemas']['ComparatorKind'];
export type ComparatorRequest = components['schemas']['ComparatorRequest'];
export type CompletionRequest = components['schemas']['CompletionRequest'];
export type Condition = components['schemas']['Condition'];
export type CreditsRequest = components['schemas']['CreditsRequest'];
export type CsvRequest = components['schemas']['CsvRequest'];
export type DeletedWebhookView = components['schemas']['DeletedWebhookView'];
export type DeliveryDetailView = components['schemas']['DeliveryDetailView'];
export type DeliveryListView = components['schemas']['DeliveryListView'];
export type DeliveryState = components['schemas']['DeliveryState'];
export type DeliveryView = components['schemas']['DeliveryView'];
export type DepositListView = components['schemas']['DepositListView'];
export type DepositRequest = components['schemas']['DepositRequest'];
export type Earnings = components['schemas']['Earnings'];
export type EarningsSummaryView = components['schemas']['EarningsSummaryView'];
export type EmbeddingRequest = components['schemas']['EmbeddingRequest'];
export type ErrorAnswer = components['schemas']['ErrorAnswer'];
export type ErrorBody = components['schemas']['ErrorBody'];
export type ErrorEnvelope = components['schemas']['ErrorEnvelope'];
export type EstimateBalanceView = components['schemas']['EstimateBalanceView'];
export type EstimateView = components['schemas']['EstimateView'];
export type EventListView = components['schemas']['EventListView'];
export type EvidenceListView = components['schemas']['EvidenceListView'];
export type EvidenceView = components['schemas']['EvidenceView'];
export type ExplanationView = components['schemas']['ExplanationView'];
export type FailureListView = components['schemas']['FailureListView'];
export type FailureView = components['schemas']['FailureView'];
export type FileFormat = components['schemas']['FileFormat'];
export type FileRuleRequest = components['schemas']['FileRuleRequest'];
export type FindingView = components['schemas']['FindingView'];
export type FurtherRunView = components['schemas']['FurtherRunView'];
export type GangMemberView = components['schemas']['GangMemberView'];
export type GangRequest = components['schemas']['GangRequest'];
export type GangView = components['schemas']['GangView'];
export type GpuStatusView = components['schemas']['GpuStatusView'];
export type GpuTaskView = components['schemas']['GpuTaskView'];
export type GpuUseView = components['schemas']['GpuUseView'];
export type GpuView = components['schemas']['GpuView'];
export type GrantEndView = components['schemas']['GrantEndView'];
export type GrantListView = components['schemas']['GrantListView'];
export type GrantView = components['schemas']['GrantView'];
export type Health = components['schemas']['Health'];
export type HealthFigures = components['schemas']['HealthFigures'];
export type HistoryView = components['schemas']['HistoryView'];
export type HostUseView = components['schemas']['HostUseView'];
export type ImageAnswer = components['schemas']['ImageAnswer'];
export type ImageGeneration = components['schemas']['ImageGeneration'];
export type ImageParametersUsed = components['schemas']['ImageParametersUsed'];
export type ImageRequest = components['schemas']['ImageRequest'];
export type InputReference = components['schemas']['InputReference'];
export type InputView = components['schemas']['InputView'];
export type Introspection = components['schemas']['Introspection'];
export type InvoiceDetailView = components['schemas']['InvoiceDetailView'];
export type InvoiceListView = components['schemas']['InvoiceListView'];
export type InvoiceView = components['schemas']['InvoiceView'];
export type JobEarningsListView = components['schemas']['JobEarningsListView'];
export type JobEarningsView = components['schemas']['JobEarningsView'];
export type KeyRequest = components['schemas']['KeyRequest'];
export type KeySentView = components['schemas']['KeySentView'];
export type KeyState = components['schemas']['KeyState'];
export type KeyWantedView = components['schemas']['KeyWantedView'];
export type LeaseView = components['schemas']['LeaseView'];
export type LetterView = components['schemas']['LetterView'];
export type LettersView = components['schemas']['LettersView'];
export type LogView = components['schemas']['LogView'];
export type MailboxRequest = components['schemas']['MailboxRequest'];
export type MailboxView = components['schemas']['MailboxView'];
export type MarketPricesView = components['schemas']['MarketPricesView'];
export type MaxPrice = components['schemas']['MaxPrice'];
export type Message = components['schemas']['Message'];
export type MetricsOfTime = components['schemas']['MetricsOfTime'];
export type MetricsView = components['schemas']['MetricsView'];
export type Missed = components['schemas']['Missed'];
export type ModelFile = components['schemas']['ModelFile'];
export type ModelListView = components['schemas']['ModelListView'];
export type ModelNeedsView = components['schemas']['ModelNeedsView'];
export type ModelParametersView = components['schemas']['ModelParametersView'];
export type ModelPricing = components['schemas']['ModelPricing'];
export type ModelReplicasView = components['schemas']['ModelReplicasView'];
export type ModelRequest = components['schemas']['ModelRequest'];
export type ModelServerView = components['schemas']['ModelServerView'];
export type ModelTaskView = components['schemas']['ModelTaskView'];
export type ModelUsageView = components['schemas']['ModelUsageView'];
export type ModelView = components['schemas']['ModelView'];
export type MonthView = components['schemas']['MonthView'];
export type NearMissView = components['schemas']['NearMissView'];
export type NetworkRequest = components['schemas']['NetworkRequest'];
export type NetworkUseView = components['schemas']['NetworkUseView'];
export type NetworkView = components['schemas']['NetworkView'];
export type NewApiKeyView = components['schemas']['NewApiKeyView'];
export type NewApplicationView = components['schemas']['NewApplicationView'];
export type NewWebhookView = components['schemas']['NewWebhookView'];
export type NextRunsView = components['schemas']['NextRunsView'];
export type NodeDetailView = components['schemas']['NodeDetailView'];
export type NodeEarningsView = components['schemas']['NodeEarningsView'];
export type NodeListView = components['schemas']['NodeListView'];
export type NodePreferences = components['schemas']['NodePreferences'];
export type NodeStatus = components['schemas']['NodeStatus'];
export type NodeView = components['schemas']['NodeView'];
export type OAuthError = components['schemas']['OAuthError'];
export type OpenAiAudioUsage = components['schemas']['OpenAiAudioUsage'];
export type OpenAiBatchError = components['schemas']['OpenAiBatchError'];
export type OpenAiBatchErrors = components['schemas']['OpenAiBatchErrors'];
export type OpenAiBatchList = components['schemas']['OpenAiBatchList'];
export type OpenAiBatchOrigin = components['schemas']['OpenAiBatchOrigin'];
export type OpenAiBatchRequest = components['schemas']['OpenAiBatchRequest'];
export type OpenAiBatchView = components['schemas']['OpenAiBatchView'];
export type OpenAiChatCompletion = components['schemas']['OpenAiChatCompletion'];
export type OpenAiChoice = components['schemas']['OpenAiChoice'];
export type OpenAiCompletion = components['schemas']['OpenAiCompletion'];
export type OpenAiEmbedding = components['schemas']['OpenAiEmbedding'];
export type OpenAiEmbeddings = components['schemas']['OpenAiEmbeddings'];
export type OpenAiError = components['schemas']['OpenAiError'];
export type OpenAiErrorAnswer = components['schemas']['OpenAiErrorAnswer'];
export type OpenAiFile = components['schemas']['OpenAiFile'];
export type OpenAiFileDeleted = components['schemas']['OpenAiFileDeleted'];
export type OpenAiFileList = components['schemas']['OpenAiFileList'];
export type OpenAiImage = components['schemas']['OpenAiImage'];
export type OpenAiImageUsage = components['schemas']['OpenAiImageUsage'];
export type OpenAiImages = components['schemas']['OpenAiImages'];
export type OpenAiMessage = components['schemas']['OpenAiMessage'];
export type OpenAiModel = components['schemas']['OpenAiModel'];
export type OpenAiModelFacts = components['schemas']['OpenAiModelFacts'];
export type OpenAiModels = components['schemas']['OpenAiModels'];
export type OpenAiNativeError = components['schemas']['OpenAiNativeError'];
export type OpenAiOrigin = components['schemas']['OpenAiOrigin'];
export type OpenAiRequestCounts = components['schemas']['OpenAiRequestCounts'];
export type OpenAiSegment = components['schemas']['OpenAiSegment'];
export type OpenAiTextChoice = components['schemas']['OpenAiTextChoice'];
export type OpenAiTranscription = components['schemas']['OpenAiTranscription'];
export type OpenAiUsage = components['schemas']['OpenAiUsage'];
export type OpenEarningsView = components['schemas']['OpenEarningsView'];
export type Operation = components['schemas']['Operation'];
export type OperationListView = components['schemas']['OperationListView'];
export type OperationRequest = components['schemas']['OperationRequest'];
export type OperationTermsView = components['schemas']['OperationTermsView'];
export type OperationView = components['schemas']['OperationView'];
export type Operator = components['schemas']['Operator'];
export type OperatorRequest = components['schemas']['OperatorRequest'];
export type OutputListView = components['schemas']['OutputListView'];
export type OutputView = components['schemas']['OutputView'];
export type Overlap = components['schemas']['Overlap'];
export type ParameterView = components['schemas']['ParameterView'];
export type Part = components['schemas']['Part'];
export type PayoutListView = components['schemas']['PayoutListView'];
export type PayoutRequest = components['schemas']['PayoutRequest'];
export type PerformanceView = components['schemas']['PerformanceView'];
export type PriceHourView = components['schemas']['PriceHourView'];
export type PricingView = components['schemas']['PricingView'];
export type PromptFrom = components['schemas']['PromptFrom'];
export type ProviderDetailView = components['schemas']['ProviderDetailView'];
export type ProviderGpuView = components['schemas']['ProviderGpuView'];
export type ProviderListView = components['schemas']['ProviderListView'];
export type ProviderPreferences = components['schemas']['ProviderPreferences'];
export type ProviderTaskListView = components['schemas']['ProviderTaskListView'];
export type ProviderTaskView = components['schemas']['ProviderTaskView'];
export type ProviderView = components['schemas']['ProviderView'];
export type RangeView = components['schemas']['RangeView'];
export type RefusalView = components['schemas']['RefusalView'];
export type RelaxationStepView = components['schemas']['RelaxationStepView'];
export type RelaxationView = components['schemas']['RelaxationView'];
export type ReputationView = components['schemas']['ReputationView'];
export type ResolutionRequest = components['schemas']['ResolutionRequest'];
export type ResourceChanges = components['schemas']['ResourceChanges'];
export type ResourceListView = components['schemas']['ResourceListView'];
export type ResourceRequirements = components['schemas']['ResourceRequirements'];
export type ResourceStatus = components['schemas']['ResourceStatus'];
export type ResourceType = components['schemas']['ResourceType'];
export type ResourceView = components['schemas']['ResourceView'];
export type ResumeRequest = components['schemas']['ResumeRequest'];
export type RetryRequest = components['schemas']['RetryRequest'];
export type RotatedApiKeyView = components['schemas']['RotatedApiKeyView'];
export type RunListView = components['schemas']['RunListView'];
export type RunView = components['schemas']['RunView'];
export type SaidView = components['schemas']['SaidView'];
export type SayRequest = components['schemas']['SayRequest'];
export type ScheduleEndView = components['schemas']['ScheduleEndView'];
export type ScheduleListView = components['schemas']['ScheduleListView'];
export type SchedulePatch = components['schemas']['SchedulePatch'];
export type SchedulePreview = components['schemas']['SchedulePreview'];
export type ScheduleRequest = components['schemas']['ScheduleRequest'];
export type ScheduleView = components['schemas']['ScheduleView'];
export type SecretRotation = components['schemas']['SecretRotation'];
export type SegmentView = components['schemas']['SegmentView'];
export type ServiceRequest = components['schemas']['ServiceRequest'];
export type ServiceStatusView = components['schemas']['ServiceStatusView'];
export type ServiceView = components['schemas']['ServiceView'];
export type SignInRequest = components['schemas']['SignInRequest'];
export type SpecificationsView = components['schemas']['SpecificationsView'];
export type SpreadRequest = components['schemas']['SpreadRequest'];
export type StakeRequest = components['schemas']['StakeRequest'];
export type StakeView = components['schemas']['StakeView'];
export type StatsView = components['schemas']['StatsView'];
export type StatusView = components['schemas']['StatusView'];
export type StreamOptions = components['schemas']['StreamOptions'];
export type StreamView = components['schemas']['StreamView'];
export type SubmitRequest = components['schemas']['SubmitRequest'];
export type SurvivorsView = components['schemas']['SurvivorsView'];
export type SystemView = components['schemas']['SystemView'];
export type TaskChange = components['schemas']['TaskChange'];
export type TaskCountsView = components['schemas']['TaskCountsView'];
export type TaskFailure = components['schemas']['TaskFailure'];
export type TaskListView = components['schemas']['TaskListView'];
export type TaskMetricsView = components['schemas']['TaskMetricsView'];
export type TaskPerformanceView = components['schemas']['TaskPerformanceView'];
export type TaskRequest = components['schemas']['TaskRequest'];
export type TaskSummary = components['schemas']['TaskSummary'];
export type TaskView = components['schemas']['TaskView'];
export type TextAnswer = components['schemas']['TextAnswer'];
export type TextGeneration = components['schemas']['TextGeneration'];
export type TimelineView = components['schemas']['TimelineView'];
export type TokenAnswer = components['schemas']['TokenAnswer'];
export type TokenUsage = components['schemas']['TokenUsage'];
export type TokenView = components['schemas']['TokenView'];
export type TranscriptionAnswer = components['schemas']['TranscriptionAnswer'];
export type TransferKind = components['schemas']['TransferKind'];
export type TransferListView = components['schemas']['TransferListView'];
export type TransferView = components['schemas']['TransferView'];
export type UsageLimitsView = components['schemas']['UsageLimitsView'];
export type UsageSampleView = components['schemas']['UsageSampleView'];
export type UsageSummaryView = components['schemas']['UsageSummaryView'];
export type UsageView = components['schemas']['UsageView'];
export type UsedView = components['schemas']['UsedView'];
export type VerificationRequest = components['schemas']['VerificationRequest'];
export type VerificationView = components['schemas']['VerificationView'];
export type VerifyMode = components['schemas']['VerifyMode'];
export type WalletBalanceView = components['schemas']['WalletBalanceView'];
export type WebhookEventListView = components['schemas']['WebhookEventListView'];
export type WebhookEventView = components['schemas']['WebhookEventView'];
export type WebhookFilter = components['schemas']['WebhookFilter'];
export type WebhookListView = components['schemas']['WebhookListView'];
export type WebhookRequest = components['schemas']['WebhookRequest'];
export type WebhookRetries = components['schemas']['WebhookRetries'];
export type WebhookState = components['schemas']['WebhookState'];
export type WebhookTest = components['schemas']['WebhookTest'];
export type WebhookUpdate = components['schemas']['WebhookUpdate'];
export type WebhookView = components['schemas']['WebhookView'];
export type WithdrawalRequest = components['schemas']['WithdrawalRequest'];
export type WorkflowListView = components['schemas']['WorkflowListView'];
export type WorkflowRequest = components['schemas']['WorkflowRequest'];
export type WorkflowSummary = components['schemas']['WorkflowSummary'];
export type WorkflowTaskView = components['schemas']['WorkflowTaskView'];
export type WorkflowView = components['schemas']['WorkflowView'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
